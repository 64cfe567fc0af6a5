"""What a hostile network sends, as a program of its own: `python -m lib.flood --udp PORT --tcp PORT --rate 5000 --seconds 30 --idle 10000`.

Messages of a fixed seed: valid ones with damaged bytes (as zzuf does it), giant ones, requests and responses that nobody asked for, wrong passwords.
They come from many addresses of 127/8, each /24 of which is a source of its own for the limits, or with `--from` from one. Idle connections come
from as many addresses as the cap on each makes needed. Figures go to standard output as JSON.
"""

import argparse
import collections
import json
import random
import re
import resource
import select
import socket
import time

NETWORKS = 200
CONNECTIONS_PER_ADDRESS = 64
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"


class Messages:
    """Every call gives another message; (kind, bytes)."""

    def __init__(self, port, seed=7, calls=True):
        self.port, self.random, self.count, self.calls = port, random.Random(seed), 0, calls
        # Kind, share of the messages.
        self.kinds = [
            (self.damaged, 40), (self.request, 25), (self.invite, 10), (self.guess, 8), (self.response, 6), (self.noise, 5),
            (self.truncated, 4), (self.giant, 1), (self.many_fields, 1),
        ]
        self.wheel = [kind for kind, share in self.kinds for _ in range(share)]

    def next(self):
        kind = self.random.choice(self.wheel)
        self.count += 1
        return kind.__name__, kind()

    def text(self, method, extra="", body="", to_tag=""):
        method = "OPTIONS" if method == "INVITE" and not self.calls else method
        n = f"{self.count}x{self.random.randrange(1 << 40):x}"
        return (
            f"{method} sip:{self.random.randrange(10000)}@127.0.0.1:{self.port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK{n}\r\n"
            f"From: <sip:{self.random.randrange(10**6)}@example.com>;tag={n}\r\nTo: <sip:us@127.0.0.1>{to_tag}\r\nCall-ID: {n}\r\nCSeq: 1 {method}\r\n"
            f"Contact: <sip:x@127.0.0.1:5060>\r\nMax-Forwards: 70\r\n{extra}"
            f"{'Content-Type: application/sdp' + chr(13) + chr(10) if body else ''}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def invite(self):
        return self.text("INVITE", body=SDP)

    def request(self):
        method = self.random.choice(["OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO", "BYE", "CANCEL", "ACK", "UPDATE", "NONSENSE"])
        return self.text(method, to_tag=self.random.choice(["", ";tag=none"]))

    def guess(self):
        field = f'Authorization: Digest username="admin", realm="allo", nonce="{self.random.randrange(1 << 60):x}", uri="sip:us", response="{self.random.randrange(1 << 128):032x}"\r\n'
        return self.text("INVITE", extra=field, body=SDP)

    def damaged(self):
        data = bytearray(self.text(self.random.choice(["INVITE", "OPTIONS", "REGISTER"]), body=SDP))
        for _ in range(max(1, len(data) // 100)):
            place = self.random.randrange(len(data))
            data[place] ^= 1 << self.random.randrange(8)
        return bytes(data)

    def truncated(self):
        data = self.text("INVITE", body=SDP)
        return data[: self.random.randrange(1, len(data))]

    def response(self):
        data = self.text("INVITE").decode()
        return re.sub("^.*\r\n", f"SIP/2.0 {self.random.choice([100, 180, 200, 302, 401, 486, 999])} x\r\n", data, count=1).encode()

    def noise(self):
        return self.random.randbytes(self.random.randrange(1, 1400))

    def giant(self):
        head = self.text("INVITE", extra=f"Subject: {'x' * self.random.choice([9_000, 40_000])}\r\n")
        return (head + b"y" * 65_507)[:65_507]

    def many_fields(self):
        return self.text("OPTIONS", extra="".join(f"X-{i}: {i}\r\n" for i in range(self.random.choice([90, 300, 2_000]))))


class Connections:
    """Idle TCP connections: opened, kept as long as the server keeps them, and opened again when it closed them."""

    def __init__(self, port, wanted):
        self.port, self.wanted, self.open, self.opened, self.refused = port, wanted, {}, 0, 0
        self.poll = select.epoll()
        self.address = 0

    def step(self, budget):
        """Notices what was closed, then opens a few."""
        for fd, _ in self.poll.poll(0):
            found = self.open.pop(fd, None)
            if found:
                self.poll.unregister(fd)
                found.close()
                self.refused += 1
        for _ in range(min(budget, self.wanted - len(self.open))):
            self.address += 1
            host = self.address // CONNECTIONS_PER_ADDRESS % 250
            made = socket.socket()
            try:
                made.bind((f"127.77.{host}.1", 0))
                made.settimeout(0.5)
                made.connect(("127.0.0.1", self.port))
            except OSError:
                self.refused += 1
                made.close()
                return
            made.setblocking(False)
            self.open[made.fileno()] = made
            self.opened += 1
            self.poll.register(made.fileno(), select.EPOLLIN | select.EPOLLRDHUP)


def sources(one, networks):
    made = []
    for net in range(1 if one else networks):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((one or f"127.66.{net}.1", 0))
        sock.setblocking(False)
        made.append(sock)
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--udp", type=int, required=True)
    parser.add_argument("--tcp", type=int, default=0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--from", dest="one", default=None)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1, help="0: no INVITE, for an address that may call")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    messages, socks = Messages(options.udp, options.seed, options.calls == 1), sources(options.one, NETWORKS)
    connections = Connections(options.tcp, options.idle)
    target, sent, answers, bytes_sent, bytes_back, most_open = ("127.0.0.1", options.udp), collections.Counter(), collections.Counter(), 0, 0, 0
    lost = 0
    # All idle connections first: they are there while the messages come.
    begin = time.monotonic()
    while len(connections.open) < options.idle and time.monotonic() < begin + 25 and connections.refused < options.idle:
        connections.step(64)
    most_open = len(connections.open)
    print(json.dumps({"ready": most_open}), flush=True)
    start, count, late = time.monotonic(), 0, 0.0
    end = start + options.seconds
    while (now := time.monotonic()) < end:
        due = int((now - start) * options.rate)
        late = max(late, (due - count) / max(options.rate, 1))
        for _ in range(min(due - count, 200)):
            count += 1
            kind, data = messages.next()
            try:
                socks[count % len(socks)].sendto(data, target)
                sent[kind] += 1
                bytes_sent += len(data)
            except OSError:
                lost += 1
        connections.step(8)
        most_open = max(most_open, len(connections.open))
        for sock in socks if count % 50 == 0 else socks[:4]:
            while True:
                try:
                    back = sock.recv(65536)
                except OSError:
                    break
                answers[back[8:11].decode("latin1") if back.startswith(b"SIP/2.0 ") else "other"] += 1
                bytes_back += len(back)
        time.sleep(0.001)
    print(json.dumps({
        "sent": sum(sent.values()), "kinds": sent, "rate": round(sum(sent.values()) / options.seconds), "late_ms": round(late * 1000), "not_sent": lost,
        "bytes_sent": bytes_sent, "answers": answers, "bytes_back": bytes_back,
        "connections": {"asked": options.idle, "most_open": most_open, "opened": connections.opened, "closed_by_server": connections.refused},
    }), flush=True)


if __name__ == "__main__":
    main()
