"""The signalling of a call as a file, judged by Wireshark (tshark): opened, its packets dissected as SIP, the dialog whole."""

import subprocess
import urllib.request

import pytest
from lib.house import House
from lib.sipp import Script

FIELDS = ("frame.protocols", "ip.src", "sip.Method", "sip.Status-Code", "sip.CSeq.method", "sdp.media.port", "sip.from.user", "frame.comment")
CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")


def dissected(path):
    """Each packet's fields, as tshark reads them."""
    wanted = [part for field in FIELDS for part in ("-e", field)]

    def tshark(*arguments):
        done = subprocess.run(["tshark", "-n", "-r", path, *CHECKED, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert not tshark("-Y", "_ws.expert.severity >= 4194304"), "a packet that Wireshark finds odd (note, warning or error)"
    return [dict(zip(FIELDS, line.split("\t"))) for line in tshark("-T", "fields", "-E", "occurrence=f", *wanted).splitlines()]


@pytest.mark.parametrize(("transport", "protocols"), [("u1", "raw:ip:udp:sip"), ("t1", "exported_pdu:sip")], ids=["udp", "tcp"])
def test_wireshark_opens_the_signalling_of_a_call(standin, server, sipp, peer, folder, transport, protocols):
    house = House(standin, server).provision().ready()
    phone = sipp(Script("captured").call().pause(300).bye(), house.allo, peer, transport, service=house.number)
    phone.wait()
    call = house.ended_call()
    path = folder / "call.pcapng"
    with urllib.request.urlopen(f"{house.client.base}/api/calls/{call['id']}/signalling.pcapng", timeout=10) as answer:
        assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
        assert answer.headers["content-disposition"] == f'attachment; filename="{call["id"]}.pcapng"'
        path.write_bytes(answer.read())
    packets = dissected(path)
    assert all(packet["frame.protocols"].startswith(protocols) for packet in packets), packets
    assert all(packet["sip.from.user"] and "secrets are redacted" in packet["frame.comment"] for packet in packets), packets
    steps = [packet["sip.Method"] or f"{packet['sip.Status-Code']} {packet['sip.CSeq.method']}" for packet in packets]
    assert steps[0] == "INVITE" and steps[-2:] == ["BYE", "200 BYE"] and {"180 INVITE", "200 INVITE", "ACK"} < set(steps), steps
    # The caller's offer says where it wants its audio, our answer where we want ours.
    assert packets[0]["sdp.media.port"] == str(peer.port)
    [answered] = [packet for packet, step in zip(packets, steps) if step == "200 INVITE"]
    assert answered["sdp.media.port"] not in ("", "0", str(peer.port))
    house.settled()
    house.close()
