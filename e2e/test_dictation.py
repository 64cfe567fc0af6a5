"""What is dictated is waited for: after the agent asked for a number, a pause that would end any other turn ends none. The judge of the signalling is sipp;
the turns are those that the stand-in's own voice detection found with the settings that it was sent (its messages are judged by the openai package elsewhere)."""

import numpy as np
import pytest

from lib.allo import wait_for
from lib.audio import RATE, tone
from lib.sipp import Script

STORY_HZ = 700


@pytest.mark.parametrize("question, turns", [("May I have your phone number?", 1), ("What would you like?", 2)])
def test_a_pause_in_a_number_ends_no_turn(standin, server, sipp, peer, question, turns):
    engine = standin("barge_in", replace=[
        ('text = "greeting tone"', f'text = "{question}"'), ("ms = 15000", "ms = 1500"), ("speech_started_ms = 40", "speech_started_ms = 40\nspeed = 0"),
    ])
    allo = server(engine.url)
    phone = sipp(Script("dictation").call().pause(60000).bye(), allo, peer)
    peer.wait_tone(440, 900, ended=True)
    call = wait_for("the call", lambda: allo.calls(), 5)[0]

    def events(kind):
        return [entry["event"] for entry in allo.events(call["id"]) if entry["event"]["type"] == kind or entry["event"].get("name") == kind]

    # Two halves of a number, 900 ms apart.
    peer.say(np.concatenate([tone(1200, 400), np.zeros(RATE * 9 // 10, dtype=np.int16), tone(1200, 400)]), "number")
    # The answer, to the whole or to the second half.
    peer.wait_tone(STORY_HZ, 1000, after=peer.said_at("number") + 1.7)
    assert len(events("speech_stopped")) == turns
    assert [event["fields"]["on"] for event in events("dictation")][:1] == ([1] if turns == 1 else [])
    if turns == 1:
        # The answer asks for nothing: as always again.
        wait_for("the patience to be over", lambda: [event["fields"]["on"] for event in events("dictation")] == [1, 0], 10)
    phone.kill()
    allo.request(f"/api/calls/{call['id']}/hangup", "POST")
    allo.ended_call()
