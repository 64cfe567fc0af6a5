"""linphone as the caller: UDP and TLS, SRTP by SDES, hold. Files stand for its sound card; what it heard is judged after the call."""

import pytest

from lib.allo import wait_for
from lib.audio import silence, speak
from lib.kamailio import certificate
from lib.softphone import Linphone, tones, without_apologies

GOODBYE = "Thank you very much, goodbye."


@pytest.fixture
def linphone(folder):
    made = []

    def make(**options):
        made.append(Linphone(folder, **options))
        return made[-1]

    yield make
    for telephone in made:
        telephone.stop()


def address(allo, transport):
    port = {"udp": allo.udp, "tcp": allo.tcp, "tls": allo.tls}[transport]
    return f"sip:allo@127.0.0.1:{port}" + ("" if transport == "udp" else f";transport={transport}")


def events(allo, call, kind):
    return [event["event"] for event in allo.events(call["id"]) if event["event"]["type"] == kind]


def wait_spoken(allo, lines, phase="finished"):
    """The cue of a test: the call, once the agent has begun or finished that many lines. linphone writes its file only at the end."""

    def spoken():
        calls = allo.calls()
        if not calls:
            return None
        return calls[0] if sum(e["phase"] == phase for e in events(allo, calls[0], "playout")) >= lines else None

    return wait_for(f"{lines} lines of the agent {phase}", spoken, 25)


@pytest.mark.parametrize(
    ("transport", "encryption", "mandatory"), [("udp", "none", False), ("tcp", "none", False), ("tls", "srtp", False), ("tls", "srtp", True)]
)
def test_greeting_goodbye_and_hang_up(folder, standin, server, linphone, transport, encryption, mandatory):
    allo = server(standin("tone").url, line_codecs="pcmu,pcma")
    telephone = linphone(encryption=encryption, mandatory=mandatory).dial(address(allo, transport))
    wait_spoken(allo, 1)
    telephone.say(speak(GOODBYE), after_ms=6000)  # linphone begins again at the end: said again if not understood
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    telephone.wait_output(r"ended \(")
    heard = wait_for("two tones", lambda: [(round(hz, -1), end - start) for hz, start, end, _ in without_apologies(tones(telephone.samples()))], 5)
    assert [hz for hz, _ in heard] == [440, 660], heard
    assert abs(heard[0][1] - 2000) <= 100 and abs(heard[1][1] - 1500) <= 100, heard
    lines = [line["text"] for line in allo.call(call["id"])["transcript"]]
    assert [line for line in lines if line not in ("(inaudible)", "sorry tone")] == ["greeting tone", GOODBYE, "goodbye and thank you"]
    assert bool(events(allo, call, "sdp_decision")[0]["srtp"]) == (encryption == "srtp")


@pytest.mark.allowed_log("log_tls_refused")
def test_a_telephone_that_verifies_the_certificate(folder, standin, server, linphone):
    """allo's self-signed certificate, given to the telephone as its authority, is accepted; with another authority there is no call."""
    allo = server(standin("tone").url, line_codecs="pcmu,pcma")
    stranger = linphone(name="stranger", authority=certificate(folder)[0]).dial(address(allo, "tls"))
    stranger.wait_output(r"Call 1 with \S+ error")
    assert allo.calls() == []
    linphone(authority=allo.data / "sip-certificate.pem").dial(address(allo, "tls")).wait_output("connected")
    wait_spoken(allo, 1, "started")


def test_an_ipv6_address_over_ipv4_signalling(folder, standin, server, linphone):
    """linphone's default on a machine with both: it names its IPv6 address and sends and takes its audio over IPv4."""
    allo = server(standin("tone").url, line_codecs="pcmu,pcma")
    telephone = linphone(ipv6=True).dial(address(allo, "udp"))
    call = wait_spoken(allo, 1)
    telephone.say(speak(GOODBYE), after_ms=6000)  # linphone begins again at the end: said again if not understood
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    telephone.wait_output(r"ended \(")
    heard = wait_for("the goodbye", lambda: [(round(hz, -1), end - start) for hz, start, end, _ in without_apologies(tones(telephone.samples()))], 5)
    assert heard[-1][0] == 660 and abs(heard[-1][1] - 1500) <= 100, heard


def test_hold_and_resume(folder, standin, server, linphone):
    allo = server(standin("tone").url, line_codecs="pcmu,pcma")
    telephone = linphone(encryption="srtp").dial(address(allo, "tls"))
    call = wait_spoken(allo, 1)
    telephone.say(speak("Please tell me a very long story."))
    wait_spoken(allo, 2, "started")
    telephone.command("pause")
    wait_for("the hold", lambda: [e["direction"] for e in events(allo, call, "sdp_decision")][-1] == "recvonly")
    telephone.record("resumed")
    telephone.say(silence(20))
    telephone.command("resume")
    wait_for("the resumption", lambda: [e["direction"] for e in events(allo, call, "sdp_decision")][-1] == "sendrecv")
    telephone.say(speak(GOODBYE), before_ms=1500, after_ms=6000)  # over the story, which goes on; said again if need be
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    telephone.wait_output(r"ended \(")
    before = [round(hz, -1) for hz, *_ in tones(telephone.samples())]
    after = wait_for("audio after the resumption", lambda: [(round(hz, -1), end - start) for hz, start, end, _ in without_apologies(tones(telephone.samples("resumed")))], 5)
    assert before[0] == 440 and set(before[1:]) <= {700}, before
    assert [hz for hz, _ in after] == [700, 660], after
    assert 1000 < after[0][1] < 8000, "the story did not go on, or was not interrupted"
    assert abs(after[1][1] - 1500) <= 100, after
