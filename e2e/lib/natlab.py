"""A laboratory of routers: network namespaces of Linux with nftables between them. allo is inside; the operator (Kamailio), the telephone (baresip) and
coturn are outside, on addresses of the documentation range. No packet leaves the machine.

A test works inside of a namespace by `inside(name, function)`: the function runs in a thread that was moved there, and the sockets and processes that it
makes stay there. Everything is taken away at the end, whatever happened.
"""

import ctypes
import os
import pathlib
import shutil
import subprocess
import threading

from .allo import Process, Server, Standin, wait_for

CLONE_NEWNET = 0x40000000
#: Outside.
OPERATOR, PHONE, RELAY = "203.0.113.10", "203.0.113.5", "203.0.113.20"
#: The routers' addresses towards it; the second one belongs to a carrier's pool.
ROUTER, POOL = "203.0.113.1", "203.0.113.2"
#: Where allo is.
INSIDE, LAN = "192.168.77.2", "192.168.77.1"
#: A second network of the machine.
VPN, VPN_PHONE = "10.8.0.1", "10.8.0.2"
RTP = "10000-10099"
#: Where a telephone with a firewall has its audio.
PHONE_RTP = "50000-50100"

#: What each router does to what leaves (nat postrouting) and to what comes from outside (nat prerouting).
ROUTERS = {
    # Everything for allo's ports is let in: a port forwarding.
    "full_cone": ("masquerade", f"udp dport {{ 5060, {RTP} }} dnat to {INSIDE}"),
    # Whoever was written to is let in, from any of his ports.
    "restricted": ("masquerade", f"ip saddr @written udp dport {RTP} dnat to {INSIDE}"),
    # Whoever was written to is let in, from the port that was written to: what Linux does, and most routers at home.
    "port_restricted": ("masquerade", ""),
    # Another port for each peer, so that what one of them sees is of no use to another.
    "symmetric": ("masquerade fully-random", ""),
}


def may():
    """Why there can be no laboratory here; None where there can."""
    missing = [program for program in ("ip", "nft", "turnserver", "kamailio", "baresip") if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if missing:
        return f"not installed: {', '.join(missing)} (scripts/bootstrap --test)"
    name = f"allo-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces are not permitted here: {made.stderr.strip()}"
    try:
        tried = subprocess.run(["ip", "netns", "exec", name, "nft", "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }"], capture_output=True, text=True)
        return f"nftables cannot translate addresses here: {tried.stderr.strip()}" if tried.returncode else None
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def run(*words, text=None):
    done = subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


class Laboratory:
    """`outside` — one or two routers — `inside`. With two, the inner one is a router at home and the outer one its operator's."""

    def __init__(self, inner, outer=None, pool=False):
        self.tag = f"al{os.getpid() % 100_000:x}"
        self.names = []
        try:
            self._make(inner, outer, pool)
        except BaseException:
            self.remove()
            raise

    def _make(self, inner, outer, pool):
        home, carrier = self._space("home"), self._space("carrier") if outer else None
        inside, outside = self._space("in"), self._space("out")
        self._wire(inside, INSIDE, home, LAN, "lan")
        run("ip", "-n", self.path(inside), "route", "add", "default", "via", LAN)
        if carrier:
            # RFC 6598: the addresses between a customer and his operator.
            self._wire(home, "100.64.7.2", carrier, "100.64.7.1", "lan", near="wan")
            run("ip", "-n", self.path(home), "route", "add", "default", "via", "100.64.7.1")
            self._route(home, inner, None)
        last = carrier or home
        # The telephone takes the first address for its audio.
        self._wire(last, ROUTER, outside, PHONE, "eth", near="wan")
        for address in (OPERATOR, RELAY):
            run("ip", "-n", self.path(outside), "addr", "add", f"{address}/24", "dev", "eth")
        if pool:
            run("ip", "-n", self.path(last), "addr", "add", f"{POOL}/24", "dev", "wan")
        self._route(last, outer or inner, f"snat to {ROUTER}-{POOL} fully-random" if pool else None)

    def second_network(self):
        """A network of its own beside the default route, as a VPN is: who is there reaches allo by one address and no other."""
        self._wire("in", VPN, self._space("vpn"), VPN_PHONE, "eth", near="tun")

    def shut_out(self, name):
        """A firewall of who is there: no audio comes from the routers' addresses, and none goes there. Signalling and the relay are let through."""
        rule = f"{{ {ROUTER}, {POOL} }} udp"
        rules = f"""
        table ip firewall {{
            chain coming {{ type filter hook input priority 0; ip saddr {rule} dport {PHONE_RTP} drop; }}
            chain going {{ type filter hook output priority 0; ip daddr {rule} sport {PHONE_RTP} drop; }}
        }}
        """
        run("ip", "netns", "exec", self.path(name), "nft", "-f", "-", text=rules)

    def path(self, name):
        return f"{self.tag}-{name}"

    def _space(self, name):
        run("ip", "netns", "add", self.path(name))
        self.names.append(name)
        run("ip", "-n", self.path(name), "link", "set", "lo", "up")
        return name

    def _wire(self, one, one_address, other, other_address, label, near="eth"):
        run("ip", "link", "add", near, "netns", self.path(one), "type", "veth", "peer", "name", label, "netns", self.path(other))
        for name, address, device in ((one, one_address, near), (other, other_address, label)):
            run("ip", "-n", self.path(name), "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", self.path(name), "link", "set", device, "up")

    def _route(self, name, kind, leaving):
        masquerade, entering = ROUTERS[kind]
        run("ip", "netns", "exec", self.path(name), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules = f"""
        table ip nat {{
            set written {{ type ipv4_addr; flags dynamic,timeout; timeout 60s; }}
            chain leaving {{ type nat hook postrouting priority 100; oifname "wan" {leaving or masquerade}; }}
            chain entering {{ type nat hook prerouting priority -100; iifname "wan" {entering or "counter"}; }}
        }}
        table ip watch {{
            chain passing {{ type filter hook forward priority 0; policy drop;
                iifname "lan" accept
                ct state established,related accept
                ct status dnat accept
            }}
        }}
        """
        if "@written" in entering:
            rules = rules.replace('chain leaving { type nat hook postrouting priority 100; oifname', 'chain leaving { type nat hook postrouting priority 100; oifname "wan" update @written { ip daddr }; oifname'.replace("; oifname", "\n oifname"))
        run("ip", "netns", "exec", self.path(name), "nft", "-f", "-", text=rules)

    def inside(self, name, function):
        """Runs the function in a thread of this namespace and returns what it returns."""
        result = []

        def work():
            try:
                with open(f"/run/netns/{self.path(name)}") as space:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(space.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append((function(), None))
            except BaseException as error:  # noqa: BLE001  (told to the caller, whatever it is)
                result.append((None, error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value

    def remove(self):
        """The namespaces go, and with them their wires and rules. A process that was left is ended first: it would keep its namespace."""
        for name in self.names:
            left = subprocess.run(["ip", "netns", "pids", self.path(name)], capture_output=True, text=True).stdout.split()
            for process in left:
                if int(process) != os.getpid():
                    subprocess.run(["kill", "-9", process], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", self.path(name)], check=False, capture_output=True)
        self.names = []


class InsideServer(Server):
    """`allo serve` behind the routers; its interface is asked from there."""

    def __init__(self, laboratory, folder, engine_url, **settings):
        self.laboratory = laboratory
        settings = {"sip_udp": "0.0.0.0:5060", "sip_tcp": "", "sip_tls": "", "rtp_bind": "0.0.0.0", "rtp_ports": RTP} | settings
        laboratory.inside("in", lambda: Server.__init__(self, folder, engine_url, **settings))

    def request(self, *arguments, **options):
        return self.laboratory.inside("in", lambda: Server.request(self, *arguments, **options))

    def cli(self, *arguments, **options):
        return self.laboratory.inside("in", lambda: Server.cli(self, *arguments, **options))


def standin(laboratory, folder, scenario="tone"):
    return laboratory.inside("in", lambda: Standin(folder, scenario))


class Coturn(Process):
    """coturn on the relay's address: STUN without credentials, TURN with them."""

    USER, PASSWORD, REALM = "allo", "relay-secret-7", "relay.test"

    def __init__(self, laboratory, folder, *more):
        home = pathlib.Path(folder) / "coturn"
        home.mkdir(parents=True)
        command = [
            "turnserver", "-n", "--listening-ip", RELAY, "--relay-ip", RELAY, "--listening-port", "3478", "--min-port", "40000", "--max-port", "40099",
            "--lt-cred-mech", "--user", f"{self.USER}:{self.PASSWORD}", "--realm", self.REALM, "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout",
            "--simple-log", "--verbose", "--userdb", home / "db", "--pidfile", home / "pid", *more,
        ]
        laboratory.inside("out", lambda: Process.__init__(self, command, home, "coturn"))
        wait_for("coturn", self._listens, 20, 0.1)

    def _listens(self):
        assert self.alive(), f"coturn ended: {self.output()[-3000:]}"
        return "listener opened on" in self.output()
