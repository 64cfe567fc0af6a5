"""Load by hand (`scripts/prove --only load`): many short calls one after the other, and many calls held for long; what they leave behind.

ALLO_SHORT_CALLS (at ALLO_SHORT_RATE a second, by sipp) and ALLO_HELD_CALLS for ALLO_HELD_SECONDS (by the bench's generator, which
measures what comes back); ALLO_BENCH names the bench's binary.
"""

import json
import os
import socket
import subprocess
import threading
import time

import pytest

from lib.sipp import Script
from test_faults_many import ended, figures, tasks
from test_hostile_traffic import BENCH, files, generate, given_back, rss_mb

SHORT, RATE = int(os.environ.get("ALLO_SHORT_CALLS", "0")), int(os.environ.get("ALLO_SHORT_RATE", "100"))
HELD, HELD_SECONDS = int(os.environ.get("ALLO_HELD_CALLS", "0")), int(os.environ.get("ALLO_HELD_SECONDS", "60"))
pytestmark = pytest.mark.allowed_log(r".")


@pytest.fixture
def world(server):
    """A server whose engine echoes at once."""
    engine = subprocess.Popen([BENCH, "echo-engine"], stdout=subprocess.PIPE, text=True)
    # The engine echoes and says of nobody that they speak: a call is not ended for its silence, nor for its length.
    allo = server(
        engine.stdout.readline().strip(), agent_greeting="none", recording_enabled="false", server_log_level="error", limits_calls=2000,
        agent_idle_reprompt_s=0, agent_max_call_duration_s=0, rtp_ports="10000-20999",
    )  # fmt: skip
    yield allo
    engine.kill()
    engine.wait()


class Memory:
    """Samples of memory and files while something runs."""

    def __init__(self, process, every=5.0):
        self.process, self.every, self.samples, self.over = process, every, [], threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.over.wait(self.every):
            self.samples.append((round(rss_mb(self.process), 1), files(self.process)))

    def end(self):
        self.over.set()
        return self.samples


def at_tenths(samples):
    """Eleven of the samples, from the first to the last."""
    return [samples[(len(samples) - 1) * i // 10][0] for i in range(11)] if samples else []


@pytest.mark.skipif(not SHORT, reason="scripts/prove --only load")
@pytest.mark.timeout(120 + 3 * SHORT // max(RATE, 1))
def test_short_calls(world, sipp):
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    port = type("Sink", (), {"port": sink.getsockname()[1]})

    def run(calls, name):
        script = Script(name).call().pause(500).bye()
        # A message trace of a hundred thousand calls would fill the disk.
        caller = sipp(script, world, port, calls=calls, extra=("-r", str(RATE), "-l", "1000", "-timeout", f"{60 + 2 * calls // RATE}s", "-message_file", "/dev/null"))
        caller.process.wait(90 + 2 * calls // RATE)
        return caller.process.returncode

    run(max(200, SHORT // 20), "warm")
    given_back(world, 10_000, 60)
    before, count = figures(world), ended(world)
    cpu, memory, begun = cpu_seconds(world.process), Memory(world.process), time.monotonic()
    status = run(SHORT, "short")
    took = time.monotonic() - begun
    given_back(world, before["files"], 60)
    cpu, samples = cpu_seconds(world.process) - cpu, memory.end()
    after, done = figures(world), int(ended(world) - count)
    print(
        f"\nload: {done} short calls at {done / took:.0f}/s in {took:.0f} s (sipp {status}), {1000 * cpu / max(done, 1):.2f} ms of CPU a call, "
        f"RSS at tenths {at_tenths(samples)} MB, before {before}, after {after}"
    )
    assert done >= 0.999 * SHORT
    assert tasks(world) <= before["tasks"] + 2


@pytest.mark.skipif(not HELD, reason="scripts/prove --only load")
@pytest.mark.timeout(240 + HELD_SECONDS)
def test_held_calls(world):
    generate(world.addresses["sip/udp"], 10, 2, world.process.pid)
    given_back(world, 10_000, 60)
    before, memory = figures(world), Memory(world.process)
    row = generate(world.addresses["sip/udp"], HELD, HELD_SECONDS, world.process.pid)
    samples = memory.end()
    given_back(world, before["files"], 60)
    kept = {name: row[name] for name in ("received_share", "echoed_share", "gap_p99_ms", "rtt_p50_ms", "rtt_p99_ms", "server_ms_per_cs", "generator_late_ms_max", "failed", "refused")}
    print(f"\nload: {HELD} calls held for {HELD_SECONDS} s: {json.dumps(kept)}, RSS at tenths {at_tenths(samples)} MB, before {before}, after {figures(world)}")
    assert row["failed"] == row["refused"] == 0 and row["received_share"] > 0.999, row


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
