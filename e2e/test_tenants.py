"""Two accounts on one node: neither reads, guesses or changes anything of the other, by any route of the document."""

import json

import pytest
from lib.tenancy import OWNER, Platform, fill, operations

# Nobody serves the engine of these agents: their manager says so where a test takes long.
pytestmark = pytest.mark.allowed_log("log_agent_failed")


@pytest.fixture
def platform(server, database):
    return Platform(server("ws://127.0.0.1:9/v1/realtime", platform_rate_per_s=10_000, server_database=database))


def body_for(method, tenant):
    if method in ("GET", "DELETE"):
        return None
    return {
        "accountId": tenant["account"], "agentId": tenant["agent"], "finalCustomerId": tenant["customer"], "planId": tenant["plan"],
        "line": tenant["line"], "to": "+33123456789", "name": "taken", "email": "taken@example.org", "question": "taken?", "answer": "taken",
        "items": [], "phoneNumber": f"+33{tenant['name']}", "value": "taken", "amount": 1, "currency": "EUR", "role": "viewer",
        "password": "correct horse battery", "tools": [], "prompt": "taken", "version": 1,
    }  # fmt: skip


def everything(platform, tenant):
    headers = {"X-API-Key": tenant["keys"]["owner"]}
    paths = [
        f"/api/accounts/{tenant['account']}", "/api/final-customers", "/api/agents", f"/api/agents/{tenant['agent']}/tools",
        f"/api/agents/{tenant['agent']}/versions", "/api/phone-lines", "/api/faqs", "/api/blocked-numbers", "/api/plans", "/api/users",
        f"/api/accounts/{tenant['account']}/billing/transactions",
    ]  # fmt: skip
    return {path: platform.good("GET", path, headers=headers) for path in paths}


def test_no_route_gives_an_account_anything_of_another(platform):
    victim, thief = platform.tenant("victim"), platform.tenant("thief")
    before = everything(platform, victim)
    marks = [value for value in victim.values() if isinstance(value, str)] + list(victim["keys"].values())
    credentials = [
        {"X-API-Key": thief["keys"]["owner"]},
        {"Authorization": f"Bearer {thief['agent_token']}"},
        {"X-Public-Token": thief["public_token"]},
    ]
    walked = 0
    for method, path, operation in operations(platform.document()):
        if not operation.get("security"):
            continue
        body = body_for(method, victim)
        sent = json.dumps(body)
        queries = ["", f"?accountId={victim['account']}", f"?agentId={victim['agent']}"] if method == "GET" else [""]
        for query in queries:
            filled = fill(path, victim) + query
            for headers in credentials:
                status, _, content = platform.ask(method, filled, body, headers)
                walked += 1
                assert status < 500, (method, filled, status, content)
                answered = json.dumps(content)
                found = [mark for mark in marks if mark in answered and mark not in filled and mark not in sent]
                assert not found, (method, filled, found, content)
                if "{" in path:
                    assert status in (403, 404, 422), (method, filled, status, content)
    assert walked > 300
    assert everything(platform, victim) == before


def test_nothing_is_open_without_a_credential(platform):
    tenant = platform.tenant("closed")
    opened = []
    for method, path, operation in operations(platform.document()):
        if not operation.get("security"):
            opened.append(path)
            continue
        for headers in ({}, {"X-API-Key": "acc_wrong"}, {"Authorization": "Bearer wrong"}):
            status, _, content = platform.ask(method, fill(path, tenant), body_for(method, tenant), headers)
            assert status == 401, (method, path, headers, status, content)
    assert sorted(opened) == ["/api/auth/first-run", "/api/auth/first-run", "/api/auth/login", "/api/calls/browser/{ticket}", "/api/shared", "/api/shared/recording.wav", "/health", "/ready"]


def test_a_viewer_changes_nothing(platform):
    tenant = platform.tenant("viewers")
    before = everything(platform, tenant)
    headers = {"X-API-Key": tenant["keys"]["viewer"]}
    for method, path, operation in operations(platform.document()):
        if operation.get("security") and operation["x-scope"].endswith(":write"):
            status, _, content = platform.ask(method, fill(path, tenant), body_for(method, tenant), headers)
            assert status == 403, (method, path, status, content)
    assert everything(platform, tenant) == before


def test_the_committed_document_is_the_servers(platform):
    import pathlib

    committed = json.loads((pathlib.Path(__file__).parents[1] / "docs" / "openapi.json").read_text())
    assert platform.document() == committed
    assert platform.ask("GET", "/api/accounts", headers=OWNER)[0] == 200
