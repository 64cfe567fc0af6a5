"""Kamailio as a carrier's proxy with rtpengine as its media relay: a plain telephone behind it, and any transport and security towards the server."""

import socket

from ..allo import Process, clean_environment, wait_for
from ..kamailio import Kamailio
from ..ports import free_port, relay_ports


class Rtpengine(Process):
    """In user space: `--table=-1` asks for no kernel module."""

    def __init__(self, folder):
        self.port = free_port(socket.SOCK_DGRAM)
        first, last = relay_ports()
        super().__init__(
            ["rtpengine", "--foreground", "--log-stderr", "--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self.port}",
             f"--port-min={first}", f"--port-max={last}", "--log-level=5", "--num-threads=2", "--delete-delay=0", "--config-file=none"], folder, "rtpengine", clean_environment(),
        )  # fmt: skip
        wait_for("rtpengine", self._answers, 20, 0.1)

    def _answers(self):
        assert self.alive(), f"rtpengine ended: {self.log()[-2000:]}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.5)
            asker.sendto(b"1_1 d7:command4:pinge", ("127.0.0.1", self.port))
            try:
                return b"pong" in asker.recv(512)
            except OSError:
                return False


class Carrier:
    def __init__(self, world):
        self.relay = Rtpengine(world.folder)
        self.proxy = Kamailio(world.folder, ports=world.carrier_ports, tls=True, relay=self.relay.port)
        for transport in ("udp", "tcp", "tls"):
            for security in world.SECURITIES:
                for name, number in (("service", world.SERVICE), ("desk", world.DESK)):
                    self.proxy.knows(f"{name}-{transport}-{security}", None, world.uri(transport, number))

    def close(self):
        self.proxy.stop()
        self.relay.stop()
