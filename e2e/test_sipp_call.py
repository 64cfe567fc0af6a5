"""sipp as the caller, over UDP and TCP; what is heard is judged by frequency and level."""

import numpy as np
import pytest

from lib.allo import wait_for
from lib.audio import loud_spans, read_wav, rms, speak
from lib.sipp import G723, PCMU, Script, header, sdp

GOODBYE = "Thank you very much, goodbye."


def lines_of(allo, call):
    return [(line["role"], line["text"]) for line in allo.call(call["id"])["transcript"]]


def lag_ms(reference, lane, most_ms=400):
    """How much later the loud pattern of `lane` is than that of `reference`, by correlation of their 5 ms envelopes."""
    step = 40
    envelope = lambda x: np.array([rms(x[i : i + step]) for i in range(0, len(x) - step, step)])  # noqa: E731
    a, b = envelope(reference), envelope(lane)
    size = min(len(a), len(b))
    a, b = a[:size] - a[:size].mean(), b[:size] - b[:size].mean()
    shifts = range(-most_ms // 5, most_ms // 5 + 1)
    scores = [float(np.dot(a[max(0, -s) : size - max(0, s)], b[max(0, s) : size - max(0, -s)])) for s in shifts]
    return shifts[int(np.argmax(scores))] * 5


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_greeting_goodbye_and_hang_up(standin, server, sipp, peer, transport):
    allo = server(standin().url)
    phone = sipp(Script("until_bye").call().until_bye(), allo, peer, transport)
    # The greeting: 2 s of 440 Hz, whole.
    _, ms, packets = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2040, f"the greeting lasted {ms} ms"
    assert min(p.level for p in packets[2:-2]) > 1000
    # Goodbye: the agent's last tone is heard whole before the BYE.
    peer.say(speak(GOODBYE))
    phone.wait()
    hz, ms, _ = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1480 <= ms <= 1540, (hz, ms)
    assert header(phone.received("BYE")[0], "Reason"), "the BYE says why"
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    assert lines_of(allo, call) == [("agent", "greeting tone"), ("caller", GOODBYE), ("agent", "goodbye and thank you")]
    english, french = allo.explanation(call["id"], "en"), allo.explanation(call["id"], "fr")
    for text in (english["verdict"]["text"], french["verdict"]["text"]):
        assert text, "the explanation has a sentence"
    assert "agent" in english["verdict"]["text"].lower() and english["verdict"]["text"] != french["verdict"]["text"]
    assert english["verdict"]["code"] == french["verdict"]["code"]
    ladder = str(english["ladder"])
    for name in ("INVITE", "180", "200", "ACK", "BYE"):
        assert name in ladder, f"{name} is in the ladder"


def test_recording_holds_both_voices_aligned(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("recorded").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    said = speak(GOODBYE)
    peer.say(said)
    phone.wait()
    call = allo.ended_call()
    caller, agent = read_wav(allo.recording(call["id"]))
    assert len(caller) == len(agent)
    # What the test heard and said, on one clock of its own: sample 0 is the first packet heard.
    heard, start = peer.heard()
    spoken = np.zeros(len(heard), dtype=np.int16)
    first_loud = next(i for i in range(0, len(said), 160) if rms(said[i : i + 160]) > 600)
    at = int((peer.said_at() - start) * 8000) - first_loud
    spoken[at : at + len(said)] = said[: len(spoken) - at]
    spans = [s for s in loud_spans(agent) if s[1] - s[0] > 400]
    assert [round((e - s) / 100) for s, e in spans] == [20, 15], f"the agent's lane holds greeting and goodbye: {spans}"
    agent_lag, caller_lag = lag_ms(heard, agent), lag_ms(spoken, caller)
    # The lanes may begin at another moment than the test's clock, but both at the same.
    assert abs(agent_lag - caller_lag) <= 60, f"lanes are apart: agent {agent_lag} ms, caller {caller_lag} ms"
    # No voice of the other side in a lane.
    start_ms, end_ms = spans[0]
    assert rms(caller[start_ms * 8 + 800 : end_ms * 8 - 800]) < 100
    assert abs(rms(caller[loud_spans(caller)[0][0] * 8 :][: len(said)]) - rms(said)) < 0.35 * rms(said), "the caller's voice has its level"


def test_caller_hangs_up(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("hang_up").call().pause(2000).bye(), allo, peer)
    phone.wait()
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("caller_hung_up", "caller")
    assert lines_of(allo, call)[0] == ("agent", "greeting tone")
    text = allo.explanation(call["id"], "fr")["verdict"]["text"]
    assert "appelant" in text, text


def test_interruption_by_speech(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("interruption").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    peer.wait_tone(700, 2000)
    peer.say(speak("Thank you, that is quite enough."), "stop")
    loud_at = peer.said_at("stop")
    hz, ms, _ = peer.wait_tone(800, 700, ended=True)
    story = next(packets for hz, _, packets in peer.tones() if abs(hz - 700) < 8)
    assert (story[-1].at - loud_at) * 1000 < 400, "the story stops soon after the caller began to speak"
    peer.say(speak(GOODBYE))
    phone.wait()
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    lines = allo.call(call["id"])["transcript"]
    assert [(line["role"], line["text"]) for line in lines if line["role"] == "caller"] == [
        ("caller", "Please tell me a very long story."), ("caller", "Thank you, that is quite enough."), ("caller", GOODBYE),
    ]
    told = next(line for line in lines if line["text"].startswith("a long story"))
    interrupted = told.get("interruptedAtMs") or told.get("interrupted_at_ms")
    assert interrupted and interrupted < 8000, told


def test_pcma_only(standin, server, sipp, peer):
    peer.payload_type = 8
    allo = server(standin().url)
    offer = sdp(codecs=("8", "a=rtpmap:8 PCMA/8000"))
    sipp(Script("pcma").call(body=offer).pause(3500).bye(), allo, peer).wait()
    hz, ms, packets = max(peer.tones(), key=lambda tone: tone[1])
    assert abs(hz - 440) < 8 and 1980 <= ms <= 2040 and {p.kind for p in packets} == {8}


def test_delayed_offer(standin, server, sipp, peer):
    allo = server(standin().url)
    script = Script("delayed_offer").invite(offer=False).receive(100, 180, 183, 200).ack(body=sdp()).until_bye()
    phone = sipp(script, allo, peer)
    # Nobody knows where to send audio before the ACK; the greeting waits for it and is whole.
    _, ms, _ = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2040
    assert "m=audio" in phone.received("SIP/2.0 200")[0]
    peer.say(speak(GOODBYE))
    phone.wait()
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"


def test_delayed_offer_without_answer(standin, server, sipp, peer):
    allo = server(standin().url)
    sipp(Script("no_answer").invite(offer=False).receive(100, 180, 183, 200).ack().until_bye(20000), allo, peer).wait()
    call = allo.ended_call()
    assert call["endReason"] == "missing_answer"
    assert allo.explanation(call["id"])["verdict"]["text"]
    allo.idle()


@pytest.mark.parametrize(
    "form, offer, answer",
    [
        ("sendonly", sdp("sendonly", version=2), "a=recvonly"),
        ("inactive", sdp("inactive", version=2), "a=inactive"),
        ("zero_address", sdp("sendrecv", address="0.0.0.0", version=2), ("a=recvonly", "a=inactive")),
    ],
)
def test_hold_and_resume(standin, server, sipp, peer, form, offer, answer):
    allo = server(standin().url)
    script = Script(f"hold_{form}").call().pause(800)
    script.within("INVITE", offer).receive(100, 200).ack().pause(1500)
    script.within("INVITE", sdp(version=3)).receive(100, 200).ack().until_bye()
    phone = sipp(script, allo, peer)
    wait_for("the answers to the re-INVITEs", lambda: len([r for r in phone.received("SIP/2.0 200") if "INVITE" in header(r, "CSeq")]) >= 3, 20)
    answers = [r for r in phone.received("SIP/2.0 200") if "INVITE" in header(r, "CSeq")]
    wanted = (answer,) if isinstance(answer, str) else answer
    assert any(line in answers[1] for line in wanted), answers[1]
    assert not [line for line in ("a=recvonly", "a=inactive", "a=sendonly") if line in answers[2]], answers[2]
    versions = [int(header(a.replace("o=", "o: ", 1), "o").split()[2]) for a in answers]
    assert versions[0] <= versions[1] <= versions[2], "the session version never goes back"
    # Held: nothing audible is sent to a caller that does not listen. Resumed: the agent is heard again.
    resumed = wait_for("the resumption", lambda: [p for p in peer.audio() if p.level > 600], 10)
    assert resumed
    peer.wait_tone(440, 300, timeout=10)
    peer.say(speak(GOODBYE))
    hz, ms, _ = peer.wait_tone(660, 1450, ended=True)
    phone.wait()
    assert ms <= 1540
    call = allo.ended_call()
    assert (call["endReason"], lines_of(allo, call)[-2]) == ("agent_hung_up", ("caller", GOODBYE))


def test_update_in_the_dialog(standin, server, sipp, peer):
    allo = server(standin().url)
    script = Script("update").call().pause(500)
    script.within("UPDATE", sdp("sendonly", version=2)).receive(200).pause(500)
    script.within("UPDATE", sdp("sendrecv", version=3)).receive(200)
    script.within("UPDATE").receive(200).until_bye()
    phone = sipp(script, allo, peer)
    peer.wait_tone(440, 200)
    wait_for("three answers", lambda: len([r for r in phone.received("SIP/2.0 200") if "UPDATE" in header(r, "CSeq")]) == 3, 10)
    answers = [r for r in phone.received("SIP/2.0 200") if "UPDATE" in header(r, "CSeq")]
    assert "a=recvonly" in answers[0] and "a=recvonly" not in answers[1] and "m=audio" not in answers[2]
    peer.say(speak(GOODBYE))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"


def test_unknown_methods_and_dialogs(standin, server, sipp, peer):
    allo = server(standin().url)
    script = Script("methods").call().within("OPTIONS").receive(200).within("MESSAGE").receive(405).bye()
    sipp(script, allo, peer).wait()
    assert allo.ended_call()["endReason"] == "caller_hung_up"


@pytest.mark.allowed_log("NoCommonCodec|no_common_codec|codec")
def test_no_common_codec(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("g723").invite(body=sdp(codecs=G723)).receive(100, 488).ack_refusal(), allo, peer)
    phone.wait()
    call = allo.ended_call()
    assert call["endReason"] == "no_common_codec"
    text = allo.explanation(call["id"])["verdict"]["text"]
    assert "G.723" in text, text
    assert "G.723" in allo.explanation(call["id"], "fr")["verdict"]["text"]


def test_session_timer_too_small(standin, server, sipp, peer):
    allo = server(standin().url)
    headers = ["Supported: timer", "Session-Expires: 60"]
    phone = sipp(Script("too_small").invite(headers=headers).receive(100, 422).ack_refusal(), allo, peer)
    phone.wait()
    assert int(header(phone.received("SIP/2.0 422")[0], "Min-SE")) == 90


def test_session_timer_runs_out(standin, server, sipp, peer):
    """The caller undertook to refresh and vanished; its audio goes on, so only the timer tells."""
    allo = server(standin().url, agent_idle_reprompt_s=0)
    headers = ["Supported: timer", "Session-Expires: 90;refresher=uac"]
    phone = sipp(Script("expires").call(headers=headers).until_bye(100000), allo, peer)
    phone.wait(100)
    answer = phone.received("SIP/2.0 200")[0]
    assert header(answer, "Session-Expires") == "90;refresher=uac" and "timer" in header(answer, "Require")
    call = allo.ended_call()
    assert call["endReason"] == "session_expired"
    assert 55_000 <= call["talkMs"] <= 92_000
    assert allo.explanation(call["id"])["verdict"]["text"]


def test_session_timer_refreshed_by_us(standin, server, sipp, peer):
    allo = server(standin().url, agent_idle_reprompt_s=0, sip_session_expires_s=90)
    headers = ["Supported: timer, 100rel", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE, CANCEL"]
    script = Script("refreshed").call(headers=headers).receive_request("INVITE", 60000)
    script.answer_request(body=sdp(), headers=["Supported: timer", "Require: timer", "Session-Expires: 90;refresher=uac"])
    script.receive_request("ACK").bye()
    sipp(script, allo, peer).wait(80)
    call = allo.ended_call()
    assert call["endReason"] == "caller_hung_up" and 35_000 < call["talkMs"] < 60_000


@pytest.mark.allowed_log("media_lost|no audio|No audio")
def test_caller_vanishes(standin, server, sipp, peer):
    """No BYE, no audio any more: freed by the missing RTP."""
    allo = server(standin().url, rtp_ports="31000-31003", agent_idle_reprompt_s=0)
    phone = sipp(Script("vanish").call().pause(60000), allo, peer)
    peer.wait_tone(440, 500)
    phone.kill()
    peer.paused = True
    call = allo.ended_call(timeout=40)
    assert (call["endReason"], call["endedBy"]) == ("media_lost", "network")
    assert call["talkMs"] < 30_000
    assert allo.explanation(call["id"])["verdict"]["text"]
    allo.idle()
