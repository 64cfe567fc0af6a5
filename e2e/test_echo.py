"""A line that sends back what it is told, 15 dB lower and 60 ms late, as the hybrid of an analogue telephone does. The judge of the
signalling is sipp; what is heard is told apart by frequency and level at the test's own socket."""

import re

import numpy as np
import pytest

from lib.allo import wait_for
from lib.audio import FRAME, EchoingPeer, rms, tone
from lib.sipp import Script
from lib.softphone import read_growing_wav

STORY_HZ = 700


@pytest.fixture
def line():
    peer = EchoingPeer(loss_db=15, frames=3)
    yield peer
    peer.close()


@pytest.mark.parametrize("cancelled", ["false", "true"])
def test_the_agents_own_echo_does_not_interrupt_it_and_the_caller_does(standin, server, sipp, line, cancelled):
    # A reply is there at once, as from the services: the engine has nothing left to cut by itself.
    engine = standin("barge_in", replace=[("speech_started_ms = 40", "speech_started_ms = 40\nspeed = 0")])
    allo = server(engine.url, line_echo_cancellation=cancelled, recording_enabled="true", recording_announce="false")
    phone = sipp(Script("echo").call().pause(60000).bye(), allo, line)
    line.wait_tone(440, 900, ended=True)
    line.say(tone(1200, 300), "question")
    _, _, story = line.wait_tone(STORY_HZ, 3000)
    call = wait_for("the call", lambda: allo.calls(), 5)[0]
    events = [entry["event"] for entry in allo.events(call["id"])]
    assert not any(event["type"] == "playout" and event["phase"] == "cleared" for event in events), events
    if cancelled == "false":
        # The engine did hear it; that was known for what it was.
        assert any(event.get("name") == "false_barge_in" for event in events), events

    recording = next((allo.data / "recordings").glob("*.wav"))
    line.say(tone(1200, 300), "interruption")
    spoke_at = line.said_at("interruption")
    stretch = wait_for(
        "the agent to fall silent",
        lambda: next((s for s in line.stretches() if s[0] is story[0] and line.audio()[-1].at - s[-1].at > 0.25), None), 5,
    )
    # Its last packet may have come just before the first of the caller's, where a doubt was open already.
    assert stretch[-1].at > spoke_at - 0.03, "it was the caller who interrupted"
    phone.kill()
    allo.request(f"/api/calls/{call['id']}/hangup", "POST")
    allo.ended_call()
    events = [entry["event"] for entry in allo.events(call["id"])]
    cut = [event for event in events if event["type"] == "playout" and event["phase"] == "cleared" and event["played_ms"] > 0]
    assert len(cut) == 1, cut

    # What is recorded of the caller while the agent tells its story: the echo, or next to nothing.
    samples = read_growing_wav(recording)
    caller, agent = samples[0::2], samples[1::2]
    told = [at for at in range(0, len(agent) - FRAME, FRAME) if rms(agent[at : at + FRAME]) > 600]
    echo = float(np.median([rms(caller[at : at + FRAME]) for at in told]))
    said = float(np.median([rms(agent[at : at + FRAME]) for at in told]))
    print(f"said {said:.0f}, recorded of its echo {echo:.1f}")
    metrics = allo.request("/metrics", raw=True)[1].decode()
    counted = float(re.search(r"^allo_false_barge_ins_total (\S+)$", metrics, re.M)[1])
    if cancelled == "true":
        assert echo < said * 10 ** (-35 / 20), "20 dB quieter than it came"
    else:
        assert said * 10 ** (-18 / 20) < echo < said * 10 ** (-12 / 20)
        assert counted >= 1
