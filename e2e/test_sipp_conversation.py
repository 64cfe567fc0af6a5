"""What the session decides by itself, heard by a caller; keys; a stranger's audio."""

import os
import socket
import struct
import threading

from lib.allo import wait_for
from lib.audio import dominant_hz, read_wav, rms, speak, tone, ulaw_encode
from lib.sipp import Script


def test_a_silent_caller_is_asked_and_released(standin, server, sipp, peer):
    allo = server(standin().url, agent_idle_reprompt_s=2, agent_idle_reprompts=1)
    phone = sipp(Script("silent").call().until_bye(), allo, peer)
    phone.wait()
    assert [round(hz / 10) for hz, _, _ in peer.tones()] == [44, 55, 66], peer.tones()
    asked, goodbye = peer.tones()[1], peer.tones()[2]
    assert 1480 <= goodbye[1] <= 1540 and asked[1] >= 560
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("idle_timeout", "agent")


def test_the_longest_duration_ends_with_a_goodbye(standin, server, sipp, peer):
    allo = server(standin().url, agent_max_call_duration_s=6, agent_idle_reprompt_s=0)
    phone = sipp(Script("longest").call().until_bye(), allo, peer)
    phone.wait()
    hz, ms, packets = peer.tones()[-1]
    assert abs(hz - 660) < 8 and 1480 <= ms <= 1540
    assert 5.0 < packets[0].at - peer.tones()[0][2][0].at < 9.0
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("max_duration", "agent")


def test_a_key_is_heard_once(standin, server, sipp, peer):
    allo = server(standin(more='[[rule]]\nreads = "5"\nsay = { text = "you pressed five", hz = 900, ms = 800 }\n').url)
    phone = sipp(Script("key").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.press("5")
    call_id = allo.calls()[0]["id"]
    pressed = lambda: [e["event"]["digit"] for e in allo.events(call_id) if e["event"]["type"] == "dtmf" and not e["event"]["sent"]]  # noqa: E731
    wait_for("the key", pressed, 5)
    peer.wait_tone(900, 750, ended=True, timeout=15)
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert pressed() == ["5"]


def test_a_strangers_audio_is_neither_heard_nor_answered(standin, server, sipp, peer):
    """Pattern 35: packets of another source, in the call, with another and with the same SSRC."""
    allo = server(standin().url)
    phone = sipp(Script("stranger").call().until_bye(), allo, peer)
    peer.wait_tone(440, 300)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))
    stranger.setblocking(False)
    loud = ulaw_encode(tone(1500, 20))
    over = threading.Event()

    def shout():
        sequence = 0
        while not over.wait(0.005):
            sequence = (sequence + 1) & 0xFFFF
            ssrc = 0x0A110000 + peer.port if sequence % 2 else 0x57A46E72
            stranger.sendto(struct.pack("!BBHII", 0x80, 0, sequence, sequence * 160, ssrc) + loud, peer.remote)

    thread = threading.Thread(target=shout, daemon=True)
    thread.start()
    _, ms, _ = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2040, "the stranger's noise is no interruption"
    over.set()
    thread.join(2)
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    received = []
    try:
        while True:
            received.append(stranger.recv(2048))
    except BlockingIOError:
        pass
    assert not received, f"{len(received)} packets went to the stranger"
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    caller, _ = read_wav(allo.recording(call["id"]))
    frames = [caller[i : i + 1600] for i in range(0, len(caller) - 1600, 1600)]
    heard = [i for i, frame in enumerate(frames) if rms(frame) > 300 and abs(dominant_hz(frame)[0] - 1500) < 40 and dominant_hz(frame)[1] > 0.8]
    assert not heard, f"the stranger is in the recording at {[i * 200 for i in heard]} ms"


def test_calls_leave_nothing_behind(standin, server, sipp, peer):
    """After 20 calls, some of them refused, the process holds the files and sockets that it held before."""
    allo = server(standin().url, rtp_ports="33000-33199")
    sipp(Script("warm").call().bye(), allo, peer).wait()
    allo.idle()
    files = lambda: len(os.listdir(f"/proc/{allo.process.pid}/fd"))  # noqa: E731
    before = files()
    for index in range(2):
        script = Script(f"many{index}").call().pause(300).bye()
        sipp(script, allo, peer, calls=10, extra=["-r", "5", "-l", "3"]).wait()
    allo.ended_call(21)
    allo.idle()
    wait_for(f"{before} open files again", lambda: files() <= before + 1, 15)
    assert all(call["endReason"] == "caller_hung_up" for call in allo.calls()), [call["endReason"] for call in allo.calls()]
