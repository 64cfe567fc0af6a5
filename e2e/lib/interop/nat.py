"""A home network behind NAT: a telephone's network namespace, and a router's with nftables that masquerades it. The server is on the router's
outer link. Nothing of it is in the machine's own rules."""

import os
import shutil
import subprocess

INSIDE, GATEWAY = "192.168.77.2", "192.168.77.1"


#: Not on the path of everybody.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Unavailable(Exception):
    """There can be none on this machine, and why."""


class Nat:
    def __init__(self):
        mark = os.getpid() % 65_536
        net = f"10.{100 + mark // 256 % 100}.{mark % 256}"
        #: The server's address as the telephone has it, the router's outer one, and where the telephone is driven from.
        self.server, self.public, self.console = f"{net}.1", f"{net}.2", f"{net}.6"
        self.phone, self.router = f"allo-p{mark}", f"allo-r{mark}"
        outer, inner, driven = (f"al{kind}{mark}" for kind in "oid")
        self.links = (outer, driven)
        for program in ("ip", "nft"):
            if not shutil.which(program, path=PATH):
                raise Unavailable(f"no device behind NAT where `{program}` is not installed")
        self.close()  # what a process of this number may have left
        try:
            for namespace in (self.router, self.phone):
                self._ip("netns", "add", namespace)
                self._ip("-n", namespace, "link", "set", "lo", "up")
            self._link(outer, None, f"{net}.1/30", self.router, "out", f"{self.public}/30")
            self._link(inner, self.router, f"{GATEWAY}/24", self.phone, "in", f"{INSIDE}/24")
            self._link(driven, None, f"{net}.5/30", self.phone, "console", f"{self.console}/30")
            self._ip("-n", self.phone, "route", "add", "default", "via", GATEWAY)
            rules = 'table ip nat { chain post { type nat hook postrouting priority 100; oifname "out" masquerade; }; }'
            self._run(*self.within(self.router), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
            self._run(*self.within(self.router), "nft", rules)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.close()
            raise Unavailable(f"no device behind NAT where namespaces with nftables are not permitted: {error}") from None

    @staticmethod
    def within(namespace):
        """The prefix of a command that runs there."""
        return (shutil.which("ip", path=PATH), "netns", "exec", namespace)

    @staticmethod
    def _run(*command, check=True):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=os.environ | {"PATH": PATH}, check=False)
        assert not check or done.returncode == 0, done.stderr.strip()

    def _ip(self, *arguments):
        self._run("ip", *arguments)

    def _link(self, name, namespace, address, peer_namespace, peer, peer_address):
        """A cable between two namespaces; None is the machine's own."""
        self._ip("link", "add", name, "type", "veth", "peer", "name", peer, "netns", peer_namespace)
        if namespace:
            self._ip("link", "set", name, "netns", namespace)
        for where, link, own in ((namespace, name, address), (peer_namespace, peer, peer_address)):
            at = ("-n", where) if where else ()
            self._ip(*at, "addr", "add", own, "dev", link)
            self._ip(*at, "link", "set", link, "up")

    def close(self):
        for link in self.links:
            self._run("ip", "link", "del", link, check=False)
        for namespace in (self.phone, self.router):
            self._run("ip", "netns", "del", namespace, check=False)
