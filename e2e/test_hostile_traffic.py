"""Calls beside a flood: damaged, giant and unauthenticated SIP messages from hundreds of addresses, and idle TCP connections. No packet of a call is
lost for it, new calls of known peers are answered, every table keeps its named bound, and all of it is given back afterwards.

The small form runs in `make test`. The whole (`scripts/prove --only hostile`): 100 calls (`ALLO_HOSTILE_CALLS`) of the bench's generator, 5,000 messages a second,
10,000 connections; ALLO_HOSTILE=full, and ALLO_BENCH names the bench's binary.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from lib.allo import ROOT, wait_for
from lib.audio import RtpPeer
from lib.phone import Phone
from lib.sipp import Script

CALLS = int(os.environ.get("ALLO_HOSTILE_CALLS", "100"))
FULL = os.environ.get("ALLO_HOSTILE") == "full"
BENCH = os.environ.get("ALLO_BENCH", ROOT / "target" / "release" / "examples" / "bench")
#: Names as in the code: Limits of `sip`, `limits` of `engine`.
BOUNDS = {
    "invites": 20_000,
    "dialogs": 20_000,
    "client_transactions": 20_000,
    "server_transactions": 15_000,
    "connections": 9_000,
    "queries": 256,
    "bindings": 320_000,
    "rated_sources": 2 * 8_192,
    "wrong_passwords": 4_096,
    "refusals": 1_024,
}
#: Our known peer is 127.0.0.1 alone; the flood comes from elsewhere in 127/8.
STRANGERS = {"line_allow_loopback": "false", "line_allow": "127.0.0.1/32"}


def tables(allo):
    """Entries of each table of the SIP side."""
    text = allo.request("/metrics", raw=True)[1].decode()
    return {kind: int(float(value)) for kind, value in re.findall(r'^allo_sip_table_entries\{kind="(\w+)"\} (\S+)$', text, re.M)}


def dropped(allo):
    text = allo.request("/metrics", raw=True)[1].decode()
    return {kind: int(float(value)) for kind, value in re.findall(r'^allo_sip_dropped_total\{kind="(\w+)"\} (\S+)$', text, re.M)}


def rss_mb(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1)) / 1024


def files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def holes(packets):
    """Sequence numbers that did not come, with the moments around them."""
    pairs = zip(packets, packets[1:])
    return [(a.sequence, b.sequence, round((b.at - a.at) * 1000)) for a, b in pairs if (b.sequence - a.sequence) & 0xFFFF != 1]


class Flood:
    """The flood as a process of its own, so that it disturbs nobody's pacing; `begin` returns once its connections are open."""

    def __init__(self, allo, **options):
        self.allo = allo
        arguments = [str(item) for name, value in options.items() for item in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lib.flood", "--udp", str(allo.udp), "--tcp", str(allo.tcp), *arguments],
            cwd=ROOT / "e2e", stdout=subprocess.PIPE, text=True,
        )
        self.most, self.rss = {}, 0
        self.watching = threading.Event()

    def begin(self):
        assert self.process.stdout.readline()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        return self

    def _watch(self):
        while not self.watching.wait(0.25):
            try:
                for kind, entries in tables(self.allo).items():
                    self.most[kind] = max(self.most.get(kind, 0), entries)
                self.rss = max(self.rss, rss_mb(self.allo.process))
            except OSError:
                return  # The test is over.

    def end(self, timeout):
        output, _ = self.process.communicate(timeout=timeout)
        self.watching.set()
        self.watcher.join()
        return json.loads(output.splitlines()[-1])

    def check_tables(self):
        over = {kind: entries for kind, entries in self.most.items() if entries > BOUNDS.get(kind, 1 << 62)}
        assert not over and set(BOUNDS) <= set(self.most), (over, self.most)


def given_back(allo, before, seconds=60):
    """Transactions end within Timer H, idle connections 30 s after they began."""

    def nothing():
        now = tables(allo)
        return not any(now.get(kind) for kind in ("invites", "dialogs", "client_transactions", "server_transactions", "connections", "refusals"))

    wait_for("every table to be empty", nothing, seconds, 0.25)
    wait_for("the files to be given back", lambda: files(allo.process) <= before + 4, 10, 0.25)


@pytest.mark.timeout(180)
def test_calls_beside_a_flood_of_strangers(standin, server, sipp):
    allo = server(standin().url, **STRANGERS, server_log_level="warn", limits_calls=20, agent_idle_reprompt_s=0)
    before = files(allo.process)
    peers = [RtpPeer() for _ in range(3)]
    flood = Flood(allo, rate=600, seconds=9, idle=600).begin()
    phones = [
        sipp(Script(f"beside{index}").call().pause(6000).bye(), allo, peer, name=f"beside{index}") for index, peer in enumerate(peers)
    ]
    for phone in phones:
        phone.wait()
    # A stranger's call is challenged or refused, a known peer's is answered.
    late = Phone(allo.udp)
    late.invite()
    assert late.final().status == 200
    late.ack()
    late.bye()
    figures = flood.end(30)
    for peer in peers:
        packets = peer.audio()
        assert not holes(packets), "a packet towards the caller was lost"
        assert 250 <= len(packets) <= 900
        hz, ms, _ = peer.tones()[0]
        assert abs(hz - 440) < 8 and 1980 <= ms <= 2040, (hz, ms)
        peer.close()
    late.close()
    for call in [call for call in allo.calls() if call["direction"] == "inbound" and call["answeredAt"]]:
        for entry in allo.events(call["id"]):
            if entry["event"]["type"] == "rtp_statistics":
                assert entry["event"]["packets_lost"] == 0, entry
    assert figures["sent"] > 0.5 * 600 * 9 and figures["connections"]["most_open"] > 300, figures
    # An answer is not much larger than its question, and giant messages get none.
    assert figures["bytes_back"] < figures["bytes_sent"], figures
    flood.check_tables()
    given_back(allo, before)
    print("\n", json.dumps({"flood": figures, "most": flood.most, "rss_mb": flood.rss, "dropped": dropped(allo)}))


@pytest.mark.timeout(120)
def test_a_known_address_that_sends_nonsense_harms_nobody(standin, server, sipp, peer):
    """A trunk that went mad, or a forger of its address: no rate holds it back, and calls go on."""
    allo = server(standin().url, server_log_level="warn", agent_idle_reprompt_s=0)
    before = files(allo.process)
    flood = Flood(allo, rate=600, seconds=6, calls=0, **{"from": "127.0.0.1"}).begin()
    phone = sipp(Script("beside").call().pause(4000).bye(), allo, peer)
    phone.wait()
    flood.end(30)
    assert not holes(peer.audio())
    flood.check_tables()
    given_back(allo, before)


def generate(address, calls, seconds, pid):
    run = subprocess.run(
        [BENCH, "generate", "--target", address, "--calls", str(calls), "--seconds", str(seconds), "--watch", str(pid)],
        capture_output=True, text=True, timeout=seconds + 60, check=True,
    )
    return json.loads(run.stdout)


@pytest.mark.skipif(not FULL, reason="scripts/prove --only hostile")
@pytest.mark.timeout(600)
@pytest.mark.allowed_log(".")
def test_calls_beside_the_whole_flood(server):
    engine = subprocess.Popen([BENCH, "echo-engine"], stdout=subprocess.PIPE, text=True)
    try:
        url = engine.stdout.readline().strip()
        allo = server(url, **STRANGERS, server_log_level="error", limits_calls=200, agent_greeting="none", recording_enabled="false")
        generate(allo.addresses["sip/udp"], 10, 2, allo.process.pid)
        before, seconds = files(allo.process), int(os.environ.get("ALLO_HOSTILE_SECONDS", "60"))
        calm = generate(allo.addresses["sip/udp"], CALLS, 20, allo.process.pid)
        rss = rss_mb(allo.process)
        flood = Flood(allo, rate=5000, seconds=seconds + 10, idle=10_000).begin()
        storm = generate(allo.addresses["sip/udp"], CALLS, seconds, allo.process.pid)
        figures = flood.end(60)
        given_back(allo, before, 90)
        kept = ("received_share", "echoed_share", "gap_p99_ms", "rtt_p99_ms", "generator_late_ms_max", "server_ms_per_cs", "failed", "refused")
        row = {"calm": {name: calm[name] for name in kept}, "storm": {name: storm[name] for name in kept}}
        row |= {"flood": figures, "most": flood.most, "dropped": dropped(allo)}
        row |= {"rss_mb": [round(rss), round(flood.rss), round(rss_mb(allo.process))], "files": [before, files(allo.process)]}
        print("\n" + json.dumps(row))
        print(
            f"hostile: {figures['rate']} messages/s for {seconds + 10} s and {figures['connections']['most_open']} idle connections beside {CALLS} calls: "
            f"received {storm['received_share']:.4f} (calm {calm['received_share']:.4f}), echoed {storm['echoed_share']:.4f} ({calm['echoed_share']:.4f}), "
            f"gap p99 {storm['gap_p99_ms']:.1f} ms ({calm['gap_p99_ms']:.1f}), RSS {row['rss_mb']} MB, largest tables {flood.most}"
        )
        flood.check_tables()
        assert all(run[how] == 0 for run in (storm, calm) for how in ("failed", "refused")), row
        # What the generator itself was too late for is not the server's.
        assert storm["received_share"] >= calm["received_share"] - 0.0002 and storm["echoed_share"] >= calm["echoed_share"] - 0.002, row
        assert figures["rate"] > 4500, figures
    finally:
        engine.kill()
        engine.wait()
