"""A page in a call: microphone and loudspeaker at 8 kHz over the `websockets` package, at the pace of a sound card."""

import json
import threading
import time

import numpy
import websockets
from websockets.sync.client import connect

from .audio import dominant_hz, rms, silence

FRAME = 160


class Page:
    """Sends its microphone and plays what comes, both at 8 kHz; a mark is told back when everything before it was played."""

    def __init__(self, url):
        self.socket = connect(url, max_size=None, legacy=True)
        self.socket.send(json.dumps({"event": "start"}))
        self.microphone, self.played, self.queue, self.marks = [], [], [], []
        self.clears, self.over, self.lock = 0, False, threading.Lock()
        for work in (self._receive, self._tick):
            threading.Thread(target=work, daemon=True).start()

    def _receive(self):
        try:
            for message in self.socket:
                with self.lock:
                    if isinstance(message, bytes):
                        assert len(message) % (2 * FRAME) == 0
                        self.queue.append(numpy.frombuffer(message, dtype="<i2"))
                        continue
                    said = json.loads(message)
                    if said["event"] == "clear":
                        self.clears += 1
                        self.queue.clear()
                    elif said["event"] == "mark":
                        self.queue.append(said)
        except websockets.ConnectionClosed:
            pass
        self.over = True

    def _tick(self):
        due = time.monotonic()
        while not self.over:
            with self.lock:
                frame = self.microphone.pop(0) if self.microphone else silence(20)
                out = []
                while self.queue and isinstance(self.queue[0], dict):
                    out.append(self.queue.pop(0))
                if self.queue:
                    sound = self.queue.pop(0)
                    self.played.append(sound[:FRAME])
                    if len(sound) > FRAME:
                        self.queue.insert(0, sound[FRAME:])
                else:
                    self.played.append(silence(20))
            try:
                self.socket.send(numpy.asarray(frame).astype("<i2").tobytes())
                for mark in out:
                    self.socket.send(json.dumps(mark))
            except websockets.ConnectionClosed:
                return
            due += 0.02
            time.sleep(max(0, due - time.monotonic()))

    def say(self, samples):
        samples = numpy.asarray(samples)
        with self.lock:
            self.microphone += [samples[at : at + FRAME] for at in range(0, len(samples) - FRAME + 1, FRAME)]

    def hears(self, hz, ms=400, since=0):
        """Whether so much of this tone was played."""
        with self.lock:
            frames = self.played[since:]
        loud = [frame for frame in frames if rms(frame) > 600]
        found = sum(1 for at in range(0, len(loud) - 4, 5) if abs(dominant_hz(numpy.concatenate(loud[at : at + 5]))[0] - hz) < 25)
        return found * 100 >= ms
