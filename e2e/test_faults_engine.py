"""An engine that is refused, late, or lost in mid-call: what the caller hears, and what the record says."""

import time

import numpy as np
import pytest

from lib.allo import ROOT, wait_for
from lib.audio import decode, speak
from lib.ports import free_port
from lib.sipp import Script

FAILURES = r"engine|Engine|voice|service"
GOODBYE = "Thank you very much, goodbye."
# The reference of reliability: never dead air longer than 2 s without a deliberate sound; 100 ms for the measurement itself.
DEAD_AIR_MS = 2100


def fault(on, action, **more):
    lines = [f'on = "{on}"', f'action = "{action}"'] + [f"{k} = {v!r}".replace("'", '"') for k, v in more.items()]
    return "[[fault]]\n" + "\n".join(lines) + "\n"


def sound(name, language="en"):
    return decode(0, (ROOT / "assets" / "sounds" / language / f"{name}.ulaw").read_bytes())


def similarity(heard, reference):
    """How much of the reference is found in what was heard: the best normalised correlation, 0 to 1."""
    if len(heard) < len(reference):
        return 0.0
    a, b = heard.astype(np.float64), reference.astype(np.float64)
    size = 1 << (len(a) + len(b)).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)[: len(a) - len(b) + 1]
    energy = np.cumsum(np.concatenate([[0.0], a**2]))
    windows = energy[len(b) :] - energy[: len(a) - len(b) + 1]
    return float(np.max(correlation / np.sqrt(np.maximum(windows, 1.0) * np.sum(b**2))))


def failures(allo, call):
    """Catalogue codes of the engine failures in the journal."""
    return [e["event"]["failure"]["code"] for e in allo.events(call["id"]) if e["event"]["type"] == "engine_state" and e["event"].get("failure")]


def answered_at(phone, peer):
    return peer.audio()[0].at if peer.audio() else time.monotonic()


CONNECT = {
    "refused_401": (fault("connect", "status", status=401), "engine_refused", "engine_refused"),
    "quota_429": (fault("connect", "status", status=429), "engine_unavailable", "engine_rate_limited"),
    "down_503": (fault("connect", "status", status=503), "engine_unavailable", "engine_unavailable"),
    "settings_refused": (fault("session_update", "refuse"), "engine_refused", "engine_rejected"),
    "closed_at_once": (fault("session_update", "close"), "engine_unavailable", "engine_closed"),
    "silent": (fault("session_update", "stall"), "engine_unavailable", "engine_timeout"),
}


@pytest.mark.allowed_log(FAILURES)
@pytest.mark.parametrize("name", CONNECT)
def test_an_engine_that_cannot_be_used(standin, server, sipp, peer, name):
    faults, reason, code = CONNECT[name]
    allo = server(standin(more=faults).url)
    phone = sipp(Script(name).call().until_bye(), allo, peer)
    phone.wait()
    assert similarity(peer.words(), sound("apology")) > 0.9, "the caller hears the apology, whole"
    packets = peer.audio()
    assert peer.longest_quiet_ms(packets[0].at, packets[-1].at) < DEAD_AIR_MS
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == (reason, "engine")
    assert failures(allo, call)[0] == code, failures(allo, call)
    for language in ("en", "fr"):
        assert allo.explanation(call["id"], language)["verdict"]["text"]
    assert "sk-test-key-of-the-stand-in" not in allo.log() + str(allo.events(call["id"])), "the key appears nowhere"
    allo.idle()


@pytest.mark.allowed_log(FAILURES)
def test_an_engine_that_cannot_be_reached(server, sipp, peer):
    allo = server(f"ws://127.0.0.1:{free_port()}/v1/realtime")
    sipp(Script("unreachable").call().until_bye(), allo, peer).wait()
    assert similarity(peer.words(), sound("apology")) > 0.9
    call = allo.ended_call()
    assert (call["endReason"], failures(allo, call)[0]) == ("engine_unavailable", "engine_unreachable")


def test_an_engine_that_is_late(standin, server, sipp, peer):
    """Slower than the bound of the answer: answered all the same, a deliberate sound meanwhile, then the greeting, whole."""
    allo = server(standin(more=fault("session_update", "delay", ms=4000, at=1)).url, line_answer_bound_ms=1000)
    phone = sipp(Script("late").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    _, ms, packets = peer.tones()[-1]
    assert 1980 <= ms <= 2040
    first = peer.audio()[0].at
    assert 2.0 < packets[0].at - first < 5.0, "the call was answered before the engine was ready"
    assert peer.longest_quiet_ms(first, packets[0].at) < DEAD_AIR_MS
    peer.say(speak(GOODBYE))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"


@pytest.mark.allowed_log(FAILURES)
@pytest.mark.parametrize("action", ["close", "abort"])
def test_an_engine_that_is_lost_and_comes_back(standin, server, sipp, peer, action):
    """The second response (the story) breaks off; the new connection knows the conversation and the call ends as it should."""
    allo = server(standin(more=fault("response", action, connection=1, at=2, ms=900)).url)
    phone = sipp(Script("lost").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    _, _, story = peer.wait_tone(700, 500)
    lost = wait_for("the loss", lambda: [c for c in failures(allo, allo.calls()[0])], 15)
    assert lost == ["engine_closed"], lost
    # Back again: the agent takes the conversation up by itself.
    _, _, resumed = peer.wait_tone(500, 550, ended=True, timeout=25)
    assert peer.longest_quiet_ms(story[0].at, resumed[0].at) < DEAD_AIR_MS
    peer.say(speak(GOODBYE))
    phone.wait()
    hz, ms, _ = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1480 <= ms <= 1540, (hz, ms)
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    lines = [(line["role"], line["text"]) for line in allo.call(call["id"])["transcript"]]
    assert [text for role, text in lines if role == "caller"] == ["Please tell me a very long story.", GOODBYE]
    told = lines[2]
    assert told[0] == "agent" and "a long story in one tone".startswith(told[1].strip()), f"what was heard before the loss is kept: {lines}"


@pytest.mark.allowed_log(FAILURES)
@pytest.mark.parametrize("action", ["close", "abort"])
def test_an_engine_that_is_lost_for_good(standin, server, sipp, peer, action):
    later = "".join(fault("connect", "status", status=503, connection=n) for n in range(2, 12))
    allo = server(standin(more=fault("response", action, connection=1, at=2, ms=2000) + later).url)
    phone = sipp(Script("gone").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    _, _, story = peer.wait_tone(700, 500)
    phone.wait()
    assert similarity(peer.words(), sound("apology")) > 0.9
    assert peer.longest_quiet_ms(story[0].at, peer.audio()[-1].at) < DEAD_AIR_MS
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("engine_lost", "engine")
    assert failures(allo, call)[0] == "engine_closed" and "engine_unavailable" in failures(allo, call)


@pytest.mark.allowed_log(FAILURES)
def test_an_engine_that_stalls(standin, server, sipp, peer):
    """The connection stays open and nothing comes any more: no dead air, and the call goes on or ends within bounds."""
    allo = server(standin(more=fault("response", "stall", connection=1, at=2, ms=1500)).url)
    phone = sipp(Script("stalled").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    _, _, story = peer.wait_tone(700, 500)
    hz, ms, resumed = peer.wait_tone(500, 550, ended=True, timeout=45)
    quiet = peer.longest_quiet_ms(story[0].at, resumed[0].at)
    assert quiet < DEAD_AIR_MS, f"{quiet:.0f} ms of dead air"
    peer.say(speak(GOODBYE))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"


@pytest.mark.allowed_log(FAILURES)
def test_a_response_that_fails(standin, server, sipp, peer):
    allo = server(standin(more=fault("response", "fail", connection=1, at=2, ms=100)).url)
    phone = sipp(Script("failed").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    asked = peer.said_at("story")
    _, _, packets = wait_for("the agent to speak again", lambda: [t for t in peer.tones() if t[2][0].at > asked + 1 and t[1] > 300], 20)[0]
    assert peer.longest_quiet_ms(asked + 2.5, packets[0].at) < DEAD_AIR_MS
    peer.say(speak(GOODBYE))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"


def test_garbage_of_an_engine_is_ignored(standin, server, sipp, peer):
    allo = server(standin(more=fault("session_update", "garbage") + fault("response", "garbage")).url)
    phone = sipp(Script("garbage").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak(GOODBYE))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"


def test_a_session_that_expires_is_rotated(standin, server, sipp, peer):
    """The service ends sessions; ours are replaced before, with the conversation carried over, and the caller notices nothing."""
    engine = standin(replace=[("sprinkle = true", "sprinkle = true\nsession_ms_max = 16000")])
    allo = server(engine.url, agent_idle_reprompt_s=0)
    phone = sipp(Script("rotated").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    ready = lambda: [e for e in allo.events(allo.calls()[0]["id"]) if e["event"]["type"] == "engine_state" and e["event"]["state"] == "ready"]  # noqa: E731
    wait_for("the second session", lambda: len(ready()) == 2, 20)
    peer.say(speak(GOODBYE))
    phone.wait()
    assert [round(hz) for hz, _, _ in peer.tones()] == [440, 660]
    assert allo.ended_call()["endReason"] == "agent_hung_up"
