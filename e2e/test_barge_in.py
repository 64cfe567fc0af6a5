"""Barge-in, measured: issue 2, item 5. Times are taken at the test's own socket, arrivals by the kernel's time stamp.

The caller's interruption is a tone with a sharp onset, so that "the first loud frame" means the same to the test and the engine.
"""

import statistics

import pytest

from lib.allo import wait_for
from lib.audio import tone
from lib.sipp import Script

TURNS = 5
STORY_HZ = 700


def interruptions(allo, peer, delay_ms):
    """(measured_ms, received_ms of the item) for each of TURNS interruptions of a long tone."""
    measured = []
    ended_at = 0.0
    for turn in range(TURNS):
        # The agent answers any tone with a long one; the first follows the greeting.
        hz, _, packets = peer.wait_tone(STORY_HZ, 1000 + 137 * turn, after=ended_at, timeout=20)
        peer.say(tone(1200, 300), f"interruption {turn}")
        loud_at = peer.said_at(f"interruption {turn}")
        stretch = wait_for(
            "the agent to fall silent",
            lambda: next((s for s in peer.stretches() if s[0] is packets[0] and peer.audio()[-1].at - s[-1].at > 0.25), None),
            5,
        )
        heard_ms = ((stretch[-1].timestamp - stretch[0].timestamp) & 0xFFFFFFFF) // 8 + len(stretch[-1].samples) // 8
        measured.append(((stretch[-1].at - loud_at) * 1000, heard_ms, loud_at - stretch[0].at))
        ended_at = stretch[-1].at
    return measured


@pytest.mark.parametrize("delay_ms", [40, 200])
def test_agent_falls_silent_within_the_bound(standin, server, sipp, peer, delay_ms):
    engine = standin("barge_in", replace=[("speech_started_ms = 40", f"speech_started_ms = {delay_ms}")])
    allo = server(engine.url)
    phone = sipp(Script("barge_in").call().pause(60000).bye(), allo, peer)
    peer.wait_tone(440, 900, ended=True)
    peer.say(tone(1200, 300), "first")
    measured = interruptions(allo, peer, delay_ms)
    phone.kill()
    call = wait_for("the call", lambda: allo.calls(), 5)[0]
    allo.request(f"/api/calls/{call['id']}/hangup", "POST")
    events = allo.events(call["id"])
    print(f"d = {delay_ms} ms: " + ", ".join(f"{silent:.0f} ms" for silent, _, _ in measured))

    # From the caller's first loud frame on the test's wire to the last loud agent frame on it.
    # The stand-in counts d from the beginning of the loud frame, which is 20 ms before a telephone can send it: hence the 20.
    silences = [silent for silent, _, _ in measured]
    assert statistics.median(silences) <= delay_ms - 20 + 40, silences
    assert max(silences) <= delay_ms + 80, f"even when the test machine is busy: {silences}"

    # What the engine was told (it confirmed each) is what the caller was sent, within 20 ms.
    truncations = [int(e["event"]["detail"]) for e in events if e["event"].get("name") == "conversation.item.truncated"]
    heard = [ms for _, ms, _ in measured]
    assert len(truncations) == TURNS, truncations
    assert all(abs(told - got) <= 20 for told, got in zip(truncations, heard)), list(zip(truncations, heard))

    # The product's own part: from the engine's speech_started to the emptied playout.
    starts = [e["at_ms"] for e in events if e["event"]["type"] == "speech_started"]
    cleared = [e["at_ms"] for e in events if e["event"]["type"] == "playout" and e["event"]["phase"] == "cleared" and e["event"]["played_ms"] > 500]
    assert len(cleared) == TURNS, cleared
    own = [min((c - s for s in starts if s <= c), default=9999) for c in cleared]
    assert max(own) <= 20, own
