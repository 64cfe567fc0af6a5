"""A bang and a cough do not interrupt the agent, a voice does: the local confirmation of a barge-in. The judge of the signalling is sipp, the voice is
espeak-ng's, and what the caller is sent is told apart by frequency at the test's own socket."""

import numpy as np

from lib.allo import wait_for
from lib.audio import RATE, speak
from lib.sipp import Script

STORY_HZ = 700


def bang(peak=16000):
    """A knock on wood: a burst that dies away within 60 ms, three times."""
    at = np.arange(RATE * 6 // 10) / RATE
    noise = np.random.default_rng(3).normal(0, 1, len(at)) * np.exp(-(at % 0.2) / 0.02)
    return (noise * peak / np.abs(noise).max()).astype(np.int16)


def test_a_noise_does_not_interrupt_and_a_voice_does(standin, server, sipp, peer):
    # A reply is there at once, as from the services: the engine has nothing left to cut by itself.
    engine = standin("barge_in", replace=[("speech_started_ms = 40", "speech_started_ms = 40\nspeed = 0")])
    allo = server(engine.url, line_noise_interrupts="false")
    phone = sipp(Script("noise").call().pause(60000).bye(), allo, peer)
    peer.wait_tone(440, 900, ended=True)
    peer.say(speak("What do you have today?"), "question")
    _, _, story = peer.wait_tone(STORY_HZ, 1500)
    call = wait_for("the call", lambda: allo.calls(), 5)[0]

    def events(kind):
        return [entry["event"] for entry in allo.events(call["id"]) if entry["event"].get("name") == kind or entry["event"]["type"] == kind]

    peer.say(bang(), "bang")
    wait_for("the bang to be known for one", lambda: events("false_barge_in"), 10)
    peer.wait_tone(STORY_HZ, 4000)
    assert not [event for event in events("playout") if event["phase"] == "cleared"]

    peer.say(speak("Excuse me, wait a moment please."), "interruption")
    spoke_at = peer.said_at("interruption")
    stretch = wait_for(
        "the agent to fall silent",
        lambda: next((s for s in peer.stretches() if s[0] is story[0] and peer.audio()[-1].at - s[-1].at > 0.25), None), 10,
    )
    assert stretch[-1].at > spoke_at - 0.03, "it was the caller who interrupted"
    print(f"silent {1000 * (stretch[-1].at - spoke_at):.0f} ms after the first frame of the voice")
    phone.kill()
    allo.request(f"/api/calls/{call['id']}/hangup", "POST")
    allo.ended_call()
    cut = [event for event in events("playout") if event["phase"] == "cleared" and event["played_ms"] > 0]
    assert len(cut) == 1, cut
