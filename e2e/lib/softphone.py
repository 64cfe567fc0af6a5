"""Softphones that we did not write: baresip and linphone, without sound hardware. Files are played in, what is heard is written to files."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import wave

import numpy as np

from .allo import Process, clean_environment, wait_for
from .audio import RATE, dominant_hz, loud_spans, rms, silence, speak
from .ports import free_port

MODULES = next((p for p in ("/usr/lib/baresip/modules", f"/usr/lib/{os.uname().machine}-linux-gnu/baresip/modules") if os.path.isdir(p)), "")


def write_wav(path, *pieces):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.concatenate(pieces).astype("<i2").tobytes())
    return path


def microphone(path, words, times=3, silent_s=5, first=0):
    """A microphone's file at 48 kHz: some silence, then the words, again and again. Each time begins a third of a sample of 8 kHz later than the one
    before: whatever the page's resampler begins with, one of them falls near to the samples that the stand-in compares with."""
    spoken = subprocess.run(
        ["sox", "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-L", "-", "-t", "raw", "-r", "48000", "-"],
        input=speak(words).astype("<i2").tobytes(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(2 * 48_000 * silent_s))
        for time in range(first, first + times):
            file.writeframes(bytes(2 * 2 * time) + spoken + bytes(2 * 48_000 * 4))
        file.writeframes(bytes(2 * 48_000 * 60))
    return path


def read_growing_wav(path):
    """Samples of a mono 16-bit WAV that may still be written (its header then does not know its length)."""
    data = pathlib.Path(path).read_bytes()
    start = data.find(b"data")
    if start < 0:
        return np.zeros(0, dtype=np.int16)
    body = data[start + 8 :]
    return np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2")


def tones(samples):
    """The loud stretches of a recording with their frequency: [(hz, start_ms, end_ms, share of the energy)]."""
    found = []
    for start, end in loud_spans(samples, gap_frames=6):
        inside = samples[(start + 40) * 8 : max(end - 40, start + 60) * 8]
        hz, share = dominant_hz(inside)
        found.append((hz, start, end, share))
    return found


SORRY_HZ = 350


def without_apologies(found):
    """The tones without those that ask to repeat."""
    return [tone for tone in found if abs(tone[0] - SORRY_HZ) > 10]


def heard_tone(samples, hz, ms, tolerance_ms=100):
    """The stretch of a pure tone that lasted `ms`, once it has ended; None before."""
    for found, start, end, share in tones(samples):
        if abs(found - hz) < 6 and share > 0.85 and abs(end - start - ms) <= tolerance_ms and end + 200 <= len(samples) // 8:
            return start, end
    return None


def strongest_pair(samples, low, high):
    """Whether 60 ms somewhere are these two tones and hardly anything else."""
    for start in range(0, len(samples) - 480, 160):
        part = samples[start : start + 480]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(480), 4096)) ** 2
        frequencies = np.fft.rfftfreq(4096, 1 / RATE)
        both = sum(spectrum[np.abs(frequencies - hz) < 40].sum() for hz in (low, high))
        if rms(part) > 1000 and both > 0.9 * spectrum.sum():
            return True
    return False


class Softphone:
    """What a test needs of a telephone: `samples()` is everything heard so far."""

    def samples(self):
        raise NotImplementedError

    def wait_tone(self, hz, ms, timeout=20):
        try:
            return wait_for(f"{hz} Hz for {ms} ms", lambda: heard_tone(self.samples(), hz, ms), timeout, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {tones(self.samples())}") from None

    def wait_sounding(self, hz, ms=200, timeout=20):
        """Waits until the last `ms` that were heard are this tone; returns how much has been heard, in ms."""

        def sounding():
            samples = self.samples()[-ms * 8 :]
            found, share = dominant_hz(samples)
            return len(self.samples()) // 8 if rms(samples) > 600 and abs(found - hz) < 10 and share > 0.8 else None

        try:
            return wait_for(f"{hz} Hz sounding", sounding, timeout, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {tones(self.samples())}") from None


    def say_for(self, samples, hz, attempts=3):
        """Says it until the agent answers with this tone. Asked to repeat ("sorry tone", 350 Hz), it is said again, as a person would: on a
        busy machine baresip may stall for some 60 ms in mid-word, the receiver fills a stall with silence, and the stand-in refuses a
        word with a hole."""

        def answered():
            last = self.samples()[-200 * 8 :]
            found, share = dominant_hz(last)
            return next((tone for tone in (hz, SORRY_HZ) if rms(last) > 600 and share > 0.8 and abs(found - tone) < 10), None)

        for _ in range(attempts):
            self.say(samples)
            if wait_for(f"{hz} Hz as the answer; heard {tones(self.samples())}", answered, 20, 0.05) == hz:
                return
            wait_for("the end of the apology", lambda: rms(self.samples()[-200 * 8 :]) < 100, 5, 0.05)
        raise AssertionError(f"not understood {attempts} times; heard {tones(self.samples())}")


class Baresip(Process, Softphone):
    """baresip, driven over its TCP control port. Its sndfile filter writes what it decoded."""

    def __init__(
        self, folder, name="baresip", account=None, source=None, rate=RATE, modules=(), listen=None, more=(), control="127.0.0.1", within=(),
        host="127.0.0.1",
    ):  # fmt: skip
        """`more` are lines of its configuration; it is run by the command `within`, from where its console is at the address `control`."""
        account, listen = account or f"<sip:tester@{host}>;regint=0", listen or f"{host}:0"
        home = pathlib.Path(folder) / name
        self.recordings = home / "heard"
        self.recordings.mkdir(parents=True)
        self.quiet = write_wav(home / "quiet.wav", silence(120_000))
        self.control_port = free_port()
        lines = [
            "poll_method epoll", f"sip_listen {listen}", "call_local_timeout 120", "call_max_calls 4",
            "audio_player aubridge,out", f"audio_source aufile,{source or self.quiet}", "audio_alert aubridge,alert",
            f"ausrc_srate {rate}", f"auplay_srate {rate}", "ausrc_channels 1", "auplay_channels 1", "audio_telev_pt 101", "rtp_timeout 60",
            f"module_path {MODULES}", "module g711.so", "module sndfile.so", "module aubridge.so", "module aufile.so", "module srtp.so",
            *(f"module {module}" for module in modules),
            "module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen {control}:{self.control_port}", f"snd_path {name}/heard", *more,
        ]
        # A relative path: baresip cuts the names of its recordings short where the whole is long.
        (home / "config").write_text("\n".join(lines) + "\n")
        (home / "accounts").write_text(account + "\n")
        (home / "contacts").write_text("")
        super().__init__([*within, "stdbuf", "-oL", "baresip", "-f", home, "-v", "-s"], folder, name)
        wait_for("baresip", lambda: "baresip is ready" in self.output() or self._dead(), 20)
        self.control = socket.create_connection((control, self.control_port), 5)
        self.control.settimeout(None)
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()

    def _dead(self):
        if not self.alive():
            raise AssertionError(f"baresip ended: {self.output()}{self.log()}")

    def _read(self):
        buffer = b""
        while True:
            try:
                data = self.control.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while match := re.match(rb"(\d+):", buffer):
                end = match.end() + int(match.group(1))
                if len(buffer) <= end:
                    break
                self.events.append(json.loads(buffer[match.end() : end], strict=False))
                buffer = buffer[end + 1 :]

    def command(self, command, parameters=""):
        """Runs a command and returns its answer."""
        token = f"t{len(self.events)}-{time.monotonic_ns()}"
        text = json.dumps({"command": command, "params": str(parameters), "token": token}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))
        return wait_for(f"the answer to {command}", lambda: next((e for e in self.events if e.get("token") == token), None), 5)

    def dial(self, uri):
        answer = self.command("dial", uri)
        assert answer.get("ok"), answer
        return self

    def event(self, kind, timeout=20):
        return wait_for(f"{kind} of baresip ({self.events})", lambda: next((e for e in self.events if e.get("type") == kind), None), timeout)

    def say(self, samples, before_ms=0, after_ms=60_000):
        """From now on the caller's audio is this, then silence."""
        path = self.quiet.parent / f"say-{time.monotonic_ns()}.wav"
        write_wav(path, silence(before_ms), samples, silence(after_ms))
        # A relative path here too: of a long one the end is cut off, and the file is not found.
        answer = self.command("ausrc", f"aufile,{path.parent.name}/{path.name}")
        assert answer.get("ok"), answer

    def samples(self):
        """Everything decoded so far, in the order of arrival (a held call writes nothing)."""
        files = sorted(self.recordings.glob("*dec*.wav"))
        return np.concatenate([read_growing_wav(path) for path in files]) if files else np.zeros(0, dtype=np.int16)

    def stop(self, *arguments, **options):
        self.control.close()
        return super().stop(*arguments, **options)


class Linphone(Process, Softphone):
    """linphonec, driven over its standard input, with files in the place of a sound card."""

    def __init__(
        self, folder, name="linphone", encryption="none", mandatory=False, ipv6=False, authority=None, user="tester", port=-1, route=None,
        tcp_port=-1,
    ):  # fmt: skip
        """`route`: the address that its calls go through."""
        home = pathlib.Path(folder) / name
        (home / ".local/share/linphone").mkdir(parents=True)
        self.home = home
        proxy = f"<sip:{route};lr>"
        account = f"default_proxy=0\n[proxy_0]\nreg_proxy={proxy}\nreg_route={proxy}\nreg_identity=sip:tester@127.0.0.1\nreg_sendregister=0\npublish=0\n"
        (home / "linphonerc").write_text(
            f"[sip]\nsip_port={port}\nsip_tcp_port={tcp_port}\nsip_tls_port=-1\nuse_ipv6={int(ipv6)}\nipv6_migration_done=1\n"
            f"verify_server_certs={int(bool(authority))}\nverify_server_cn=0\nroot_ca={authority or '/nonexistent'}\n"
            f"media_encryption={encryption}\nmedia_encryption_mandatory={int(mandatory)}\ncontact=sip:{user}@127.0.0.1\nguess_hostname=0\n{account if route else ''}"
            "[rtp]\naudio_rtp_port=-1\n[sound]\nechocancellation=0\n[video]\nenabled=0\n[misc]\nlog_collection_upload_server_url=\n"
        )
        os.mkfifo(home / "commands")
        self._commands = os.open(home / "commands", os.O_RDWR)
        command = f"exec stdbuf -oL linphonec -S -d 3 -l {home / 'linphone.log'} -c {home / 'linphonerc'} < {home / 'commands'}"
        super().__init__(["sh", "-c", command], folder, name, clean_environment(HOME=home))
        wait_for("linphonec", lambda: self.output().count("linphonec>") or self._dead(), 20)
        self.command("soundcard use files")
        self.record("heard")

    def only_codec(self, name):
        """Offers and takes this codec and no other."""
        self.command("codec disable all")
        listed = wait_for("the codecs", lambda: re.search(rf"^ *(\d+): {name} \(\d+\) disabled", self.output(), flags=re.M), 10)
        self.command(f"codec enable {listed.group(1)}")
        wait_for("the codec", lambda: re.search(rf"^ *\d+: {name} \(\d+\) enabled", self.output()[listed.end() :], flags=re.M), 10)

    def record(self, name):
        """What is heard goes to another file from the next start of the audio on. linphone writes a file when it closes it."""
        self.command(f"record {self.home / name}.wav")

    def _dead(self):
        if not self.alive():
            raise AssertionError(f"linphonec ended: {self.output()}{self.log()}")

    def command(self, text):
        os.write(self._commands, (text + "\n").encode())

    def dial(self, uri):
        self.command(f"call {uri}")
        return self

    def wait_call(self, peer, timeout=20):
        """The number of the call with this peer, once its audio flows, as linphone lists it."""
        row = re.compile(rf"^(\d+)\s*\|[^|]*{re.escape(peer)}[^|]*\|\s*StreamsRunning", re.M)

        def running():
            looked = len(self.output())
            self.command("calls")
            wait_for("the list of calls", lambda: re.search("Call states|No active call", self.output()[looked:]), 10)
            found = row.findall(self.output()[looked:])
            return found and found[-1]

        return wait_for(f"linphone to talk to {peer}", running, timeout, 0.2)

    def wait_output(self, pattern, timeout=20):
        try:
            return wait_for(f"{pattern!r} of linphone", lambda: re.search(pattern, self.output()), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()[-3000:]}") from None

    def say(self, samples, before_ms=0, after_ms=60_000):
        """Said now; linphone begins a file again at its end and when a held call goes on, hence the silence behind it."""
        path = write_wav(self.home / f"say-{time.monotonic_ns()}.wav", silence(before_ms), samples, silence(after_ms))
        self.command(f"play {path}")

    def samples(self, name="heard"):
        """What was heard, after the call."""
        path = self.home / f"{name}.wav"
        return read_growing_wav(path) if path.exists() else np.zeros(0, dtype=np.int16)

    def stop(self, *arguments, **options):
        if self.alive():
            self.command("quit")
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        os.close(self._commands)
        return super().stop(*arguments, **options)
