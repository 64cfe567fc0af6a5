"""The process itself: killed in a call, told to stop."""

import datetime
import signal
import subprocess
import time
import wave

import pytest

from lib.allo import wait_for
from lib.audio import loud_spans, read_wav, speak
from lib.phone import Phone
from lib.sipp import Script, header

STORY = "Please tell me a very long story."


@pytest.mark.allowed_log("log_calls_recovered")
def test_killed_in_mid_call(folder, standin, server, sipp, peer):
    """kill -9: the next start finishes the record, with all that was said, and the recording can be played."""
    engine = standin()
    allo = server(engine.url, server_data_dir=folder / "data")
    phone = sipp(Script("killed").call().pause(60000), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak(STORY))
    peer.wait_tone(700, 3000)
    call_id = allo.calls()[0]["id"]
    # The agent's whole sentence is known once the engine has generated it.
    wait_for("the transcript", lambda: len(allo.call(call_id)["transcript"]) == 3, 10)
    killed_at = time.time()
    allo.kill()
    phone.kill()
    again = server(engine.url, server_data_dir=folder / "data")
    call = wait_for("the finished record", lambda: [c for c in again.calls() if c["endedAt"]], 10)[0]
    assert call["id"] == call_id
    assert (call["endReason"], call["endedBy"]) == ("process_lost", "system")
    ended = datetime.datetime.fromisoformat(call["endedAt"].replace("Z", "+00:00")).timestamp()
    # The statistics of the stream are the last thing written: each 5 s.
    assert -6 < ended - killed_at < 1, f"ended {ended - killed_at:.1f} s after the kill"
    lines = [(line["role"], line["text"]) for line in again.call(call_id)["transcript"]]
    assert lines == [("agent", "greeting tone"), ("caller", STORY), ("agent", "a long story in one tone")]
    for language in ("en", "fr"):
        assert again.explanation(call_id, language)["verdict"]["text"]
    path = again.recording(call_id)
    caller, agent = read_wav(path)
    with wave.open(str(path)) as file:
        assert file.getnframes() * 4 + 44 <= path.stat().st_size, "the header does not promise more than there is"
    spans = [s for s in loud_spans(agent) if s[1] - s[0] > 400]
    assert len(spans) == 2 and abs(spans[0][1] - spans[0][0] - 2000) <= 60, spans
    assert spans[1][1] - spans[1][0] > 1500, f"the story is there up to the last second or so: {spans}"
    assert [s for s in loud_spans(caller) if s[1] - s[0] > 1000], "the caller's voice is there"
    # A new call works.
    sipp(Script("after").call().bye(), again, peer).wait()


def test_drain(standin, server, sipp, peer):
    """SIGTERM: no new call, the running one goes on to its end, then the process leaves."""
    allo = server(standin().url, server_drain_s=60)
    phone = sipp(Script("draining").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    assert allo.request("/ready", token=None) == (200, {"ready": True, "draining": False})
    allo.process.send_signal(signal.SIGTERM)
    status, body = wait_for("/ready to say 503", lambda: next((r for r in [allo.request("/ready", token=None)] if r[0] == 503), None), 5)
    assert body["draining"] is True
    other = Phone(allo.udp)
    other.send(other.request("OPTIONS"))
    answer = other.wait(lambda m: m.status >= 200)
    assert answer.status == 503 and int(answer.header("Retry-After").split()[0]) > 0
    other.messages.clear()
    other.invite()
    answer = other.final()
    assert answer.status == 503 and int(answer.header("Retry-After").split()[0]) > 0
    other.ack()
    # The running call is alive: it hears, speaks, and ends as it should.
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    hz, ms, _ = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1480 <= ms <= 1540
    assert allo.process.wait(15) == 0
    assert not (allo.data / "addresses.json").exists()
    listed = allo.cli("calls", "--json").stdout
    assert '"agent_hung_up"' in listed, listed
    assert '"draining"' in listed, "the refused call is recorded too"


def test_drain_has_a_bound(standin, server, sipp, peer):
    allo = server(standin().url, server_drain_s=2)
    phone = sipp(Script("bounded").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    asked = time.monotonic()
    allo.process.send_signal(signal.SIGTERM)
    phone.wait()
    assert allo.process.wait(15) == 0
    took = time.monotonic() - asked
    assert 1.9 < took < 12, f"{took:.1f} s"
    assert header(phone.received("BYE")[0], "Reason")
    shown = allo.cli("call", "explain", "last", "--json").stdout
    assert "draining" in shown, shown
    assert not (allo.data / "addresses.json").exists()


def test_second_signal_ends_at_once(standin, server, sipp, peer):
    allo = server(standin().url, server_drain_s=60)
    sipp(Script("twice").call().until_bye(), allo, peer)
    peer.wait_tone(440, 500)
    allo.process.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: allo.request("/ready", token=None)[0] == 503, 5)
    allo.process.send_signal(signal.SIGTERM)
    try:
        allo.process.wait(10)
    except subprocess.TimeoutExpired:
        raise AssertionError("a second signal did not end the process") from None
    assert '"draining"' in allo.cli("calls", "--json").stdout, "the call that was cut has an honest record"
