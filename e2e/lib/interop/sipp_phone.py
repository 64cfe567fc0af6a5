"""sipp for the signalling, step by step as the test lets it, and `CodecPeer` for the sound."""

import itertools
import re
import socket
from urllib.parse import unquote
from xml.sax.saxutils import escape

from ..allo import wait_for
from ..ports import free_port
from ..sipp import Script, Sipp
from ..sipp import header as header_of
from .media import CodecPeer
from .telephone import Telephone, found_in
from .world import SERVICE


class SippTelephone(Telephone):
    """sipp signals, step by step as the test lets it; `CodecPeer` is its sound."""

    TITLE = "sipp"
    NOTE = (
        "Its sound is that of the tests (SRTP by libsrtp, Opus by libopus, G.722 by ffmpeg). It cannot make a call within a scenario: handed over, a second"
        " sipp makes it, and the first one tells by NOTIFY. In an attended transfer that one's Replaces is seen to name the call that goes on at the third."
    )

    def __init__(self, world, row, directions, first=None):
        super().__init__(world, row, directions, first)
        self.sound = CodecPeer(row.codec, row.security == "sdes")
        self.twin = socket.create_server(("127.0.0.1", 0))
        self.twin.settimeout(20)
        self.twinned = ("-3pcc", f"127.0.0.1:{self.twin.getsockname()[1]}")
        self.link, self.versions, self.sipps = None, itertools.count(2), []
        self.listens = free_port() if row.transport == "tcp" else free_port(socket.SOCK_DGRAM)

    @classmethod
    def version(cls):
        return found_in(["sipp", "-v"], r"SIPp v([0-9.]+)")

    def expects(self):
        """A call to it: a REFER in it is taken where there is a colleague. A second call takes the place of the first one."""
        script, known = Script("called"), {"From": "<.*", "Contact": "sip:[^>]*"} if self.colleague else {}
        actions = "".join(f'<ereg regexp="{escape(value)}" search_in="hdr" header="{name}:" assign_to="{name}"/>' for name, value in known.items())
        script.steps.append(f'<recv request="INVITE" timeout="50000"><action>{actions}</action></recv>')
        for status, body in (("180 Ringing", None), ("200 OK", self.sound.sdp())):
            lines = ["[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]u[call_number]", "[last_Call-ID:]", "[last_CSeq:]"]
            lines += ["Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>", "Supported: replaces"]
            lines += ["Content-Type: application/sdp"] if body else []
            script.send(f"SIP/2.0 {status}\n" + "\n".join(lines) + "\nContent-Length: [len]\n\n" + (body or ""), retrans=False)
        script.receive_request("ACK")
        if not self.colleague:
            self.run(script.until_bye(), extra=("-p", str(self.listens)), calls=2)
            return
        script.announces().receive_request("REFER").answer_request("202 Accepted")
        self.notifies_as_called(script, 1, "100 Trying")
        self.notifies_as_called(script.gate(), 2, "200 OK")
        # With a twin, sipp answers to where it was told to call, and not to where the INVITE came from.
        self.run(script.until_bye(), self.world.port(self.row.transport), extra=("-p", str(self.listens), *self.twinned))

    @staticmethod
    def notifies_as_called(script, cseq, line):
        """As the called side of a dialog: the caller's From is our To."""
        state = "active;expires=60" if line.startswith("1") else "terminated;reason=noresource"
        head = [
            "NOTIFY [$Contact] SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-{cseq}",
            "From: <sip:callee@[local_ip]:[local_port]>;tag=[pid]u[call_number]", "To: [$From]", "Call-ID: [call_id]", f"CSeq: {cseq} NOTIFY",
            "Max-Forwards: 70", "Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>", "Event: refer", f"Subscription-State: {state}",
            "Content-Type: message/sipfrag;version=2.0", "Content-Length: [len]",
        ]  # fmt: skip
        script.send("\n".join(head) + f"\n\nSIP/2.0 {line}\n").receive(200)

    def run(self, script, port=9, service=SERVICE, **options):
        transport = "u1" if self.row.transport == "udp" else "t1"
        script.steps = [step.replace("+33123456789", self.number) for step in script.steps]
        self.sipps.append(Sipp(self.folder, script, port, self.sound.port, transport, service=service, **options))

    def dial(self, uri):
        script = Script("calls").announces().call(body=self.sound.sdp())
        for direction in ("sendonly", "sendrecv") if "hold" in self.directions else ():
            script.gate().within("INVITE", self.sound.sdp(direction, next(self.versions))).receive(100, 200).ack()
        steps = script.receive_request("REFER").answer_request("202 Accepted")
        self.run(self.notifies(self.notifies(steps, "100 Trying").gate(), "200 OK").until_bye(), *self.goal(uri), extra=self.twinned)
        self.sipps[0].wait_message("SIP/2.0 200")
        self.samples()

    @staticmethod
    def goal(uri):
        user, _, port = re.match(r"sip:([^@]+)@([^:;]+):(\d+)", uri).groups()
        return int(port), user

    def goes_on(self):
        """The scenario was told to wait for this."""
        if not self.link:
            self.link, _ = self.twin.accept()
            self.link.settimeout(20)
            self.call_id = re.search(rb"Call-ID: (\S+)", self.link.recv(4096)).group(1).decode()
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
        sipp = self.sipps[-1]
        keyed = [text for text in sipp.received("SIP/2.0 200") + sipp.received("INVITE") if "a=crypto" in text]
        for text in keyed[-1:]:
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
        uri, _, header = re.search(r"Refer-To: <?([^>\n]+)", refer).group(1).partition("?")
        port, service = self.goal(uri)
        headers = [unquote(header).replace("=", ": ", 1)] if header else []
        self.run(Script("handed").call(body=self.sound.sdp(), headers=headers).until_bye(), port, service)
        self.sipps[1].wait_message("SIP/2.0 200")
        self.marked = len(self.samples())
        self.goes_on()

    def takes_over(self):
        self.begins_anew()
        self.colleague.is_taken_over()

    def is_taken_over(self):
        """The INVITE names the call that goes on here, in the words of this side, and its sound takes that one's place."""
        first, second = wait_for("the second INVITE", lambda: len(found := self.sipps[0].received("INVITE")) == 2 and found, 10)
        ok = next(text for sent, text in self.sipps[0].trace() if sent and text.startswith("SIP/2.0 200"))
        tag = lambda name: header_of(ok, name).rsplit("tag=", 1)[1]  # noqa: E731
        wanted = f"{header_of(first, 'Call-ID')};to-tag={tag('To')};from-tag={tag('From')}"
        assert header_of(second, "Replaces") == wanted, (second, wanted)
        self.sound.remote = ("127.0.0.1", int(re.search(r"m=audio (\d+)", second).group(1)))

    def close(self):
        for sipp in self.sipps:
            sipp.kill()
        self.sound.close()
        self.twin.close()
