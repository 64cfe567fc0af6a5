"""Answering machines: who answers a call of ours, and what is said to whom. The callees are sipp; their voices are espeak-ng's, brought to the telephone by
sox, their tones are made here. The agent speaks in tones: its disclosure at 480 Hz, its greeting at 440, the message for a machine at 520.
"""

import re
import socket as socket_module
import time

import numpy as np
import pytest
from lib.allo import wait_for
from lib.audio import RtpPeer, silence, speak, tone
from lib.house import House
from lib.ports import free_port
from lib.sipp import sdp
from test_outbound import CALLED, Callee, place

DISCLOSURE, GREETING, MESSAGE = 480, 440, 520
# Nobody is told by a pause that a busy machine made: the tests' own voices have none as long as this.
PATIENT = {"pauseMs": 2500}


@pytest.fixture
def world(standin, server):
    made = House(standin, server, scenario="machines")
    made.provision().ready()
    made.client.put(f"/agents/{made.agent}/phone-lines/{made.line['id']}", {"outboundPrefixes": ["sip:127.0.0.1", "+33"]})
    made.office.rule("/call-status", status=204, body=b"")
    yield made
    made.settled()
    made.close()


@pytest.fixture
def calls(world, sipp):
    """A factory of calls that run beside each other."""
    made = []

    def make(name, script, **answering):
        made.append(Destination(world, sipp, name, script, answering))
        return made[-1]

    yield make
    for destination in made:
        destination.peer.close()


class Destination:
    """A callee with a telephone of its own, and the call that goes to it."""

    def __init__(self, world, sipp, name, script, answering):
        self.world, self.peer = world, RtpPeer()
        port = free_port(socket_module.SOCK_DGRAM)
        self.phone = sipp(script, world.allo, self.peer, extra=("-p", str(port)), name=name)
        wish = {"answeringMachine": PATIENT | answering} if answering else {}
        self.id = place(world, port, **wish)["id"]

    def hear_from(self):
        """The place that our INVITE named for audio, before anything came from it."""
        invite = wait_for("the INVITE", lambda: self.phone.received("INVITE"), 20)[0]
        port = int(re.search(r"^m=audio (\d+)", invite, flags=re.M).group(1))
        self.peer.remote = ("127.0.0.1", port)
        return self

    def answered(self):
        wait_for("the ACK", lambda: self.phone.received("ACK"), 30)
        return self.hear_from()

    def record(self):
        def ended():
            found = self.world.client.get(f"/calls/{self.id}?accountId={self.world.account}")
            return found if found["endedAt"] else None

        return wait_for("the end of the call", ended, 60)

    def who(self):
        def known():
            live = self.world.client.get(f"/calls/live?accountId={self.world.account}")
            return next((call["answeredBy"] for call in live if call["id"] == self.id), None)

        return wait_for("who answered", known, 40)

    def tones(self):
        return [(round(hz / 10) * 10, ms) for hz, ms, _ in self.peer.tones()]

    def hang_up(self):
        self.world.client.request("DELETE", f"/calls/{self.id}")
        return self.record()

    def told(self):
        """The last of what `callbackUrl` was told."""
        bodies = lambda: [r.json for r in self.world.office.to("/call-status") if r.json["sid"] == self.id and r.json["event"] == "completed"]
        return wait_for("the last status", bodies, 20)[0]


def rings_early(name):
    """It rings in early media (183 with a description), then somebody answers."""
    return Callee(name).receive_request("INVITE").reply("183 Session Progress", sdp()).pause(2500).reply("200 OK", sdp()).receive_request("ACK").until_bye()


def answers(name):
    return Callee(name).answers().until_bye()


def test_a_person_is_greeted_and_heard(world, calls):
    """Nothing is said into early media; the person's first words reach the engine, and the agent's are heard whole, once each."""
    person = calls("person", rings_early("person"), action="hangUp", pauseMs=1000).hear_from()
    # The ringback of the callee's network, until the answer.
    wait_for("the 183", lambda: "183 Session Progress" in person.phone.messages(), 20)
    person.peer.say(tone(440, 1500))
    person.answered()
    answered = time.monotonic()
    wait_for("the end of the ringback", lambda: not person.peer.saying(), 20)
    before = len(person.peer.audio())
    assert all(packet.level < 100 for packet in person.peer.audio()[:before]), "nothing was said before the answer"
    person.peer.say(np.concatenate([silence(500), speak("Allô ? Oui, bonjour !", voice="fr", words_per_minute=170)]))
    assert person.who() == "human"
    disclosure = person.peer.wait_tone(DISCLOSURE, 1700, ended=True, timeout=30)
    greeting = person.peer.wait_tone(GREETING, 550, ended=True, timeout=30)
    assert disclosure[2][0].at < greeting[2][0].at
    spoken = [at for at, level in person.peer.frames_sent if level > 600]
    assert disclosure[2][0].at > spoken[-1], "nothing was said before the person had spoken"
    session = world.tap.wait_session()
    wait_for("the person's words at the engine", lambda: session.received("input_audio_buffer.speech_started"), 20)
    # 20 ms an event at most: of the 1.5 s of ringback nothing is among them.
    given, since = session.audio[True], time.monotonic() - answered
    assert given <= since * 50 + 40, "the engine heard what came before the answer"
    record = person.hang_up()
    assert (record["answeredBy"], record["endReason"], record["direction"]) == ("human", "operator_hung_up", "outbound"), record
    assert person.told()["answeredBy"] == "human"
    events = world.client.get(f"/calls/{person.id}/events?accountId={world.account}")
    assert [e["fields"]["who"] for e in (e.get("event", e) for e in events) if e.get("name") == "answered_by"] == ["human"], events


def greeting_of_a_machine():
    text = "Bonjour, vous êtes bien sur la messagerie de Jean Dupont. Je ne suis pas disponible pour le moment. Laissez un message après le bip."
    return speak(text, voice="fr+m3", words_per_minute=155)


def test_machines_and_nobody(world, calls):
    """A message after the beep, a hang-up without a word, a line where nothing is heard, and one that only rings on: all at the same time."""
    message = "Les Tilleuls, bonjour. Votre commande est prête."
    leaves = calls("leaves", answers("leaves"), action="leaveMessage", message=message)
    hangs_up = calls("hangs-up", answers("hangs-up"), action="hangUp")
    nobody = calls("nobody", answers("nobody"), action="hangUp")
    busy = calls("busy", Callee("busy").refuses("486 Busy Here"), action="leaveMessage", message=message)

    greeting = greeting_of_a_machine()
    leaves.answered().peer.say(np.concatenate([silence(400), greeting, silence(700), tone(1000, 500)]))
    hangs_up.answered().peer.say(np.concatenate([silence(400), greeting]))
    nobody.answered()

    record = hangs_up.record()
    assert (record["answeredBy"], record["endReason"]) == ("machine", "answering_machine"), record
    assert hangs_up.tones() == [], "it was hung up on without a word"

    assert nobody.who() == "unknown"
    nobody.peer.wait_tone(DISCLOSURE, 1700, timeout=30)
    assert nobody.hang_up()["answeredBy"] == "unknown"

    record = leaves.record()
    assert (record["answeredBy"], record["endReason"]) == ("machine_beep", "message_left"), record
    assert [hz for hz, _ in leaves.tones()] == [MESSAGE], leaves.tones()
    said = leaves.peer.tones()[0]
    assert said[1] >= 2900, "the whole message"
    beep = [at for at, level in leaves.peer.frames_sent if level > 600][-1]
    assert said[2][0].at > beep, "the message came after the beep"
    told = leaves.told()
    assert (told["answeredBy"], told["status"]) == ("machine_beep", "completed"), told
    payload = wait_for("the webhook", lambda: [body for body in world.office.calls_ended().values() if body.get("answeredBy") == "machine_beep"], 20)[0]
    assert payload["durationSec"] >= 5

    record = busy.record()
    assert (record["answeredBy"], record["endReason"]) == (None, "busy"), record
    words = [event["response"]["instructions"] for session in world.tap.sessions for event in session.sent("response.create") if "response" in event]
    (asked,) = [text for text in words if message in (text or "")]
    assert "intelligence artificielle" in asked, "a message says that a machine speaks"


def test_what_is_asked_for_is_checked(world):
    for wrong in (
        {"action": "leaveMessage"},
        {"action": "hangUp", "message": "x"},
        {"action": "hangUp", "pauseMs": 10},
        {"action": "leaveMessage", "message": "x" * 1001},
        {"action": "sing"},
        {"action": "hangUp", "patience": 3},
    ):
        with pytest.raises(Exception) as error:
            world.client.post("/calls", {"agentId": world.agent, "to": CALLED, "answeringMachine": wrong})
        assert getattr(error.value, "status", 0) in (400, 422), (wrong, error.value)
    assert world.calls() == []
