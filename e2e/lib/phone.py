"""A minimal SIP caller over one UDP socket, for what sipp cannot do: exact moments, malformed and raw messages. It judges nothing."""

import itertools
import os
import re
import socket
import time

from .sipp import sdp

_numbers = itertools.count(1)


class Message:
    def __init__(self, data):
        self.text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        self.first = self.text.split("\n", 1)[0]
        found = re.match(r"SIP/2.0 (\d{3})", self.first)
        self.status = int(found.group(1)) if found else 0
        self.method = "" if found else self.first.split(" ")[0]
        self.cseq_method = (self.header("CSeq") or " ").split()[-1] if self.header("CSeq") else ""

    def header(self, name):
        found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", self.text, flags=re.M | re.I)
        return found.group(1).strip() if found else None


class Phone:
    def __init__(self, port, rtp_port=9, user="+33123456789", service="allo"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.server = ("127.0.0.1", port)
        self.port = self.socket.getsockname()[1]
        self.rtp_port, self.user, self.service = rtp_port, user, service
        self.call_id = f"{os.getpid()}-{next(_numbers)}-{self.port}"
        self.messages = []
        self.to_tag = ""

    def raw(self, data):
        self.socket.sendto(data if isinstance(data, bytes) else data.replace("\n", "\r\n").encode(), self.server)

    def request(self, method, cseq=1, body="", to_tag=None, branch=None, headers=(), content_length=None):
        tag = self.to_tag if to_tag is None else to_tag
        lines = [
            f"{method} sip:{self.service}@127.0.0.1:{self.server[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.call_id}-{branch or method}-{cseq};rport",
            f"From: <sip:{self.user}@127.0.0.1>;tag=t{self.call_id}",
            f"To: <sip:{self.service}@127.0.0.1>{tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            *headers,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        body = body.replace("\n", "\r\n")
        lines.append(f"Content-Length: {len(body) if content_length is None else content_length}")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def offer(self):
        return sdp().replace("[rtp_port]", str(self.rtp_port))

    def send(self, text):
        self.raw(text.encode() if isinstance(text, str) else text)

    def invite(self, **options):
        self.send(self.request("INVITE", body=self.offer(), to_tag="", **options))

    def cancel(self):
        self.send(self.request("CANCEL", to_tag="", branch="INVITE"))

    def ack(self, cseq=1):
        """Of whatever final answer came."""
        final = next(m for m in self.messages if m.status >= 200 and m.cseq_method == "INVITE")
        tag = re.search(r";tag=[^;>\s]+", final.header("To"))
        self.to_tag = tag.group(0) if tag else ""
        self.send(self.request("ACK", cseq=cseq, branch=None if final.status < 300 else "INVITE"))

    def bye(self, cseq=2):
        self.send(self.request("BYE", cseq=cseq))

    def wait(self, condition, timeout=5.0, must=True):
        """The first message, of those that came and will come, that fits."""
        deadline = time.monotonic() + timeout
        looked = 0
        while True:
            for message in self.messages[looked:]:
                looked += 1
                if condition(message):
                    return message
            left = deadline - time.monotonic()
            if left <= 0:
                if must:
                    raise AssertionError(f"timed out waiting for a message; came: {[m.first for m in self.messages]}")
                return None
            self.socket.settimeout(left)
            try:
                self.messages.append(Message(self.socket.recv(65536)))
            except (TimeoutError, socket.timeout):
                continue

    def final(self, timeout=5.0):
        return self.wait(lambda m: m.status >= 200 and m.cseq_method == "INVITE", timeout)

    def close(self):
        self.socket.close()
