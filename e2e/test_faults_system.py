"""What the machine under the process can do to it: a full disk, a locked database, a clock that is stepped, name servers that are gone. Calls in
progress survive what they can, errors are clear, and nothing has to be restarted."""

import os
import pathlib
import re
import sqlite3
import subprocess
import time

import pytest

from lib.allo import BINARY, Server, wait_for
from lib.audio import speak
from lib.phone import Phone
from lib.sipp import Script

GOODBYE = "Thank you very much, goodbye."
namespaces = pytest.mark.skipif(subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0, reason="no user namespaces here")
sqlite_only = pytest.mark.skipif(os.environ.get("ALLO_E2E_DATABASE") == "postgres", reason="of SQLite's file")


def say_goodbye(peer, phone):
    peer.say(speak(GOODBYE))
    phone.wait()
    hz, ms, _ = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1480 <= ms <= 1540, (hz, ms)


class SmallDisk(Server):
    """A server whose data directory is a file system of its own, of a few megabytes. It is seen through /proc by the process that mounted it."""

    def __init__(self, folder, engine_url, megabytes, **settings):
        inner = pathlib.Path(folder) / "disk"
        inner.mkdir()
        self.wrapper = pathlib.Path(folder) / "small-disk"
        self.wrapper.write_text(f'#!/bin/sh\nmount -t tmpfs -o size={megabytes}m tmpfs "{inner}" && echo $$ >"{folder}/pid" && exec "{BINARY}" serve\n')
        self.wrapper.chmod(0o755)
        self.inner, self.outer = inner, pathlib.Path(folder)
        super().__init__(folder, engine_url, server_data_dir=inner, **settings)

    def seen(self):
        """The disk from outside."""
        pid = self.outer / "pid"
        return pathlib.Path(f"/proc/{pid.read_text().strip()}/root{self.inner}") if pid.exists() else pathlib.Path("/nonexistent")

    def command(self):
        return ["unshare", "-rm", self.wrapper]

    def _addresses(self):
        self.data = self.seen()
        return super()._addresses()


@sqlite_only
@namespaces
@pytest.mark.allowed_log(r"log_recording_failed|store|journal|record|disk|database|SQLite|space")
def test_disk_full_in_mid_call(folder, standin, sipp, peer):
    allo = SmallDisk(folder, standin().url, 12, agent_idle_reprompt_s=0)
    try:
        phone = sipp(Script("full").call().until_bye(), allo, peer)
        peer.wait_tone(440, 1900, ended=True)
        assert allo.request("/ready", token=None)[0] == 200
        with open(allo.seen() / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
            while True:
                ballast.write(bytes(64 * 1024))
        wait_for("/ready to say that new calls are not welcome", lambda: allo.request("/ready", token=None)[0] == 503, 20)
        health = allo.request("/health", token=None)[1]
        assert health["recordingFailing"] or health["storeFailing"], health
        # The call hears, speaks and ends as it should.
        say_goodbye(peer, phone)
        assert "panicked" not in allo.log()
        assert re.search(r"(?i)disk|space", allo.log()), "the log says what is wrong"
        (allo.seen() / "ballast").unlink()
        call = allo.ended_call(timeout=40)
        assert call["endReason"] == "agent_hung_up"
        notes = [event["event"] for event in allo.events(call["id"])]
        assert any("recording_incomplete" in str(note) and "disk_full" in str(note) for note in notes), "the record says that its recording is not whole"
        # It works again without a restart.
        wait_for("/ready to say 200", lambda: allo.request("/ready", token=None)[0] == 200, 30)
        sipp(Script("after").call().pause(1000).bye(), allo, peer).wait()
        after = allo.ended_call(count=2)
        assert after["endReason"] == "caller_hung_up" and after["hasRecording"]
    finally:
        allo.stop()


@sqlite_only
@pytest.mark.allowed_log(r"slow statement|slow threshold|store_write_locked|log_record_late|log_journal_late")
def test_a_database_that_is_locked_in_mid_call(standin, server, sipp, peer):
    """Somebody holds the file for eight seconds, as a backup or an operator with a shell does."""
    allo = server(standin().url, agent_idle_reprompt_s=0)
    phone = sipp(Script("locked").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    path = next(allo.data.glob("*.db"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    # A call that comes meanwhile is answered by the rule, not left ringing.
    second = Phone(allo.udp)
    second.invite()
    assert second.final(8).status in (200, 503)
    second.ack()
    second.bye(cseq=2)
    second.close()
    while time.monotonic() < began + 8:
        peer.wait_tone(440, 1900)
        time.sleep(0.25)
    other.execute("ROLLBACK")
    other.close()
    say_goodbye(peer, phone)
    wait_for("both records", lambda: all(call["endedAt"] for call in allo.calls()) and allo.calls(), 30)
    call = [call for call in allo.calls() if call["endReason"] == "agent_hung_up"][0]
    lines = [(line["role"], line["text"]) for line in allo.call(call["id"])["transcript"]]
    assert ("caller", GOODBYE) in lines and lines[0][0] == "agent", lines
    kinds = [event["event"]["type"] for event in allo.events(call["id"])]
    assert kinds[-1] == "ended" or "ended" in kinds, "the journal is whole"


def faketime():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[-1] if found else None


class SteppedClock(Server):
    """A server whose wall clock is what a file says; its monotonic clock is the machine's."""

    def command(self):
        self.clock = self.outer / "clock"
        self.step(0)
        more = [f"LD_PRELOAD={faketime()}", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"]
        return ["env", *more, f"FAKETIME_TIMESTAMP_FILE={self.clock}", BINARY, "serve"]

    def __init__(self, folder, engine_url, **settings):
        self.outer = pathlib.Path(folder)
        super().__init__(folder, engine_url, **settings)

    def step(self, seconds):
        written = self.clock.with_suffix(".new")
        written.write_text(f"{'+' if seconds >= 0 else ''}{seconds}\n")
        written.rename(self.clock)


@pytest.mark.skipif(faketime() is None, reason="Debian's faketime is not installed")
@pytest.mark.parametrize("seconds", [3600, -3600, 30 * 86400], ids=["an_hour_on", "an_hour_back", "a_month_on"])
def test_a_clock_that_is_stepped_in_mid_call(folder, standin, sipp, peer, seconds):
    allo = SteppedClock(folder, standin().url, agent_idle_reprompt_s=0, server_drain_s=0)
    try:
        phone = sipp(Script("stepped").call().until_bye(), allo, peer)
        begun = time.monotonic()
        peer.wait_tone(440, 1900, ended=True)
        allo.step(seconds)
        say_goodbye(peer, phone)
        took = (time.monotonic() - begun) * 1000
        call = allo.ended_call()
        assert call["endReason"] == "agent_hung_up"
        assert abs(call["durationMs"] - took) < 2500, f"{call['durationMs']} ms in the record, {took:.0f} ms on the clock of the wall"
        assert 0 < call["talkMs"] <= call["durationMs"]
        # The next call begins in the new time, and is as any other.
        sipp(Script("after").call().pause(1500).bye(), allo, peer).wait()
        after = [found for found in wait_for("the second record", lambda: allo.calls() if all(c["endedAt"] for c in allo.calls()) else None, 10) if found["id"] != call["id"]][0]
        assert after["endReason"] == "caller_hung_up" and 1000 < after["durationMs"] < 6000, after
    finally:
        allo.stop()


class NoNames(Server):
    """A server whose only name server is an address where nobody answers."""

    def __init__(self, folder, engine_url, **settings):
        self.outer = pathlib.Path(folder)
        super().__init__(folder, engine_url, **settings)

    def command(self):
        names, wrapper = self.outer / "resolv.conf", self.outer / "no-names"
        names.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        wrapper.write_text(f'#!/bin/sh\nmount --bind "{names}" /etc/resolv.conf && exec "{BINARY}" serve\n')
        wrapper.chmod(0o755)
        return ["unshare", "-rm", wrapper]


@namespaces
def test_name_servers_that_are_gone(folder, standin, sipp, peer):
    """A line whose registrar has a name that nobody resolves says so; calls of others come and go as ever."""
    allo = NoNames(folder, standin().url, line_domain="registrar.example.net", line_username="alice", line_password="secret", agent_idle_reprompt_s=0)
    try:
        phone = sipp(Script("beside").call().until_bye(), allo, peer)
        peer.wait_tone(440, 1900, ended=True)
        rows = wait_for("the registration to fail", lambda: [r for r in allo.request("/api/registrations")[1]["registrations"] if r["state"] == "failed"], 20)
        assert rows[0]["detail"]["cause"] == "dns" and rows[0]["detail"]["retryInSeconds"] is not None, rows
        say_goodbye(peer, phone)
        assert allo.ended_call()["endReason"] == "agent_hung_up"
    finally:
        allo.stop()
