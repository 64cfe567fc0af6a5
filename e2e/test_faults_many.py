"""Many calls with an engine that fails in every way (`lib/faulty_engine.py`): each call has one honest record and is given something to hear in
time, and afterwards nothing is left: no task, file, port or table entry, and no memory that grows.

40 calls in `make test`; `ALLO_FAULT_CALLS=1000` for the whole (`scripts/prove --only faults`).
"""

import collections
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from lib.allo import ROOT, wait_for
from lib.audio import RtpPeer
from lib.phone import Phone
from lib.sipp import Script
from test_hostile_traffic import files, given_back, rss_mb

CALLS = int(os.environ.get("ALLO_FAULT_CALLS", "40"))
SEED = int(os.environ.get("ALLO_FAULT_SEED", "7"))
#: What a call may end with here: the caller hangs up after 3 s, the agent's failure, or its session's end.
REASONS = {"caller_hung_up", "caller_cancelled", "engine_refused", "engine_unavailable", "engine_lost", "media_timeout", "media_lost"}
#: The code that the journal has for a handshake that was refused so.
CODES = {"status_401": "engine_refused", "status_429": "engine_rate_limited", "status_503": "engine_unavailable"}


class FaultyEngine:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lib.faulty_engine", str(SEED)], cwd=ROOT / "e2e", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()

    def figures(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


class Impatient(Script):
    """A call that ends by the other side's BYE or, after 3 s, by its own."""

    def until_either(self):
        self.steps.append('<recv request="BYE" timeout="3000" ontimeout="1"/>')
        self.answer_request()
        self.steps.append('<nop next="2"/>')
        self.steps.append('<label id="1"/>')
        self.within("BYE").receive(200)
        self.steps.append('<label id="2"/>')
        return self


def tasks(allo):
    return int(allo.metric("allo_tasks"))


def ended(allo):
    """Every call's row, page by page as the API gives them."""
    return allo.metric("allo_calls_ended_total")


def figures(allo):
    return {"files": files(allo.process), "tasks": tasks(allo), "rss_mb": round(rss_mb(allo.process), 1)}


def churn(allo, sipp, port, calls, name):
    """Calls of sipp; how many it says went as the scenario has it."""
    script = Impatient(name).call().until_either()
    run = sipp(script, allo, type("Sink", (), {"port": port}), calls=calls, extra=("-r", "12", "-l", "40", "-timeout", f"{60 + calls}s"))
    run.process.wait(90 + calls)
    return run.process.returncode


class Listener(threading.Thread):
    """One caller after the other, who listens: how long until something could be heard."""

    def __init__(self, allo):
        super().__init__(daemon=True)
        self.allo, self.over, self.waits = allo, threading.Event(), []

    def run(self):
        while not self.over.is_set():
            peer, phone = RtpPeer(), Phone(self.allo.udp)
            phone.rtp_port = peer.port
            try:
                phone.invite()
                if phone.final(15).status != 200:
                    continue
                answered = time.monotonic()
                phone.ack()
                phone.wait(lambda m: m.first.startswith("BYE"), 3, must=False)
                heard = [packet.at for packet in peer.audio() if packet.level > 8]
                self.waits.append((heard[0] if heard else time.monotonic()) - answered)
                phone.bye()
                phone.wait(lambda m: m.cseq_method == "BYE", 1, must=False)
            finally:
                phone.close()
                peer.close()


@pytest.mark.timeout(240 + 2 * CALLS)
@pytest.mark.allowed_log(r".")
def test_an_engine_that_fails_in_every_way(server, sipp):
    engine, sink = FaultyEngine(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    try:
        allo = server(engine.url, limits_calls=100, server_log_level="warn", recording_enabled="true")
        # What the first calls leave behind (pools, caches, pages of the store) is no leak.
        churn(allo, sipp, sink.getsockname()[1], max(20, CALLS // 5), "warm")
        allo.idle(30)
        given_back(allo, 10_000, 60)
        wait_for("the tasks of the calls to end", lambda: tasks(allo) < 200, 20)
        before, served_before, ended_before = figures(allo), engine.figures()["served"], ended(allo)
        listener = Listener(allo)
        listener.start()
        churn(allo, sipp, sink.getsockname()[1], CALLS, "many")
        listener.over.set()
        listener.join(30)
        allo.idle(30)
        given_back(allo, before["files"], 60)
        wait_for("the tasks to end", lambda: tasks(allo) <= before["tasks"] + 2, 30, 0.25)
        after, served = figures(allo), collections.Counter(engine.figures()["served"]) - collections.Counter(served_before)
        assert engine.figures()["open"] == 0, "a connection to the engine is left open"
        check_records(allo, ended(allo) - ended_before, served, listener)
        assert "panicked" not in allo.log()
        grown = after["rss_mb"] - before["rss_mb"]
        print(f"\nfaults: {int(ended(allo) - ended_before)} calls, engine {dict(served)}, first sound {max(listener.waits):.2f} s at most of "
              f"{len(listener.waits)} who listened, before {before}, after {after}")  # fmt: skip
        assert grown <= 6 + 0.01 * CALLS, (before, after)
    finally:
        sink.close()
        engine.close()


def check_records(allo, count, served, listener):
    calls = allo.calls()
    assert all(call["endedAt"] and call["endReason"] for call in calls)
    strange = collections.Counter(call["endReason"] for call in calls if call["endReason"] not in REASONS)
    assert not strange, strange
    assert count >= CALLS, f"{count} calls ended"
    codes = collections.Counter()
    for call in calls:
        failed = [e["event"]["failure"]["code"] for e in allo.events(call["id"]) if e["event"]["type"] == "engine_state" and e["event"].get("failure")]
        codes.update(failed)
        if call["endReason"].startswith("engine_"):
            assert failed, f"{call['id']} ended with {call['endReason']} and its journal does not say why"
            assert allo.explanation(call["id"])["verdict"]["text"]
    # The API lists the newest calls only: the codes are those of as many.
    for kind, code in CODES.items():
        assert not served[kind] or codes[code], f"{served[kind]} times {kind}, and no {code} in {codes}"
    assert listener.waits and max(listener.waits) < 2.6, f"something is heard soon after the answer, whatever the engine does: {listener.waits}"
