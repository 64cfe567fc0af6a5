"""Calls that a program asks for: `POST /api/calls` with an agent and its context. The other side is sipp for SIP, and the stand-in of the
carrier for Twilio; the address that follows a call is the back office's.
"""

import json
import socket as socket_module

import pytest
from lib.allo import Process, BINARY, wait_for
from lib.house import House
from lib.ports import free_port
from lib.provisioning import Client, Refused
from lib.sipp import Script, sdp
import re

CALLED = "+33611111111"


@pytest.fixture
def house(standin, server):
    made = []

    def make(**options):
        made.append(House(standin, server, **options))
        return made[-1]

    yield make
    for world in made:
        world.close()


class Callee(Script):
    """sipp as the called party."""

    def reply(self, status, body=None, tag=True):
        lines = ["[last_Via:]", "[last_From:]", "[last_To:]" + (";tag=[pid]u[call_number]" if tag else ""), "[last_Call-ID:]", "[last_CSeq:]"]
        lines.append("Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>")
        if body:
            lines.append("Content-Type: application/sdp")
        text = f"SIP/2.0 {status}\n" + "\n".join(lines) + "\nContent-Length: [len]\n\n" + (body or "")
        return self.send(text, retrans=False)

    def rings(self):
        return self.receive_request("INVITE").reply("180 Ringing")

    def answers(self):
        return self.rings().pause(300).reply("200 OK", sdp()).receive_request("ACK")

    def refuses(self, status):
        return self.receive_request("INVITE").reply(status).receive_request("ACK")

    def is_cancelled(self):
        return self.rings().receive_request("CANCEL").answer_request().reply_to_invite().receive_request("ACK")

    def reply_to_invite(self):
        text = self.steps[-1]
        self.steps[-1] = text  # the answer to the CANCEL
        lines = ["[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]u[call_number]", "[last_Call-ID:]", "CSeq: 1 INVITE"]
        return self.send("SIP/2.0 487 Request Terminated\n" + "\n".join(lines) + "\nContent-Length: 0\n\n", retrans=False)


def world_that_calls(house, **agent):
    agent = {"basePrompt": "={{data.systemPrompt}} Commande {{ctx.orderRef}} pour {{ctx.call.who}}."} | agent
    world = house().provision(**agent).ready()
    world.office.rule("/call-status", status=204, body=b"")
    world.client.put(f"/agents/{world.agent}/phone-lines/{world.line['id']}", {"outboundPrefixes": ["sip:127.0.0.1", "+33"]})
    return world


def place(world, port, **more):
    wish = {
        "agentId": world.agent,
        "to": f"sip:{CALLED}@127.0.0.1:{port}",
        "customParams": {"orderRef": "A-17", "call": {"who": "Zoé"}},
        "callbackUrl": f"{world.office.url}/call-status",
        "timeoutSec": 20,
    }
    return world.client.post("/calls", wish | more)


def statuses(world, count):
    """What the address was told, once it was told so much, in the order of what happened."""
    told = wait_for("the statuses", lambda: (s := world.office.to("/call-status")) and len(s) >= count and s, 20)
    order = ["initiated", "ringing", "answered", "completed"]
    bodies = sorted((request.json for request in told), key=lambda body: order.index(body["event"]))
    assert len({request.header("webhook-id") for request in told}) == len(told) == count
    return bodies


def test_an_agent_calls_with_its_context(house, sipp, peer):
    world = world_that_calls(house)
    port = free_port(socket_module.SOCK_DGRAM)
    phone = sipp(Callee("callee").answers().until_bye(), world.allo, peer, extra=("-p", str(port)))
    call = place(world, port)
    assert call["status"] == "initiated" and call["sid"] == call["id"] and call["from"] == world.number, call
    peer.wait_tone(480, 350, ended=True, timeout=30)
    peer.wait_tone(440, 550, ended=True, timeout=30)
    session = world.tap.wait_session()
    told = json.dumps(session.events, ensure_ascii=False)
    assert "Commande A-17 pour Zoé." in told, "the context is in the agent's prompt"
    (asked,) = world.office.to("/api/ai")
    assert ("callerPhone", CALLED) in asked.parameters, "the session was asked for the called party"
    world.client.request("DELETE", f"/calls/{call['id']}")
    phone.wait()
    ended = world.ended_call()
    assert ended["id"] == call["id"] and ended["direction"] == "outbound" and ended["endReason"] == "operator_hung_up", ended
    assert ended["hasRecording"] and ended["cost"] is not None
    bodies = statuses(world, 4)
    assert [body["event"] for body in bodies] == ["initiated", "ringing", "answered", "completed"]
    last = bodies[-1]
    assert last["status"] == "completed" and last["sid"] == call["id"] and last["to"] == CALLED, last
    assert last["customParams"]["orderRef"] == "A-17" and last["answeredAt"] and last["endedAt"] and last["durationSec"] >= 0
    payload = next(iter(wait_for("the webhook", lambda: world.office.calls_ended(), 20).values()))
    assert payload["finalContext"]["orderRef"] == "A-17"
    (invite,) = phone.received("INVITE")
    assert world.number in invite.split("From:")[1].split("\n")[0], invite


@pytest.mark.parametrize(
    ("name", "script", "reason", "status"),
    [
        ("busy", lambda: Callee("busy").refuses("486 Busy Here"), "busy", "busy"),
        ("gone", lambda: Callee("gone").refuses("480 Temporarily Unavailable"), "no_answer", "no-answer"),
        ("silent", lambda: Callee("silent").is_cancelled(), "no_answer", "no-answer"),
        ("taken-back", lambda: Callee("taken-back").is_cancelled(), "operator_hung_up", "cancelled"),
    ],
)
def test_a_call_that_is_not_answered(house, sipp, peer, name, script, reason, status):
    world = world_that_calls(house)
    port = free_port(socket_module.SOCK_DGRAM)
    phone = sipp(script(), world.allo, peer, extra=("-p", str(port)))
    call = place(world, port, **({"timeoutSec": 5} if name == "silent" else {}))
    if name == "taken-back":
        wait_for("ringing", lambda: "180 Ringing" in phone.messages(), 20)
        world.client.request("DELETE", f"/calls/{call['id']}")
    ended = world.ended_call()
    phone.wait()
    assert (ended["endReason"], ended["answeredAt"]) == (reason, None), ended
    last = wait_for("the last status", lambda: [r.json for r in world.office.to("/call-status") if r.json["event"] == "completed"], 20)[0]
    assert last["status"] == status and last["answeredAt"] is None and last["durationSec"] is None, last
    assert peer.tones() == [], "nobody heard anything"


def test_nobody_is_called_whom_no_rule_allows(house):
    world = house().provision().ready()

    def refused(to, status, **more):
        with pytest.raises(Refused) as error:
            world.client.post("/calls", {"agentId": world.agent, "to": to} | more)
        assert error.value.status == status, error.value
        return error.value.body

    assert "api_call_not_allowed" in refused("+33140000001", 403), "no rule is no call"
    line = f"/agents/{world.agent}/phone-lines/{world.line['id']}"
    with pytest.raises(Refused):
        world.client.put(line, {"outboundPrefixes": ["everywhere"]})
    world.client.put(line, {"outboundPrefixes": ["+33"]})
    for number in ("+33899123456", "0140000001", "+442079460000", "sip:+33140000001@127.0.0.1"):
        assert "api_call_not_allowed" in refused(number, 403), number
    refused("+33140000001", 422, timeoutSec=600)
    refused("+33140000001", 422, callbackUrl="file:///etc/passwd")
    refused("+33140000001", 422, **{"from": "+33999999999"})
    refused("+33140000001;x=y", 422)
    assert world.calls() == []


@pytest.fixture
def carrier(folder):
    process = Process([BINARY, "carrier-standin"], folder, "carrier")
    process.url = wait_for("the carrier's interface", lambda: re.search(r"http://\S+", process.output()), 20).group(0)
    yield process
    process.stop()


def twilio_world(standin, server, carrier):
    port = free_port()
    allo = server(
        standin("barge_in").url,
        voice_twilio_account_sid="AC00000000000000000000000000000001",
        voice_twilio_auth_token="stand-in-token",
        voice_twilio_api_url=carrier.url,
        voice_listen=f"127.0.0.1:{port}",
        voice_public_url=f"http://127.0.0.1:{port}",
        platform_unauthenticated="true",
        platform_rate_per_s=10_000,
    )
    client = Client(f"http://{allo.addresses['platform']}")
    account = client.account("Les Tilleuls")
    agent = client.post("/agents", {"accountId": account, "name": "Rappel", "basePrompt": "Order {{ctx.orderRef}}.", "isActive": True, "preCallChecks": []})
    client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": "+33977777777", "provider": "twilio", "outboundPrefixes": ["+33"]})

    def call(to):
        wish = {"agentId": agent["id"], "to": to, "customParams": {"orderRef": "A-17"}, "timeoutSec": 5}

        return client.post("/calls", wish)

    def ended(call):
        def over():
            found = client.get(f"/calls/{call['id']}?accountId={account}")
            return found if found["endedAt"] else None

        return wait_for("the end of the call", over, 40)

    return client, account, call, ended


def test_a_call_through_twilio(standin, server, carrier):
    client, account, call, ended = twilio_world(standin, server, carrier)
    placed = call(CALLED)

    def played():
        events = client.get(f"/calls/{placed['id']}/events?accountId={account}")
        return "playout" in json.dumps(events)

    wait_for("the agent's first words", played, 20)
    client.request("DELETE", f"/calls/{placed['id']}")
    record = ended(placed)
    assert (record["direction"], record["from"], record["to"]) == ("outbound", "+33977777777", CALLED), record
    assert record["carrier"] == "twilio" and record["carrierCallId"].startswith("CA") and record["answeredAt"], record
    assert (record["endReason"], record["finalContext"]["context"]["orderRef"]) == ("operator_hung_up", "A-17"), record


@pytest.mark.parametrize(("to", "reason"), [("+33611111486", "busy"), ("+33611111480", "no_answer")])
def test_a_call_through_twilio_that_is_not_answered(standin, server, carrier, to, reason):
    _, _, call, ended = twilio_world(standin, server, carrier)
    record = ended(call(to))
    assert (record["endReason"], record["answeredAt"]) == (reason, None), record


def test_a_call_through_twilio_is_taken_back_while_it_rings(standin, server, carrier):
    client, _, call, ended = twilio_world(standin, server, carrier)
    placed = call("+33611111480")
    client.request("DELETE", f"/calls/{placed['id']}")
    assert ended(placed)["endReason"] == "operator_hung_up"

    def cancelled():
        rows = [json.loads(row) for row in carrier.output().splitlines() if row.startswith("{")]
        return any(row["ended_by"] == "interface" for row in rows)

    carrier.stop()
    assert cancelled(), "the carrier was told"
