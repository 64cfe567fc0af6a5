"""G.729 and AMR-WB: calls with telephones whose codecs are Debian's libraries, and with baresip's own module. Audio is judged by frequency both ways."""

import os
import re
import shutil

import pytest

from lib.allo import wait_for
from lib.audio import tone
from lib.sipp import Script, sdp
from lib.softphone import MODULES, Baresip, read_growing_wav
from lib.telephone_codecs import AMR_SID, AmrPeer, G729Peer
from test_wideband import sounding, source

AGENT_HZ, CALLER_HZ = 440, 700
EVENTS = "\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15"


def g729_offer(parameters, others=("", "")):
    numbers, maps = others
    return f"18{numbers} 101", f"a=rtpmap:18 G729/8000{parameters}{maps}{EVENTS}"


def amr_offer(parameters):
    return "97 98", f"a=rtpmap:97 AMR-WB/16000{parameters}\na=rtpmap:98 telephone-event/16000\na=fmtp:98 0-15"


@pytest.fixture
def house(standin, server):
    def make(**settings):
        engine = standin("tone", replace=[("hz = 440, ms = 2000", f"hz = {AGENT_HZ}, ms = 3000")])
        return server(engine.url, recording_enabled="true", recording_announce="false", **settings)

    return make


@pytest.fixture
def closing():
    made = []
    yield lambda one: made.append(one) or one
    for one in made:
        one.close()


def agreed(allo, call):
    decisions = [event["event"] for event in allo.events(call["id"]) if event["event"]["type"] == "sdp_decision"]
    return decisions[0]["codec"]


def caller_heard(allo, rate):
    recording = next((allo.data / "recordings").glob("*.wav"))
    with open(recording, "rb") as file:
        assert int.from_bytes(file.read(28)[24:28], "little") == rate
    wait_for(f"{CALLER_HZ} Hz in the recording", lambda: sounding(read_growing_wav(recording)[0::2], rate, CALLER_HZ), 20)


def agent_heard(peer, rate):
    wait_for(f"{AGENT_HZ} Hz at the telephone", lambda: sounding(peer.words(), rate, AGENT_HZ), 20)


def answer_of(phone):
    return next(text for text in phone.received("SIP/2.0 200") if "m=audio" in text)


@pytest.mark.parametrize(("said", "annex_b", "answered"), [("annexb=no", False, "no"), ("annexb=yes", True, "yes"), ("", False, "no")])
def test_a_call_in_g729(house, sipp, closing, said, annex_b, answered):
    allo, peer = house(), closing(G729Peer(annex_b))
    offer = g729_offer(f"\na=fmtp:18 {said}" if said else "")
    phone = sipp(Script("g729").call(body=sdp(codecs=offer)).until_bye(), allo, peer)
    agent_heard(peer, 8000)
    assert {len(packet.payload) for packet in peer.packets if packet.kind == 18} == {20}, "two frames, and no silence left out"
    peer.say(tone(CALLER_HZ, 3_000))
    caller_heard(allo, 8000)
    call = allo.calls()[0]
    assert agreed(allo, call) == "G729"
    assert f"a=fmtp:18 annexb={answered}" in answer_of(phone)
    if annex_b:
        lengths = {length for both in peer.kinds_sent for length in both}
        assert {0, 2, 10} <= lengths, "the telephone described its silence, and left it out"
    assert not allo.call(call["id"]).get("endReason"), "a description of noise ends nothing"


def test_g729_is_a_last_resort_unless_a_line_names_it(house, sipp, closing):
    offer = g729_offer("", (" 0", "\na=rtpmap:0 PCMU/8000"))
    for settings, expected in (({}, "PCMU"), ({"line_codecs": "pcmu,g729"}, "G729")):
        allo, peer = house(**settings), closing(G729Peer())
        sipp(Script(f"order_{expected}").call(body=sdp(codecs=offer)).bye(), allo, peer).wait()
        assert agreed(allo, allo.ended_call()) == expected


@pytest.mark.parametrize(("octets", "dtx"), [(True, False), (False, False), (False, True)])
def test_a_call_in_amr_wb(house, sipp, closing, octets, dtx):
    allo, peer = house(), closing(AmrPeer(octets, dtx=dtx))
    offer = amr_offer("\na=fmtp:97 octet-align=1; mode-change-capability=2" if octets else "")
    phone = sipp(Script("amr").call(body=sdp(codecs=offer)).until_bye(), allo, peer)
    agent_heard(peer, 16000)
    assert set(peer.modes_heard) == {2}
    peer.say(tone(CALLER_HZ, 3_000))
    caller_heard(allo, 16000)
    call = allo.calls()[0]
    assert agreed(allo, call) == "AMR-WB"
    answer = answer_of(phone)
    assert ("octet-align=1" in answer) is octets, answer
    assert re.search(r"a=rtpmap:98 telephone-event/16000", answer)
    if dtx:
        assert AMR_SID in peer.kinds_sent and 15 in peer.kinds_sent
    # Another rate from now on.
    peer.request = 8
    wait_for("23.85 kbit/s", lambda: peer.modes_heard[-1] == 8, 10)
    assert not allo.call(call["id"]).get("endReason")


@pytest.mark.allowed_log("NoCommonCodec|no_common_codec|codec")
@pytest.mark.parametrize("parameters", ["octet-align=1; crc=1", "octet-align=1; robust-sorting=1", "octet-align=1; interleaving=30"])
def test_amr_that_is_not_done_is_refused(house, sipp, closing, parameters):
    allo, peer = house(), closing(AmrPeer(True))
    script = Script("refused").invite(body=sdp(codecs=amr_offer(f"\na=fmtp:97 {parameters}"))).receive(100, 488).ack_refusal()
    sipp(script, allo, peer).wait()
    assert allo.ended_call()["endReason"] == "no_common_codec"


@pytest.mark.skipif(not shutil.which("baresip") or not os.path.exists(f"{MODULES}/amr.so"), reason="baresip has no AMR module here")
@pytest.mark.parametrize("media", [None, "srtp"])
def test_baresip_speaks_amr_wb(folder, house, media):
    allo = house()
    telephone = Baresip(
        folder, source=source(folder / "caller.wav", 16000), rate=16000, modules=("amr.so",),
        account="<sip:tester@127.0.0.1>;regint=0;audio_codecs=AMR-WB/16000/1" + (f";mediaenc={media}" if media else ""),
    )  # fmt: skip
    try:
        address = f"sip:allo@127.0.0.1:{allo.tls};transport=tls" if media else f"sip:allo@127.0.0.1:{allo.udp}"
        telephone.dial(address).event("CALL_ESTABLISHED")
        wait_for(f"{AGENT_HZ} Hz at the telephone", lambda: sounding(telephone.samples(), 16000, AGENT_HZ), 20)
        recording = next((allo.data / "recordings").glob("*.wav"))
        wait_for("6000 Hz in the recording", lambda: sounding(read_growing_wav(recording)[0::2], 16000, 6000), 20)
        assert agreed(allo, allo.calls()[0]) == "AMR-WB"
    finally:
        telephone.stop()
    assert allo.ended_call()["endedBy"] == "caller"
