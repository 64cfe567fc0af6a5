"""The path of a tool in a real call, against a back office that is fast, slow, failing, huge, redirecting and hostile; and the canaries:
no secret of that call is found in a log, an answer of an API, the journal, or what the engine was told.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import threading
import time
import urllib.parse

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from lib.allo import known_to_calls, wait_for
from lib.provisioning import Client
from lib.sipp import Script

NUMBER = "+33140506071"
CANARY = "canary-7f3a9c-of-the-tool"
SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
METADATA = "http://169.254.169.254/latest/meta-data/"

KEYS = {"1": "fast", "2": "slow", "3": "failing", "4": "huge", "5": "redirecting", "6": "hostile", "7": "inward"}
SLOW_S = 4.0


class Office:
    """A back office on a raw socket: each path misbehaves in its own way."""

    def __init__(self):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        while line := stream.readline():
            method, target, _ = line.decode().split()
            headers = {}
            while (field := stream.readline().decode().strip()):
                name, _, value = field.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            self.seen.append((method, target, headers, body))
            try:
                connection.sendall(self._answer(target.split("?")[0].strip("/")))
            except OSError:
                return
            if target.startswith("/hostile"):
                connection.close()
                return

    def _answer(self, path):
        def whole(status, body, *headers):
            return "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", "content-type: application/json", *headers, "", body]).encode()

        if path == "slow":
            time.sleep(SLOW_S)
        if path == "failing":
            return whole("500 Internal Server Error", '{"error":"database is down"}')
        if path == "huge":
            return whole("200 OK", json.dumps({"text": "a" * 1_000_000}))
        if path == "redirecting":
            return whole("302 Found", "", f"location: {METADATA}")
        if path == "hostile":
            return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"
        return whole("200 OK", json.dumps({"ok": True, "path": path}))

    def to(self, path):
        return [request for request in self.seen if request[1].split("?")[0] == f"/{path}"]


class Tap:
    """Between allo and the engine: passes everything on and keeps what allo said."""

    def __init__(self, engine_url):
        self.engine, self.said, self.headers = engine_url, [], []
        self.server = serve(self._session, "127.0.0.1", 0, compression=None, max_size=None)
        path = urllib.parse.urlsplit(engine_url).path
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}{path}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _session(self, inner):
        self.headers.append(dict(inner.request.headers))
        query = urllib.parse.urlsplit(inner.request.path).query
        headers = {name: value for name, value in inner.request.headers.raw_items() if name.lower() == "authorization"}
        with connect(f"{self.engine}?{query}", compression=None, max_size=None, additional_headers=headers) as outer:

            def back():
                try:
                    for message in outer:
                        inner.send(message)
                except Exception:  # noqa: BLE001 - either side may go
                    pass
                inner.close()

            threading.Thread(target=back, daemon=True).start()
            try:
                for message in inner:
                    if "input_audio_buffer.append" not in message[:200]:
                        self.said.append(message)
                    outer.send(message)
            except Exception:  # noqa: BLE001
                pass

    def outputs(self):
        items = [event["item"] for event in map(json.loads, list(self.said)) if event["type"] == "conversation.item.create"]
        return [json.loads(item["output"]) for item in items if item["type"] == "function_call_output"]


def tool(name, url, method="POST", **more):
    http = {"method": method, "url": url, "headers": {"x-api-key": CANARY}}
    if method == "POST":
        http["bodyTemplate"] = {"call": "={{ctx.call_id}}"}
    parameters = {"type": "object", "properties": {"what": {"type": "string"}}, "required": []}
    return {"name": name, "description": name, "parameters": parameters, "http": http, "isEnabled": True, "sortOrder": 1} | more


@pytest.fixture
def world(standin, server):
    office = Office()
    tap = Tap(standin("tools").url)
    allo = server(
        tap.url, platform_unauthenticated="true", platform_rate_per_s=10_000, tools_back_office=office.url, agent_idle_reprompt_s=0,
        server_log_level="debug",
    )
    client = Client(f"http://{allo.addresses['platform']}")
    account = client.account()
    client.put(f"/accounts/{account}/secrets/webhook", {"value": SECRET})
    made = client.agent(account, office.url, "r-1", basePrompt="Tu réponds.", externalSessionUrl=None, onCallEndWebhook="={{BASE_URL}}/ended", config={})
    base = "={{BASE_URL}}"
    client.tools(made["id"], [
        tool("fast", base + "/fast?what={{$ai.what}}", "GET"),
        tool("slow", base + "/slow"),
        tool("failing", base + "/failing"),
        tool("huge", base + "/huge"),
        tool("redirecting", base + "/redirecting", "GET"),
        tool("hostile", base + "/hostile"),
        tool("inward", METADATA, "GET"),
    ])  # fmt: skip
    client.phone_line(made["id"], NUMBER)
    known_to_calls(lambda query: client.get(f"/admin/route?{query}"), account, NUMBER, made["id"])
    yield office, tap, allo, client, made, account
    office.listener.close()
    tap.server.shutdown()


def signature(secret, request):
    method, target, headers, body = request
    text = f"{headers['x-allo-timestamp']}.{method}.{target}.".encode() + body
    return "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


@pytest.mark.allowed_log("tool", "webhook")
def test_tools_of_every_kind_in_one_call(world, sipp, peer):
    office, tap, allo, client, made, account = world
    phone = sipp(Script("tools").call().until_bye(), allo, peer, service=NUMBER)
    peer.wait_tone(440, 500, ended=True)
    outputs = {}
    for count, (key, name) in enumerate(KEYS.items()):
        before = time.monotonic()
        peer.press(key)
        try:
            outputs[name] = wait_for(f"the output of {name}", lambda: tap.outputs()[count] if len(tap.outputs()) > count else None, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}; said: {tap.said[-8:]}") from None
        if name == "slow":
            assert time.monotonic() - before >= SLOW_S
        peer.wait_tone(580, 200, ended=True, timeout=15, after=before)

    assert outputs["fast"] == {"ok": True, "path": "fast"}
    assert outputs["slow"] == {"ok": True, "path": "slow"}
    for name in ("failing", "huge", "redirecting", "hostile", "inward"):
        said = outputs[name]
        assert said.get("success") is False, (name, said)
        assert said.get("error"), (name, said)
        assert "meta-data" not in json.dumps(said) and "169.254" not in json.dumps(said)

    # What arrived: encoded, signed, with a key; once where it may not be repeated.
    assert office.to("fast")[0][1] == "/fast?what=%C3%A9%20%26%20%3F"
    for name in ("slow", "failing", "huge", "hostile"):
        assert len(office.to(name)) == 1, name
    assert len(office.to("redirecting")) == 1
    for request in office.seen:
        headers = request[2]
        assert headers["x-api-key"] == CANARY
        assert headers["x-allo-signature"] == signature(SECRET, request)
        assert headers["x-allo-agent"] == made["id"]
    assert len({office.to(name)[0][2]["idempotency-key"] for name in ("slow", "failing", "huge", "hostile")}) == 4

    call = allo.live()[0]["id"]
    client.post(f"/calls/{call}/hangup?accountId={account}", {})
    phone.wait()
    allo.idle()
    ended = wait_for("the webhook", lambda: office.to("ended"), 20)[0]
    assert ended[2]["webhook-signature"].startswith("v1,")

    # The canaries.
    seen = {
        "the log": allo.log() + allo.output(),
        "the engine": "".join(tap.said),
        "the journal": json.dumps(client.get(f"/calls/{call}/events?accountId={account}")),
        "the record": json.dumps(client.get(f"/calls/{call}?accountId={account}")),
        "the explanation": json.dumps(client.get(f"/calls/{call}/explanation?accountId={account}")),
        "the transcript": json.dumps(client.get(f"/calls/{call}/transcript?accountId={account}")),
        "the metrics": allo.request("/metrics", raw=True)[1].decode(),
        "the list of calls": json.dumps(client.get(f"/calls?accountId={account}")),
        "the accounts": json.dumps(client.get("/accounts")),
        "the agent": json.dumps(client.get(f"/agents/{made['id']}?accountId={account}")),
        "the deliveries": json.dumps(client.get(f"/webhooks?accountId={account}")),
        "the webhook": ended[3].decode(),
        "the outputs": json.dumps(outputs),
    }
    canaries = {"the tool's key": CANARY, "the webhook secret": SECRET, "its key": SECRET.removeprefix("whsec_"), "the engine's key": allo.settings["engine_api_key"]}
    found = [(what, where) for where, text in seen.items() for what, canary in canaries.items() if canary in text]
    assert not found, found
