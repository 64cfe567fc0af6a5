"""A plain client of the text chat: HTTP and server-sent events, nothing else."""

import http.client
import json
import threading
import urllib.parse


class Chat:
    """One chat of a client; `headers` are how it authenticates. `session` of an earlier one goes on with it."""

    def __init__(self, base, headers=None, session=None, **body):
        self.base, self.headers = urllib.parse.urlsplit(base), dict(headers or {})
        self.session = session or self.ask("POST", "/api/chat/sessions", body)
        if self.session.get("token"):
            self.headers["X-Chat-Token"] = self.session["token"]
        self.id = self.session["id"]

    def send(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=60)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, self.headers | ({"Content-Type": "application/json"} if data else {}) | headers)
        return connection.getresponse()

    def ask(self, method, path, body=None, status=None):
        response = self.send(method, path, body)
        text = response.read()
        if status is None:
            assert response.status < 300, f"{response.status} {text.decode()}"
        else:
            assert response.status == status, f"{response.status} {text.decode()}"
        return json.loads(text) if text else None

    def events(self, text):
        """Says something; the events of the answer as they come: (name, data)."""
        response = self.send("POST", f"/api/chat/sessions/{self.id}/messages", {"text": text})
        if response.status != 200:
            raise AssertionError(f"{response.status} {response.read().decode()}")
        assert response.headers["content-type"] == "text/event-stream"
        name, data = "message", []
        for line in response:
            line = line.decode().rstrip("\r\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                yield name, json.loads("\n".join(data))
                name, data = "message", []

    def say(self, text):
        """Says something and waits for the end of the answer."""
        events = list(self.events(text))
        assert events and events[-1] == ("done", {}), events
        return events

    def in_background(self, text):
        """Says something in a thread; whatever becomes of the connection."""

        def run():
            try:
                list(self.events(text))
            except (OSError, http.client.HTTPException, AssertionError):
                pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def read(self):
        return self.ask("GET", f"/api/chat/sessions/{self.id}")

    def end(self):
        return self.ask("POST", f"/api/chat/sessions/{self.id}/end", {})


def words(events):
    """What the agent wrote in full."""
    return [data["content"] for name, data in events if name == "message"]


def deltas(events):
    return "".join(data["text"] for name, data in events if name == "delta")


def tools(events):
    return [(data["name"], data["state"]) for name, data in events if name == "tool"]
