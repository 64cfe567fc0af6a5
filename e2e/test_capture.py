"""A call as a file, judged by Wireshark (tshark, capinfos): opened, its packets dissected, the dialog whole, its RTP streams with what was lost."""

import re
import struct
import subprocess
import urllib.request

import pytest
from lib.allo import wait_for
from lib.audio import RtpPeer
from lib.house import House
from lib.sipp import Script

FIELDS = ("frame.protocols", "ip.src", "sip.Method", "sip.Status-Code", "sip.CSeq.method", "sdp.media.port", "sip.from.user", "frame.comment")
CHECKED = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")


def tshark(path, *arguments):
    done = subprocess.run(["tshark", "-n", "-r", path, *CHECKED, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dissected(path):
    """Each packet's fields, as tshark reads them."""
    wanted = [part for field in FIELDS for part in ("-e", field)]
    assert not tshark(path, "-Y", "_ws.expert.severity >= 4194304"), "a packet that Wireshark finds odd (note, warning or error)"
    return [dict(zip(FIELDS, line.split("\t"))) for line in tshark(path, "-T", "fields", "-E", "occurrence=f", *wanted).splitlines()]


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


class LossyPeer(RtpPeer):
    """A telephone that notes the sequence number of each packet that it sends; while it is paused the numbers go on, as those of lost packets do."""

    def __init__(self):
        self.numbers = []
        super().__init__()

    def sealed(self, packet):
        self.numbers += struct.unpack("!H", packet[2:4])
        return packet


@pytest.fixture
def lossy():
    peer = LossyPeer()
    yield peer
    peer.close()


def extended_report(ssrc):
    """What a telephone says of a voice (RFC 3611 4.7): 26/256 lost, 3/256 too late, 120 ms round trip, 45 ms in itself, MOS 4.1."""
    block = (7, 0, 8, ssrc, 26, 3, 0, 0, 0, 0, 120, 45, 127, 127, 127, 16, 80, 127, 41, 127, 0, 0, 60, 80, 256)
    return struct.pack("!BBHI", 0x80, 207, 10, 0x0A11) + struct.pack("!BBHIBBBBHHHHBBBBBBBBBBHHH", *block)


def capture(house, call, path):
    with urllib.request.urlopen(f"{house.client.base}/api/calls/{call}/capture.pcapng", timeout=10) as answer:
        path.write_bytes(answer.read())
    return path


def streams(path):
    """(packets, lost) of each RTP stream that Wireshark finds, by the port that it comes from."""
    found = {}
    for line in tshark(path, "-q", "-z", "rtp,streams").splitlines():
        # Begin, end, source, its port, target, its port, SSRC, payload, packets, lost (share).
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\S+\s+(\d+)\s+\S+\s+\d+\s+0x\w+\s+\S+\s+(\d+)\s+(-?\d+)\s+\(", line)
        if row:
            found[int(row[1])] = (int(row[2]), int(row[3]))
    return found


def test_wireshark_finds_the_streams_of_a_call_and_what_was_lost(standin, server, sipp, lossy, folder):
    house = House(standin, server, rtp_capture="headers").provision().ready()
    phone = sipp(Script("streams").call().until_bye(), house.allo, lossy, service=house.number)
    for lost in (7, 3):
        wait_for("sound of the telephone", lambda count=len(lossy.numbers): len(lossy.numbers) > count + 20)
        lossy.paused = True
        last = lossy.numbers[-1]
        # One frame each 20 ms: whatever the machine does meanwhile, the numbers themselves say how many are missing.
        wait_for(f"{lost} packets less", lambda lost=lost, since=len(lossy.packets): len(lossy.packets) >= since + lost)
        lossy.paused = False
        wait_for("a gap", lambda last=last: lossy.numbers[-1] - last > len([n for n in lossy.numbers if n > last]))
    host, port = lossy.remote
    lossy.socket.sendto(extended_report(lossy.packets[0].ssrc), (host, port + 1))
    wait_for("sound after the gaps", lambda count=len(lossy.numbers): len(lossy.numbers) > count + 20)
    [call] = house.calls()
    path = folder / "call.pcapng"
    assert not call["endedAt"]
    wait_for("packets of the call that goes on", lambda: lossy.port in streams(capture(house, call["id"], path)), 20)
    house.client.post(f"/calls/{call['id']}/hangup?accountId={house.account}", {})
    phone.wait()
    lossy.paused = True
    house.ended_call()
    capture(house, call["id"], path)
    ports = streams(path)
    assert len(ports) == 2 and lossy.port in ports, ports
    missing = lossy.numbers[-1] - lossy.numbers[0] + 1 - len(lossy.numbers)
    assert missing >= 2 and ports.pop(lossy.port)[1] == missing, (ports, missing)
    [(ours, (packets, lost))] = ports.items()
    assert lost == 0
    wait_for("all of our packets at the telephone", lambda: len(lossy.packets) == packets, 5)
    # Of our voice and the telephone's nothing but the header: IP, UDP, RTP.
    assert set(tshark(path, "-Y", "rtp", "-T", "fields", "-e", "frame.cap_len").split()) == {"40"}
    assert str(ours + 1) in tshark(path, "-Y", "rtcp", "-T", "fields", "-e", "udp.srcport").split()
    assert not tshark(path, "-Y", "_ws.malformed")
    about = subprocess.run(["capinfos", path], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "nobody's voice is in this file" in about and "without a place: 0" in about, about
    # What the telephone said in its extended report is in the record as Wireshark reads it.
    said = tshark(path, "-Y", "rtcp.xr.bt == 7", "-T", "fields", *(part for name in ("rtdelay", "esdelay", "moslq") for part in ("-e", f"rtcp.xr.voipmetrics.{name}")))
    record = house.client.get(f"/calls/{call['id']}?accountId={house.account}")
    xr = record["statistics"]["rtp"]["quality"]["xr"]
    assert [float(value) for value in said.split()] == [xr["round_trip_ms"], xr["end_system_delay_ms"], xr["mos"]] == [120, 45, 4.1], (said, xr)
    assert (xr["loss"], xr["discarded"], record["capture"]) == (0.1016, 0.0117, "headers"), record
    house.settled()
    house.close()
