"""SIP over WebSocket (RFC 7118): JsSIP and SIP.js in Debian's Chromium register, call the agent and are called by it, with the browser's own WebRTC; and
Python's `websockets` says what no softphone says. What the page hears is judged by the browser's analyser, what the agent heard by the recording of
the call."""

import hashlib
import re
import shutil
import socket
import ssl
import time
import uuid

import pytest
import websockets
from lib.allo import wait_for
from lib.audio import RATE, dominant_hz, tone
from lib.softphone import read_growing_wav, write_wav
from lib.webphone import ServerCertificate, WebPhone, Wire
from test_devices import PASSWORD, House
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

CALLER_HZ = 620
chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")


class WebHouse(House):
    def __init__(self, allo, certificate):
        super().__init__(allo)
        self.certificate = certificate

    @property
    def url(self):
        return f"wss://127.0.0.1:{self.allo.port('sip/wss')}"

    def events(self, call):
        return [entry["event"] for entry in self.platform.good("GET", f"/api/calls/{call}/events")]

    def heard_hz(self, call):
        """The frequency of the last second of what the agent heard."""
        path = self.allo.data / "recordings" / f"{call}.wav"
        if not path.exists():
            return 0
        rate = int.from_bytes(path.read_bytes()[24:28], "little")
        return dominant_hz(read_growing_wav(path)[0::2][-rate:])[0] * rate / RATE

    def keys(self, call):
        return "".join(event["digit"] for event in self.events(call) if event["type"] == "dtmf" and not event["sent"])

    def agreed(self, call):
        return next(event for event in self.events(call) if event["type"] == "sdp_decision")

    def dropped(self, kind=None):
        """Messages that were not looked at, or those of one kind."""
        return self.allo.metric(f'allo_sip_dropped_total{{kind="{kind}"}}' if kind else "allo_sip_dropped_total")

    def client(self, host="127.0.0.1", trust=True, **how):
        """A client that is no softphone; it comes from another address of this machine than the lines know."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate.pem)
        # The package reads in a thread of its own while it writes, which OpenSSL does not bear where the server says more after the handshake
        # (tickets of TLS 1.3): a request in some hundred never left. The browsers speak 1.3.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        options = {"subprotocols": ["sip"], "ssl": context, "source_address": (host, 0), "compression": None, "open_timeout": 20} | how
        return connect(self.url, **options)

    def close_code_after(self, octets):
        """The code of the close frame (RFC 6455, 5.5.1) with which these bytes are answered after a handshake. Without the package, which would read and close
        in one thread what is still being written in another."""
        context = ssl.create_default_context(cafile=self.certificate.pem)
        asked = (
            "GET / HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: sip",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
        )  # fmt: skip
        with context.wrap_socket(socket.create_connection(("127.0.0.1", self.allo.port("sip/wss")), 20), server_hostname="127.0.0.1") as wire:
            wire.sendall("\r\n".join(asked).encode())
            wire.settimeout(20)
            answered = b""
            while not answered.endswith(b"\r\n\r\n"):
                answered += wire.recv(1)
            assert answered.startswith(b"HTTP/1.1 101 "), answered
            wire.sendall(octets)
            frame = b""
            while len(frame) < 4 and (more := wire.recv(4 - len(frame))):
                frame += more
        assert frame[:1] == b"\x88", frame
        return int.from_bytes(frame[2:4], "big")


@pytest.fixture
def web(folder, server, standin):
    def make(**settings):
        certificate = ServerCertificate(folder)
        more = {"agent_idle_reprompt_s": 0, "platform_rate_per_s": 100_000, "line_codecs": "opus,pcmu", "recording_announce": "false"}
        return WebHouse(server(standin("tone").url, **(certificate.settings | more | settings)), certificate)

    return make


@pytest.fixture
def phone(folder):
    made = []

    def make(house):
        # A tone: a machine that is busy drops some of what Chromium plays into its own microphone, and a word with a hole is another one.
        made.append(WebPhone(folder, house.certificate.pin, write_wav(folder / "microphone.wav", tone(CALLER_HZ, 120_000))))
        return made[-1]

    yield make
    for one in made:
        one.close()


@chromium
@pytest.mark.timeout(300)
def test_jssip_registers_calls_hears_the_agent_and_is_heard(web, phone):
    house = web(recording_enabled="true")
    device = house.device("101", srtp="off", caller_id="+33140506070")
    page = phone(house)
    page.jssip(house.url, "101", PASSWORD)
    page.wait("registered")
    (binding,) = house.registered(device)
    assert binding["transport"] == "wss" and binding["user_agent"].startswith("JsSIP"), binding
    assert ".invalid" in binding["contact"] and binding["source"].startswith("127.0.0.1:"), binding
    page.call()
    page.wait("confirmed")
    page.hears(440)
    (call,) = wait_for("the call", lambda: [call for call in house.calls() if not call["endedAt"]], 20)
    wait_for("the page's tone in the recording", lambda: abs(house.heard_hz(call["id"]) - CALLER_HZ) < 10, 20, 0.2)
    figures = lambda: [event for event in house.events(call["id"]) if event["type"] == "rtp_statistics"]  # noqa: E731
    wait_for("the network's figures", lambda: any(one["packets_received"] > 100 and one["packets_sent"] > 100 and one["round_trip_ms"] is not None for one in figures()), 20, 0.2)
    house.platform.good("POST", f"/api/calls/{call['id']}/hangup")
    page.wait("ended", "remote Terminated", timeout=60)
    call = house.ended(1)
    assert (call["direction"], call["agentId"], call["from"], call["endReason"]) == ("inbound", house.agent, "+33140506070", "operator_hung_up"), call
    # Whatever the device's telephones have, the browser has what it wants.
    agreed = house.agreed(call["id"])
    assert (agreed["codec"], agreed["srtp"], agreed["telephone_event"]) == ("opus", "DTLS-SRTP", True), agreed
    messages = [event for event in house.events(call["id"]) if event["type"] == "sip_message"]
    assert {message["protocol"] for message in messages} == {"wss"}, messages[0]
    answer = next(message["text"] for message in messages if message["sent"] and "200 OK" in message["start_line"])
    for line in ("a=group:BUNDLE 0", "a=mid:0", "a=rtcp-mux", "a=setup:passive"):
        assert f"\r\n{line}\r\n" in answer, answer


@chromium
@pytest.mark.timeout(300)
def test_jssip_presses_keys_holds_hangs_up_and_is_called(web, phone):
    house = web(line_codecs="pcmu,opus")
    device = house.device("101", srtp="required")
    page = phone(house)
    page.jssip(house.url, "101", PASSWORD)
    page.wait("registered")
    house.registered(device)
    page.call()
    page.wait("confirmed")
    page.hears(440)
    (call,) = wait_for("the call", lambda: [call for call in house.calls() if not call["endedAt"]], 20)
    page.do("() => phone.session.sendDTMF('15', {transportType: 'RFC2833'})")
    wait_for("the keys by RTP", lambda: house.keys(call["id"]) == "15", 20)
    page.do("() => phone.session.sendDTMF('7', {transportType: 'INFO'})")
    wait_for("the key by INFO", lambda: house.keys(call["id"]) == "157", 20)
    page.do("() => phone.session.hold()")
    page.wait("hold")
    wait_for("the hold", lambda: any(event["type"] == "sdp_decision" and event["direction"] in ("recvonly", "inactive") for event in house.events(call["id"])), 20)
    page.do("() => phone.session.unhold()")
    page.wait("unhold")
    wait_for("its end", lambda: [event for event in house.events(call["id"]) if event["type"] == "sdp_decision"][-1]["direction"] == "sendrecv", 20)
    page.hang_up()
    page.wait("ended", "local Terminated")
    assert house.ended(1)["endReason"] == "caller_hung_up"

    # It is called: by what it came, whatever the device's telephones have.
    page.forget()
    placed = house.platform.good("POST", "/api/calls", {"device": device})
    page.wait("session", "remote")
    page.answer()
    page.wait("confirmed")
    page.hears(440)
    agreed = house.agreed(placed["id"])
    assert (agreed["codec"], agreed["srtp"]) == ("PCMU", "DTLS-SRTP"), agreed
    offer = next(event["text"] for event in house.events(placed["id"]) if event["type"] == "sip_message" and event["sent"] and event["start_line"].startswith("INVITE"))
    assert "UDP/TLS/RTP/SAVPF" in offer and "a=ice-ufrag" in offer and re.search(r"^Via: SIP/2.0/WSS ", offer, re.M), offer
    house.platform.good("POST", f"/api/calls/{placed['id']}/hangup")
    page.wait("ended", "remote Terminated")
    assert house.ended(2)["endReason"] == "operator_hung_up"
    # And declines.
    page.forget()
    placed = house.platform.good("POST", "/api/calls", {"device": device})
    page.wait("session", "remote")
    page.hang_up()
    declined = house.ended(3)
    assert (declined["id"], declined["answeredAt"]) == (placed["id"], None), declined


@chromium
@pytest.mark.timeout(240)
def test_a_browser_whose_connection_is_cut_is_nowhere_and_comes_back(web, phone):
    house = web()
    device = house.device("101")
    wire = Wire(house.allo.port("sip/wss"))
    try:
        page = phone(house)
        page.jssip(f"wss://127.0.0.1:{wire.port}", "101", PASSWORD)
        page.wait("registered")
        house.registered(device)
        wire.cut()
        page.wait("disconnected")
        wait_for("its registration to be gone", lambda: not house.bindings(device), 10)
        asked = time.monotonic()
        status, _, refused = house.platform.ask("POST", "/api/calls", {"device": device})
        assert status == 409 and "not registered" in str(refused) and time.monotonic() - asked < 5, refused
        wire.mend()
        page.wait("registered", count=2, timeout=40)
        house.registered(device)
        # A call in progress outlives the cut of its signalling: its audio goes another way.
        page.call()
        page.wait("confirmed")
        page.hears(440)
        (call,) = wait_for("the call", lambda: [call for call in house.calls() if not call["endedAt"]], 20)
        wire.cut()
        wire.mend()
        page.wait("registered", timeout=40)
        house.registered(device)
        assert not next(one for one in house.calls() if one["id"] == call["id"])["endedAt"]
        page.hang_up()
        assert house.ended(1)["endReason"] == "caller_hung_up"
    finally:
        wire.close()


@chromium
@pytest.mark.timeout(240)
def test_sip_js_calls_and_is_called(web, phone):
    house = web()
    device = house.device("102")
    page = phone(house)
    page.sipjs(house.url, "102", PASSWORD)
    (binding,) = house.registered(device)
    assert binding["transport"] == "wss" and "SIP.js" in binding["user_agent"], binding
    page.do("() => phone.simple.call('sip:anybody@127.0.0.1')")
    page.wait("confirmed")
    page.hears(440)
    page.do("() => phone.simple.hangup()")
    assert house.ended(1)["endReason"] == "caller_hung_up"
    page.forget()
    house.platform.good("POST", "/api/calls", {"device": device})
    page.wait("session", "remote")
    page.do("() => phone.simple.answer()")
    page.wait("confirmed")
    page.hears(440)
    page.do("() => phone.simple.hangup()")
    assert house.ended(2)["direction"] == "outbound"


def message(method, number, user="101", rows="", via="WSS", call="c"):
    return (
        f"{method} sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/{via} nowhere.invalid;branch=z9hG4bK{uuid.uuid4().hex}\r\nFrom: <sip:{user}@pbx.test>;tag=t\r\n"
        f"To: <sip:{user}@pbx.test>\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n{rows}\r\n"
    )  # fmt: skip


def register(socket, user, password, number=1):
    """The status of a REGISTER with this password."""
    socket.send(message("REGISTER", number, user))
    challenge = socket.recv(timeout=10)
    assert challenge.startswith("SIP/2.0 401 "), challenge
    realm, nonce = (re.search(f'{name}="([^"]*)"', challenge)[1] for name in ("realm", "nonce"))
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    response = md5(f"{md5(f'{user}:{realm}:{password}')}:{nonce}:00000001:c0:auth:{md5('REGISTER:sip:pbx.test')}")
    rows = (
        f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="sip:pbx.test", response="{response}", qop=auth, nc=00000001, '
        f'cnonce="c0", algorithm=MD5\r\nContact: <sip:{user}@nowhere.invalid;transport=ws>;expires=120\r\n'
    )
    socket.send(message("REGISTER", number + 1, user, rows))
    return int(socket.recv(timeout=10).split()[1])


def refused(house, **how):
    with pytest.raises(websockets.InvalidStatus) as failed:
        house.client(**how)
    return failed.value.response


def test_who_may_connect(web):
    house = web()
    status = lambda **how: refused(house, **how).status_code  # noqa: E731
    assert status(subprotocols=None) == 400
    assert status(subprotocols=["xmpp", "mqtt"]) == 400
    assert status(origin="https://evil.test") == 403
    assert "sip.ws_origins" in refused(house, origin="http://127.0.0.1.evil.test").body.decode()
    for origin in ("http://127.0.0.1:4000", "https://127.0.0.1", None):
        with house.client(origin=origin) as client:
            assert client.subprotocol == "sip"
            client.send(message("OPTIONS", 1))
            assert client.recv(timeout=10).startswith("SIP/2.0 200 ")
    # No WebSocket at all.
    context = ssl.create_default_context(cafile=house.certificate.pem)
    for request, answer in (
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 405 "),
        (b"REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/TLS x\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000, b"HTTP/1.1 431 "),
    ):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", house.allo.port("sip/wss")), 10), server_hostname="127.0.0.1") as plain:
            plain.sendall(request)
            assert plain.recv(1024).startswith(answer), request


def test_origins_that_the_settings_name(web):
    house = web(sip_ws_origins="https://www.example.test")
    assert refused(house, origin="http://127.0.0.1:4000").status_code == 403
    with house.client(origin="https://www.example.test"):
        pass


def test_messages_and_what_is_none(web):
    house = web()
    with house.client() as client:
        assert client.ping().wait(10)
        client.send("\r\n\r\n")
        assert client.recv(timeout=10) == "\r\n"
        # As text, as binary, and in pieces.
        for form in (message("OPTIONS", 2), message("OPTIONS", 3).encode(), [message("OPTIONS", 4)[:50], message("OPTIONS", 4)[50:]]):
            client.send(form)
            answer = client.recv(timeout=10)
            assert answer.startswith(("SIP/2.0 200 ", "SIP/2.0 400 ")), answer
        client.send(message("OPTIONS", 5).replace("Max-Forwards:", "Max-Forwards"))
        assert client.recv(timeout=10).startswith("SIP/2.0 400 ")
        client.send(message("OPTIONS", 6))
        assert client.recv(timeout=10).startswith("SIP/2.0 200 ")

    def frame(data, op=Opcode.TEXT, fin=True):
        return Frame(op, data.encode() if isinstance(data, str) else data, fin).serialize(mask=True)

    long = f"X: {'y' * 40_000}\r\n"
    assert house.close_code_after(frame(message("OPTIONS", 1, rows=f"X: {'y' * 70_000}\r\n"))) == 1009
    in_pieces = frame(message("OPTIONS", 1, rows=long), fin=False) + frame("z" * 40_000, Opcode.CONT)
    assert house.close_code_after(in_pieces) == 1009
    for garbage in ("hello", '{"event": "start"}'):
        assert house.close_code_after(frame(garbage)) == 1000, garbage
    for garbage in (b"\x00\xff\xfe", b"\x16\x03\x01"):
        assert house.close_code_after(frame(garbage, Opcode.BINARY)) == 1000, garbage
    # Frames against the rules: a text that is none, and a bare frame of a server.
    assert house.close_code_after(frame(b"\xff\xfe")) in (1002, 1007)
    assert house.close_code_after(b"\x81\x02hi") == 1002
    # Others go on.
    with house.client() as client:
        client.send(message("OPTIONS", 1))
        assert client.recv(timeout=10).startswith("SIP/2.0 200 ")


@pytest.mark.allowed_log("log_source_banned")
def test_guessers_and_floods_are_held_back(web):
    house = web(line_allow_loopback="false")
    device = house.device("101")
    with house.client(host="127.0.0.3") as client:
        assert register(client, "101", PASSWORD) == 200
        (binding,) = house.registered(device)
        assert binding["source"].startswith("127.0.0.3:"), binding
        # Ten wrong passwords, and nobody there is greeted any more; those who are known, are.
        with house.client(host="127.0.0.4") as guesser:
            for number in range(10):
                assert register(guesser, "101", f"guess {number}", 2 * number + 1) == 403
            with pytest.raises(websockets.ConnectionClosed):
                guesser.send(message("OPTIONS", 99))
                guesser.recv(timeout=10)
        with pytest.raises((OSError, EOFError, websockets.InvalidHandshake)):
            house.client(host="127.0.0.4")
        # A flood ends its own connection. It asks for no answers: who does not take those is slowed down before he is one.
        before = house.dropped("rate")
        with house.client(host="127.0.0.5") as flood:
            with pytest.raises(websockets.ConnectionClosed):
                for number in range(200_000):
                    flood.send(message("ACK", number + 1))
                flood.recv(timeout=10)
        wait_for("what was dropped to be counted", lambda: house.dropped("rate") > before, 10)
        # Connections of one address are counted: 64.
        many = []
        try:
            for _ in range(64):
                many.append(house.client(host="127.0.0.6", legacy=True))
            with pytest.raises((OSError, EOFError, websockets.InvalidHandshake)):
                house.client(host="127.0.0.6")
        finally:
            for one in many:
                one.close()
        client.send(message("OPTIONS", 9))
        assert client.recv(timeout=10).startswith("SIP/2.0 200 ")
    wait_for("the end of its registration", lambda: not house.bindings(device), 10)


def test_who_dribbles_is_not_waited_for(web):
    house = web()
    context = ssl.create_default_context(cafile=house.certificate.pem)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", house.allo.port("sip/wss")), 10), server_hostname="127.0.0.1") as slow:
        slow.settimeout(30)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        begun = time.monotonic()
        assert slow.recv(1) == b""
        assert 5 < time.monotonic() - begun < 25


@pytest.mark.allowed_log("log_source_banned")
def test_a_proxy_in_front_says_for_whom_it_asks(web):
    """It does TLS; allo speaks WebSocket in clear to it alone."""
    house = web(sip_ws="127.0.0.1:0", platform_proxies="127.0.0.1", line_allow_loopback="false")
    device = house.device("101")
    url = f"ws://127.0.0.1:{house.allo.port('sip/ws')}"

    def through(client):
        return connect(url, subprotocols=["sip"], additional_headers={"X-Forwarded-For": client}, compression=None)

    with through("203.0.113.7") as one, through("198.51.100.9") as other:
        assert register(one, "101", PASSWORD) == 200
        (binding,) = house.registered(device)
        assert binding["transport"] == "ws" and binding["source"].startswith("203.0.113.7:"), binding
        for number in range(10):
            assert register(other, "101", f"guess {number}", 2 * number + 1) == 403
        bans = wait_for("the ban", lambda: house.platform.good("GET", "/api/admin/bans"))
        assert [ban["source"] for ban in bans] == ["198.51.100.9"]
    with through("203.0.113.8") as third:
        third.send(message("OPTIONS", 1, via="WS"))
        assert third.recv(timeout=10).startswith("SIP/2.0 200 ")
