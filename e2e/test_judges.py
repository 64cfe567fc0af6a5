"""Scanners, fuzzers and slow clients that we did not write, beside a call that must not notice. By hand: `scripts/prove --only judges`, which
installs the tools from Debian; what they said is in docs/judges.md.
"""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from lib.audio import RtpPeer
from lib.sipp import Script
from test_hostile_traffic import files, given_back

pytestmark = [
    pytest.mark.skipif(not os.environ.get("ALLO_JUDGES"), reason="scripts/prove --only judges"),
    pytest.mark.timeout(400),
    pytest.mark.allowed_log(r"."),
]
#: The judges come from 127.0.0.1, which is nobody; the caller beside them from an address that the line lists.
CALLER = "127.0.0.9"
SETTINGS = {"line_allow_loopback": "false", "line_allow": f"{CALLER}/32", "line_users": "alice:a-long-password-0451", "limits_calls": 20, "agent_idle_reprompt_s": 0}


def tool(name):
    path = shutil.which(name)
    assert path, f"{name} is not installed: scripts/prove --only judges installs it"
    return path


def run(*arguments, seconds=120, stdin=None):
    """Output of a tool, and how long it took. One that does not end by itself is ended, which is no fault of ours."""
    begin = time.monotonic()
    try:
        done = subprocess.run([str(a) for a in arguments], capture_output=True, timeout=seconds, input=stdin)
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"") + (late.stderr or b"")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode(errors="replace")), time.monotonic() - begin


class Beside:
    """A call of a known peer, as long as a judge is at work."""

    def __init__(self, allo, sipp):
        self.allo, self.peer, self.before = allo, RtpPeer(), files(allo.process)
        self.phone = sipp(Script("beside").call().pause(4000).bye(), allo, self.peer, local=CALLER)
        self.peer.wait_tone(440, 200)

    def check(self):
        """The call went as it should, the server lives and forgets."""
        self.phone.wait()
        numbers = [packet.sequence for packet in self.peer.audio()]
        assert len(numbers) > 150 and all((b - a) & 0xFFFF == 1 for a, b in zip(numbers, numbers[1:])), "a packet of the call beside was lost"
        self.peer.close()
        assert self.allo.alive() and "panicked" not in self.allo.log()
        given_back(self.allo, self.before, 90)


@pytest.fixture
def world(standin, server, sipp):
    allo = server(standin().url, **SETTINGS)
    return allo, Beside(allo, sipp)


def said(judge, verdict):
    print(f"\njudge {judge}: {verdict}")


def test_svmap(world):
    allo, beside = world
    found = {}
    for method in ("OPTIONS", "INVITE", "REGISTER"):
        text, _ = run(tool("svmap"), "-p", allo.udp, "-m", method, "127.0.0.1", seconds=30)
        found[method] = " / ".join(line for line in text.splitlines() if "127.0.0.1" in line and "|" in line) or "nothing found"
    beside.check()
    said("svmap", found)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_svwar(world, method):
    allo, beside = world
    text, took = run(tool("svwar"), "-p", allo.udp, "-e100-999", "-m", method, "127.0.0.1", "--force", seconds=90)
    beside.check()
    users = [line for line in text.splitlines() if re.search(r"\| *\d{3} ", line)]
    said(f"svwar {method}", f"{len(users)} of 900 extensions told apart, {took:.0f} s; {text.strip().splitlines()[-1][:120] if text.strip() else 'no output'}")
    assert len(users) in (0, 900), "an extension is told apart from another"


def test_svcrack(world):
    allo, beside = world
    text, took = run(tool("svcrack"), "-p", allo.udp, "-ualice", "-r1-9999", "127.0.0.1", seconds=90)
    beside.check()
    assert "a-long-password" not in text
    said("svcrack", f"{took:.0f} s: {text.strip().splitlines()[-1][:160] if text.strip() else 'no output'}")


@pytest.mark.parametrize("mode", ["-F", "-R"])
def test_sipsak(world, mode):
    allo, beside = world
    text, took = run("timeout", "10", tool("sipsak"), mode, "-s", f"sip:x@127.0.0.1:{allo.udp}", seconds=20)
    beside.check()
    said(f"sipsak {mode}", f"{took:.0f} s: {text.strip().splitlines()[-1][:160] if text.strip() else 'no output'}")


def test_zzuf(world):
    """2,000 messages, each damaged by zzuf with a seed of its own."""
    allo, beside = world
    message = Script("x").invite().steps[0].partition("CDATA[\n")[2].partition("\n]]")[0]
    message = re.sub(r"\[\w+\]", "1", message).replace("\n", "\r\n").encode()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sent = 0
    for seed in range(2_000):
        damaged = subprocess.run([tool("zzuf"), "-s", str(seed), "-r", "0.001:0.02", "cat"], input=message, capture_output=True).stdout
        sock.sendto(damaged[:65_000], ("127.0.0.1", allo.udp))
        sent += 1
    sock.close()
    beside.check()
    said("zzuf", f"{sent} damaged INVITEs: the call beside lost nothing, no panic")


def test_nmap(world):
    allo, beside = world
    text, took = run(tool("nmap"), "-sU", "-Pn", "-p", allo.udp, "--script", "+sip-methods,+sip-enum-users", "127.0.0.1", seconds=200)
    beside.check()
    lines = [line.strip("| _") for line in text.splitlines() if line.startswith("|") or "/udp" in line]
    said("nmap", f"{took:.0f} s: {'; '.join(lines)[:400]}")
    assert "Valid" not in text, text


def test_testssl(world):
    allo, beside = world
    text, took = run(tool("testssl"), "--fast", "--warnings", "batch", "--color", "0", f"127.0.0.1:{allo.tls}", seconds=300)
    beside.check()
    wanted = re.findall(r"^ ?(SSLv2|SSLv3|TLS 1(?:\.[123])?|Heartbleed|CCS|ROBOT|Secure Renegotiation|CRIME|POODLE|SWEET32|FREAK|LOGJAM|BEAST|LUCKY13|RC4|Ticketbleed)(.*)$", text, re.M)
    said("testssl (SIP over TLS)", f"{took:.0f} s: " + "; ".join(f"{name}{' '.join(rest.split())[:70]}" for name, rest in wanted))
    for old in ("SSLv2", "SSLv3", "TLS 1", "TLS 1.1"):
        rest = next((rest for name, rest in wanted if name == old), "not offered")
        assert "not offered" in rest, (old, rest)
    assert not re.search(r"VULNERABLE \(NOT ok\)", text), text


@pytest.mark.parametrize("mode", ["-H", "-B", "-X"])
@pytest.mark.parametrize("door", ["platform", "voice"])
def test_slowhttptest(world, mode, door):
    """Slow heads, slow bodies, slow readers, 1,000 connections."""
    allo, beside = world
    url = f"http://{allo.addresses[door]}/" + ("api/agents" if door == "platform" else "voice/twilio")
    text, took = run(tool("slowhttptest"), "-c", "1000", "-r", "200", mode, "-i", "10", "-l", "20", "-u", url, seconds=60)
    beside.check()
    status = re.findall(r"(?:service available|Exit status|Test ended|closed|connected):?\s+(.*)$", text, re.M)
    said(f"slowhttptest {mode} {door}", f"{took:.0f} s: {' | '.join(status[-6:])[:200]}")
