"""Webhooks judged by the official packages: `standardwebhooks` and `svix` verify what leaves the house, and refuse what is altered."""

import base64
import http.server
import json
import os
import subprocess
import threading
import time

import pytest
import standardwebhooks
import svix.webhooks

from lib.allo import BINARY

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = json.dumps({"outcome": "completed", "transcript": [{"role": "user", "content": "Deux « bœufs », s'il vous plaît 🙂"}]}, ensure_ascii=False)


@pytest.fixture
def receiver():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.seen = seen
    server.origin = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()


def deliver(receiver, key, secret=SECRET):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLO_")}
    environment |= {"ALLO_TOOLS_ALLOW_PRIVATE": receiver.origin}
    if secret:
        environment["ALLO_PROBE_SECRET"] = secret
    command = [BINARY, "probe", "webhook", f"{receiver.origin}/api/calls?x=1", "--body", BODY, "--key", key]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == {"status": 204, "body": ""}, done
    return receiver.seen[-1]


PACKAGES = [(standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError), (svix.webhooks.Webhook, svix.webhooks.WebhookVerificationError)]


@pytest.mark.parametrize(("package", "refused"), PACKAGES, ids=["standardwebhooks", "svix"])
def test_the_official_packages_verify_it(receiver, package, refused):
    headers, body = deliver(receiver, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
    assert headers["webhook-id"] == "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    # One of the packages gives the payload back, the other only refuses.
    assert package(SECRET).verify(body, headers) in (json.loads(BODY), None)
    altered = [
        (body + b" ", headers),
        (body, headers | {"webhook-id": "msg_other"}),
        (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}),
        (body, headers | {"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}),
        (body, {name: value for name, value in headers.items() if name != "webhook-signature"}),
    ]
    for wrong_body, wrong_headers in altered:
        with pytest.raises(refused):
            package(SECRET).verify(wrong_body, wrong_headers)
    with pytest.raises(refused):
        package("whsec_" + base64.b64encode(bytes(32)).decode()).verify(body, headers)


def test_the_same_signature_as_the_package_makes(receiver):
    headers, body = deliver(receiver, "msg_1")
    import datetime

    at = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=datetime.timezone.utc)
    assert headers["webhook-signature"] == standardwebhooks.Webhook(SECRET).sign("msg_1", at, body.decode())


def test_without_a_secret_there_is_an_id_and_no_signature(receiver):
    headers, _ = deliver(receiver, "msg_1", secret=None)
    assert headers["webhook-id"] == "msg_1"
    assert "webhook-signature" not in headers
