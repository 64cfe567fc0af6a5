"""A call from a page: the `websockets` package stands for the browser. What it hears is judged by frequency, what the agent heard by the
stand-in's transcript; a microphone file is spoken at the pace of a microphone."""

import json

import pytest
import requests
import websockets
from lib.allo import TOKEN, wait_for
from lib.audio import speak
from lib.browser import Page
from websockets.sync.client import connect

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def house(standin, server):
    allo = server(standin("tone").url, platform_rate_per_s=1_000)
    base = f"http://{allo.addresses['platform']}"

    def post(path, **body):
        answer = requests.post(f"{base}{path}", json=body, headers=HEADERS, timeout=10)
        return answer

    account = post("/api/accounts", name="Tilleuls", email="a@b.c", isActive=True).json()["id"]
    agent = post("/api/agents", accountId=account, name="Accueil", basePrompt="Be kind.").json()["id"]
    end = {"name": "end_call", "description": "End the call.", "parameters": {"type": "object", "properties": {}}, "http": None, "triggersHangup": True}
    assert post(f"/api/agents/{agent}/tools", **end).ok
    return allo, base, post, account, agent


def prepared(post, agent, **more):
    """A ticket, once the agent that was just made runs: before, there is none."""

    def made():
        answer = post("/api/calls/browser", agentId=agent, **more)
        assert answer.ok or answer.status_code == 409 and answer.json()["code"] == "api_call_refused", answer.text
        return answer.ok and answer

    return wait_for("a ticket", made, 30).json()


def test_a_page_talks_to_the_agent(house):
    allo, base, post, account, agent = house
    ticket = prepared(post, agent)
    assert ticket["sampleRate"] == 8_000 and ticket["expiresInSeconds"] == 30
    page = Page(base.replace("http", "ws") + "/platform" + ticket["path"])
    wait_for("the greeting", lambda: page.hears(440, 1_000), 20)
    page.say(speak("Please tell me a very long story."))
    wait_for("the story", lambda: page.hears(700, 1_000), 20)
    page.say(speak("Thank you, that is quite enough."))
    wait_for("the story to be cut", lambda: page.clears, 20)
    wait_for("the answer", lambda: page.hears(800, 300), 20)
    page.say(speak("Thank you very much, goodbye."))
    wait_for("the end", lambda: page.over, 30)
    call = requests.get(f"{base}/api/calls/{ticket['id']}", headers=HEADERS, timeout=10).json()
    said = requests.get(f"{base}/api/calls/{ticket['id']}/transcript", headers=HEADERS, timeout=10).json()
    texts = json.dumps(said)
    for sentence in ("Please tell me a very long story.", "Thank you, that is quite enough.", "Thank you very much, goodbye."):
        assert sentence in texts, texts
    assert call["agentId"] == agent if "agentId" in call else agent in json.dumps(call)
    audit = requests.get(f"{base}/api/audit?accountId={account}&entity=call", headers=HEADERS, timeout=10).json()
    assert [line["entityId"] for line in audit if line["action"] == "call_from_page"] == [ticket["id"]]


def test_a_ticket_lets_one_in_and_only_of_the_own_account(house):
    allo, base, post, account, agent = house
    ticket = prepared(post, agent)
    url = base.replace("http", "ws") + ticket["path"]
    assert requests.get(base + ticket["path"], timeout=10).status_code == 426, "no handshake: the ticket is not used up"
    page = Page(url)
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 403
    wait_for("the greeting", lambda: page.hears(440, 300), 20)
    page.socket.close()
    wait_for("no call to run", lambda: not allo.live(), 10)
    with pytest.raises(websockets.InvalidStatus) as refused:
        connect(base.replace("http", "ws") + "/api/calls/browser/tic_wrong")
    assert refused.value.response.status_code == 403
    other = post("/api/accounts", name="Autre", email="a@b.c", isActive=True).json()["id"]
    for role, of, expected in (("viewer", account, 403), ("operator", account, 201), ("owner", other, 422)):
        key = post("/api/keys", accountId=of, name=role, role=role).json()["key"]
        answer = requests.post(f"{base}/api/calls/browser", json={"agentId": agent}, headers={"X-API-Key": key}, timeout=10)
        assert answer.status_code == expected, answer.text
    # Who answers nobody gives no ticket.
    assert post(f"/api/servers/{agent}/stop").ok
    wait_for("no ticket", lambda: post("/api/calls/browser", agentId=agent).status_code == 409, 10)
