"""Keys by DTLS (RFC 5763) on SIP legs, judged by baresip (OpenSSL) and linphone (mbed TLS): calls in and out, hold, and a fingerprint that is
another. Both have certificates of RSA. What is heard is judged by frequency."""

import socket
import subprocess

import pytest

from lib.allo import wait_for
from lib.audio import dominant_hz, silence, speak, tone
from lib.phone import Phone
from lib.ports import free_port
from lib.softphone import Baresip, Linphone, read_growing_wav, tones, without_apologies
from test_outbound import CALLED, house, place, world_that_calls  # noqa: F401 (a fixture)

GOODBYE = "Thank you very much, goodbye."


@pytest.fixture
def baresip(folder):
    made = []

    def make(account="<sip:tester@127.0.0.1>;regint=0;mediaenc=dtls_srtp", **options):
        made.append(Baresip(folder, account=account, modules=("dtls_srtp.so",), **options))
        return made[-1]

    yield make
    for telephone in made:
        telephone.stop()


@pytest.fixture
def linphone(folder):
    made = []

    def make(**options):
        made.append(Linphone(folder, encryption="dtls", mandatory=True, **options))
        return made[-1]

    yield make
    for telephone in made:
        telephone.stop()


def events(allo, call, kind):
    return [event["event"] for event in allo.events(call["id"]) if event["event"]["type"] == kind]


def notes(allo, call):
    return [note["message"]["code"] for note in events(allo, call, "note")]


def spoken(allo, lines, phase="finished"):
    """The call, once the agent has begun or finished that many lines: linphone writes its file only at the end."""

    def found():
        call = next(iter(allo.calls()), None)
        return call if call and sum(e["phase"] == phase for e in events(allo, call, "playout")) >= lines else None

    return wait_for(f"{lines} lines of the agent {phase}", found, 25)


def test_baresip_calls_and_holds(standin, server, baresip):
    allo = server(standin("tone").url, line_srtp="preferred")
    telephone = baresip().dial(f"sip:allo@127.0.0.1:{allo.udp}")
    telephone.wait_tone(440, 2000, 15)
    call = allo.calls()[0]
    assert events(allo, call, "sdp_decision")[0]["srtp"] == "DTLS-SRTP"
    telephone.command("hold")
    directions = lambda: [decision["direction"] for decision in events(allo, call, "sdp_decision")]  # noqa: E731
    wait_for("the hold", lambda: directions()[-1] == "recvonly")
    telephone.command("resume")
    wait_for("the resumption", lambda: directions()[-1] == "sendrecv")
    telephone.say(speak(GOODBYE))
    telephone.event("CALL_CLOSED", 30)
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    assert notes(allo, call).count("dtls_agreed") == 1, "the hold keeps the association"
    # It has no mux of its own accord: its RTCP has a handshake of its own.
    for port in ("RTP", "RTCP"):
        assert telephone.output().count(f"DTLS-SRTP complete (audio/{port})") == 1, telephone.output()[-3000:]


def test_linphone_calls_and_holds(standin, server, linphone):
    allo = server(standin("tone").url, line_codecs="pcmu,pcma", line_srtp="dtls_required")
    telephone = linphone().dial(f"sip:allo@127.0.0.1:{allo.udp}")
    call = spoken(allo, 1)
    telephone.command("pause")
    directions = lambda: [decision["direction"] for decision in events(allo, call, "sdp_decision")]  # noqa: E731
    wait_for("the hold", lambda: directions()[-1] == "recvonly")
    telephone.record("resumed")
    telephone.say(silence(20))
    telephone.command("resume")
    wait_for("the resumption", lambda: directions()[-1] == "sendrecv")
    telephone.say(speak(GOODBYE), before_ms=1500, after_ms=6000)
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    telephone.wait_output(r"ended \(")
    heard = wait_for("audio after the resumption", lambda: without_apologies(tones(telephone.samples("resumed"))), 5)
    assert [round(hz, -1) for hz, *_ in heard] == [660], heard
    assert round(tones(telephone.samples())[0][0], -1) == 440
    assert notes(allo, call).count("dtls_agreed") == 1, "the hold keeps the association"


def test_baresip_is_called(house, baresip):  # noqa: F811
    world = world_that_calls(lambda: house(line_srtp="dtls_required"))
    port = free_port(socket.SOCK_DGRAM)
    account = f"<sip:{CALLED}@127.0.0.1>;regint=0;mediaenc=dtls_srtp;answermode=auto"
    telephone = baresip(account, listen=f"127.0.0.1:{port}")
    place(world, port)
    # 350 ms of the disclosure, a breath, 550 ms of the greeting: both are there, from the first.
    [(_, start, end, _)] = wait_for("the greeting", lambda: [t for t in tones(telephone.samples()) if t[2] - t[1] > 900], 20)
    assert abs(end - start - 1000) <= 100, tones(telephone.samples())
    telephone.say(tone(620, 3_000))
    recording = next((world.allo.data / "recordings").glob("*.wav"))
    caller = lambda: dominant_hz(read_growing_wav(recording)[0::2][-8000:])  # noqa: E731
    wait_for("the voice of the called", lambda: abs(caller()[0] - 620) < 5 and caller()[1] > 0.85, 10)
    world.client.request("DELETE", f"/calls/{world.calls()[0]['id']}")
    telephone.event("CALL_CLOSED", 20)
    assert "DTLS-SRTP complete" in telephone.output(), telephone.output()[-3000:]
    assert world.ended_call()["endReason"] == "operator_hung_up"


def test_linphone_is_called(house, linphone):  # noqa: F811
    world = world_that_calls(lambda: house(line_srtp="dtls_required", line_codecs="pcmu"))
    port = free_port(socket.SOCK_DGRAM)
    telephone = linphone(port=port)
    place(world, port)
    telephone.wait_output(r"Incoming|incoming")
    telephone.command("answer")
    telephone.wait_output("connected")
    telephone.say(tone(620, 3_000), before_ms=2_500)
    recordings = lambda: list((world.allo.data / "recordings").glob("*.wav"))  # noqa: E731
    [recording] = wait_for("the recording", recordings, 20)
    caller = lambda: dominant_hz(read_growing_wav(recording)[0::2][-8000:])  # noqa: E731
    wait_for("the voice of the called", lambda: abs(caller()[0] - 620) < 5 and caller()[1] > 0.85, 15)
    world.client.request("DELETE", f"/calls/{world.calls()[0]['id']}")
    telephone.wait_output(r"ended \(")
    heard = wait_for("the greeting", lambda: [t for t in tones(telephone.samples()) if t[2] - t[1] > 900], 5)
    assert abs(heard[0][2] - heard[0][1] - 1000) <= 100, heard


@pytest.fixture
def server_of_dtls(folder):
    """openssl as the side that waits, with a certificate of RSA; what it says, its port and its fingerprint."""
    key, pem, port = folder / "rsa.key", folder / "rsa.pem", free_port(socket.SOCK_DGRAM)
    subject = ["-subj", "/CN=telephone", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, *subject], check=True, capture_output=True)
    printed = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True, text=True).stdout
    with open(folder / "openssl.log", "w") as log:
        options = ["-dtls1_2", "-accept", f"127.0.0.1:{port}", "-cert", pem, "-key", key, "-Verify", "1", "-use_srtp", "SRTP_AES128_CM_SHA1_80"]
        process = subprocess.Popen(["openssl", "s_server", *options], stdin=subprocess.PIPE, stdout=log, stderr=log)
    wait_for("openssl", lambda: "ACCEPT" in (folder / "openssl.log").read_text())
    yield port, printed.partition("=")[2].strip(), lambda: (folder / "openssl.log").read_text()
    process.kill()
    process.wait()


@pytest.mark.parametrize("is_wrong", [False, True])
def test_we_begin_where_the_peer_waits(standin, server, server_of_dtls, is_wrong):
    port, fingerprint, said = server_of_dtls
    if is_wrong:
        fingerprint = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    allo = server(standin("tone").url)
    telephone = Phone(allo.udp, port)
    lines = f"a=rtcp-mux\na=setup:passive\na=fingerprint:sha-256 {fingerprint}\n"
    body = telephone.offer().replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + lines
    telephone.send(telephone.request("INVITE", body=body, to_tag=""))
    answer = telephone.final(10)
    assert answer.status == 200 and "a=setup:active" in answer.text and "a=fingerprint:sha-256 " in answer.text, answer.text
    telephone.ack()
    if is_wrong:
        bye = telephone.wait(lambda message: message.method == "BYE", 10)
        assert 'text="encryption_failed"' in bye.header("Reason"), bye.text
        telephone.send(bye.text.replace(bye.first, "SIP/2.0 200 OK", 1).replace("\n", "\r\n"))
    else:
        wait_for("the handshake", lambda: "SRTP Extension negotiated, profile=SRTP_AES128_CM_SHA1_80" in said(), 10)
        wait_for("the keys", lambda: allo.calls() and "dtls_agreed" in notes(allo, allo.calls()[0]))
        telephone.bye()
    call = allo.ended_call()
    telephone.close()
    assert call["endReason"] == ("encryption_failed" if is_wrong else "caller_hung_up")
    if is_wrong:
        assert "dtls_wrong_fingerprint" in notes(allo, call)
        assert allo.explanation(call["id"])["verdict"]["code"] == "end_encryption_failed_fingerprint"
        assert [statistics["packets_sent"] for statistics in events(allo, call, "rtp_statistics")][-1] == 0, "nothing leaves in clear"


def test_what_a_line_does_not_permit(standin, server, baresip):
    """Plain audio and SDES where DTLS is demanded; DTLS where nothing is encrypted."""
    allo = server(standin("tone").url, line_srtp="dtls_required")
    plain = baresip("<sip:tester@127.0.0.1>;regint=0").dial(f"sip:allo@127.0.0.1:{allo.udp}")
    assert "488" in plain.event("CALL_CLOSED")["param"]
    assert allo.explanation(allo.ended_call()["id"])["verdict"]["code"] == "end_rejected_srtp_required"
