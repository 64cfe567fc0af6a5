"""New calls a second and calls at the same time of a line and of an account (tenant), with sipp as the flood: who is refused, with what, and what the
call log says of it. One trunk's flood takes nothing from its neighbour, and the figures of each line say whose it was.
"""

import re

import pytest
from lib.allo import wait_for
from lib.sipp import Script, header
from lib.tenancy import Platform

FLOOD = 30


class Caller(Script):
    """A call that is either taken, and hung up at once, or refused; both are as they should be."""

    def dial(self, refusal):
        self.invite()
        self.steps += ['<recv response="100" optional="true"/>', '<recv response="180" optional="true"/>', f'<recv response="{refusal}" optional="true" next="1"/>']
        self.receive(200).ack().bye()
        self.steps += ['<nop next="2"/>', '<label id="1"/>']
        self.ack_refusal()
        self.steps.append('<label id="2"/>')
        return self


def trunk(platform, label, agent, host, number, **more):
    """A trunk that calls from one address, and whose calls to its number an agent takes."""
    body = {"label": label, "trunk_uri": f"sip:{host}:9", "contact_transport": "udp", "keep_alive_s": 0, "registers": False}
    made = platform.good("POST", "/api/admin/sip-accounts", body | more)["id"]
    platform.good("POST", "/api/admin/workflows", {"slug": label, "agent_id": agent, "phone_numbers": [number], "sip_account_id": made})
    # Once calls know the workflow they know all that was written before it.
    asked = f"/api/admin/route?number={number.replace('+', '%2B')}"
    wait_for(f"{label} to be in place", lambda: platform.good("GET", asked)["workflow"] == label, 15)
    return made


def figures(allo, name):
    """The samples of a metric, by their labels."""
    _, text = allo.request("/metrics", raw=True)
    rows = re.findall(rf"^{name}{{(.*)}} (\d+)$", text.decode(), flags=re.M)
    return {labels: int(value) for labels, value in rows}


def flood(sipp, allo, peer, name, number, host="127.0.0.1", calls=FLOOD, refusal=503):
    """How many were taken, and the refusals."""
    phone = sipp(Caller(name).dial(refusal), allo, peer, name=name, calls=calls, local=host, service=number, extra=("-r", "1000")).wait()
    refused = phone.received(f"SIP/2.0 {refusal}")
    return calls - len({header(one, "Call-ID") for one in refused}), refused


def explained(allo, reason, limit, where):
    """The newest call that was refused for this reason says by which limit, and where that is set."""

    def told(call, language):
        found = allo.explanation(call["id"], language)
        assert found["verdict"]["code"] == f"end_{reason}", found
        return next((one for one in found["why"] if one["code"] == "call_limited"), {"text": ""})

    def newest():
        call = next((one for one in allo.calls() if one["endReason"] == reason), None)
        return call if call and limit in told(call, "en")["text"] else None

    call = wait_for(f"a call refused because {limit}", newest)
    assert where in told(call, "en")["remedy"] and where in told(call, "fr")["remedy"]
    return call


def test_a_flood_of_one_trunk_is_its_own_affair(standin, server, sipp, peer):
    allo = server(standin("tone").url, line_allow_loopback="false", limits_calls=200, recording_enabled="false", agent_idle_reprompt_s=0)
    platform = Platform(allo)
    agent = platform.good("POST", "/api/agents", {"name": "reception", "basePrompt": "Be kind.", "accountId": "default"})["id"]
    flooded = trunk(platform, "flooded", agent, "127.0.0.1", "+33500000001", calls_per_s_max=1)
    neighbour = trunk(platform, "neighbour", agent, "127.0.0.2", "+33500000002", calls_max=1)

    # One a second: of thirty that come at once almost all are refused, each with the time after which there is room.
    taken, refused = flood(sipp, allo, peer, "flood", "+33500000001")
    assert taken >= 1 and refused, "the first has room, and not all of them"
    assert {header(one, "Retry-After").split()[0] for one in refused} == {"1"}
    assert all("cause=42" in header(one, "Reason") for one in refused)
    call = explained(allo, "rate_limited", "new calls of this second, 1 (flooded)", "calls_per_s_max")
    assert call["line"] == flooded

    # The neighbour has its call meanwhile, and no second one beside it.
    running = sipp(Script("running").call().until_bye(), allo, peer, name="running", local="127.0.0.2", service="+33500000002")
    running.wait_message("ACK sip:")
    none, busy = flood(sipp, allo, peer, "busy", "+33500000002", host="127.0.0.2", calls=1, refusal=486)
    assert none == 0 and len(busy) == 1
    assert explained(allo, "concurrency", "all its calls, 1 (neighbour)", "calls_max")["line"] == neighbour

    # Whose they were, in the figures.
    ended = figures(allo, "allo_line_calls_ended_total")
    assert ended[f'line="{flooded}",direction="inbound",reason="rate_limited"'] == FLOOD - taken
    assert ended[f'line="{neighbour}",direction="inbound",reason="concurrency"'] == 1
    assert figures(allo, "allo_line_calls_begun_total")[f'line="{neighbour}",direction="inbound"'] == 1
    assert figures(allo, "allo_line_calls_active")[f'line="{neighbour}"'] == 1
    assert figures(allo, "allo_calls_limited_total") == {'kind="line_calls"': 1, 'kind="line_rate"': FLOOD - taken}
    call = next(one for one in allo.live() if one["line"] == neighbour)
    assert allo.request(f"/api/calls/{call['id']}/hangup", method="POST")[0] < 300
    running.wait()

    # The account's own rate holds for all of its trunks together.
    platform.good("PATCH", f"/api/admin/sip-accounts/{flooded}", {"calls_per_s_max": None})
    platform.good("PATCH", "/api/accounts/default", {"settings": {"inbound": {"callsPerS": 1}}})
    trunk(platform, "last", agent, "127.0.0.3", "+33500000003")
    taken, refused = flood(sipp, allo, peer, "again", "+33500000001")
    assert taken >= 1 and {header(one, "Retry-After").split()[0] for one in refused} == {"1"}
    assert figures(allo, "allo_calls_limited_total")['kind="tenant_rate"'] == FLOOD - taken
    explained(allo, "rate_limited", "the account had its new calls of this second, 1", "settings.inbound.callsPerS")

    # A line that is removed takes its figures with it.
    workflows = {one["slug"]: one["id"] for one in platform.good("GET", "/api/admin/workflows")}
    platform.ask("DELETE", f"/api/admin/workflows/{workflows['neighbour']}")
    platform.ask("DELETE", f"/api/admin/sip-accounts/{neighbour}")
    wait_for("its figures to go", lambda: f'line="{neighbour}"' not in figures(allo, "allo_line_calls_active"), 10)
