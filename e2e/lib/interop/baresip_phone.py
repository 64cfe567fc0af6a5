"""baresip: all transports, SDES, DTLS-SRTP, and every codec."""

import numpy as np

from ..audio import silence
from ..ports import free_pair, relay_ports
from ..softphone import Baresip
from .nat import INSIDE
from .telephone import Telephone, found_in
from .world import PASSWORD, sounds, wait_sound


class BaresipTelephone(Telephone):
    TITLE = "baresip"
    NOTE = (
        "It is called by a trunk. After a hold it sends back what it plays, and that is judged in the server's recording: 1.0.0 writes none itself then. It has no"
        " RFC 3891: its `Supported` lists no `replaces`. Asked all the same, it calls the other one a second time, with the header inside of the Request-URI."
    )
    CODECS = {"PCMU": ("PCMU", 8000, 1), "PCMA": ("PCMA", 8000, 1), "G722": ("G722/16000/1", 16000, 1), "opus": ("opus/48000/2", 48000, 2)}
    MEDIA = {"none": "", "sdes": ";mediaenc=srtp-mand", "dtls": ";mediaenc=dtls_srtp"}

    def __init__(self, world, row, directions, first=None):
        super().__init__(world, row, directions, first)
        codec, self.rate, self.channels = self.CODECS[row.codec]
        pem = self.folder / "certificate.pem"
        pem.write_text(world.signed.read_text() + world.key.read_text())
        self.port = free_pair()
        self.listens = self.port + (row.transport == "tls")
        self.media = self.MEDIA[row.security]
        self.echoes = False
        self.softphone = self.start(
            account=f"{self.identity()};answermode=auto;audio_codecs={codec}{self.media}",
            modules=("g722.so", "opus.so", "dtls_srtp.so"), more=(f"sip_certificate {pem}",),
        )  # fmt: skip

    @classmethod
    def version(cls):
        return found_in(["baresip", "-h"], r"baresip v([0-9.]+)")

    def identity(self):
        return f"<sip:{self.number}@127.0.0.1>;regint=0"

    def start(self, **options):
        return Baresip(self.folder, listen=f"127.0.0.1:{self.port}", **options)

    def dial(self, uri):
        self.softphone.dial(uri)

    def say(self, samples):
        self.softphone.say(np.concatenate([samples, silence(20)]))

    def samples(self):
        return self.softphone.samples()[:: self.channels * self.rate // 8000]

    def hears(self, hz, call):
        if not self.echoes:
            return super().hears(hz, call)
        # baresip 1.0.0 stops writing what it decodes at a hold and does not go on after it. So it sends back what it plays, and that is
        # what the server records of it.
        self.softphone.command("ausrc", "aubridge,out")
        wait_sound(f"{hz} Hz, sent back by the telephone", lambda: call.lane(0), hz, 80)
        assert sounds(call.lane(1), hz, 80)
        # It sends nothing where it plays nothing, and behind NAT it would hear nothing where it sends nothing.
        self.softphone.say(silence(20))
        return None

    def hold(self):
        self.softphone.command("hold")

    def resume(self):
        self.softphone.command("resume")
        self.echoes = True

    def begins_anew(self):
        self.echoes = False

    def close(self):
        self.softphone.stop()


class NatTelephone(BaresipTelephone):
    """baresip in a home network, registered at the server: it is reached through what its registration opened."""

    TITLE = "a registered device behind NAT (baresip)"
    NOTE = (
        "It is in a network namespace, behind a router that masquerades it by nftables; both its own and the router's outer address are private ones. The server"
        " is bound to every address and names the one by which this telephone reaches it. Judged after a hold as baresip is. Handed over, it is called by its own"
        " line, which reaches a second telephone that has registered as the same device; that one is found by this registrar alone, and baresip has no RFC 3891."
    )

    registers = True

    def __init__(self, world, row, directions, first=None):
        self.nat, self.seen_from = world.nat, world.nat.server
        super().__init__(world, row, directions, first)

    def identity(self):
        number = self.first.number if self.first else self.number
        self.device = self.first.device if self.first else self.world.device(number, self.row.security)
        address = f"sip:{number[1:]}@{self.nat.server}:{self.world.port(self.row.transport)};transport={self.row.transport}"
        return f"<{address}>;auth_pass={PASSWORD};regint=60"

    def start(self, more=(), **options):
        nat = self.nat
        softphone = Baresip(
            self.folder, listen=f"{INSIDE}:{self.port}", within=nat.within(nat.phone), control=nat.console,
            more=(*more, "net_interface in"), **options,
        )  # fmt: skip
        (binding, *_) = self.world.registered(self.device, 2 if self.first else 1)
        assert binding["transport"] == self.row.transport, binding
        assert nat.public in str(binding), binding
        return softphone


class CarrierTelephone(BaresipTelephone):
    """baresip behind Kamailio and rtpengine: it is plain and speaks UDP; the carrier has the transport and the security of the row."""

    TITLE = "Kamailio with rtpengine in front (baresip behind it)"
    NOTE = (
        "Transport and security are those between the server and Kamailio and rtpengine; the telephone behind them speaks UDP and plain RTP. The audio is seen to"
        " come from a port of rtpengine. Judged after a hold as baresip is. Both telephones of an attended transfer are behind it, and have no RFC 3891."
    )

    def __init__(self, world, row, directions, first=None):
        self.carrier = world.carrier()
        self.MEDIA = dict.fromkeys(self.MEDIA, "")
        super().__init__(world, row, directions, first)
        self.carrier.proxy.knows(self.number, self.port)
        self.listens = self.carrier.proxy.ports.of(row.transport)
        self.name = f"{row.transport}-{row.security}"

    @classmethod
    def version(cls):
        relay = found_in(["rtpengine", "--version"], r"Version: ([0-9.]+)")
        return f"{found_in(['kamailio', '-v'], r'kamailio ([0-9.]+)')} with rtpengine {relay}, baresip {super().version()}"

    def dial(self, uri):
        super().dial(f"sip:service-{self.name}@127.0.0.1:{self.carrier.proxy.ports.udp}")

    def agreed(self, decision):
        first, last = relay_ports()
        assert first <= int(decision["remote"].rsplit(":", 1)[1]) <= last, f"not by rtpengine: {decision}"

    def target(self):
        return f"carrier-{self.name}"
