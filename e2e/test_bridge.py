"""`allo bridge`: a SIP caller of sipp's or baresip's, an application that speaks Twilio's Media Streams, and the bridge between them.
Audio is judged by frequency at both ends.
"""

import contextlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from lib.allo import BINARY, Process, clean_environment, only_expected_log_lines, wait_for
from lib.audio import RtpPeer, speak, tone
from lib.backoffice import BackOffice
from lib.bridge import Application, Bridge
from lib.kamailio import PASSWORD, Kamailio
from lib.phone import Phone
from lib.ports import free_port
from lib.sipp import Script, Sipp, header, sdp
from lib.softphone import Baresip


BOT = pathlib.Path(__file__).parent / "twilio_bot"
PIPECAT = pathlib.Path(__file__).resolve().parents[1] / "target" / "pipecat" / "bin" / "python"


@pytest.fixture
def application():
    application = Application()
    yield application
    application.close()


@pytest.fixture
def office():
    """Takes callbacks at /status, and answers /incoming as the test says."""
    office = BackOffice()
    office.rule("/status", status=200, body={})
    yield office
    office.close()


@pytest.fixture
def bridge(folder, request, application, office):
    """A factory of bridges. `allowed_log` marks name the WARN and ERROR lines that a test expects."""
    made = []

    def make(target, *arguments, **options):
        made.append(Bridge(folder, target, *arguments, name=f"bridge{len(made) or ''}", **options))
        return made[-1]

    yield make
    allowed = [pattern for mark in request.node.iter_markers("allowed_log") for pattern in mark.args]
    unexpected = []
    for process in made:
        began = time.monotonic()
        assert process.stop() == 0, process.log()[-3000:]
        assert time.monotonic() - began < 12, "the bridge leaves within its bound"
        unexpected += only_expected_log_lines(process.log(), allowed)
    assert not unexpected, "unexpected WARN or ERROR lines:\n" + "\n".join(unexpected)


def told(office):
    """(event, status) of the states that were told, in order."""
    return [(state["event"], state["status"]) for state in (request.json for request in office.to("/status"))]


def test_a_conversation_as_twilio_would_bring_it(bridge, application, office, sipp, peer):
    allo = bridge(application.url, "--param", "restaurantId=uuid", "--status-callback-url", f"{office.url}/status")
    phone = sipp(Script("conversation").call().receive_request("BYE").answer_request(), allo, peer)
    stream = application.stream()
    start = stream.start
    assert start["tracks"] == ["inbound"] and start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert re.fullmatch(r"CA[0-9a-f]{32}", start["callSid"]) and re.fullmatch(r"MZ[0-9a-f]{32}", start["streamSid"])
    assert start["customParameters"] == {"callerPhone": "+33123456789", "direction": "inbound", "to": "allo", "restaurantId": "uuid"}
    # The application is heard, and its mark comes when it was.
    stream.play_tone(440, 1000, mark="greeting")
    hz, ms, packets = peer.wait_tone(440, 900, ended=True)
    assert 980 <= ms <= 1040, ms
    at, mark = stream.wait("mark")
    assert mark["mark"]["name"] == "greeting" and at > packets[-3].at, "the mark came before its audio was played"
    # The caller is heard.
    peer.say(tone(700, 1000))
    stream.wait_tone(700)
    peer.press("5")
    assert stream.wait("dtmf")[1]["dtmf"] == {"track": "inbound_track", "digit": "5"}
    # Barge-in: half a minute is queued, a clear silences it, and tells the marks at once.
    stream.play_tone(880, 30_000, mark="never heard")
    peer.wait_tone(880, 300)
    stream.send("clear")
    cleared = time.monotonic()
    at, mark = stream.wait("mark", 2)
    assert mark["mark"]["name"] == "never heard" and at - cleared < 1
    _, ms, packets = peer.wait_tone(880, 300, ended=True)
    assert packets[-1].at - cleared < 0.5
    stream.play_tone(520, 600, mark="after")
    peer.wait_tone(520, 500, ended=True)
    stream.wait("mark", 3)
    # One message each 20 ms, numbered and timed without a hole.
    numbers = [int(message["sequenceNumber"]) for _, message in sorted(stream.audio + stream.events[1:], key=lambda one: int(one[1]["sequenceNumber"]))]
    assert numbers == list(range(1, len(numbers) + 1))
    chunks = [(int(m["media"]["chunk"]), int(m["media"]["timestamp"])) for _, m in stream.audio]
    assert chunks == [(i + 1, i * 20) for i in range(len(chunks))]
    [view] = allo.calls()
    assert (view["status"], view["direction"], view["from"], view["to"]) == ("active", "inbound", "+33123456789", "allo")
    # The application hangs up.
    stream.send("stop")
    phone.wait()
    assert stream.wait("stop")[1]["stop"]["callSid"] == start["callSid"]
    assert stream.closed.wait(5)
    view = allo.wait_status(start["callSid"], "completed")
    assert view["endedAt"] and view["durationSec"] >= 3 and view["customParams"]["restaurantId"] == "uuid"
    wait_for("the states", lambda: len(told(office)) == 4)
    assert told(office) == [("initiated", "initiated"), ("ringing", "ringing"), ("answered", "answered"), ("completed", "completed")]


def test_a_colleague_takes_a_call_over(bridge, application, peer):
    """INVITE with Replaces: the application's stream goes on with whoever is there now, and the telephone that was is hung up."""
    allo = bridge(application.url)
    first = Phone(allo.udp, peer.port)
    first.invite()
    first.wait(lambda m: m.status == 200 and m.cseq_method == "INVITE", 20)
    first.ack()
    stream = application.stream()
    stream.play_tone(440, 600)
    peer.wait_tone(440, 500, ended=True)
    with contextlib.closing(RtpPeer()) as colleague:
        second = Phone(allo.udp, colleague.port, user="+33199999999")
        tag = first.to_tag.removeprefix(";tag=")
        second.invite(headers=[f"Replaces: {first.call_id};to-tag={tag};from-tag=t{first.call_id}", "Require: replaces"])
        second.wait(lambda m: m.status == 200 and m.cseq_method == "INVITE", 20)
        second.ack()
        bye = first.wait(lambda m: m.method == "BYE", 10)
        first.raw("\n".join(["SIP/2.0 200 OK", *(f"{name}: {bye.header(name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")), "Content-Length: 0", "", ""]))
        stream.play_tone(520, 600)
        colleague.wait_tone(520, 500, ended=True)
        colleague.say(tone(700, 800))
        stream.wait_tone(700)
        assert [view["status"] for view in allo.calls()] == ["active"]
        second.bye()
        allo.wait_status(stream.start["callSid"], "completed")
    first.close()
    second.close()


def test_a_call_that_is_placed_and_handed_over(bridge, application, office, folder, peer):
    allo = bridge(application.url)
    allo.udp
    port = free_port()
    # sipp takes the call, is handed over, and says that it went well.
    script = Script("callee").receive_request("INVITE")
    script.answer_request("180 Ringing", headers=["Contact: <sip:callee@[local_ip]:[local_port]>"])
    script.answer_request("200 OK", body=sdp()).receive_request("ACK").receive_request("REFER").answer_request("202 Accepted").until_bye()
    phone = Sipp(folder, script, allo.udp, peer.port, extra=("-p", str(port)))
    try:
        body = {
            "to": f"sip:+33900000009@127.0.0.1:{port}", "from": "+33111111111", "customParams": {"orderId": 7}, "callbackUrl": f"{office.url}/status",
        }
        status, view = allo.request("/api/calls", "POST", body)
        assert status == 201 and view["direction"] == "outbound" and view["status"] == "initiated", view
        stream = application.stream()
        parameters = stream.start["customParameters"]
        assert parameters == {"callerPhone": "+33111111111", "direction": "outbound", "to": "+33900000009", "orderId": "7"}
        assert stream.start["callSid"] == view["sid"]
        stream.play_tone(440, 600)
        peer.remote = peer.remote or None
        peer.wait_tone(440, 500, ended=True)
        peer.say(tone(700, 800))
        stream.wait_tone(700)
        assert allo.request("/api/calls/" + view["sid"] + "/transfer", "POST", {"destination": ""})[0] == 400
        status, view = allo.request("/api/calls/" + view["sid"] + "/transfer", "POST", {"destination": "+33140000001"})
        assert status == 200, view
        [refer] = phone.received("REFER")
        assert "sip:+33140000001@127.0.0.1" in header(refer, "Refer-To")
        assert "+33111111111" in header(phone.received("INVITE")[0], "From")
        status, _ = allo.request("/api/calls/" + view["sid"], "DELETE")
        assert status == 200
        phone.wait()
        allo.wait_status(view["sid"], "completed")
        assert allo.request("/api/calls/" + view["sid"], "DELETE")[0] == 409
        stream.wait("stop")
        wait_for("the states", lambda: ("completed", "completed") in told(office))
        assert told(office) == [("initiated", "initiated"), ("ringing", "ringing"), ("answered", "answered"), ("completed", "completed")]
    finally:
        phone.kill()


def test_a_caller_is_handed_over_and_pages_of_others_command_nothing(bridge, application, sipp, peer):
    allo = bridge(application.url)
    script = Script("transfer").call().receive_request("REFER").answer_request("202 Accepted")
    notify = ["Event: refer", "Subscription-State: terminated;reason=noresource", "Content-Type: message/sipfrag;version=2.0"]
    script.cseq += 1
    text = script._request("NOTIFY", "[next_url]", script.cseq, "[peer_tag_param]", None, ["Contact: <sip:caller@[local_ip]:[local_port]>", *notify])
    script.send(text.rstrip("\n") + "\n\nSIP/2.0 200 OK\n").receive(200).until_bye()
    phone = sipp(script, allo, peer)
    stream = application.stream()
    sid = stream.start["callSid"]
    # A browser of this machine that was led here by another name.
    request = urllib.request.Request(f"http://127.0.0.1:{allo.address('api')}/api/calls/{sid}", method="DELETE", headers={"Host": "evil.example.test"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    wait_for("audio both ways", lambda: allo.request(f"/api/calls/{sid}")[1]["status"] == "active")
    assert allo.request(f"/api/calls/{sid}/transfer", "POST", {"destination": "sip:kitchen@127.0.0.1"})[0] == 200
    phone.wait()
    assert "sip:kitchen@127.0.0.1" in header(phone.received("REFER")[0], "Refer-To")
    stream.wait("stop")
    allo.wait_status(sid, "completed")


@pytest.mark.parametrize(("answer", "word"), [("486 Busy Here", "busy"), ("480 Temporarily Unavailable", "no-answer"), ("404 Not Found", "failed")])
def test_a_call_that_nobody_takes(bridge, application, folder, answer, word):
    allo = bridge(application.url)
    allo.udp
    port = free_port()
    script = Script("refuses").receive_request("INVITE").answer_request(answer).receive_request("ACK")
    phone = Sipp(folder, script, allo.udp, 9, extra=("-p", str(port)))
    try:
        _, view = allo.request("/api/calls", "POST", {"to": f"sip:bob@127.0.0.1:{port}"})
        view = allo.wait_status(view["sid"], word)
        assert view["answeredAt"] is None and view["durationSec"] == 0
        phone.wait()
    finally:
        phone.kill()
    assert application.streams.empty(), "no stream is opened for a call that is not answered"


def test_the_incoming_callback_decides(bridge, application, office, sipp, peer):
    other = Application()
    office.rule("/never", status=200, body={})
    allo = bridge(application.url, "--incoming-callback-url", f"{office.url}/incoming", "--status-callback-url", f"{office.url}/never")
    try:
        # Accepted, elsewhere and with more to say.
        answer = {"action": "accept", "customParams": {"vip": "yes"}, "wsTarget": other.url, "callbackUrl": f"{office.url}/status"}
        office.rule("/incoming", status=200, body=answer, times=1)
        phone = sipp(Script("accepted").call().pause(500).bye(), allo, peer)
        stream = other.stream()
        assert stream.start["customParameters"]["vip"] == "yes"
        phone.wait()
        question = office.to("/incoming")[0].json
        assert (question["from"], question["to"]) == ("+33123456789", "allo") and question["timestamp"]
        stream.wait("stop")
        wait_for("the states", lambda: ("completed", "completed") in told(office))
        # Rejected.
        office.rule("/incoming", status=200, body={"action": "reject", "statusCode": 603}, times=1)
        sipp(Script("rejected").invite().receive(100, 180, 603).ack_refusal(), allo).wait()
        # Ignored: nothing is answered, and the caller gives up.
        office.rule("/incoming", status=200, body={"action": "ignore"}, times=1)
        phone = sipp(Script("ignored").invite().receive(100).pause(700).cancel().receive(200).receive(487).ack_refusal(), allo)
        phone.wait()
        assert not phone.received("SIP/2.0 180")
        wait_for("three ends", lambda: sorted(view["status"] for view in allo.calls()) == ["cancelled", "completed", "failed"])
        assert application.streams.empty()
    finally:
        other.close()


@pytest.mark.allowed_log("incoming")
def test_a_callback_that_is_down_does_not_close_the_line(bridge, application, sipp, peer):
    allo = bridge(application.url, "--incoming-callback-url", f"http://127.0.0.1:{free_port()}/incoming", "--callback-timeout", "1")
    phone = sipp(Script("accepted").call().pause(300).bye(), allo, peer)
    application.stream().wait("stop")
    phone.wait()


@pytest.mark.allowed_log("could not be reached")
def test_bounds_and_applications_that_fail(bridge, application, sipp, peer, folder):
    allo = bridge(application.url, "--max-concurrent-calls", "1", "--max-call-duration", "3")
    # The bridge ends the call at its longest duration; meanwhile the line is busy.
    phone = sipp(Script("long").call().until_bye(), allo, peer)
    stream = application.stream()
    busy = sipp(Script("busy").invite().receive(100, 486).ack_refusal(), allo, name="busy")
    busy.wait()
    status, problem = allo.request("/api/calls", "POST", {"to": "sip:bob@127.0.0.1"})
    assert (status, problem["code"]) == (503, "bridge_busy"), problem
    phone.wait()
    stream.wait("stop")
    view = allo.wait_status(stream.start["callSid"], "completed")
    assert 2 <= view["durationSec"] <= 5
    # An application that dies in the middle of a call.
    phone = sipp(Script("dies").call().until_bye(), allo, peer, name="dies")
    stream = application.stream()
    stream.socket.socket.shutdown(2)
    phone.wait()
    # An application that closes its stream hangs up, as with Twilio.
    phone = sipp(Script("closes").call().until_bye(), allo, peer, name="closes")
    application.stream().close()
    phone.wait()
    # An application that is not there: the call is refused, not answered.
    gone = bridge(f"ws://127.0.0.1:{free_port()}/media-stream")
    sipp(Script("gone").invite().receive(100, 180, 503).ack_refusal(), gone, name="gone").wait()
    [view] = gone.calls()
    assert view["status"] == "failed"


def test_calls_ring_until_they_are_answered_by_the_interface(bridge, application, sipp, peer):
    token = "0123456789abcdef0123"
    allo = bridge(application.url, "--no-auto-answer", "--api-token", token)
    phone = sipp(Script("rings").call().until_bye(), allo, peer)
    [view] = wait_for("a call that rings", lambda: [v for v in allo.request("/api/calls", token=token)[1] if v["status"] == "ringing"])
    assert allo.request(f"/api/calls/{view['sid']}/answer", "POST")[0] == 401
    status, health = allo.request("/health")
    assert status == 200 and health["active_calls"] == 1
    assert allo.request(f"/api/calls/{view['sid']}/answer", "POST", token=token)[0] == 200
    stream = application.stream()
    assert allo.request(f"/api/calls/{view['sid']}", "DELETE", token=token)[0] == 200
    phone.wait()
    stream.wait("stop")
    assert allo.request("/api/calls/CA0", "DELETE", token=token)[0] == 404


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_command_line_of_the_requirements_registers_and_leaves_nothing_behind(bridge, application, sipp, peer, folder, transport):
    kamailio = Kamailio(folder)
    try:
        registrar = f"sip:127.0.0.1:{kamailio.ports.of(transport)}"
        # As written, with what stands for the world: the registrar's address, and free ports.
        allo = bridge(
            application.url, "--sip-username", "33491234567", "--sip-password", PASSWORD, "--sip-domain", "127.0.0.1", "--param", "restaurantId=uuid",
            "--sip-registrar", registrar, "--sip-transport", transport, register=True,
        )
        health = wait_for("the registration", lambda: (h := allo.request("/health")[1])["sip_registered"] and h, 20)
        assert health.pop("sip_state") == "registered"
        assert health == {
            "status": "ok", "sip_registered": True, "sip_account": "sip:33491234567@127.0.0.1", "ws_target": application.url, "active_calls": 0,
            "max_concurrent_calls": 10, "audio": {"codec": "PCMU", "clock_rate": 8000, "frame_ms": 20, "ec_enabled": False, "vad_enabled": False},
        }
        assert len(kamailio.bindings()) == 1
        phone = sipp(Script("call").call().until_bye(), allo, peer, transport={"udp": "u1", "tcp": "t1"}[transport])
        stream = application.stream()
        assert stream.start["customParameters"]["restaurantId"] == "uuid"
        # Ctrl+C: goodbye to the call, and to the registrar.
        began = time.monotonic()
        assert allo.stop(how=signal.SIGINT) == 0
        assert time.monotonic() - began < 10
        phone.wait()
        stream.wait("stop")
        wait_for("no binding", lambda: not kamailio.bindings(), 5)
        assert not list(pathlib.Path(folder).glob("allo-bridge-*")), "its records went with it"
    finally:
        kamailio.stop()


def test_variables_of_the_launcher_and_refusals_in_a_sentence(folder, application, bridge):
    environment = {"SIP_USERNAME": "0033972360682", "SIP_DOMAIN": "127.0.0.1", "RESTAURANT_ID": "r-1", "WS_TARGET": application.url, "MAX_CONCURRENT_CALLS": "3"}
    allo = bridge(None, "--no-register", register=True, environment=environment)
    health = allo.request("/health")[1]
    assert (health["sip_account"], health["ws_target"], health["max_concurrent_calls"]) == ("sip:0033972360682@127.0.0.1", application.url, 3)

    def refused(*arguments, **environment):
        line = [BINARY, "bridge", "--sip-username", "a", "--api-port", "0", *arguments]
        run = subprocess.run([str(part) for part in line], capture_output=True, text=True, timeout=30, env=clean_environment(**environment), cwd=folder)
        assert run.returncode == 2, run
        return run.stderr

    assert "--stun-server" in refused("--stun-server", "no server")
    assert "--turn-server" in refused(TURN_SERVER="no server")
    assert "--vad" in refused("--vad")
    assert "--api-token" in refused("--api-host", "0.0.0.0")


def test_allo_serve_behind_the_bridge(bridge, standin, server, sipp, peer):
    """The server takes the bridge for Twilio: greeting, barge-in by marks and clears, goodbye to its end."""
    serve = server(standin("tone").url, voice_unsigned_loopback="true")
    allo = bridge(f"ws://{serve.addresses['voice']}/media-stream")
    phone = sipp(Script("served").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."), "story")
    peer.wait_tone(700, 2000)
    peer.say(speak("Thank you, that is quite enough."), "stop")
    loud_at = peer.said_at("stop")
    peer.wait_tone(800, 700, ended=True)
    story = next(packets for hz, _, packets in peer.tones() if abs(hz - 700) < 8)
    assert (story[-1].at - loud_at) * 1000 < 700, "the story stops soon after the caller began to speak"
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    hz, ms, _ = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1450 <= ms <= 1560, (hz, ms)
    call = serve.ended_call()
    assert (call["endReason"], call["from"], call["to"]) == ("agent_hung_up", "+33123456789", "allo")
    [view] = allo.calls()
    assert view["status"] == "completed"


def test_openais_twilio_transport_behind_the_bridge(bridge, standin, sipp, peer, folder):
    """OpenAI's own package for Twilio (`@openai/agents-extensions`), unmodified, between the bridge and a model: the caller is greeted, interrupts a story that the
    package cuts with `clear`, and is answered again. What was played is known by the marks that the bridge gave back."""
    assert (BOT / "node_modules").exists(), "scripts/node-env installs the packages of the bot"
    environment = clean_environment(OPENAI_API_KEY="sk-test-key-of-the-stand-in", OPENAI_REALTIME_URL=f"{standin('tone').url}?model=gpt-realtime")
    bot = Process(["node", BOT / "bot.mjs"], folder, "bot", environment)

    def events(name):
        rows = [json.loads(row) for row in bot.output().splitlines() if row.startswith("{")]
        return [row for row in rows if row["event"] == name]

    def twilio(name):
        return [row["message"] for row in events("twilio") if row["message"]["event"] == name]

    try:
        port = wait_for("the bot", lambda: events("listening"), 30)[0]["port"]
        allo = bridge(f"ws://127.0.0.1:{port}/media-stream", "--param", "who=you")
        phone = sipp(Script("bot").call().until_bye(), allo, peer)
        [start] = wait_for("the stream", lambda: twilio("start"))
        assert start["start"]["customParameters"]["who"] == "you" and start["start"]["customParameters"]["callerPhone"] == "+33123456789"
        _, ms, _ = peer.wait_tone(440, 1900, ended=True)
        assert 1980 <= ms <= 2060, ms
        wait_for("the mark of the whole greeting", lambda: [m for m in twilio("mark") if m["mark"]["name"].startswith("done:")])
        assert not events("interrupted")
        # The caller interrupts fifteen seconds of a story.
        peer.say(speak("Please tell me a very long story."), "story")
        peer.wait_tone(700, 1500)
        peer.say(speak("Thank you, that is quite enough."), "stop")
        loud_at = peer.said_at("stop")
        wait_for("the interruption", lambda: events("interrupted"))
        _, _, packets = peer.wait_tone(700, 1500, ended=True)
        assert (packets[-1].at - loud_at) * 1000 < 900, "the story stops soon after the caller began to speak"
        peer.wait_tone(800, 700, ended=True)
        assert len(events("interrupted")) == 1 and not events("failed") and not events("error"), bot.output()
        allo.request("/api/calls/" + allo.calls()[0]["sid"], "DELETE")
        phone.wait()
        wait_for("the bot's end", lambda: events("gone"))
    finally:
        bot.stop()


@pytest.mark.skipif(not PIPECAT.exists(), reason="scripts/pipecat-env installs pipecat; scripts/prove runs this")
def test_a_pipecat_bot_behind_the_bridge(bridge, sipp, peer, folder):
    """pipecat's serializer and transport for Twilio, unmodified, hold the conversation; its interruption is a `clear`."""
    bot = Process([PIPECAT, pathlib.Path(__file__).parent / "pipecat_bot.py"], folder, "pipecat", clean_environment(HF_HUB_OFFLINE="1"))

    def events(name):
        rows = [json.loads(row) for row in bot.output().splitlines() if row.startswith("{")]
        return [row for row in rows if row["event"] == name]

    try:
        port = wait_for("the bot", lambda: events("listening"), 60)[0]["port"]
        allo = bridge(f"ws://127.0.0.1:{port}/media-stream", "--param", "who=you")
        phone = sipp(Script("pipecat").call().until_bye(), allo, peer)
        [call] = wait_for("the bot's call", lambda: events("call"))
        assert call["transport"] == "twilio" and call["parameters"]["who"] == "you" and call["parameters"]["callerPhone"] == "+33123456789"
        peer.wait_tone(440, 900, ended=True)
        peer.say(tone(700, 600))
        wait_for("the bot to hear", lambda: events("heard"))
        peer.wait_tone(880, 1000)
        # Barge-in.
        peer.say(tone(1200, 600))
        wait_for("the interruption", lambda: events("interrupted"))
        interrupted = time.monotonic()
        _, ms, packets = peer.wait_tone(880, 1000, ended=True)
        assert ms < 5000 and packets[-1].at - interrupted < 0.6, "six seconds were said, and cleared"
        peer.wait_tone(520, 900, ended=True)
        # Keys arrive, and the bot ends the call by closing its stream.
        peer.press("7")
        wait_for("the key", lambda: events("key"))
        peer.press("9")
        phone.wait()
        [view] = allo.calls()
        allo.wait_status(view["sid"], "completed")
        wait_for("the bot's end", lambda: events("over"), 20)
    finally:
        bot.stop()


@pytest.mark.allowed_log("no answer within")
def test_an_application_that_is_slow_and_records_that_are_kept(bridge, sipp, peer):
    """One that takes the connection and says nothing is waited for while it rings, and not for ever. The record tells it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        allo = bridge(f"ws://127.0.0.1:{mute.getsockname()[1]}/media-stream", "--data-dir", "kept")
        sipp(Script("slow").invite().receive(100, 180, 503).ack_refusal(), allo, peer).wait()
        assert allo.calls()[0]["status"] == "failed"
        assert allo.stop() == 0
    environment = clean_environment(DATABASE_URL=str(allo.folder / "kept" / "allo.db"), ALLO_SERVER_DATA_DIR=str(allo.folder / "kept"))
    run = subprocess.run([str(BINARY), "call", "explain", "last"], capture_output=True, text=True, timeout=30, env=environment, cwd=allo.folder)
    assert run.returncode == 0 and "INVITE" in run.stdout, run


def test_baresip_over_tls_with_states_by_get(bridge, application, office, folder):
    allo = bridge(application.url, "--sip-transport", "tls", "--status-callback-url", f"{office.url}/status?k=1", "--callback-method", "GET", "--tx-gain", "-12")
    telephone = Baresip(folder, account="<sip:tester@127.0.0.1>;regint=0;mediaenc=srtp")
    try:
        telephone.dial(f"sip:allo@127.0.0.1:{allo.address('sip/tls')};transport=tls")
        telephone.event("CALL_ESTABLISHED")
        stream = application.stream()
        stream.play_tone(440, 1500)
        telephone.wait_tone(440, 1500, 15)
        telephone.say(tone(700, 1000))
        stream.wait_tone(700)
        assert 8000 * 0.2 < abs(telephone.samples()).max() < 8000 * 0.32, "12 dB quieter"
        telephone.command("hangup")
        stream.wait("stop")
    finally:
        telephone.stop()
    wait_for("the states", lambda: len(office.to("/status", "GET")) == 4)
    states = [dict(request.parameters) for request in office.to("/status", "GET")]
    assert [state["event"] for state in states] == ["initiated", "ringing", "answered", "completed"]
    assert states[0]["k"] == "1" and json.loads(states[0]["customParams"])["direction"] == "inbound"
