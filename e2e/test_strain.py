"""A node that has no time for another call refuses it and keeps those that it has (judge: sipp); by itself it takes calls again."""

import os
import signal
import threading

import pytest

from lib.allo import wait_for
from lib.audio import RtpPeer
from lib.sipp import Script, header

# A machine that is given away elsewhere: the server stands still for this long, again and again.
STANDS_MS, RUNS_MS = 120, 8


class Starved:
    """The server runs for a moment at a time while this is open; shorter than its clock sleeps, so that each of its wakes is late."""

    def __init__(self, process):
        self.process, self.over = process, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            os.kill(self.process.pid, signal.SIGSTOP)
            self.over.wait(STANDS_MS / 1000)
            os.kill(self.process.pid, signal.SIGCONT)
            self.over.wait(RUNS_MS / 1000)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@pytest.mark.allowed_log("refused|overload|log_shedding")
def test_a_node_without_time_refuses_new_calls_and_keeps_its_own(standin, server, sipp, peer):
    allo = server(standin("tone").url, limits_late_ms=60, limits_strained_calls=1)
    held = RtpPeer()
    try:
        talking = sipp(Script("talking").call().until_bye(), allo, held)
        held.wait_tone(440, 200)
        own = allo.live()[0]["id"]
        assert allo.metric("allo_load_strained") == 0
        with Starved(allo.process):
            wait_for("a strained node", lambda: allo.metric("allo_load_strained") == 1, 20, 0.1)
            # The figure is that of the last second, in which a busy machine may have stopped it less often.
            wait_for("its lateness", lambda: allo.metric("allo_load_late_seconds") > 0.06, 20, 0.1)
            refused = sipp(Script("refused").invite().receive(100, 503).ack_refusal(), allo, peer).wait()
            assert int(header(refused.received("SIP/2.0 503")[0], "Retry-After").split()[0]) > 0
        wait_for("a node with time", lambda: allo.metric("allo_load_strained") == 0, 20, 0.1)
        sipp(Script("later").call().bye(), allo, peer).wait()
        assert own in [call["id"] for call in allo.live()], "the call that was there goes on"
        assert allo.request(f"/api/calls/{own}/hangup", "POST")[0] in (200, 202, 204)
        talking.wait()
    finally:
        held.close()
    gone = wait_for("the record", lambda: next((call for call in allo.calls() if call["endReason"] == "overload"), None))
    assert allo.metric("allo_calls_limited_total") == 1
    why = [one for one in allo.explanation(gone["id"])["why"] if one["code"] == "call_limited"]
    assert "late by more than (ms), 60" in why[0]["text"] and "limits.late_ms" in why[0]["remedy"], why
    assert all(f'code="{code}"' in allo.log() for code in ("log_shedding", "log_shedding_over"))
