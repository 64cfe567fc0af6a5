"""Twilio mode, judged by Twilio's own package: it signs what is accepted and what is refused, and writes the documents that ours are
compared with. Calls are brought by `allo carrier-standin`, which plays what it is sent in real time.
"""

import asyncio
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
import websockets
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Stream, VoiceResponse

from lib.allo import BINARY, TOKEN as ADMIN_TOKEN, Process, clean_environment, known_to_calls, wait_for
from lib.audio import tone
from lib.coroutines import run as run_coroutine
from lib.ports import free_port
from lib.provisioning import Client, Refused
from test_transfer_matrix import Target

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "stand-in-token"
SHARED = ("webhooks_sharedkey_1", "stand-in-shared-secret")
PUBLIC = "https://voice.example.test"
# How late the stand-in may be for its judgement to count.
LATE_MS_MAX = 60
FORM = {
    "CallSid": "CA00000000000000000000000000000042",
    "AccountSid": ACCOUNT,
    "From": "+33123456789",
    "To": "+33900000001",
    "CallStatus": "ringing",
    "Direction": "inbound",
    "ApiVersion": "2010-04-01",
}


@pytest.fixture
def allo(standin, server):
    """A factory: a server with Twilio's account, on an engine of the scenario."""

    def make(scenario="tone", **settings):
        engine = standin(scenario, **settings.pop("engine", {}))
        defaults = {
            "voice_twilio_account_sid": ACCOUNT,
            "voice_twilio_auth_token": TOKEN,
            "voice_twilio_shared_keys": ":".join(SHARED),
        }
        return server(engine.url, **(defaults | settings))

    return make


@pytest.fixture
def carrier(folder):
    """Runs calls of the stand-in; their outcomes."""

    def run(allo, *arguments, path="/incoming-call", timeout=120):
        command = [BINARY, "carrier-standin", "--webhook", f"http://{allo.addresses['voice']}{path}", *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout, env=clean_environment())
        assert done.returncode == 0, done.stderr
        return [json.loads(row) for row in done.stdout.splitlines() if row.startswith("{")]

    return run


def webhook(allo, path="/incoming-call", form=FORM, method="POST", headers=None, body=None, content_type="application/x-www-form-urlencoded"):
    data = body if body is not None else (urllib.parse.urlencode(form, doseq=True).encode() if method == "POST" else None)
    request = urllib.request.Request(f"http://{allo.addresses['voice']}{path}", method=method, data=data, headers=headers or {})
    if data is not None:
        request.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sign(url, form, key=TOKEN, algorithm=None):
    return RequestValidator(key).compute_signature(url, form, algorithm)


def test_webhook_signatures(allo):
    server = allo(voice_public_url=PUBLIC)
    url = f"{PUBLIC}/incoming-call"

    def status(signature, extra=None, **request):
        headers = {"X-Twilio-Signature": signature} if signature else {}
        return webhook(server, headers=headers | (extra or {}), **request)[0]

    assert status(sign(url, FORM)) == 200
    assert status(sign(f"{PUBLIC}:443/incoming-call", FORM)) == 200, "with the default port"
    assert status(None) == 403, "not signed"
    assert status(sign(url, FORM, key="another")) == 403
    assert status(sign(url, FORM | {"From": "+33999999999"})) == 403, "another caller"
    assert status(sign(f"{PUBLIC}:8443/incoming-call", FORM)) == 403, "another port"
    assert status(sign("https://other.example.test/incoming-call", FORM)) == 403
    assert status(sign(url, {})) == 403, "the fields are not signed"
    # A GET is signed by its address alone, query included.
    query = urllib.parse.urlencode({"CallSid": "CA1", "From": "+1", "To": "+2"})
    assert status(sign(f"{url}?{query}", {}), method="GET", path=f"/incoming-call?{query}") == 200
    assert status(sign(url, {}), method="GET", path=f"/incoming-call?{query}") == 403
    # A shared key with SHA-256, named in a header.
    named = {"X-Twilio-Webhooks-Signature-Settings": f"key={SHARED[0]},algorithm=HMAC_SHA256"}
    right = sign(url, FORM, SHARED[1], "HMAC_SHA256")
    assert status(right, named) == 200
    assert status(right) == 403, "the header is missing"
    assert status(sign(url, FORM, TOKEN, "HMAC_SHA256"), named) == 403, "the token is another key"
    assert status(right, {"X-Twilio-Webhooks-Signature-Settings": "key=unknown,algorithm=HMAC_SHA256"}) == 403
    assert status(right, {"X-Twilio-Webhooks-Signature-Settings": "algorithm=NONE"}) == 403
    # The same name with several values.
    several = {**FORM, "Extra": ["b", "a"]}
    class Multi(dict):
        def getlist(self, name):
            value = self[name]
            return value if isinstance(value, list) else [value]
    assert status(sign(url, Multi(several)), form=several) == 200
    # A body that is no form is signed by its hash in the address.
    body = json.dumps({"CallSid": "CA1", "From": "+1", "To": "+2"})
    path = f"/incoming-call?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    signature = sign(f"{PUBLIC}{path}", {})
    as_json = {"body": body.encode(), "content_type": "application/json", "path": path}
    assert RequestValidator(TOKEN).validate(f"{PUBLIC}{path}", body, signature)
    assert status(signature, **as_json) == 200
    assert status(signature, **(as_json | {"body": body.replace("+1", "+3").encode()})) == 403


def test_document_is_what_the_package_writes(allo):
    server = allo(voice_public_url=PUBLIC)
    # Characters that XML, a URL and a form all mean something by.
    form = FORM | {"From": "+33\"<&'>é 1"}
    signature = sign(f"{PUBLIC}/incoming-call", form)
    status, text = webhook(server, form=form, headers={"X-Twilio-Signature": signature})
    assert status == 200
    token = re.search(r'name="token" value="([0-9a-f]{64})"', text).group(1)
    expected = VoiceResponse()
    stream = Stream(url="wss://voice.example.test/media-stream", status_callback=f"{PUBLIC}/twilio/status")
    values = {"callerPhone": form["From"], "to": form["To"], "callSid": form["CallSid"], "direction": "inbound", "token": token}
    for name, value in values.items():
        stream.parameter(name=name, value=value)
    connect = Connect()
    connect.append(stream)
    expected.append(connect)
    assert text == str(expected)


def document_token(server, form=FORM, public=PUBLIC):
    signature = sign(f"{public}/incoming-call", form)
    status, text = webhook(server, form=form, headers={"X-Twilio-Signature": signature})
    assert status == 200, text
    return re.search(r'name="token" value="([0-9a-f]{64})"', text).group(1)


async def open_stream(server, signature, parameters=None, call=FORM["CallSid"], path="/media-stream"):
    """`refused` by the handshake, `closed` after the first message, or `open`."""
    headers = {"X-Twilio-Signature": signature} if signature else {}
    try:
        async with websockets.connect(f"ws://{server.addresses['voice']}{path}", additional_headers=headers) as socket:
            start = {"accountSid": ACCOUNT, "streamSid": "MZ1", "callSid": call, "tracks": ["inbound"], "customParameters": parameters or {},
                     "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}
            await socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            await socket.send(json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start}))
            payload = base64.b64encode(b"\xff" * 160).decode()
            try:
                for chunk in range(250):
                    media = {"track": "inbound", "chunk": str(chunk + 1), "timestamp": str(chunk * 20), "payload": payload}
                    await socket.send(json.dumps({"event": "media", "sequenceNumber": str(chunk + 2), "streamSid": "MZ1", "media": media}))
                    message = json.loads(await asyncio.wait_for(socket.recv(), 0.02)) if chunk else None
                    if message and message["event"] == "media":
                        return "open"
            except TimeoutError:
                return await listen(socket)
            except websockets.ConnectionClosed:
                return "closed"
            return await listen(socket)
    except websockets.InvalidStatus as error:
        assert error.response.status_code == 403, error
        return "refused"


async def listen(socket):
    try:
        message = json.loads(await asyncio.wait_for(socket.recv(), 10))
        return "open" if message["event"] in ("media", "mark") else message
    except websockets.ConnectionClosed:
        return "closed"


def test_stream_signatures_and_tokens(allo):
    server = allo(voice_public_url=PUBLIC)
    right = sign("wss://voice.example.test/media-stream", {})

    def opened(signature, parameters=None, **more):
        return run_coroutine(open_stream(server, signature, parameters, **more))

    token = document_token(server)
    assert opened(None, {"token": token}) == "refused", "not signed"
    assert opened(sign("wss://voice.example.test/media-stream", {}, key="another"), {"token": token}) == "refused"
    assert opened(sign(f"{PUBLIC}/media-stream", {}), {"token": token}) == "refused", "signed for https"
    # None of those used the token up; but the engine is not reached without one, however well the handshake is signed.
    assert opened(right) == "closed", "no token"
    assert opened(right, {"token": "0" * 64}) == "closed", "an invented token"
    assert opened(right, {"token": token}, call="CA00000000000000000000000000000099") == "closed", "another call"
    token = document_token(server)
    assert opened(right, {"token": token}) == "open"
    assert opened(right, {"token": token}) == "closed", "a second time"
    # In every dialect.
    for dialect in ("telnyx", "plivo", "exotel", "vonage"):
        assert opened(None, {"token": document_token(server)}, path=f"/media-stream/{dialect}") == "closed", dialect
    server.idle()
    assert len(server.calls()) == 1, "one stream became a call"


def test_a_bridge_that_signs_nothing(allo):
    server = allo(voice_twilio_auth_token=None, voice_bridge_token="bridge-token-0123456789")

    def opened(parameters):
        return run_coroutine(open_stream(server, None, {"callerPhone": "+33611111111", "to": "+33900000001", "direction": "inbound"} | parameters))

    assert opened({}) == "closed"
    assert opened({"token": "bridge-token-0123456780"}) == "closed"
    assert opened({"token": "bridge-token-0123456789"}) == "open"
    call = server.ended_call()
    assert call["endReason"] == "caller_hung_up", call


def test_a_call_is_recorded_with_what_both_said(allo, carrier):
    server = allo("barge_in")
    (outcome,) = carrier(server, "--seconds", 4, "--digits", "12#")
    assert outcome["webhook_status"] == 200 and outcome["stream_status"] == 101
    assert outcome["first_audio_ms"] < 2000 and outcome["underruns"] == 0 and outcome["wrong_marks"] == 0, json.dumps(outcome)
    assert outcome["media_ms_max"] <= 100 and outcome["deepest_ms"] <= 300, outcome
    call = server.ended_call()
    events = server.events(call["id"])
    assert [e["event"]["digit"] for e in events if e["event"]["type"] == "dtmf"] == list("12#")
    finished = [e["event"] for e in events if e["event"]["type"] == "playout" and e["event"]["phase"] == "finished"]
    # The greeting is a tone of a second; its end is what the carrier proved.
    assert finished and finished[0]["played_ms"] == 1000, finished
    server.recording(call["id"])


def test_barge_in_is_silent_at_the_caller_within_120_ms(allo, carrier):
    delay_ms = 40
    server = allo("barge_in", engine={"replace": [("speech_started_ms = 40", f"speech_started_ms = {delay_ms}")]})
    (outcome,) = carrier(server, "--seconds", 40, "--interruptions", 5, "--speaks-after-ms", 700)
    # Each clear belongs to the caller's word just before it; the sound that it ended is the stretch around it.
    silences = []
    for clear in outcome["clears_ms"]:
        said = max(said for said in outcome["said_ms"] if said <= clear)
        stretch = next(s for s in outcome["stretches"] if s["from_ms"] <= said and s["to_ms"] >= clear - 20)
        silences.append(stretch["to_ms"] - said)
    assert len(silences) >= 4, outcome
    print("silent after the caller's first loud frame:", silences)
    # The engine's event leaves `delay_ms` after the beginning of the loud frame, which the caller sends once it is complete.
    # The usual one within the bound; a stalled machine may be late once, not far beyond it.
    after = sorted(silent - (delay_ms - 20) for silent in silences)
    assert after[len(after) // 2] <= 120 and after[-1] <= 400, silences
    # What the engine was told is what the caller heard.
    call = server.ended_call()
    events = server.events(call["id"])
    told = [int(e["event"]["detail"]) for e in events if e["event"].get("name") == "conversation.item.truncated"]
    heard = [s["to_ms"] - s["from_ms"] for s in outcome["stretches"] if any(s["to_ms"] - 60 <= c <= s["to_ms"] + 40 for c in outcome["clears_ms"])]
    assert len(told) == len(heard), (told, heard)
    apart = sorted(abs(a - b) for a, b in zip(told, heard))
    assert apart[len(apart) // 2] <= 40 and apart[-1] <= 250, list(zip(told, heard))


@pytest.mark.timeout(300)
def test_concurrent_calls_without_a_hole(allo, carrier):
    """The full set (100 calls of 60 s) is `scripts/prove --only twilio`."""
    calls, seconds = int(os.environ.get("ALLO_TWILIO_CALLS", 8)), int(os.environ.get("ALLO_TWILIO_SECONDS", 6))
    long = [('greeting = { text = "greeting tone", hz = 440, ms = 1000 }', 'greeting = { text = "greeting tone", hz = 440, ms = 90000 }')]
    server = allo("barge_in", engine={"replace": long}, limits_calls=calls + 10, recording_enabled="false")
    for _ in range(3):
        outcomes = carrier(server, "--calls", calls, "--seconds", seconds, timeout=seconds + 60)
        assert len(outcomes) == calls
        assert all(outcome["first_audio_ms"] is not None for outcome in outcomes)
        assert sum(outcome["wrong_marks"] + outcome["wrong_messages"] for outcome in outcomes) == 0
        late = max(outcome["late_ms_max"] for outcome in outcomes)
        # The agent speaks without a pause: a hole so long that it counts as one shows in the sum.
        assert late > LATE_MS_MAX or min(outcome["played_ms"] + outcome["first_audio_ms"] for outcome in outcomes) > seconds * 1000 - 300
        holes = [hole for outcome in outcomes for hole in outcome["holes_ms"]]
        print(f"{calls} calls of {seconds} s: {len(holes)} holes, the carrier itself at most {late} ms late")
        # A carrier that is not on time itself hears holes that nobody made: such a run does not count.
        if not holes or late <= LATE_MS_MAX:
            break
    assert not holes or late > LATE_MS_MAX, f"{holes} (the carrier itself was {late} ms late)"


@pytest.mark.parametrize("how", ["stop", "cut"])
def test_a_stream_that_ends_ends_the_call(allo, how):
    """With `stop`, and without a word (the connection is cut)."""
    server = allo(voice_twilio_auth_token=None, voice_bridge_token="bridge-token-0123456789")

    async def run():
        socket = await websockets.connect(f"ws://{server.addresses['voice']}/media-stream")
        start = {"accountSid": ACCOUNT, "streamSid": "MZ1", "callSid": "CA1", "customParameters": {"token": "bridge-token-0123456789", "callerPhone": "+331"}}
        await socket.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
        await asyncio.wait_for(socket.recv(), 10)
        if how == "stop":
            await socket.send(json.dumps({"event": "stop", "streamSid": "MZ1", "stop": {"callSid": "CA1"}}))
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 10)
        else:
            socket.transport.abort()

    run_coroutine(run())
    call = server.ended_call(timeout=10)
    assert call["endReason"] == "caller_hung_up", call


def test_a_bridge_is_told_to_hang_up(allo):
    server = allo(voice_twilio_auth_token=None, voice_bridge_token="bridge-token-0123456789")

    async def run():
        async with websockets.connect(f"ws://{server.addresses['voice']}/media-stream") as socket:
            start = {"accountSid": "", "streamSid": "MZ1", "callSid": "CA1", "customParameters": {"token": "bridge-token-0123456789", "callerPhone": "+331"}}
            await socket.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
            assert json.loads(await asyncio.wait_for(socket.recv(), 10))["event"] in ("media", "mark")
            call = server.live()[0]["id"]
            await asyncio.to_thread(server.request, f"/api/calls/{call}/hangup", "POST")
            messages = []
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    messages.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
            return messages

    messages = run_coroutine(run())
    assert messages[-1] == {"event": "stop", "streamSid": "MZ1"}, messages[-3:]


class Interface(Process):
    """The carrier's interface alone."""

    def __init__(self, folder):
        super().__init__([BINARY, "carrier-standin"], folder, "carrier")
        self.url = wait_for("the carrier's interface", lambda: re.search(r"http://\S+", self.output()), 20).group(0)


def post_json(server, path, value):
    request = urllib.request.Request(
        f"http://{server.addresses['admin']}{path}", method="POST", data=json.dumps(value).encode(),
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_call_is_placed_and_hung_up_through_the_interface(allo, folder):
    carrier = Interface(folder)
    port = free_port()
    server = allo("barge_in", voice_twilio_api_url=carrier.url, voice_listen=f"127.0.0.1:{port}", voice_public_url=f"http://127.0.0.1:{port}")
    assert post_json(server, "/api/carrier-calls", {"to": "+33611111111;x", "from": "+33900000001"})[0] == 400
    status, answer = post_json(server, "/api/carrier-calls", {"to": "+33611111111", "from": "+33900000001"})
    assert status == 201 and answer["carrierCallId"].startswith("CA"), answer
    live = wait_for("the placed call's stream", server.live, 10)

    def played(call):
        # The record follows the call by a moment.
        status, body = server.request(f"/api/calls/{call}/events")
        return status == 200 and any(e["event"]["type"] == "playout" for e in body["events"])

    assert live[0]["direction"] == "outbound" if "direction" in live[0] else True, live
    wait_for("the agent's first words", lambda: played(live[0]["id"]), 10)
    assert server.request(f"/api/calls/{live[0]['id']}/hangup", "POST")[0] in (200, 202, 204)
    call = server.ended_call()
    assert call["endReason"] == "operator_hung_up" or "operator" in call["endReason"] or call["endReason"] == "agent_hung_up", call
    carrier.stop()
    (outcome,) = [json.loads(row) for row in carrier.output().splitlines() if row.startswith("{")]
    # The end of the stream and the request for it race; a call that is over already is no failure (21220).
    assert outcome["stream_status"] == 101 and outcome["ended_by"] in ("agent", "interface"), outcome


@pytest.mark.allowed_log("did not do what it was asked", "carrier_call_refused")
def test_a_wrong_account_is_said(allo, folder):
    carrier = Interface(folder)
    port = free_port()
    server = allo(voice_twilio_auth_token="another", voice_twilio_api_url=carrier.url, voice_listen=f"127.0.0.1:{port}", voice_public_url=f"http://127.0.0.1:{port}")
    status, answer = post_json(server, "/api/carrier-calls", {"to": "+33611111111", "from": "+33900000001"})
    assert status == 502 and "401" in json.dumps(answer), answer
    carrier.stop()


def test_a_line_of_the_database_and_a_transfer_through_the_interface(allo, folder):
    """A number that a tenant provisioned; its agent hands every call over at once, which is one request to the carrier."""
    port = free_port()
    server = allo("barge_in", voice_twilio_api_url=f"http://127.0.0.1:{port}", platform_unauthenticated="true")
    client = Client(f"http://{server.addresses['platform']}")
    account = client.account("Les Tilleuls")
    target = "+33155555555"
    agent = client.post("/agents", {
        "accountId": account, "name": "Standard", "basePrompt": "Be kind.", "isActive": True, "transferAutomatic": True,
        "transferTargets": {"default": target}, "preCallChecks": [],
    })
    client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": "+33977777777", "provider": "twilio", "isActive": True})
    command = [BINARY, "carrier-standin", "--webhook", f"http://{server.addresses['voice']}/twilio/+33977777777/incoming-call",
               "--listen", f"127.0.0.1:{port}", "--to", "+33977777777", "--seconds", "20"]

    def outcome():
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, env=clean_environment())
        assert done.returncode == 0, done.stderr
        return json.loads([row for row in done.stdout.splitlines() if row.startswith("{")][0])

    # The directory is read again within half a minute of a change.
    result = wait_for("the new line", lambda: (found := outcome())["stream_status"] == 101 and found, 60)
    assert result["ended_by"] == "interface", result
    assert result["asked"] == f"<Response><Dial>{target}</Dial></Response>", result

    def ended():
        calls = client.get(f"/calls?accountId={account}&limit=5")
        calls = calls if isinstance(calls, list) else calls.get("calls", calls.get("items", []))
        return next((call for call in calls if call.get("outcome") == "transferred"), None)

    call = wait_for("the call's record", ended, 15, 0.3)
    assert call["carrier"] == "twilio" and call["carrierCallId"].startswith("CA"), call


# See the test below.
@pytest.mark.allowed_log("did not do what it was asked")
def test_minutes_that_cost_end_a_call_in_which_nobody_says_anything(allo, folder, carrier):
    """Six a minute, and 0.3 for a call: it is over after some seconds, though the model has done nothing since its greeting."""
    server = allo("barge_in", platform_unauthenticated="true", agent_idle_reprompt_s=0)
    client = Client(f"http://{server.addresses['platform']}")
    account = client.account("Les Tilleuls")
    agent = client.post("/agents", {
        "accountId": account, "name": "Standard", "basePrompt": "Be kind.", "isActive": True, "preCallChecks": [],
        "costs": {"telephonyPerMin": 6}, "limits": {"costMax": 0.3},
    })
    client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": "+33977777701", "provider": "twilio", "isActive": True})
    known_to_calls(lambda query: client.get(f"/admin/route?{query}"), account, "+33977777701", agent["id"])
    [outcome] = carrier(server, "--to", "+33977777701", "--seconds", "60", path="/twilio/+33977777701/incoming-call")
    assert outcome["ended_by"] in ("agent", "interface"), outcome
    call = wait_for("the call's record", lambda: next((c for c in client.get(f"/calls?accountId={account}&limit=5") if c["endedAt"]), None), 15)
    assert (call["endReason"], call["outcome"]) == ("no_balance", "no_balance"), call


# The stand-in leaves once its stream is closed: whether it still answers the hang-up by its interface is a race that nobody loses.
@pytest.mark.allowed_log("did not do what it was asked")
def test_a_caller_of_a_stream_is_joined_with_a_telephone(allo, folder, sipp, peer):
    """The caller is the carrier's, the second leg is SIP: sound crosses, and the telephone's BYE ends the carrier's call."""
    interface, port = free_port(), free_port(socket.SOCK_DGRAM)
    server = allo("barge_in", voice_twilio_api_url=f"http://127.0.0.1:{interface}", platform_unauthenticated="true")
    client = Client(f"http://{server.addresses['platform']}")
    account = client.account("Les Tilleuls")
    desk = {"destination": f"sip:desk@127.0.0.1:{port}", "mode": "bridge"}
    agent = client.post("/agents", {
        "accountId": account, "name": "Standard", "basePrompt": "Be kind.", "isActive": True, "transferAutomatic": True,
        "transferTargets": {"default": desk}, "preCallChecks": [],
    })
    client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": "+33977777777", "provider": "twilio", "isActive": True})
    known_to_calls(lambda query: client.get(f"/admin/route?{query}"), account, "+33977777777", agent["id"])
    telephone = sipp(Target("desk").hangs_up_after(3_000), server, peer, extra=("-p", str(port)))
    peer.payload_type = 8
    peer.say(tone(1_040, 1_500))
    command = [BINARY, "carrier-standin", "--webhook", f"http://{server.addresses['voice']}/twilio/+33977777777/incoming-call",
               "--listen", f"127.0.0.1:{interface}", "--to", "+33977777777", "--seconds", "30"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=90, env=clean_environment())
    assert done.returncode == 0, done.stderr
    telephone.wait()
    result = json.loads([row for row in done.stdout.splitlines() if row.startswith("{")][0])
    assert result["stream_status"] == 101 and result["ended_by"] in ("agent", "interface"), result
    longest = max(stretch["to_ms"] - stretch["from_ms"] for stretch in result["stretches"])
    assert longest >= 600, f"what the telephone said was heard: {result['stretches']}"
    assert peer.remote and len(peer.audio()) > 50, "the line reached the telephone"
    call = wait_for("the call's record", lambda: next((c for c in client.get(f"/calls?accountId={account}&limit=5") if c["endedAt"]), None), 15)
    assert (call["endReason"], call["outcome"], call["carrier"]) == ("transferred", "transferred", "twilio"), call


@pytest.mark.allowed_log("did not do what it was asked")
def test_somebody_is_called_into_the_call_of_a_stream(allo, folder, sipp, peer):
    """By SIP, whoever brought the caller: an address that the line may call."""
    port = free_port(socket.SOCK_DGRAM)
    server = allo("barge_in", platform_unauthenticated="true", agent_idle_reprompt_s=0)
    client = Client(f"http://{server.addresses['platform']}")
    account, number = client.account("Les Tilleuls"), "+33977777778"
    agent = client.post("/agents", {"accountId": account, "name": "Standard", "basePrompt": "Be kind.", "isActive": True, "preCallChecks": []})
    line = {"phoneNumber": number, "provider": "twilio", "isActive": True, "outboundPrefixes": ["sip:127.0.0.1", "+33"]}
    client.post(f"/agents/{agent['id']}/phone-lines", line)
    known_to_calls(lambda query: client.get(f"/admin/route?{query}"), account, number, agent["id"])
    telephone = sipp(Target("desk").hangs_up_after(2_000), server, peer, extra=("-p", str(port)))
    peer.payload_type = 8
    command = [BINARY, "carrier-standin", "--webhook", f"http://{server.addresses['voice']}/twilio/{number}/incoming-call", "--to", number, "--seconds", "60"]
    carrier = Process(command, folder, "carrier")
    try:
        call = wait_for("the call", lambda: next((one for one in client.get("/calls/live") if one["state"] == "answered"), None), 20)

        # Nobody comes in before the conversation has begun.
        def asked():
            try:
                return client.post(f"/calls/{call['id']}/invite", {"to": f"sip:desk@127.0.0.1:{port}", "seat": "instead"}) or True
            except Refused as refusal:
                assert "api_person_not_now" in str(refusal), refusal

        wait_for("the conversation to have begun", asked, 20)
        wait_for("them to talk", lambda: client.get("/calls/live")[0]["called"]["state"] == "joined", 20)
        telephone.wait()
        wait_for("the agent to have the caller again", lambda: client.get("/calls/live")[0]["called"]["state"] == "over", 10)
        assert peer.remote and len(peer.audio()) > 50, "the line reached the telephone"
        client.post(f"/calls/{call['id']}/hangup", {})
    finally:
        carrier.stop()


def test_tenants_with_accounts_of_their_own(allo, folder):
    """Each tenant's token proves its calls, reaches its lines and no other's, and hangs up in its own account."""
    port = free_port()
    server = allo(
        "tone", voice_public_url=PUBLIC, voice_twilio_api_url=f"http://127.0.0.1:{port}", platform_unauthenticated="true",
    )
    client = Client(f"http://{server.addresses['platform']}")
    tenants, agents = [], []
    for place, name in enumerate(("Les Tilleuls", "Chez Rosa")):
        account = client.account(name)
        agent = client.post("/agents", {"accountId": account, "name": name, "basePrompt": "Be kind.", "isActive": True, "preCallChecks": []})
        number, sid, token = f"+3397777770{place}", f"AC{place + 2:032x}", f"token of {name}"
        client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": number, "provider": "twilio", "isActive": True})
        client.put(f"/accounts/{account}/secrets/twilio:{sid}", {"value": token})
        tenants.append((account, number, sid, token))
        agents.append(agent["id"])
    (rosa, rosas, _, _), (_, number, sid, token) = tenants[1], tenants[0]

    def asked(to, named, key, path="/incoming-call", **more):
        form = FORM | {"To": to, "AccountSid": named} | more
        return webhook(server, path=path, form=form, headers={"X-Twilio-Signature": sign(f"{PUBLIC}{path}", form, key)})

    wait_for("the lines", lambda: all("<Connect>" in asked(to, named, key)[1] for _, to, named, key in tenants), 60)
    assert asked(number, sid, "another")[0] == 403
    assert asked(number, tenants[1][2], token)[0] == 403, "an account that is another's"
    assert asked(number, f"AC{9:032x}", token)[0] == 403, "an account that nobody has"
    # Right by itself, but the line is another's: as unknown as any number.
    for path in ("/incoming-call", f"/twilio/{rosas}/incoming-call"):
        status, text = asked(rosas, sid, token, path)
        assert status == 200 and "<Reject" in text and "<Connect>" not in text, (path, text)
    assert "<Connect>" in asked(rosas, ACCOUNT, TOKEN)[1], "the operator's account brings calls to every line"

    def granted():
        return re.search(r'name="token" value="([0-9a-f]{64})"', asked(number, sid, token)[1]).group(1)

    def opened(path, key):
        right = sign(f"wss://voice.example.test{path}", {}, key)
        return run_coroutine(open_stream(server, right, {"token": granted()}, path=path))

    assert f'url="wss://voice.example.test/media-stream/twilio/{sid}"' in asked(number, sid, token)[1]
    own, others = f"/media-stream/twilio/{sid}", f"/media-stream/twilio/{tenants[1][2]}"
    assert opened(own, tenants[1][3]) == "refused", "signed by another tenant"
    assert opened(others, tenants[1][3]) == "closed", "another tenant's handshake with this one's token"
    assert opened("/media-stream", TOKEN) == "closed", "the operator's handshake is of the operator's calls"
    assert opened("/media-stream", token) == "refused"
    assert opened(own, token) == "open"

    # A whole call by the carrier, whose interface asks for that account's name and token.
    server.idle()
    client.put(f"/agents/{agents[0]}", {"transferAutomatic": True, "transferTargets": {"default": "+33155555555"}})
    command = [
        BINARY, "carrier-standin", "--webhook", f"http://{server.addresses['voice']}/incoming-call", "--public-url", PUBLIC, "--account", sid, "--token", token,
        "--listen", f"127.0.0.1:{port}", "--to", number, "--seconds", "3",
    ]  # fmt: skip

    def outcome():
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, env=clean_environment())
        assert done.returncode == 0, done.stderr
        return json.loads([row for row in done.stdout.splitlines() if row.startswith("{")][0])

    # The call that begins before the change is read goes on to its end.
    result = wait_for("a call that is handed over", lambda: (found := outcome())["ended_by"] == "interface" and found, 60)
    assert result["stream_status"] == 101 and result["asked"] == "<Response><Dial>+33155555555</Dial></Response>", result
    assert not client.get(f"/calls?accountId={rosa}&limit=5"), "a call of another tenant"


def test_a_fixed_greeting_is_heard_at_once_by_the_next_caller(allo, carrier):
    server = allo("contract", engine={"replace": [("first_byte_ms = 20", "first_byte_ms = 1800")]}, platform_unauthenticated="true", platform_listen="127.0.0.1:0")
    client = Client(f"http://{server.addresses['platform']}")
    fixed = {"disclosure": "Je suis un assistant virtuel.", "greeting": {"cachedText": "Les Tilleuls, bonjour !"}}
    agent = client.post("/agents", {"accountId": client.account("Les Tilleuls"), "name": "Accueil", "basePrompt": "Be kind.", "isActive": True, "preCallChecks": []} | fixed)
    client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": "+33977777701", "provider": "twilio", "isActive": True})
    path = "/twilio/+33977777701/incoming-call"
    headers = {"X-Twilio-Signature": sign(f"http://{server.addresses['voice']}{path}", FORM)}
    wait_for("the line", lambda: "<Connect>" in webhook(server, path, headers=headers)[1], 60)
    folder = server.settings["server_data_dir"] / "greetings"
    made, kept = [], []
    for outcome, seconds in ((made, 10), (kept, 5)):
        outcome += carrier(server, "--to", "+33977777701", "--seconds", str(seconds), path=path)
        wait_for("the sounds", lambda: len(list(folder.glob("*.greeting"))) == 2, 10)
    print(f"from the stream to the first sound: {made[0]['first_audio_ms']} ms by the engine, {kept[0]['first_audio_ms']} ms kept")
    assert made[0]["first_audio_ms"] > 1500 and kept[0]["first_audio_ms"] < 800
    for outcome in (made[0], kept[0]):
        # Half a second of disclosure and three of greeting, whole.
        assert sum(stretch["to_ms"] - stretch["from_ms"] for stretch in outcome["stretches"]) == pytest.approx(3500, abs=60), outcome["stretches"]
        assert outcome["wrong_marks"] == 0 and outcome["wrong_messages"] == 0, outcome
