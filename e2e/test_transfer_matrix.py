"""Every way in which a transfer can end, by REFER, by a second leg that allo calls and joins, by one that the caller's side then takes over, and by one that hears caller and agent: who has which leg then, what the record
says, and what the agent's owner is told. Callers and targets are sipp; where somebody has to hang up at an exact moment the caller is a
socket of the test. What each side hears after the join is judged by its frequency. The calls run at the same time in one house.
"""

import contextlib
import json
import socket
import traceback
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from lib.allo import Server, Standin, known_to_calls, only_expected_log_lines, wait_for
from lib.audio import RtpPeer, decode, dominant_hz, loud_spans, power_at, read_wav, rms, speak, tone
from lib.house import House
from lib.phone import Phone
from lib.ports import free_port
from lib.provisioning import Client
from lib.sipp import Script, Sipp, header, sdp
from test_outbound import Callee

CALLER_HZ, TARGET_HZ, ANNOUNCE_HZ = 620, 1040, 830
#: What the agent says when somebody has joined, and a long story of it.
JOINED_HZ, STORY_HZ = 710, 760
#: A telephone that tells its keys by tones alone.
BARE = "8", "a=rtpmap:8 PCMA/8000"
PCMA = "8 101", "a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16"
RING_S = 5
#: Calls at the same time.
WORKERS = 5


class Target(Callee):
    """The person whom the caller is handed to."""

    def is_met(self):
        """As the called side of a dialog, whose own requests come later: the caller's From is our To. It talks another law than the caller."""
        caller = '<ereg regexp="&lt;.*" search_in="hdr" header="From:" assign_to="caller"/>'
        contact = '<ereg regexp="sip:[^>]*" search_in="hdr" header="Contact:" assign_to="contact"/>'
        self.steps.append(f'<recv request="INVITE" timeout="50000"><action>{caller}{contact}</action></recv>')
        return self.reply("180 Ringing").reply("200 OK", sdp(codecs=PCMA)).receive_request("ACK")

    def in_dialog(self, method, cseq, headers=(), body=""):
        head = [
            f"{method} [$contact] SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-{method}-{cseq}",
            "From: <sip:desk@[local_ip]:[local_port]>;tag=[pid]u[call_number]",
            "To: [$caller]",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]
        return self.send("\n".join([*head, *headers, "Content-Length: [len]"]) + f"\n\n{body}").receive(200)

    def presses(self, digit):
        """By SIP INFO."""
        return self.in_dialog("INFO", 1, ["Content-Type: application/dtmf-relay"], f"Signal={digit}\nDuration=160\n")

    def hangs_up_after(self, ms):
        return self.is_met().pause(ms).in_dialog("BYE", 1)


class Replaceable(Target):
    """One whose telephone says that somebody else may take its call over."""

    def reply(self, status, body=None, tag=True):
        super().reply(status, body, tag)
        self.steps[-1] = self.steps[-1].replace("Content-Length", "Supported: timer, replaces\nContent-Length", 1)
        return self


class Case:
    """One call: the caller, the target, and how it went."""

    def __init__(self, world, name, mode, setting=None):
        # The name that the stand-in's model knows.
        self.world, self.name, self.desk = world, name, "default" if name == "screen_by_tool" else f"desk-{name}"
        self.caller, self.target = RtpPeer(), RtpPeer()
        self.port = free_port(socket.SOCK_DGRAM)
        self.number = f"+3315550{len(world.cases):04d}"
        world.cases.append(self)
        self.setting = {"destination": f"sip:desk@127.0.0.1:{self.port}", "ringSeconds": RING_S} | ({"mode": mode} if mode else {}) | (setting or {})
        self.processes, self.phone, self.announced_until = [], None, 0.0

    def sipp(self, script, peer, **options):
        self.processes.append(Sipp(self.world.folder, script, self.world.allo.udp, peer.port, service=self.world.number, **options))
        return self.processes[-1]

    def answers_as(self, script):
        self.called = self.sipp(script, self.target, extra=("-p", str(self.port)))
        return self

    def calls_by_sipp(self, script=None):
        script = script or Script(f"{self.name}-caller").call().until_bye()
        script.steps = [step.replace("+33123456789", self.number) for step in script.steps]
        self.calling = self.sipp(script, self.caller)
        return self.is_handed_over()

    def calls_by_socket(self):
        self.phone = Phone(self.world.allo.udp, self.caller.port, user=self.number, service=self.world.number)
        self.phone.invite()
        self.phone.wait(lambda m: m.status == 200 and m.cseq_method == "INVITE", 20)
        self.phone.ack()
        return self.is_handed_over()

    def is_handed_over(self):
        self.caller.wait_tone(440, 550, ended=True, timeout=40)
        self.id = wait_for("the record", lambda: next((r["id"] for r in self.world.calls() if r["callerNumber"] == self.number), None), 10)
        if self.desk == "default":
            self.caller.press("A")
            return self
        self.world.client.post(f"/calls/{self.id}/transfer", {"target": self.desk})
        return self

    def hears_the_announcement(self):
        """The person, and nobody else: the caller hears that it rings."""
        _, _, packets = self.target.wait_tone(ANNOUNCE_HZ, 1_400, ended=True, timeout=30)
        self.announced_until = packets[-1].at
        return self

    def was_announced_to(self):
        """The caller heard the agent (480 and 440 Hz), ringing (440 Hz), and nothing else before the people talked."""
        others = [hz for hz, ms, _ in self.caller.tones() if ms > 100 and min(abs(hz - 440), abs(hz - 480)) > 8 and abs(hz - TARGET_HZ) > 25]
        assert not others, f"the caller hears what is not for them: {others}"
        return self

    def screened(self, outcome, *announced):
        """The record, the journal and the webhook agree. Where a key cuts the announcement, it may have come to its end just before."""
        (leg,) = self.world.detail(self.id)["statistics"]["second_legs"]
        assert leg["announced"] in (announced or (True,)) and leg["screening"] == outcome, leg
        (told,) = [p for p in self.world.office.calls_ended().values() if p["callerNumber"] == self.number]
        expected = {name: leg[name] for name in ("target", "announced", "screening", "end")} | {"joined": leg["talked_ms"] is not None}
        assert told["secondLegs"] == [expected], told
        events = [entry["event"] for entry in self.events()]
        known = [event["outcome"] for event in events if event.get("name") == "target_screened" for event in [event["fields"]]]
        assert known == ([outcome] if outcome else []), events

    def both_talk(self, is_clean=True):
        """Audio crosses in both directions, and each side hears the other."""
        wait_for("the target hears the line", lambda: self.target.remote, 20)
        # A stalled sender catches up in a burst, of which a relay passes on 200 ms at most.
        self.caller.say(tone(CALLER_HZ, 1_000))
        self.target.say(tone(TARGET_HZ, 1_000))
        self.target.wait_tone(CALLER_HZ, 400, timeout=20)
        self.caller.wait_tone(TARGET_HZ, 400, timeout=20)
        heard = [round(hz) for hz, ms, packets in self.target.tones() if ms > 100 and packets[0].at > self.announced_until]
        assert not is_clean or all(abs(hz - CALLER_HZ) < 25 for hz in heard), f"nothing of the agent reaches the target: {heard}"
        return self

    def is_joined(self):
        """By allo, after all: what is said before that is heard by nobody."""
        wait_for("the two to be joined", lambda: "transfer_finished" in json.dumps(self.events()), 30)
        return self

    def goes_on(self, reason):
        """The model was told why, and speaks to the caller again."""
        self.told(reason, 2)
        self.hang_up()
        return self

    def told(self, reason, asked):
        told = f"[transfer] {self.desk}: {reason}"

        def session():
            sessions = self.world.tap.sessions
            return next((s for s in sessions if told in json.dumps(s.sent("conversation.item.create"), ensure_ascii=False)), None)

        known = wait_for(f"the model to be told {told!r}", session, 40)
        wait_for("the model to be asked for words", lambda: len(known.sent("response.create")) >= asked, 10)

    def hang_up(self):
        """By a person, through the interface."""
        self.world.client.request("DELETE", f"/calls/{self.id}")
        return self

    def events(self):
        return self.world.client.get(f"/calls/{self.id}/events?accountId={self.world.account}")

    def is_over(self, reason, transferred, leg=None):
        """Every telephone agrees that it is over; record, webhook and figures say what was."""
        for process in self.processes:
            process.wait()
        record = wait_for("the end of the record", lambda: (r := self.world.detail(self.id))["endedAt"] and r, 30)
        assert record["endReason"] == reason, record
        payloads = self.world.office.calls_ended
        told = wait_for("the webhook", lambda: [p for p in payloads().values() if p["callerNumber"] == self.number], 30)
        assert len(told) == 1 and (told[0]["outcome"] == "transferred") == transferred, told
        legs = (record["statistics"] or {}).get("second_legs") or []
        assert [(known["target"], known["end"], known["answered"]) for known in legs] == ([(self.desk, *leg)] if leg else []), legs
        return record

    def close(self):
        for process in self.processes:
            process.kill()
        if self.phone:
            self.phone.close()
        self.caller.close()
        self.target.close()


def notified(script, *lines):
    """What the caller's side says of the call that it was asked to make: a NOTIFY for each status line."""
    for line in lines:
        state = "active;expires=60" if line.startswith("1") else "terminated;reason=noresource"
        headers = ["Contact: <sip:caller@[local_ip]:[local_port]>", "Event: refer", f"Subscription-State: {state}", "Content-Type: message/sipfrag;version=2.0"]
        script.cseq += 1
        text = script._request("NOTIFY", "[next_url]", script.cseq, "[peer_tag_param]", None, headers)
        script.send(text.rstrip("\n") + f"\n\nSIP/2.0 {line}\n").receive(200)
    return script


def referred(case, *lines):
    script = Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("202 Accepted")
    case.calls_by_sipp(notified(script, *lines).until_bye())
    return case


def declines(case):
    """The caller's side takes no REFER."""
    return case.calls_by_sipp(Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("603 Decline").until_bye())


def target(case):
    return Target(f"{case.name}-target")


# By REFER: the caller's side makes the call, and says how it goes.


def refer_answered(case):
    referred(case, "100 Trying", "200 OK").is_over("transferred", True)
    (*_, refer) = case.calling.received("REFER")
    assert f"sip:desk@127.0.0.1:{case.port}" in header(refer, "Refer-To")


def refer_busy(case):
    referred(case, "486 Busy Here").goes_on("busy").is_over("operator_hung_up", False)


def refer_no_answer(case):
    referred(case, "180 Ringing", "408 Request Timeout").goes_on("no answer").is_over("operator_hung_up", False)


def refer_refused(case):
    declines(case).goes_on("refused").is_over("operator_hung_up", False)
    assert len({header(text, "CSeq") for text in case.calling.received("REFER")}) == 1


def refer_caller_first(case):
    script = Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("202 Accepted").bye()
    case.calls_by_sipp(script).is_over("transferred", True)


def refer_target_first(case):
    """It rang there, and the person declined."""
    referred(case, "180 Ringing", "603 Decline").goes_on("refused").is_over("operator_hung_up", False)


# By a second leg.


def bridge_answered(case):
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().both_talk()
    closed = lambda event: event["type"] == "engine_state" and event["state"] == "closed"  # noqa: E731
    wait_for("the engine, which costs nothing while people talk, to be gone", lambda: any(closed(entry["event"]) for entry in case.events()), 10)
    case.hang_up()
    record = case.is_over("operator_hung_up", True, ("we hung up", True))
    assert f"[transfer] {case.desk}: joined" in json.dumps(record["transcript"], ensure_ascii=False), record["transcript"]
    assert not case.calling.received("REFER")
    lanes = read_wav(case.world.allo.data / "recordings" / f"{case.id}.wav")
    for lane, hz in zip(lanes, (CALLER_HZ, TARGET_HZ)):
        last = loud_spans(lane)[-1]
        assert abs(dominant_hz(lane[last[0] * 8 : last[1] * 8])[0] - hz) < 25, f"the recording goes on with both people: {last}"


def bridge_busy(case):
    case.answers_as(target(case).refuses("486 Busy Here")).calls_by_sipp().goes_on("busy").is_over("operator_hung_up", False, ("busy", False))


def bridge_no_answer(case):
    case.answers_as(target(case).is_cancelled()).calls_by_sipp().goes_on("no answer")
    rang = [ms for hz, ms, _ in case.caller.tones() if abs(hz - 440) < 8 and ms > 1_000]
    assert rang, "the caller heard that it rings"
    case.is_over("operator_hung_up", False, ("no answer", False))


def bridge_refused(case):
    case.answers_as(target(case).refuses("603 Decline")).calls_by_sipp().goes_on("refused").is_over("operator_hung_up", False, ("refused", False))


def bridge_caller_first(case):
    case.answers_as(target(case).answers().until_bye()).calls_by_socket().both_talk()
    case.phone.bye()
    record = case.is_over("transferred", True, ("the caller hung up", True))
    (leg,) = record["statistics"]["second_legs"]
    assert leg["talked_ms"] >= 400 and leg["codec"] == "PCMU" and leg["rtp"]["packets_sent"] > 0, leg


def bridge_caller_leaves_while_it_rings(case):
    case.answers_as(target(case).is_cancelled()).calls_by_socket()
    case.called.wait_message("180 Ringing", 20)
    case.phone.bye()
    case.is_over("caller_hung_up", False, ("the caller hung up", False))


def bridge_target_first(case):
    case.target.payload_type = 8
    case.answers_as(target(case).hangs_up_after(6_000)).calls_by_sipp().both_talk().is_over("transferred", True, ("hung up", True))


def bridge_target_vanishes(case):
    """No sound and no BYE: the caller does not wait in silence for ever."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().both_talk()
    case.target.paused = True
    case.is_over("transferred", True, ("its sound is gone", True))


# By a second leg that the caller's side takes over (REFER with Replaces).


def replaceable(case):
    return Replaceable(f"{case.name}-target")


def in_words_of(ok):
    """The dialog of a 200 as a header inside of a URI, in the words of who answered (RFC 5589 section 7.3)."""
    tag = lambda name: header(ok, name).rsplit("tag=", 1)[1]  # noqa: E731
    return f"?Replaces={quote(header(ok, 'Call-ID'), safe='')}%3Bto-tag%3D{tag('To')}%3Bfrom-tag%3D{tag('From')}"


def attended_never_notified(case):
    """The caller's side agrees, and says no more: the two legs that are there are joined."""
    case.answers_as(replaceable(case).answers().until_bye())
    referred(case).is_joined().both_talk().hang_up().is_over("operator_hung_up", True, ("we hung up", True))


def attended_answered(case):
    case.answers_as(replaceable(case).answers().until_bye())
    record = referred(case, "100 Trying", "200 OK").is_over("transferred", True, ("handed over", True))
    (*_, refer) = case.calling.received("REFER")
    ok = next(text for sent, text in case.called.trace() if sent and text.startswith("SIP/2.0 200") and "INVITE" in header(text, "CSeq"))
    assert header(refer, "Refer-To") == f"<sip:desk@127.0.0.1:{case.port}{in_words_of(ok)}>", refer
    assert f"[transfer] {case.desk}: handed over" in json.dumps(record["transcript"], ensure_ascii=False), record["transcript"]


def attended_busy(case):
    case.answers_as(replaceable(case).refuses("486 Busy Here")).calls_by_sipp().goes_on("busy").is_over("operator_hung_up", False, ("busy", False))
    assert not case.calling.received("REFER")


def attended_no_answer(case):
    case.answers_as(replaceable(case).is_cancelled()).calls_by_sipp().goes_on("no answer")
    case.is_over("operator_hung_up", False, ("no answer", False))


def attended_refused(case):
    """The caller's side takes no REFER."""
    case.answers_as(replaceable(case).answers().until_bye())
    declines(case).is_joined().both_talk().hang_up().is_over("operator_hung_up", True, ("we hung up", True))


def attended_caller_first(case):
    """It agrees and leaves: that is how many systems say that it worked."""
    case.answers_as(replaceable(case).answers().until_bye())
    script = Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("202 Accepted").bye()
    case.calls_by_sipp(script).is_over("transferred", True, ("handed over", True))


def attended_target_first(case):
    """The person hangs up while it is tried: the caller is back with the agent."""
    case.answers_as(replaceable(case).hangs_up_after(800))
    script = Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("202 Accepted")
    case.calls_by_sipp(notified(notified(script, "100 Trying").pause(2_000), "481 Call/Transaction Does Not Exist").until_bye())
    case.goes_on("hung up").is_over("operator_hung_up", False, ("hung up", True))


def attended_unlisted(case):
    """A telephone that does not say that its call may be taken over: nothing is asked, and the two are joined."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().both_talk()
    assert not case.calling.received("REFER")
    case.hang_up().is_over("operator_hung_up", True, ("we hung up", True))


def attended_unaware(case):
    """A caller's side that takes REFER and knows nothing of Replaces would call the person a second time: nothing is asked."""
    case.answers_as(replaceable(case).answers().until_bye())
    case.calls_by_sipp(Script(f"{case.name}-caller").call(headers=["Supported: path"]).until_bye()).both_talk()
    assert not case.calling.received("REFER")
    case.hang_up().is_over("operator_hung_up", True, ("we hung up", True))


def attended_screened(case):
    """The person is told who waits and takes the caller by a key: only then is it asked for."""
    case.answers_as(replaceable(case).answers().until_bye())
    script = Script(f"{case.name}-caller").call().receive_request("REFER").answer_request("202 Accepted")
    case.calls_by_sipp(notified(script, "200 OK").until_bye()).hears_the_announcement()
    assert not case.calling.received("REFER")
    case.target.press("1")
    case.is_over("transferred", True, ("handed over", True))
    (leg,) = case.world.detail(case.id)["statistics"]["second_legs"]
    assert (leg["announced"], leg["screening"], leg["talked_ms"]) == (True, "accepted", None), leg


# By whichever the caller's side takes.


def auto_declined(case):
    case.answers_as(target(case).answers().until_bye())
    declines(case).both_talk().hang_up()
    case.is_over("operator_hung_up", True, ("we hung up", True))


def auto_unlisted(case):
    """What the caller's side lists has no REFER: none is sent, and a keypress reaches the target."""
    case.answers_as(target(case).answers().until_bye())
    case.calls_by_sipp(Script(f"{case.name}-caller").call(headers=["Allow: INVITE, ACK, BYE, CANCEL, OPTIONS"]).until_bye()).both_talk()
    assert not case.calling.received("REFER")
    case.caller.press("7")
    events = wait_for("the key at the target", lambda: [p for p in case.target.packets if p.kind == 101], 10)
    assert {packet.payload[0] for packet in events} == {7}
    case.hang_up().is_over("operator_hung_up", True, ("we hung up", True))


# By a second leg whose person is told who waits, and asked.


def screen_accepted(case):
    """By an event of RFC 4733."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().hears_the_announcement()
    case.target.press("1")
    case.both_talk().was_announced_to().hang_up().is_over("operator_hung_up", True, ("we hung up", True))
    case.screened("accepted")


def screen_by_tool(case):
    """The model hands over and says why, and the person, whose telephone has no events, takes the caller by tones."""
    case.target.payload_type = 8
    case.answers_as(target(case).rings().reply("200 OK", sdp(codecs=BARE)).receive_request("ACK").until_bye()).calls_by_sipp().hears_the_announcement()
    case.target.say(tone(697, 200) + tone(1209, 200))
    case.both_talk().was_announced_to()
    told = [json.dumps(session.session_updates(), ensure_ascii=False) for session in case.world.tap.sessions]
    words = f"Un appel de {case.number} : Marie veut déplacer sa réservation. Tapez 1"
    assert [text for text in told if words in text], "the voice says what the model said of the call"
    case.hang_up().is_over("operator_hung_up", True, ("we hung up", True))
    case.screened("accepted")


def screen_refused(case):
    """By SIP INFO, while the announcement is heard."""
    case.answers_as(target(case).is_met().pause(1_500).presses(2).until_bye()).calls_by_sipp()
    case.goes_on("refused by the person").is_over("operator_hung_up", False, ("refused by the person", True))
    case.screened("refused", True, False, None)


def screen_hangs_up(case):
    case.answers_as(target(case).hangs_up_after(1_500)).calls_by_sipp().goes_on("refused by the person")
    case.is_over("operator_hung_up", False, ("hung up", True))
    case.screened("refused", True, False, None)


def screen_silent(case):
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().hears_the_announcement()
    case.goes_on("the person did not accept in time").is_over("operator_hung_up", False, ("not accepted in time", True))
    case.screened("timed_out")


def screen_caller_leaves(case):
    case.answers_as(target(case).answers().until_bye()).calls_by_socket().hears_the_announcement()
    case.phone.bye()
    case.is_over("caller_hung_up", False, ("the caller hung up", True))
    case.screened(None)


def announced(case):
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp().hears_the_announcement()
    case.both_talk().was_announced_to().hang_up().is_over("operator_hung_up", True, ("we hung up", True))
    case.screened(None)


def announced_not(case):
    """What the voice makes of it is no announcement: the two are joined all the same."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp()
    case.both_talk().was_announced_to().hang_up().is_over("operator_hung_up", True, ("we hung up", True))
    case.screened(None, False)


def screen_without_voice(case):
    """The person is asked by the product's own words."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp()
    wait_for("some words", lambda: sum(packet.level > 600 for packet in case.target.audio()) > 50, 30)
    case.target.press("1")
    case.both_talk(is_clean=False).hang_up().is_over("operator_hung_up", True, ("we hung up", True))
    case.screened("accepted", None, False)


def returns_to_the_agent(case):
    """The person hangs up: the caller is with the agent again, who knows what was said."""
    case.answers_as(target(case).hangs_up_after(3_000)).calls_by_sipp()
    case.told("hung up; the caller is back", 1)
    case.caller.wait_tone(550, 250, timeout=20)
    case.hang_up().is_over("operator_hung_up", True, ("hung up", True))


# By a second leg that hears caller and agent.


def conferred(case):
    """Both hear the agent say that somebody is there."""
    for peer in (case.target, case.caller):
        peer.wait_tone(JOINED_HZ, 600, ended=True, timeout=40)
    events = [entry["event"] for entry in case.events()]
    assert [event for event in events if event.get("name") == "conferred"], events
    return case


def model_told(case, words):
    """The session of the engine that has this text."""
    told = f"[conference] {case.desk}: {words}"
    known = lambda: next((s for s in case.world.tap.sessions if told in json.dumps(s.sent("conversation.item.create"), ensure_ascii=False)), None)  # noqa: E731
    return wait_for(f"the model to be told {told!r}", known, 30)


def both_in(samples, frame=1_600):
    """Whether caller and person are heard at the same time in 200 ms somewhere, and hardly anything else."""
    parts = (samples[at : at + frame] for at in range(0, len(samples) - frame, frame // 2))
    return any(rms(part) > 1_000 and all(power_at(part, hz) > 0.2 for hz in (CALLER_HZ, TARGET_HZ)) for part in parts)


def conference_answered(case):
    """Each hears the other two, whoever speaks cuts the agent short, and the recording has both sides."""
    case.target.payload_type = 8
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp()
    session = model_told(conferred(case), "has joined")
    # At the same time, so that the agent is quiet, and the engine hears both as one.
    for peer, hz in ((case.caller, CALLER_HZ), (case.target, TARGET_HZ)):
        peer.say(tone(hz, 2_500))
    case.target.wait_tone(CALLER_HZ, 1_000, timeout=30)
    case.caller.wait_tone(TARGET_HZ, 1_000, timeout=30)
    wait_for("the engine to hear both", lambda: both_in(decode(0, session.heard())), 20)
    # A key in the middle of speech would be answered together with it.
    said = lambda kind: len(session.received(f"input_audio_buffer.{kind}"))  # noqa: E731
    wait_for("the silence of both", lambda: not case.caller.saying() and 0 < said("speech_started") == said("speech_stopped"), 20)
    case.caller.press("B")
    for peer in (case.target, case.caller):
        peer.wait_tone(STORY_HZ, 400, timeout=30)
    case.target.say(speak("Un moment, je vous prie, je voudrais dire quelque chose."))
    for peer in (case.target, case.caller):
        _, ms, _ = peer.wait_tone(STORY_HZ, 400, ended=True, timeout=30)
        assert ms < 25_000, f"the person interrupts the agent: {ms} ms"
    record = case.hang_up().is_over("operator_hung_up", False, ("we hung up", True))
    assert record["statistics"]["second_legs"][0]["conference"] and not case.calling.received("REFER")
    left, right = read_wav(case.world.allo.data / "recordings" / f"{case.id}.wav")
    heard = [[any(power_at(lane[a * 8 : b * 8], hz) > 0.2 for a, b in loud_spans(lane)) for hz in (CALLER_HZ, TARGET_HZ, JOINED_HZ)] for lane in (left, right)]
    assert heard == [[True, False, False], [False, True, True]], heard


def conference_target_first(case):
    """The agent goes on with the caller, and knows that it is alone with them."""
    case.answers_as(target(case).hangs_up_after(6_000)).calls_by_sipp()
    model_told(conferred(case), "hung up; you are alone with the caller")
    case.caller.wait_tone(550, 250, timeout=30)
    case.hang_up().is_over("operator_hung_up", False, ("hung up", True))


def conference_caller_first(case):
    """After the person was told who waits, and took the caller by a key."""
    case.answers_as(target(case).answers().until_bye()).calls_by_socket().hears_the_announcement()
    case.target.press("1")
    conferred(case).phone.bye()
    case.is_over("caller_hung_up", False, ("the caller hung up", True))


def conference_agent_first(case):
    """The agent says goodbye for itself alone: the other two go on, by a bridge without an engine."""
    case.answers_as(target(case).answers().until_bye()).calls_by_sipp()
    conferred(case).caller.press("#")
    wait_for("the agent to leave", lambda: "agent_left" in json.dumps(case.events()), 30)
    case.both_talk(is_clean=False).hang_up().is_over("operator_hung_up", True, ("we hung up", True))


SCREENS = {"announce": "=Un appel de {{callerPhone}} : {{$ai.summary}}", "screen": True, "screenSeconds": 15}
SETTINGS = {
    screen_silent: SCREENS | {"screenSeconds": 5},
    announced: {"announce": "Un appel de la maison."},
    announced_not: {"announce": "Un roman."},
    screen_without_voice: {"announce": "Un roman.", "screen": True},
    attended_screened: SCREENS,
    conference_caller_first: SCREENS,
    returns_to_the_agent: {"mode": "bridge", "returnToAgent": True},
}
CASES = {
    "refer": [refer_answered, refer_busy, refer_no_answer, refer_refused, refer_caller_first, refer_target_first],
    "bridge": [
        bridge_answered, bridge_busy, bridge_no_answer, bridge_refused, bridge_caller_first, bridge_caller_leaves_while_it_rings, bridge_target_first,
        bridge_target_vanishes,
    ],
    "told": [
        screen_accepted, screen_by_tool, screen_refused, screen_hangs_up, screen_silent, screen_caller_leaves, announced, announced_not,
        screen_without_voice, returns_to_the_agent,
    ],
    "attended": [
        attended_never_notified, attended_screened, attended_no_answer, attended_answered, attended_caller_first, attended_target_first,
        attended_refused, attended_busy, attended_unlisted, attended_unaware,
    ],
    "conference": [conference_answered, conference_target_first, conference_caller_first, conference_agent_first],
    "unsaid": [auto_declined, auto_unlisted],
}  # fmt: skip


class World(House):
    def __init__(self, folder):
        self.folder, self.cases, self.started = folder, [], []

        def started(made):
            self.started.append(made)
            return made

        super().__init__(lambda name: started(Standin(folder, name)), lambda url, **settings: started(Server(folder, url, **settings)))
        self.provision().ready()

    def detail(self, call):
        return self.client.get(f"/calls/{call}?accountId={self.account}")

    def run(self, mode):
        """All cases of a mode at the same time; the error of each that failed."""
        named = {"refer", "bridge", "attended", "conference"} & {mode}
        more = SCREENS if mode == "told" else {}
        cases = {run: Case(self, run.__name__, "".join(named), SETTINGS.get(run, more)) for run in CASES[mode]}
        self.client.put(f"/agents/{self.agent}", {"transferTargets": {case.desk: case.setting for case in cases.values()}})
        # The telephone side reads everything at once: where it knows this number, it knows these targets.
        number = f"+3314050608{list(CASES).index(mode)}"
        self.client.phone_line(self.agent, number)
        known_to_calls(lambda query: self.client.get(f"/admin/route?{query}"), self.account, number, self.agent)

        def whole(run, case):
            # Telephones that still send when their call is over would be taken for the caller of the next one on that port.
            with contextlib.closing(case):
                run(case)

        with ThreadPoolExecutor(WORKERS) as pool:
            futures = {run.__name__: pool.submit(whole, run, case) for run, case in cases.items()}
            return {name: error for name, future in futures.items() if (error := future.exception(timeout=110))}

    def close(self):
        super().close()
        for process in reversed(self.started):
            process.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("transfers"))
    yield made
    made.close()
    unexpected = only_expected_log_lines(made.allo.log(), [])
    assert not unexpected, unexpected


@pytest.mark.parametrize("mode", CASES)
def test_every_end_of_a_transfer(world, mode):
    """Each telephone has had its BYE or CANCEL (sipp's own verdict, in each case); afterwards no call is left here."""
    failed = world.run(mode)
    for name, error in failed.items():
        print(f"--- {name}")
        traceback.print_exception(error)
    assert not failed, failed
    world.allo.idle()
    assert world.allo.metric("allo_calls_active") == 0


@pytest.mark.allowed_log("log_calls_recovered")
def test_killed_while_two_people_talk(folder, standin, server):
    """kill -9: the next start finishes the record, and knows that the caller had been handed over."""
    house = House(standin, server).provision().ready()
    house.folder, house.cases = folder, []
    case = Case(house, "killed", "bridge")
    house.client.put(f"/agents/{house.agent}", {"transferTargets": {case.desk: case.setting}})
    case.answers_as(target(case).answers().pause(60_000)).calls_by_socket()
    wait_for("the target hears the line", lambda: case.target.remote, 20)
    wait_for("the join in the journal", lambda: "transfer_finished" in json.dumps(house.client.get(f"/calls/{case.id}/events?accountId={house.account}")), 10)
    house.allo.kill()
    again = server(**house.allo.settings)
    client = Client(f"http://{again.addresses['platform']}")
    record = wait_for("the finished record", lambda: (r := client.get(f"/calls/{case.id}?accountId={house.account}"))["endedAt"] and r, 20)
    assert (record["endReason"], record["outcome"]) == ("process_lost", "transferred"), record
    told = wait_for("the webhook", lambda: list(house.office.calls_ended().values()), 30)
    assert [payload["outcome"] for payload in told] == ["transferred"]
    case.close()
    house.close()
