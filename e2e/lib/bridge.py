"""`allo bridge` as a process, and an application that speaks Media Streams, made of the websockets package."""

import base64
import json
import queue
import re
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import websockets.sync.server

from .allo import BINARY, Process, clean_environment, wait_for
from .audio import decode, dominant_hz, rms, tone, ulaw_encode


class Bridge(Process):
    """One bridge on free ports; programs of this machine may call it."""

    def __init__(self, folder, target, *arguments, name="bridge", environment=None, register=False, api_port=0):
        line = [BINARY, "bridge", "--ws-target", target] if target else [BINARY, "bridge"]
        line += [] if register else ["--sip-username", "bridge", "--sip-domain", "127.0.0.1", "--no-register"]
        line += ["--allow", "127.0.0.0/8", "--rtp-ports", "0-0", "--api-port", str(api_port), *arguments]
        # The texts that tests read are English.
        super().__init__(line, folder, name, clean_environment(ALLO_SERVER_LANGUAGE="en", TMPDIR=folder, **(environment or {})))

    def address(self, name):
        def found():
            if not self.alive():
                raise AssertionError(f"the bridge ended: {self.log()[-3000:]}")
            return re.search(rf"^{name} \S+:(\d+)$", self.output(), re.M)

        return int(wait_for(f"the bridge's {name}", found, 20).group(1))

    @property
    def udp(self):
        return self.address("sip/udp")

    @property
    def tcp(self):
        return self.address("sip/tcp")

    def request(self, path, method="GET", body=None, token=None):
        """Status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.address('api')}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def calls(self):
        return self.request("/api/calls")[1]

    def wait_status(self, sid, *statuses, timeout=20):
        def there():
            view = self.request(f"/api/calls/{sid}")[1]
            return view if view["status"] in statuses else None

        return wait_for(f"{sid} to be {statuses}", there, timeout)


class Stream:
    """One stream as the application sees it."""

    def __init__(self, socket):
        self.socket, self.events, self.audio, self.sid, self.start = socket, [], [], None, None
        self.closed = threading.Event()

    def _run(self):
        try:
            for text in self.socket:
                message = json.loads(text)
                if message["event"] == "media":
                    self.audio.append((time.monotonic(), message))
                    continue
                if message["event"] == "start":
                    self.sid, self.start = message["streamSid"], message["start"]
                self.events.append((time.monotonic(), message))
        except websockets.exceptions.ConnectionClosed:
            pass
        self.closed.set()

    def send(self, event, **fields):
        self.socket.send(json.dumps({"event": event, "streamSid": self.sid, **fields}))

    def play(self, samples, mark=None):
        self.send("media", media={"payload": base64.b64encode(ulaw_encode(samples)).decode()})
        if mark:
            self.send("mark", mark={"name": mark})

    def play_tone(self, hz, ms, mark=None):
        self.play(tone(hz, ms), mark)

    def named(self, event):
        return [(at, message) for at, message in list(self.events) if message["event"] == event]

    def wait(self, event, count=1, timeout=15):
        """When the nth message of a kind came, and the message."""
        return wait_for(f"{event} of the stream", lambda: len(self.named(event)) >= count and self.named(event)[count - 1], timeout)

    def marks(self):
        return [message["mark"]["name"] for _, message in self.named("mark")]

    def heard(self):
        """Samples of the caller."""
        payloads = [base64.b64decode(message["media"]["payload"]) for _, message in list(self.audio)]
        return decode(0, b"".join(payloads)) if payloads else np.zeros(0, dtype=np.int16)

    def wait_tone(self, hz, ms=400, timeout=15):
        """Waits until the last milliseconds of the caller are this tone."""
        def there():
            last = self.heard()[-ms * 8 :]
            return len(last) == ms * 8 and rms(last) > 2000 and abs(dominant_hz(last)[0] - hz) < 8

        return wait_for(f"the caller's {hz} Hz", there, timeout)

    def close(self):
        self.socket.close()


class Application:
    """Serves streams on a free port."""

    def __init__(self):
        self.streams = queue.Queue()
        self.server = websockets.sync.server.serve(self._serve, "127.0.0.1", 0, ping_interval=None)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/media-stream"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _serve(self, socket):
        stream = Stream(socket)
        self.streams.put(stream)
        stream._run()

    def stream(self, timeout=15):
        stream = self.streams.get(timeout=timeout)
        stream.wait("start")
        return stream

    def close(self):
        self.server.shutdown()
