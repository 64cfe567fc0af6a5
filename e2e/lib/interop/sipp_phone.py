"""sipp for the signalling, step by step as the test lets it, and `CodecPeer` for the sound."""

import itertools
import re
import socket

from ..allo import wait_for
from ..ports import free_port
from ..sipp import Script, Sipp
from .media import CodecPeer
from .telephone import Telephone, found_in
from .world import SERVICE


class SippTelephone(Telephone):
    """sipp signals, step by step as the test lets it; `CodecPeer` is its sound."""

    TITLE = "sipp"
    NOTE = (
        "Its sound is that of the tests (SRTP by libsrtp, Opus by libopus, G.722 by ffmpeg). It cannot make a call within a scenario: handed over, a second"
        " sipp makes it, and the first one tells by NOTIFY."
    )

    def __init__(self, world, row, directions):
        super().__init__(world, row, directions)
        self.sound = CodecPeer(row.codec, row.security == "sdes")
        self.twin = socket.create_server(("127.0.0.1", 0))
        self.twin.settimeout(20)
        self.link, self.versions, self.sipps = None, itertools.count(2), []
        self.listens = free_port() if row.transport == "tcp" else free_port(socket.SOCK_DGRAM)

    @classmethod
    def version(cls):
        return found_in(["sipp", "-v"], r"SIPp v([0-9.]+)")

    def expects(self):
        """A call to it."""
        script = Script("called").receive_request("INVITE")
        for status, body in (("180 Ringing", None), ("200 OK", self.sound.sdp())):
            lines = ["[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]u[call_number]", "[last_Call-ID:]", "[last_CSeq:]"]
            lines.append("Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>")
            lines += ["Content-Type: application/sdp"] if body else []
            script.send(f"SIP/2.0 {status}\n" + "\n".join(lines) + "\nContent-Length: [len]\n\n" + (body or ""), retrans=False)
        self.run(script.receive_request("ACK").until_bye(), extra=("-p", str(self.listens)))

    def run(self, script, port=9, service=SERVICE, **options):
        transport = "u1" if self.row.transport == "udp" else "t1"
        script.steps = [step.replace("+33123456789", self.number) for step in script.steps]
        self.sipps.append(Sipp(self.folder, script, port, self.sound.port, transport, service=service, **options))

    def dial(self, uri):
        script = Script("calls").announces().call(body=self.sound.sdp())
        for direction in ("sendonly", "sendrecv") if "hold" in self.directions else ():
            script.gate().within("INVITE", self.sound.sdp(direction, next(self.versions))).receive(100, 200).ack()
        steps = script.receive_request("REFER").answer_request("202 Accepted")
        self.run(self.notifies(self.notifies(steps, "100 Trying").gate(), "200 OK").until_bye(), *self.goal(uri), extra=("-3pcc", f"127.0.0.1:{self.twin.getsockname()[1]}"))
        self.link, _ = self.twin.accept()
        self.link.settimeout(20)
        self.call_id = re.search(rb"Call-ID: (\S+)", self.link.recv(4096)).group(1).decode()
        self.sipps[0].wait_message("SIP/2.0 200")
        self.samples()

    @staticmethod
    def goal(uri):
        user, _, port = re.match(r"sip:([^@]+)@([^:;]+):(\d+)", uri).groups()
        return int(port), user

    def goes_on(self):
        self.link.sendall(f"Call-ID: {self.call_id}\r\n\r\n".encode() + b"\x1b")

    @staticmethod
    def notifies(script, line):
        state = "active;expires=60" if line.startswith("1") else "terminated;reason=noresource"
        headers = ["Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>", "Event: refer", f"Subscription-State: {state}"]
        script.cseq += 1
        text = script._request("NOTIFY", "[next_url]", script.cseq, "[peer_tag_param]", None, [*headers, "Content-Type: message/sipfrag;version=2.0"])
        return script.send(text.rstrip("\n") + f"\n\nSIP/2.0 {line}\n").receive(200)

    def say(self, samples):
        self.sound.say(samples)

    def samples(self):
        for text in self.sipps[-1].received("SIP/2.0 200") + self.sipps[-1].received("INVITE"):
            self.sound.learn(text)
        return self.sound.words()

    def hold(self):
        self.goes_on()

    def resume(self):
        self.goes_on()

    def begins_anew(self):
        """sipp cannot make a call within a scenario: another one makes it, and the first one says how it went."""
        (refer,) = wait_for("the REFER", lambda: self.sipps[0].received("REFER"), 10)
        self.sound.close()
        self.sound = CodecPeer(self.row.codec, self.row.security == "sdes")
        port, service = self.goal(re.search(r"Refer-To: <?([^>\n]+)", refer).group(1))
        self.run(Script("handed").call(body=self.sound.sdp()).until_bye(), port, service)
        self.sipps[1].wait_message("SIP/2.0 200")
        self.marked = len(self.samples())
        self.goes_on()

    def close(self):
        for sipp in self.sipps:
            sipp.kill()
        self.sound.close()
        self.twin.close()
