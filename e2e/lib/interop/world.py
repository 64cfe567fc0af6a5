"""One server, one stand-in and one agent for every call of the table, and the course of a call: each direction of its audio is judged by
frequency, the telephone's by the recording that the server writes, the agent's by what the telephone heard."""

import contextlib
import itertools
import pathlib
import re
import threading
import urllib.parse
from itertools import product

import numpy as np

from ..allo import Server, Standin, wait_for
from ..audio import dominant_hz, loud_spans, tone
from ..kamailio import Ports, certificate
from ..softphone import read_growing_wav
from ..tenancy import Platform
from . import nat
from .carrier import Carrier
from .cells import TRANSPORTS
from .cells import takes_over as takes_over_of

#: The tones of e2e/scenarios/interop.toml.
GREETING_HZ, ANSWER_HZ = 440, 1000
BEEP_MS = 500
#: A beep of its own for each thing that is tried.
BEEPS = {"in": 620, "out": 620, "hold": 760, "blind": 860, "attended": 860}
#: What the telephone says to which another one was handed over.
COLLEAGUE_HZ = 930
SERVICE, DESK = "+33140506070", "+33140506071"
PASSWORD = "a-password-of-a-telephone"
#: The policy of a trunk or device that offers and takes nothing else.
SRTP = {"none": "off", "sdes": "required", "dtls": "dtls_required"}
#: How the journal names what was agreed.
SUITES = {"none": r"None", "sdes": r"AES_CM_128_HMAC_SHA1_(80|32)", "dtls": r".*DTLS.*"}


class World:
    SERVICE, DESK, SECURITIES = SERVICE, DESK, tuple(SRTP)

    def __init__(self, folder):
        self.operator, self.nat, self.parts = None, None, contextlib.ExitStack()
        try:
            self._begin(folder)
        except BaseException:
            self.close()
            raise

    def _begin(self, folder):
        self.folder = pathlib.Path(folder)
        self.authority, self.signed, self.key = certificate(self.folder)
        self.standin = Standin(self.folder, "interop")
        self.parts.callback(self.standin.stop)
        self.numbers = itertools.count(1)
        self.starting = threading.Lock()
        #: Telephones that there cannot be here, and why.
        self.absent = {}
        try:
            self.nat = nat.Nat()
            self.parts.callback(self.nat.close)
        except nat.Unavailable as why:
            self.absent["nat"] = str(why)
        hosts = ["127.0.0.1", *([self.nat.server] if self.nat else [])]
        bind = "127.0.0.1" if len(hosts) == 1 else "0.0.0.0"
        everywhere = {name: f"{bind}:0" for name in ("sip_udp", "sip_tcp", "sip_tls")}
        self.allo = Server(
            self.folder, self.standin.url, agent_idle_reprompt_s=0, limits_calls=100, sip_tls_ca=self.authority, sip_tls_certificate=self.signed, sip_tls_key=self.key,
            platform_rate_per_s=100_000, rtp_bind=bind, line_srtp="preferred", **everywhere,
        )  # fmt: skip
        self.parts.callback(self.allo.stop)
        self.platform = Platform(self.allo)
        # Whom the telephones are handed to: another number of this house, at the address by which they reach it.
        targets = {
            f"{host}-{transport}": {"destination": self.uri(transport, DESK, host), "mode": "refer"} for host in hosts for transport in TRANSPORTS
        }
        # Through Kamailio they have names of their own.
        self.carrier_ports = Ports()
        for transport, security in product(TRANSPORTS, SRTP):
            destination = f"sip:desk-{transport}-{security}@127.0.0.1:{self.carrier_ports.udp}"
            targets[f"carrier-{transport}-{security}"] = {"destination": destination, "mode": "refer"}
        self.targets = targets
        self.agent = self.new_agent("interop", {})
        # We call telephones by trunks of the account.
        account = self.platform.good("GET", "/api/accounts/default")
        settings = {"outboundPrefixes": ["+33"]}
        self.platform.good("PUT", "/api/accounts/default", {"name": account["name"], "email": account["email"], "settings": settings})
        for number in (SERVICE, DESK):
            self.platform.good("POST", f"/api/agents/{self.agent}/phone-lines", {"phoneNumber": number, "provider": "sip"})
            query = urllib.parse.urlencode({"account_id": "default", "number": number})
            wait_for(f"the number {number}", lambda: self.platform.good("GET", f"/api/admin/route?{query}")["agent_id"] == self.agent, 30)

    def new_agent(self, name, more):
        body = {"name": name, "basePrompt": "x", "accountId": "default", "transferTargets": self.targets | more}
        return self.platform.good("POST", "/api/agents", body)["id"]

    def agent_who_knows(self, address):
        """One like that of the table, whose `colleague` is there."""
        return self.new_agent(address, {"colleague": {"destination": address, "mode": "attended"}})

    def number(self):
        """Of a telephone: it tells its calls from those of others."""
        return f"+3315550{next(self.numbers):04d}"

    def port(self, transport):
        return {"udp": self.allo.udp, "tcp": self.allo.tcp, "tls": self.allo.tls}[transport]

    def carrier(self):
        """Kamailio with rtpengine, once for all."""
        with self.starting:
            if not self.operator:
                self.operator = Carrier(self)
                # The server, which talks to it, stops before.
                self.parts.callback(self.operator.close)
                self.parts.callback(self.allo.stop)
            return self.operator

    def uri(self, transport, user=SERVICE, host=None):
        return f"sip:{user}@{host or '127.0.0.1'}:{self.port(transport)}" + ("" if transport == "udp" else f";transport={transport}")

    def call_of(self, number, beside=()):
        """The call with this telephone, of those that are not known yet."""

        def found():
            page = self.platform.good("GET", "/api/calls?accountId=default&limit=50")
            return next((call["id"] for call in page if number in (call["from"], call["to"]) and call["id"] not in beside), None)

        return Call(self, wait_for(f"a call of {number}", found, 15))

    def place(self, telephone):
        """A call to a telephone: to the device that it is registered as, or by a trunk to its address: by its transport, with plain audio or with SDES and nothing else."""
        number, row = telephone.number, telephone.row
        if telephone.device:
            return self.placed({"device": telephone.device, "timeoutSec": 20})
        trunk = {
            "label": number, "trunk_uri": f"sip:trunk-{number[1:]}@127.0.0.1:{telephone.listens}", "contact_transport": row.transport, "registers": False,
            "keep_alive_s": 0, "srtp": SRTP[row.security],
        }  # fmt: skip
        made = self.platform.good("POST", "/api/admin/sip-accounts", trunk)["id"]
        slug = f"to-{number[1:]}"
        self.platform.good("POST", "/api/admin/workflows", {"slug": slug, "agent_id": telephone.agent or self.agent, "sip_account_id": made})
        return self.placed({"workflow": slug, "to": number, "timeoutSec": 20})

    def device(self, number, security):
        """A device of that name: it registers with the password `PASSWORD`. By its own line its agent reaches the device alone."""
        agent = self.agent_who_knows(f"sip:{number[1:]}@127.0.0.1")
        body = {"label": number, "username": number[1:], "password": PASSWORD, "agent_id": agent, "caller_id": number}
        made = self.platform.good("POST", "/api/admin/devices", body)["id"]
        self.platform.good("PATCH", f"/api/admin/devices/{made}", {"srtp": SRTP[security]})
        # The telephone side reads what was written a moment later.
        known = lambda: "not registered" in str(self.platform.ask("POST", "/api/calls", {"device": made}))  # noqa: E731
        wait_for("the device on the telephone side", known)
        return made

    def registered(self, device, count=1):
        """Its bindings, once there are so many: who registered last comes first."""

        def bindings():
            found = self.platform.good("GET", f"/api/admin/devices/{device}")["bindings"]
            return len(found) == count and found

        return wait_for(f"{count} registrations of it", bindings, 20)

    def placed(self, wish):
        def placed():
            # The telephone side reads what was written a moment later.
            status, _, body = self.platform.ask("POST", "/api/calls", wish)
            assert status in (201, 404, 409, 503), (status, body)
            self.refused = body
            return status == 201 and body["id"]

        try:
            return Call(self, wait_for("a call that is placed", placed, 10, 0.1))
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.refused}") from None

    def transfer(self, call, target):
        self.platform.good("POST", f"/api/calls/{call.id}/transfer", {"target": target})

    def close(self):
        """The server first, then what it talks to; each whatever becomes of the others."""
        self.parts.close()


class Call:
    """A call as the server knows it."""

    def __init__(self, world, call_id):
        self.world, self.id = world, call_id

    def view(self):
        return self.world.platform.good("GET", f"/api/calls/{self.id}")

    def events(self):
        return [entry["event"] for entry in self.world.platform.good("GET", f"/api/calls/{self.id}/events")]

    def decisions(self):
        return [event for event in self.events() if event["type"] == "sdp_decision"]

    def agrees(self, row):
        """That the call is what its row says."""
        decision = wait_for("what was agreed", lambda: self.decisions(), 10)[-1]
        assert decision["codec"].lower() == row.codec.lower(), decision
        assert re.fullmatch(SUITES[row.security], str(decision["srtp"])), decision
        return decision

    def directed(self, *directions):
        wait_for(f"the direction {directions}", lambda: self.decisions()[-1]["direction"] in directions, 10)

    def lane(self, lane):
        """(samples at 8 kHz) of the recording as far as it is written: 0 is the telephone, 1 the agent."""
        path = self.world.allo.data / "recordings" / f"{self.id}.wav"
        if not path.exists():
            return np.zeros(0, dtype=np.int16)
        with open(path, "rb") as file:
            rate = int.from_bytes(file.read(28)[24:28], "little")
        return read_growing_wav(path)[lane :: 2 * (rate // 8000)]

    def hears(self, hz):
        """Waits for what the telephone says to be in the recording."""
        wait_sound(f"{hz} Hz of the telephone", lambda: self.lane(0), hz, 200)

    def hang_up(self):
        self.world.platform.ask("DELETE", f"/api/calls/{self.id}")
        self.ended()

    def ended(self, timeout=15):
        return wait_for("the end of the call", lambda: (view := self.view())["endedAt"] and view, timeout)

    def joined(self):
        """Waits for the caller and a second leg to hear each other."""
        (event,) = wait_for("the end of the transfer", lambda: [event for event in self.events() if event.get("name") == "transfer_finished"], 20)
        assert event["fields"]["done"], event


class SeenByTarget:
    """A call with a second leg as that one has it."""

    def __init__(self, call):
        self.call = call

    def lane(self, lane):
        return self.call.lane(1 - lane)


def sounds(samples, hz, ms):
    """Whether a tone lasts so long somewhere in it."""
    for start, end in loud_spans(samples, gap_frames=2):
        for begin in range(start, end - ms + 1, 40):
            found, share = dominant_hz(samples[begin * 8 : (begin + ms) * 8])
            if abs(found - hz) < 12 and share > 0.7:
                return True
    return False


def wait_sound(what, samples, hz, ms, timeout=20):
    def heard():
        now = samples()
        return sounds(now, hz, ms)

    try:
        wait_for(what, heard, timeout, 0.08)
    except AssertionError as error:
        found = [(round(dominant_hz(samples()[a * 8 : b * 8])[0]), b - a) for a, b in loud_spans(samples())]
        raise AssertionError(f"{error}; heard (Hz, ms): {found}") from None


class Attempt:
    """One call with one telephone, as far as it goes: `outcomes` says of each direction None (it was seen) or the error."""

    def __init__(self, world, telephone, row, directions):
        self.world, self.telephone, self.row, self.directions = world, telephone, row, directions
        self.outcomes, self.call = {}, None

    def run(self):
        try:
            for direction in self.directions:
                self.telephone.direction = direction
                getattr(self, f"try_{direction}")()
                self.outcomes[direction] = None
        except Exception as error:  # noqa: BLE001 - a cell of the table, with its reason
            left = self.directions[len(self.outcomes) :]
            self.outcomes |= {direction: error for direction in left}
        finally:
            if self.call:
                self.call.hang_up()
        late = self.telephone.judged_late()
        if self.telephone.colleague:
            late |= self.telephone.colleague.judged_late()
        return {direction: error or late.get(direction) for direction, error in self.outcomes.items()}

    def both_ways(self, hz):
        self.telephone.mark(self.call)
        self.telephone.say(tone(hz, BEEP_MS))
        self.call.hears(hz)
        self.telephone.hears(ANSWER_HZ, self.call)

    def begins(self, direction):
        self.telephone.hears(GREETING_HZ, self.call)
        self.telephone.agreed(self.call.agrees(self.row))
        self.both_ways(BEEPS[direction])

    def try_in(self):
        self.telephone.dial(self.world.uri(self.row.transport, host=self.telephone.seen_from))
        self.call = self.world.call_of(self.telephone.number)
        self.begins("in")

    def try_out(self):
        if "attended" in self.directions:
            self.telephone.has_colleague()
        self.telephone.expects()
        self.call = self.world.place(self.telephone)
        self.begins("out")

    def try_hold(self):
        self.telephone.hold()
        self.call.directed("recvonly", "inactive")
        self.telephone.resume()
        self.call.directed("sendrecv")
        self.both_ways(BEEPS["hold"])

    def try_blind(self):
        first = self.call
        # Asked for by the operator, as the agent's own tool does it; the telephone calls the desk, which is another number of this house.
        self.world.transfer(first, self.telephone.target())
        self.telephone.begins_anew()
        self.call = self.world.call_of(self.telephone.number, {first.id})
        self.begins("blind")
        assert first.ended()["endReason"] == "transferred", first.view()

    def try_attended(self):
        """The call that goes on is handed to another telephone of the same kind: that one takes the server's place, or the server joins the
        two. Each hears what the other one says, and the record says which it was."""
        first, takes_over = self.call, takes_over_of(self.row)
        colleague = self.telephone.colleague_waits()
        self.world.transfer(first, "colleague")
        if takes_over:
            self.telephone.takes_over()
            first.ended()
        else:
            first.joined()
        views = (None, None) if takes_over else (first, SeenByTarget(first))
        for speaker, hearer, view, lane, hz in (
            (self.telephone, colleague, views[1], 0, BEEPS["attended"]), (colleague, self.telephone, views[0], 1, COLLEAGUE_HZ),
        ):  # fmt: skip
            hearer.mark(view)
            speaker.say(tone(hz, BEEP_MS))
            hearer.hears(hz, view)
            if not takes_over:
                wait_sound(f"{hz} Hz of who talks in the recording", lambda lane=lane: first.lane(lane), hz, 200)
        first.hang_up()
        asked = [event["start_line"] for event in first.events() if event["type"] == "sip_message" and event["start_line"].startswith("REFER")]
        assert bool(asked) == takes_over, asked
        record = first.view()
        (leg,) = record["statistics"]["second_legs"]
        assert leg["target"] == "colleague" and leg["answered"], leg
        if takes_over:
            assert (record["endReason"], leg["end"], leg["talked_ms"]) == ("transferred", "handed over", None), record
        else:
            assert (record["endReason"], leg["end"], leg["codec"].lower()) == ("operator_hung_up", "we hung up", self.row.codec.lower()), record
