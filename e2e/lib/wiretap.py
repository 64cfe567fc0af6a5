"""A wire tap between allo and the voice engine: every event of both directions is passed on unchanged and kept (of audio only its count, and what the engine heard last)."""

import base64
import collections
import json
import threading
import urllib.parse

from websockets.sync.client import connect
from websockets.sync.server import serve

from .allo import wait_for

#: Messages of audio that are kept of what the engine heard (30 s at 20 ms each).
HEARD_MAX = 1_500
AUDIO = ("input_audio_buffer.append", "response.output_audio.delta", "response.audio.delta")


class Session:
    """What went over one connection."""

    def __init__(self, path, headers):
        self.path, self.headers = path, headers
        self.events = []  # (sent by allo, event)
        self.audio = {True: 0, False: 0}
        self._heard = collections.deque(maxlen=HEARD_MAX)

    def note(self, by_allo, text):
        event = json.loads(text) if text.startswith("{") else {"type": "garbage", "text": text}
        if event.get("type") in AUDIO:
            self.audio[by_allo] += 1
            if by_allo:
                self._heard.append(event["audio"])
        else:
            self.events.append((by_allo, event))

    def heard(self):
        """What the engine heard last, in the form that it was promised."""
        return b"".join(base64.b64decode(audio) for audio in list(self._heard))

    def sent(self, kind):
        return [event for by_allo, event in list(self.events) if by_allo and event["type"] == kind]

    def received(self, kind):
        return [event for by_allo, event in list(self.events) if not by_allo and event["type"] == kind]

    def outputs(self):
        """Outputs of tools that the model was given: [(call_id, text)]."""
        items = [event["item"] for event in self.sent("conversation.item.create")]
        return [(item["call_id"], item["output"]) for item in items if item["type"] == "function_call_output"]

    def session_updates(self):
        return [event["session"] for event in self.sent("session.update")]

    def offered(self):
        """Names of the tools that the model may call now."""
        lists = [session["tools"] for session in self.session_updates() if "tools" in session]
        return [tool["name"] for tool in lists[-1]] if lists else []


class Wiretap:
    """Serves on a free port; give `url` to allo as the engine's address."""

    def __init__(self, engine_url):
        self.engine = urllib.parse.urlsplit(engine_url)
        self.sessions = []
        self.server = serve(self._session, "127.0.0.1", 0, compression=None, max_size=None)
        port = self.server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}{self.engine.path}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _session(self, client):
        session = Session(client.request.path, dict(client.request.headers.raw_items()))
        self.sessions.append(session)
        address = f"ws://{self.engine.netloc}{client.request.path}"
        headers = {key: value for key, value in session.headers.items() if key.lower() in ("authorization", "api-key", "openai-beta", "x-goog-api-key")}
        with connect(address, additional_headers=headers, compression=None, max_size=None) as engine:
            back = threading.Thread(target=self._pump, args=(session, engine, client, False), daemon=True)
            back.start()
            self._pump(session, client, engine, True)
            back.join(5)

    @staticmethod
    def _pump(session, source, target, by_allo):
        try:
            for message in source:
                text = message if isinstance(message, str) else message.decode()
                session.note(by_allo, text)
                target.send(message)
        except Exception:  # either side may vanish at any moment: that is what some tests are about
            pass
        finally:
            try:
                target.close()
            except Exception:
                pass

    def wait_session(self, count=1, timeout=15):
        return wait_for(f"{count} engine sessions", lambda: self.sessions[count - 1] if len(self.sessions) >= count else None, timeout)

    def close(self):
        self.server.shutdown()
