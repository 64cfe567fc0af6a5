"""Who may call, how many, and what nonsense does to a call in progress."""

import hashlib
import re
import socket

import pytest

from lib.allo import wait_for
from lib.audio import RtpPeer, speak
from lib.phone import Phone
from lib.sipp import Script, header


def test_unknown_source_is_refused(standin, server, sipp, peer):
    allo = server(standin().url, line_allow_loopback="false", line_allow="192.0.2.0/24")
    sipp(Script("stranger").invite().receive(100, 403).ack_refusal(), allo, peer).wait()
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("unauthorized", "system")
    for language in ("en", "fr"):
        assert allo.explanation(call["id"], language)["verdict"]["text"]


def authorization(challenge, method, uri, username, password, algorithm):
    """RFC 7616 3.4.1, computed here by hashlib. (sipp reads the first challenge only, which offers SHA-256, and knows MD5 only.)"""
    hashed = lambda text: hashlib.new({"MD5": "md5", "SHA-256": "sha256"}[algorithm], text.encode()).hexdigest()  # noqa: E731
    realm, nonce = (re.search(rf'{name}="([^"]*)"', challenge).group(1) for name in ("realm", "nonce"))
    middle = f"{nonce}:00000001:0a4f113b:auth"
    response = hashed(f"{hashed(f'{username}:{realm}:{password}')}:{middle}:{hashed(f'{method}:{uri}')}")
    return (
        f'Authorization: Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm}, '
        f'response="{response}", qop=auth, nc=00000001, cnonce="0a4f113b"'
    )


def authenticated_invite(allo, rtp_port, password, algorithm, username="phone"):
    """The phone and the final answer to the INVITE that carries credentials."""
    phone = Phone(allo.udp, rtp_port)
    phone.invite()
    refused = phone.final()
    assert refused.status == 401, refused.first
    phone.ack()
    challenges = re.findall(r"^WWW-Authenticate: (.*)$", refused.text, flags=re.M)
    challenge = next(one for one in challenges if re.search(rf"algorithm={algorithm}\b", one))
    phone.messages.clear()
    uri = f"sip:allo@127.0.0.1:{allo.udp}"
    proof = authorization(challenge, "INVITE", uri, username, password, algorithm)
    phone.send(phone.request("INVITE", cseq=2, body=phone.offer(), to_tag="", headers=[proof]))
    return phone, phone.final()


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest_of_a_caller(standin, server, peer, algorithm):
    allo = server(standin().url, line_allow_loopback="false", line_users="phone:secret-of-the-phone")
    phone, final = authenticated_invite(allo, peer.port, "secret-of-the-phone", algorithm)
    assert final.status == 200, final.first
    phone.ack(cseq=2)
    peer.wait_tone(440, 1900, ended=True)
    phone.bye(cseq=3)
    assert phone.wait(lambda m: m.status and m.cseq_method == "BYE").status == 200
    call = allo.ended_call()
    assert call["endReason"] == "caller_hung_up"
    stored = str(allo.events(call["id"]))
    assert "secret-of-the-phone" not in allo.log() + stored
    assert "Digest username" in stored and not re.search(r'response=\\*"[0-9a-f]{32}', stored), "the proof is kept without its secrets"


@pytest.mark.parametrize("username, password", [("phone", "wrong-password"), ("nobody", "secret-of-the-phone")])
def test_digest_with_wrong_credentials(standin, server, peer, username, password):
    """A wrong password and an unknown user cannot be told apart (pattern 29)."""
    allo = server(standin().url, line_allow_loopback="false", line_users="phone:secret-of-the-phone")
    phone, final = authenticated_invite(allo, peer.port, password, "SHA-256", username)
    assert final.status in (401, 403), final.first
    phone.ack(cseq=2)
    assert not [call for call in allo.calls() if call["answeredAt"]] and not allo.live()


@pytest.mark.allowed_log("refused|too_many|overload|Overload")
def test_too_many_calls(standin, server, sipp, peer):
    allo = server(standin().url, limits_calls=2)
    peers = [RtpPeer(), RtpPeer()]
    try:
        phones = [sipp(Script(f"running{i}").call().pause(4000).bye(), allo, p) for i, p in enumerate(peers)]
        for p in peers:
            p.wait_tone(440, 200)
        refused = sipp(Script("third").invite().receive(100, 503).ack_refusal(), allo, peer).wait()
        assert int(header(refused.received("SIP/2.0 503")[0], "Retry-After").split()[0]) > 0
        for phone in phones:
            phone.wait()
        calls = wait_for("three records", lambda: [c for c in allo.calls() if c["endedAt"]][2:] and allo.calls(), 10)
        assert sorted(call["endReason"] for call in calls) == ["caller_hung_up", "caller_hung_up", "overload"]
        # A place is free again.
        sipp(Script("fourth").call().bye(), allo, peer).wait()
        for p in peers:
            _, ms, _ = p.tones()[0]
            assert 1980 <= ms <= 2040, "the refusal did not touch the calls in progress"
    finally:
        for p in peers:
            p.close()


def malformed(phone):
    """(name, bytes, statuses that may answer; None: no answer needed)."""
    def bad(name, change, statuses=(400,)):
        phone_text = phone.request("INVITE", body=phone.offer(), to_tag="", branch=name).replace(phone.call_id, f"{phone.call_id}-{name}")
        return name, change(phone_text), statuses

    yield bad("second-call-id", lambda t: t.replace("Max-Forwards", "Call-ID: another\r\nMax-Forwards"))
    yield bad("second-cseq", lambda t: t.replace("Max-Forwards", "CSeq: 7 INVITE\r\nMax-Forwards"))
    yield bad("second-from", lambda t: t.replace("Max-Forwards", "From: <sip:x@y>;tag=z\r\nMax-Forwards"))
    yield bad("negative-length", lambda t: set_length(t, "-1"))
    yield bad("long-length", lambda t: set_length(t, "99999"))
    yield bad("huge-length", lambda t: set_length(t, "100000000000"))
    yield bad("two-lengths", lambda t: t.replace("Max-Forwards", "Content-Length: 3\r\nMax-Forwards"))
    yield bad("huge-cseq", lambda t: t.replace("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE"))
    yield bad("no-contact", lambda t: "\r\n".join(line for line in t.split("\r\n") if not line.startswith("Contact:")))
    yield bad("control-byte", lambda t: t.replace("Max-Forwards:", "Max-Forwards\x01:"))
    yield bad("lone-quote", lambda t: t.replace("From: <", 'From: " <'))
    yield bad("brackets", lambda t: t.replace("Contact: <", "Contact: >").replace(">\r\nMax", "<\r\nMax"))
    yield bad("bad-sdp", lambda t: set_body(t, "v=0\r\nthis is no session description\r\n"), (400, 488))
    yield bad("version", lambda t: t.replace("SIP/2.0\r\n", "SIP/7.0\r\n", 1), (505,))
    yield bad("unknown-method", lambda t: t.replace("INVITE", "FROBNICATE"), (405, 501))
    yield bad("hops", lambda t: t.replace("Max-Forwards: 70", "Max-Forwards: 0"), (483,))
    yield bad("required", lambda t: t.replace("Max-Forwards", "Require: levitation\r\nMax-Forwards"), (420,))
    yield "garbage", bytes(range(256)) * 20, None
    yield "empty", b"", None
    yield "crlf", b"\r\n\r\n", None
    yield "response", f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:{phone.port};branch=z9hG4bKx\r\n\r\n".encode(), None
    yield "long", b"INVITE sip:" + b"a" * 60000, None


def set_length(text, value):
    head, body = text.split("\r\n\r\n", 1)
    return "\r\n".join(line if not line.startswith("Content-Length") else f"Content-Length: {value}" for line in head.split("\r\n")) + "\r\n\r\n" + body


def set_body(text, body):
    return set_length(text.split("\r\n\r\n", 1)[0] + "\r\n\r\n" + body, len(body))


def test_malformed_requests_leave_a_call_unharmed(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("unharmed").call().until_bye(), allo, peer)
    peer.wait_tone(440, 100)
    stranger = Phone(allo.udp)
    wrong = []
    for name, data, statuses in malformed(stranger):
        stranger.messages.clear()
        stranger.send(data)
        if statuses is None:
            continue
        answer = stranger.wait(lambda m: m.status >= 200, timeout=3, must=False)
        if answer is None or answer.status not in statuses:
            wrong.append((name, answer.first if answer else "no answer"))
        if answer is not None and (answer.header("Call-ID") or "").endswith("INVITE"):
            stranger.send(stranger.request("ACK", branch=name))
    # The process answers still, and the greeting went on without a gap.
    stranger.messages.clear()
    stranger.send(stranger.request("OPTIONS"))
    assert stranger.wait(lambda m: m.status >= 200, timeout=3).status == 200
    stranger.close()
    _, ms, packets = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2040
    gaps = [(b.at - a.at) * 1000 for a, b in zip(packets, packets[1:])]
    assert max(gaps) < 100, f"longest gap between packets {max(gaps):.0f} ms"
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert not wrong, wrong
    wait_for("the record of the call", lambda: "agent_hung_up" in [call["endReason"] for call in allo.calls()], 5)


def test_stream_with_nonsense_is_closed(standin, server):
    """On a stream the frame cannot be found again after a bad length: 400 and close."""
    allo = server(standin().url)
    for length in ("-1", "100000000000", "abc"):
        with socket.create_connection(("127.0.0.1", allo.tcp), 5) as stream:
            text = Phone(allo.udp).request("OPTIONS").replace("SIP/2.0/UDP", "SIP/2.0/TCP")
            stream.sendall(set_length(text, length).encode())
            stream.settimeout(5)
            answer = b""
            while data := stream.recv(4096):
                answer += data
            assert answer.startswith((b"SIP/2.0 400", b"SIP/2.0 513")), (length, answer)
    with socket.create_connection(("127.0.0.1", allo.tcp), 5) as stream:
        stream.settimeout(5)
        stream.sendall(Phone(allo.udp).request("OPTIONS").replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
        assert stream.recv(4096).startswith(b"SIP/2.0 200")


def test_duplicate_call_id_of_another_caller(standin, server, sipp, peer):
    """The same Call-ID and From-tag from elsewhere does not touch the call (RFC 3261 8.2.2.2: 482), and is no second call."""
    allo = server(standin().url)
    first, second = Phone(allo.udp, peer.port), Phone(allo.udp, 9)
    first.invite()
    assert first.final().status == 200
    first.ack()
    peer.wait_tone(440, 200)
    second.call_id = first.call_id
    second.send(second.request("INVITE", body=second.offer(), to_tag="", branch="merged"))
    answer = second.wait(lambda m: m.status >= 200, timeout=3)
    assert answer.status == 482, answer.first
    assert len(allo.live()) == 1
    _, ms, _ = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2040
    first.bye()
    assert first.wait(lambda m: m.status and m.cseq_method == "BYE").status == 200
