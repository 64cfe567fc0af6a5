"""CANCEL at every point of the set-up, and its race with the answer."""

import time

import pytest

from lib.allo import wait_for
from lib.phone import Phone
from lib.sipp import Script

SLOW_ENGINE = '[[fault]]\non = "connect"\naction = "delay"\nms = 2000\n'


def pause_of(seconds):
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def cancelled(allo, count=1):
    call = allo.ended_call(count)
    assert (call["endReason"], call["endedBy"]) == ("caller_cancelled", "caller"), call
    assert call["answeredAt"] is None
    return call


def test_cancel_at_once(standin, server, peer):
    """The CANCEL follows the INVITE without waiting for any answer (not what RFC 3261 9.1 asks of a caller, but they exist)."""
    allo = server(standin(more=SLOW_ENGINE).url)
    phone = Phone(allo.udp, peer.port)
    phone.invite()
    phone.cancel()
    assert phone.wait(lambda m: m.status and m.cseq_method == "CANCEL").status == 200
    assert phone.final().status == 487
    phone.ack()
    call = cancelled(allo)
    assert "appelant" in allo.explanation(call["id"], "fr")["verdict"]["text"]
    allo.idle()


def test_cancel_while_it_rings(standin, server, sipp, peer):
    allo = server(standin().url, line_ring_ms=5000)
    script = Script("ringing").invite().receive(100, 180).pause(500).cancel().receive(200).receive(487).ack_refusal()
    sipp(script, allo, peer).wait()
    cancelled(allo)
    allo.idle()
    assert not peer.audio(), "nothing is sent to a caller who was not answered"


@pytest.mark.parametrize("pause_ms", [20, 1000])
@pytest.mark.parametrize("fault", ["connect", "session_update"])
def test_cancel_while_the_engine_connects(standin, server, sipp, peer, fault, pause_ms):
    engine = standin(more=f'[[fault]]\non = "{fault}"\naction = "delay"\nms = 2000\n')
    allo = server(engine.url)
    script = Script("connecting").invite().receive(100, 180).pause(pause_ms).cancel().receive(200).receive(487).ack_refusal()
    sipp(script, allo, peer).wait()
    cancelled(allo)
    allo.idle()


def test_cancel_that_comes_after_the_answer(standin, server, peer):
    """The 200 was sent: the CANCEL has no effect, the caller acknowledges and hangs up (RFC 3261 9.2 and 15)."""
    allo = server(standin().url)
    phone = Phone(allo.udp, peer.port)
    phone.invite()
    assert phone.final().status == 200
    phone.cancel()
    assert phone.wait(lambda m: m.status and m.cseq_method == "CANCEL").status in (200, 481)
    phone.ack()
    peer.wait_tone(440, 300)
    phone.bye()
    assert phone.wait(lambda m: m.status and m.cseq_method == "BYE").status == 200
    assert allo.ended_call()["endReason"] == "caller_hung_up"
    allo.idle()


def test_cancels_crossing_the_answer(standin, server, folder, peer):
    """30 calls, each cancelled near the moment of its 200, in a range of 80 pairs: every port comes back, every record is finished."""
    allo = server(standin().url, rtp_ports="32000-32159", limits_calls=20)
    outcomes = []
    for index in range(30):
        phone = Phone(allo.udp, peer.port)
        phone.invite()
        phone.wait(lambda r: r.status >= 180 and r.cseq_method == "INVITE")
        # From well before to just after the answer, which comes about 60 to 200 ms after the INVITE.
        wait_until = index * 8 / 1000
        phone.wait(lambda r: r.status == 200 and r.cseq_method == "INVITE", timeout=wait_until, must=False)
        phone.cancel()
        final = phone.wait(lambda r: r.status >= 200 and r.cseq_method == "INVITE", timeout=5)
        if final.status == 200:
            phone.ack()
            phone.bye()
            phone.wait(lambda r: r.status == 200 and r.cseq_method == "BYE", timeout=5)
            outcomes.append("caller_hung_up")
        else:
            assert final.status == 487, final.text
            phone.ack()
            outcomes.append("caller_cancelled")
        phone.close()
        allo.idle()
    wait_for("every record", lambda: len([c for c in allo.calls() if c["endedAt"]]) == 30, 10)
    reasons = [call["endReason"] for call in reversed(allo.calls())]
    assert reasons == outcomes
    assert "caller_cancelled" in reasons, reasons


def test_ports_come_back(standin, server, peer):
    """A range of four pairs serves call after call, since ended calls give their ports back after the rest."""
    allo = server(standin().url, rtp_ports="32200-32207")
    served = 0
    deadline_calls = 8
    while served < deadline_calls:
        phone = Phone(allo.udp, peer.port)
        phone.invite()
        final = phone.wait(lambda r: r.status >= 200 and r.cseq_method == "INVITE", timeout=5)
        phone.ack()
        if final.status == 200:
            served += 1
            phone.bye()
            phone.wait(lambda r: r.status == 200 and r.cseq_method == "BYE", timeout=5)
        else:
            # Ports rest for 10 s: until then a clear refusal for want of capacity, never a 500.
            assert final.status == 503 and final.header("Retry-After"), final.text
            wait_for("a second", pause_of(1.0), 2)
        phone.close()
        allo.idle()
