"""A caller whom Twilio brings: the webhook and the handshake signed by the `twilio` package, and Media Streams over the `websockets` package, played in
real time by a clock that may be slower than ours."""

import base64
import json
import re
import threading
import time
import urllib.parse
import urllib.request

import numpy
import websockets
from twilio.request_validator import RequestValidator
from websockets.sync.client import connect

from .audio import FRAME, decode, dominant_hz, rms, silence, ulaw_encode

#: Fields of each message that an application may send, by its event.
MESSAGES = {"media": {"event", "streamSid", "media"}, "mark": {"event", "streamSid", "mark"}, "clear": {"event", "streamSid"}}


class Caller:
    """Sends a microphone and plays what comes, a frame at each tick of its clock; a mark is told back when everything before it was played."""

    def __init__(self, voice, number, sid, token, slower=0.0, caller="+33123456789"):
        form = {"CallSid": f"CA{id(self):032x}", "AccountSid": sid, "From": caller, "To": number, "CallStatus": "ringing", "Direction": "inbound", "ApiVersion": "2010-04-01"}
        sign = lambda url, fields: RequestValidator(token).compute_signature(url, fields)  # noqa: E731
        url = f"http://{voice}/incoming-call"
        request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), {"X-Twilio-Signature": sign(url, form)})
        with urllib.request.urlopen(request, timeout=10) as response:
            document = response.read().decode()
        self.address = re.search(r'<Stream[^>]* url="([^"]+)"', document).group(1)
        given = dict(re.findall(r'<Parameter name="([^"]+)" value="([^"]*)"', document))
        self.socket = connect(f"ws://{voice}/media-stream", additional_headers={"X-Twilio-Signature": sign(self.address, {})}, max_size=None, legacy=True)
        self.sequence, self.number, self.tick = 0, 0, 0.02 * (1 + slower)
        self.sid = f"MZ{id(self):032x}"
        self.microphone, self.played, self.queue, self.depths = [], [], [], []
        self.clears, self.media, self.over, self.lock = 0, 0, False, threading.Lock()
        self.socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        self.send("start", {"accountSid": sid, "streamSid": self.sid, "callSid": form["CallSid"], "tracks": ["inbound"], "customParameters": given,
                            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}})  # fmt: skip
        self.faults = []
        for work in (self._receive, self._tick):
            threading.Thread(target=work, daemon=True).start()

    def send(self, event, value):
        self.sequence += 1
        self.socket.send(json.dumps({"event": event, "sequenceNumber": str(self.sequence), "streamSid": self.sid, event: value}))

    def _receive(self):
        try:
            for message in self.socket:
                said = json.loads(message)
                with self.lock:
                    if set(said) != MESSAGES.get(said["event"]) or said["streamSid"] != self.sid:
                        self.faults.append(said)
                    elif said["event"] == "media":
                        audio = base64.b64decode(said["media"]["payload"], validate=True)
                        self.media += 1
                        self.queue += [audio[at : at + FRAME] for at in range(0, len(audio), FRAME)]
                    elif said["event"] == "mark":
                        self.queue.append(said["mark"])
                    else:
                        # Every mark that is outstanding comes back at once.
                        self.clears += 1
                        self.queue = [one for one in self.queue if isinstance(one, dict)]
        except websockets.ConnectionClosed:
            pass
        self.over = True

    def _tick(self):
        due = time.monotonic()
        while not self.over:
            with self.lock:
                frame = self.microphone.pop(0) if self.microphone else silence(20)
                marks = []
                while self.queue and isinstance(self.queue[0], dict):
                    marks.append(self.queue.pop(0))
                self.depths.append(20 * sum(isinstance(one, bytes) for one in self.queue))
                self.played.append(decode(0, self.queue.pop(0)) if self.queue else silence(20))
                self.number += 1
                audio = {"track": "inbound", "chunk": str(self.number), "timestamp": str(20 * self.number), "payload": base64.b64encode(ulaw_encode(frame)).decode()}
            try:
                self.send("media", audio)
                for mark in marks:
                    self.send("mark", mark)
            except websockets.ConnectionClosed:
                return
            due += self.tick
            time.sleep(max(0, due - time.monotonic()))

    def say(self, samples):
        samples = numpy.asarray(samples)
        with self.lock:
            self.microphone += [samples[at : at + FRAME] for at in range(0, len(samples) - FRAME + 1, FRAME)]

    def hush(self):
        with self.lock:
            self.microphone.clear()

    def press(self, digit):
        with self.lock:
            self.send("dtmf", {"track": "inbound_track", "digit": digit})

    def now(self):
        """How many frames were played: what is heard later is heard `since` this."""
        with self.lock:
            return len(self.played)

    def sound(self, since=0):
        with self.lock:
            return numpy.concatenate([*self.played[since:], silence(0)])

    def hears(self, hz, ms=400, since=0):
        """Whether so much of this tone was played."""
        with self.lock:
            frames = self.played[since:]
        pieces = [numpy.concatenate(frames[at : at + 5]) for at in range(0, len(frames) - 4, 5)]
        found = sum(1 for piece in pieces if rms(piece) > 600 and abs(dominant_hz(piece)[0] - hz) < 25)
        return found * 100 >= ms

    def hang_up(self):
        self.socket.close()
