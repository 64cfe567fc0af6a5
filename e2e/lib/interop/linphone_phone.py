"""linphone. It writes what it hears when a call ends or is held, so its side is judged when the call is over."""

import socket

import numpy as np

from ..allo import wait_for
from ..audio import loud_spans, silence
from ..ports import free_port
from ..softphone import Linphone, read_growing_wav, tones
from .telephone import HEARD_MS, Telephone, found_in
from .world import GREETING_HZ, PASSWORD, wait_sound


class LinphoneTelephone(Telephone):
    TITLE = "linphone"
    NOTE = (
        "It writes what it heard when its call is over, and is judged then. Over the greeting of the call that it makes when it is handed over it plays a"
        " tone of its own: of that call, the agent's answer is judged and not the greeting. It is called by a trunk; by TLS, for which it has no"
        " certificate, as a registered device: a second one of it is found by this registrar alone, so nothing is asked."
    )

    def __init__(self, world, row, directions, first=None):
        super().__init__(world, row, directions, first)
        self.registers = row.transport == "tls"
        encryption = {"none": "none", "sdes": "srtp", "dtls": "dtls"}[row.security]
        self.listens = free_port(socket.SOCK_DGRAM) if row.transport == "udp" else free_port()
        where = {"udp": {"port": self.listens}, "tcp": {"tcp_port": self.listens}, "tls": {}}[row.transport]
        self.softphone = Linphone(self.folder, encryption=encryption, mandatory=encryption != "none", user=self.number, **where)
        self.softphone.only_codec(row.codec)
        self.softphone.command("autoanswer enable")
        self.expected = []

    @classmethod
    def version(cls):
        return found_in(["linphonec", "-v"], r"version: ([0-9.]+)")

    def expects(self):
        if not self.registers:
            return
        number = (self.first or self).number
        self.device = self.first.device if self.first else self.world.device(number, self.row.security)
        port, user = self.world.port(self.row.transport), number[1:]
        proxy = f"<sip:127.0.0.1:{port};transport={self.row.transport}>"
        self.softphone.command(f"register sip:{user}@127.0.0.1:{port} {proxy} {PASSWORD}")
        self.world.registered(self.device, 2 if self.first else 1)

    def dial(self, uri):
        self.softphone.dial(uri)

    def say(self, samples):
        self.softphone.say(np.concatenate([samples, silence(20)]))

    def mark(self, call):
        self.marked = len(call.lane(1) if call else self.samples())

    def hears(self, hz, call):
        """The agent has said it, whole; whether it was heard is known later. Of a call that is not the server's the file is read as it grows."""
        if not call:
            return super().hears(hz, call)
        wait_sound(f"{hz} Hz of the agent", lambda: call.lane(1)[self.marked :], hz, 300)
        wait_for("a pause of the agent", lambda: len(lane := call.lane(1)) // 8 - loud_spans(lane)[-1][1] > 300, 10)
        # The end of the first call is a tone of its own here, and over the second one's greeting.
        if (self.direction, hz) != ("blind", GREETING_HZ):
            self.expected.append((self.direction, hz))
        # Its file begins again at its end, and with each call.
        self.softphone.say(silence(20))
        return None

    def hold(self):
        self.softphone.command("pause")

    def resume(self):
        self.softphone.command("resume")

    def begins_anew(self):
        self.marked = 0

    def samples(self):
        """One file for all that it heard; the next call's is written behind it."""
        path = self.softphone.home / "heard.wav"
        if not path.exists() or path.stat().st_size <= 44:
            return np.zeros(0, np.int16)
        with open(path, "rb") as file:
            head = file.read(28)
        channels, rate = int.from_bytes(head[22:24], "little"), int.from_bytes(head[24:28], "little")
        if not rate:
            # Its head is written when it is closed for the first time.
            return np.zeros(0, np.int16)
        return read_growing_wav(path)[:: channels * rate // 8000]

    def judged_late(self):
        def missing():
            heard, left = [round(hz) for hz, start, end, _ in tones(self.samples()) if end - start >= HEARD_MS], list(self.expected)
            for hz in heard:
                if left and abs(hz - left[0][1]) < 12:
                    left.pop(0)
            return left

        try:
            wait_for("all of it in its file", lambda: not missing(), 5)
        except AssertionError:
            found = [(round(hz), end - start) for hz, start, end, _ in tones(self.samples())]
            return {direction: AssertionError(f"{hz} Hz was not heard by the telephone; heard (Hz, ms): {found}") for direction, hz in missing()}
        return {}

    def close(self):
        self.softphone.stop()

    def takes_over(self):
        self.softphone.wait_call(self.colleague.number)
