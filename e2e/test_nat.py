"""allo behind routers: full cone, restricted, symmetric, two in a row, a carrier's. Kamailio is the operator and relays no audio, baresip calls, coturn says
how we are seen. Both ways of the audio are judged: what baresip hears by frequency, what the stand-in understands by its answer.

A selection runs with all tests; the rest with ALLO_NAT=all (scripts/prove --only nat).
"""

import json
import os

import pytest

from lib import natlab
from lib.allo import only_expected_log_lines, wait_for
from lib.audio import speak
from lib.house import House as CallingHouse
from lib.kamailio import DOMAIN, PASSWORD, USER, Kamailio
from lib.natlab import OPERATOR, PHONE, PHONE_RTP, RELAY, VPN, VPN_PHONE, Coturn, InsideServer, Laboratory
from lib.softphone import Baresip
from test_outbound import CALLED, place, world_that_calls

WHY_NOT = natlab.may()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")
ALL = os.environ.get("ALLO_NAT") == "all"
GOODBYE = "Thank you very much, goodbye."

#: inner router, outer router, a pool of addresses
NETWORKS = {
    "full_cone": ("full_cone", None, False),
    "restricted": ("restricted", None, False),
    "port_restricted": ("port_restricted", None, False),
    "symmetric": ("symmetric", None, False),
    "double": ("port_restricted", "port_restricted", False),
    "carrier": ("port_restricted", "symmetric", True),
}


class House:
    """The whole of one case."""

    def __init__(self, folder, network):
        self.folder, self.made = folder, []
        self.laboratory = Laboratory(*NETWORKS[network])

    def keep(self, process):
        self.made.append(process)
        return process

    def begin(self, coturn=(), phone=None, **settings):
        outside = self.laboratory.inside
        self.registrar = self.keep(outside("out", lambda: Kamailio(self.folder, host=OPERATOR)))
        self.coturn = self.keep(Coturn(self.laboratory, self.folder, *coturn))
        engine = self.keep(natlab.standin(self.laboratory, self.folder))
        port = self.registrar.ports.udp
        line = {
            "line_username": USER, "line_domain": DOMAIN, "line_password": PASSWORD, "line_registrar": f"sip:{OPERATOR}:{port}",
            "line_outbound_proxy": f"sip:{OPERATOR}:{port};lr", "line_transport": "udp", "line_expires_s": 60, "line_allow": f"{OPERATOR}/32",
        }  # fmt: skip
        self.allo = self.keep(InsideServer(self.laboratory, self.folder, engine.url, **line, **settings))
        wait_for("the registration, by the address that the operator sees", lambda: any("203.0.113." in one for one in self.registrar.bindings()), 20, 0.1)
        self.phone = self.keep(outside("out", lambda: Baresip(self.folder, host=PHONE, **(phone or {}))))
        self.is_ice = bool(phone)
        return self

    def call(self):
        self.phone.dial(f"sip:{USER}@{OPERATOR}:{self.registrar.ports.udp}")
        self.phone.event("CALL_ESTABLISHED")

    def end(self, allowed=()):
        try:
            for process in reversed(self.made):
                process.stop()
        finally:
            self.laboratory.remove()
        if allo := getattr(self, "allo", None):
            unexpected = only_expected_log_lines(allo.log(), allowed)
            assert not unexpected, unexpected


@pytest.fixture
def house(folder, request):
    made = []

    def make(network, **settings):
        made.append(House(folder, network))
        return made[0].begin(**settings)

    make.allowed = []
    try:
        yield make
    finally:
        for one in made:
            one.end(make.allowed)


def notes(allo, call):
    return [event["event"]["message"]["code"] for event in allo.events(call["id"]) if event["event"]["type"] == "note"]


def both_ways(house):
    """The greeting is heard, what is said is understood, the goodbye is heard to its end."""
    house.call()
    if house.is_ice:
        # Its recording begins where its checks end; what it plays before is not in it.
        wait_for("the checks of the telephone", lambda: "mnat 'ice' connected" in house.phone.output(), 15, 0.1)
    else:
        house.phone.wait_tone(440, 2000, 15)
    house.phone.say_for(speak(GOODBYE), 660)
    house.phone.event("CALL_CLOSED", 25)
    call = house.allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    return call


def decision(allo, call):
    return next(event["event"] for event in allo.events(call["id"]) if event["event"]["type"] == "sdp_decision")


STUN = {"nat_stun_server": f"{RELAY}:3478"}
TURN = {"line_nat": "turn", "nat_turn_server": f"{RELAY}:3478", "nat_turn_username": Coturn.USER, "nat_turn_password": Coturn.PASSWORD}


ICE = STUN | TURN | {"line_nat": "ice"}
#: A telephone that does ICE, as baresip does it: a full agent of its own writing.
ICE_PHONE = {"account": f"<sip:tester@{PHONE}>;regint=0;medianat=ice;stunserver=stun:{RELAY}:3478", "modules": ("stun.so", "turn.so", "ice.so"), "more": (f"rtp_ports {PHONE_RTP}",)}


def some(*names, always):
    return [name for name in names if ALL or name in always]


@pytest.mark.parametrize("network", some("full_cone", "restricted", "port_restricted", "double", always=["port_restricted"]))
def test_stun_finds_the_address_and_audio_goes_both_ways(house, network):
    made = house(network, **STUN)
    call = both_ways(made)
    assert "media_address_seen" in notes(made.allo, call)
    assert decision(made.allo, call)["local"].startswith("203.0.113.1:")
    print(f"nat {network}: both ways by STUN")


@pytest.mark.parametrize("network", some(*NETWORKS, always=["carrier"]))
def test_a_relay_carries_audio_through_every_router(house, network):
    made = house(network, coturn=["--stale-nonce=2", "--max-allocate-lifetime=8"], **TURN)
    call = both_ways(made)
    assert "media_address_relayed" in notes(made.allo, call)
    assert decision(made.allo, call)["local"].startswith(f"{RELAY}:40")
    # RTP and RTCP: both are given back, and not left to expire; the nonce changed meanwhile (438).
    wait_for("both allocations to be given back", lambda: made.coturn.output().count("lifetime=0") >= 2, 5)
    assert "error 438" in made.coturn.output(), made.coturn.output()[-3000:]
    print(f"nat {network}: both ways by TURN")


def path(allo, call):
    """The last way that the checks of ICE have found: which message, and its words."""
    found = [event["event"]["message"] for event in allo.events(call["id"]) if event["event"]["type"] == "note"]
    found = [message for message in found if message["code"].startswith("media_path_")]
    return found[-1] if found else None


@pytest.mark.parametrize("network", some("full_cone", "restricted", "port_restricted", "double", always=["port_restricted"]))
def test_ice_goes_straight_where_the_telephone_can_be_reached(house, network):
    """Although the relay is what a peer without ICE is told."""
    made = house(network, phone=ICE_PHONE, **ICE)
    call = both_ways(made)
    assert path(made.allo, call)["code"] == "media_path_direct", notes(made.allo, call)
    print(f"nat {network}: straight by ICE")


@pytest.mark.parametrize("network", some("symmetric", "carrier", always=[]))
def test_ice_gets_through_a_router_with_another_port_for_each_peer(house, network):
    """Straight where our check reaches the telephone before our answer does, else by the relay: baresip 1.0 makes no pairs of addresses that it learns
    from checks once its list is made, though RFC 8445 section 7.3.1.3 wants it."""
    made = house(network, phone=ICE_PHONE, **ICE)
    call = both_ways(made)
    found = path(made.allo, call)["code"]
    assert found in ("media_path_direct", "media_path_relayed"), notes(made.allo, call)
    print(f"nat {network}: {found} by ICE")


def test_ice_takes_the_relay_where_nothing_else_gets_through(house):
    made = house("symmetric", phone=ICE_PHONE, **ICE)
    made.laboratory.shut_out("out")
    call = both_ways(made)
    assert path(made.allo, call)["code"] == "media_path_relayed", notes(made.allo, call)
    # Both allocations are given back.
    wait_for("both allocations to be given back", lambda: made.coturn.output().count("lifetime=0") >= 2, 5)


@pytest.mark.skipif(not ALL, reason="with ALLO_NAT=all (scripts/prove --only nat)")
def test_a_hold_keeps_the_way_that_ice_found(house):
    made = house("port_restricted", phone=ICE_PHONE, **ICE)
    made.call()
    wait_for("the checks of the telephone", lambda: "mnat 'ice' connected" in made.phone.output(), 15, 0.1)
    call = made.allo.live()[0]
    directions = lambda: [e["event"]["direction"] for e in made.allo.events(call["id"]) if e["event"]["type"] == "sdp_decision"]  # noqa: E731
    made.phone.command("hold")
    wait_for("the hold", lambda: directions()[-1] == "recvonly")
    made.phone.command("resume")
    wait_for("the resumption", lambda: directions()[-1] == "sendrecv")
    # baresip 1.0.0 writes no recording after a hold: what comes from it is judged.
    made.phone.say(speak(GOODBYE))
    made.phone.event("CALL_CLOSED", 25)
    call = made.allo.ended_call()
    assert call["endReason"] == "agent_hung_up", call
    assert notes(made.allo, call).count("media_path_direct") == 1, notes(made.allo, call)


def test_a_line_with_ice_is_called_by_telephones_without(house):
    made = house("port_restricted", **ICE)
    call = both_ways(made)
    assert path(made.allo, call) is None and "media_address_relayed" in notes(made.allo, call)


def test_a_call_that_we_place_offers_ice(folder, standin, server):
    """Who offers decides (the controlling side of RFC 8445): here it is allo, through a symmetric router, and the telephone answers by itself."""
    laboratory = Laboratory("symmetric")
    account = f"<sip:{CALLED}@{PHONE}>;regint=0;answermode=auto;medianat=ice;stunserver=stun:{RELAY}:3478"
    coturn = Coturn(laboratory, folder)
    phone = laboratory.inside("out", lambda: Baresip(folder, host=PHONE, listen=f"{PHONE}:5070", **ICE_PHONE | {"account": account}))

    def call():
        options = {"rtp_bind": "0.0.0.0", "rtp_ports": natlab.RTP, "sip_udp": "0.0.0.0:5060", "sip_tcp": "", "sip_tls": ""}
        world = world_that_calls(lambda: CallingHouse(standin, server, "tone", **ICE, **options))
        try:
            world.client.put(f"/agents/{world.agent}/phone-lines/{world.line['id']}", {"outboundPrefixes": [f"sip:{PHONE}"]})
            place(world, 5070, to=f"sip:{CALLED}@{PHONE}:5070")
            wait_for("the checks of the telephone", lambda: "mnat 'ice' connected" in phone.output(), 20, 0.1)
            phone.say_for(speak(GOODBYE), 660)
            phone.event("CALL_CLOSED", 25)
            ended = world.ended_call()
            assert ended["endReason"] == "agent_hung_up", ended
            events = json.dumps(world.client.get(f"/calls/{ended['id']}/events?accountId={world.account}"))
            assert "media_path_direct" in events and "media_path_none" not in events, events
        finally:
            world.close()

    try:
        laboratory.inside("in", call)
    finally:
        phone.stop()
        coturn.stop()
        laboratory.remove()


def test_a_telephone_in_a_second_network_reaches_the_address_that_answers_it(folder):
    """Its ACK and its BYE go to our Contact: the address of the default route is of no use to it."""
    made = House(folder, "full_cone")
    try:
        made.laboratory.second_network()
        engine = made.keep(natlab.standin(made.laboratory, folder))
        allo = made.allo = made.keep(InsideServer(made.laboratory, folder, engine.url, line_allow="10.8.0.0/24"))
        phone = made.keep(made.laboratory.inside("vpn", lambda: Baresip(folder, host=VPN_PHONE)))
        phone.dial(f"sip:agent@{VPN}:5060")
        phone.event("CALL_ESTABLISHED")
        phone.wait_tone(440, 2000, 15)
        phone.command("hangup")
        call = allo.ended_call()
        assert (call["endReason"], call["endedBy"]) == ("caller_hung_up", "caller"), call
    finally:
        made.end()


def one_way(made):
    """The telephone hears the agent, and nothing of it comes here."""
    made.call()
    made.phone.wait_tone(440, 2000, 15)
    made.phone.command("hangup")
    call = made.allo.ended_call()
    explanation = made.allo.explanation(call["id"])
    return call, explanation["verdict"], explanation


@pytest.mark.parametrize("network", some("symmetric", "carrier", always=["symmetric"]))
def test_what_stun_cannot_do_is_explained(house, network):
    made = house(network, **STUN)
    call, verdict, _ = one_way(made)
    assert "media_address_seen" in notes(made.allo, call)
    assert verdict["code"] == "end_one_way_audio_stun", verdict
    assert "TURN" in verdict["remedy"]
    print(f"nat {network}: STUN explained as of no use")


@pytest.mark.skipif(not ALL, reason="with ALLO_NAT=all (scripts/prove --only nat)")
def test_without_any_way_the_private_address_is_explained(house):
    made = house("port_restricted")
    _, verdict, _ = one_way(made)
    assert verdict["code"] == "end_one_way_audio_ours_private", verdict
    assert natlab.INSIDE in verdict["text"] and "nat.stun_server" in verdict["remedy"]


def test_a_silent_server_delays_no_ringing_and_is_told_once(house):
    house.allowed = [r"STUN server 203\.0\.113\.99:3478 did not answer"]
    made = house("full_cone", nat_stun_server="203.0.113.99:3478", rtp_public_address="")
    call, _, explanation = one_way(made)
    assert "log_stun_silent" in notes(made.allo, call)
    # The question takes half a second, and it rang before its end, however busy the machine is.
    told = next(event["at_ms"] for event in made.allo.events(call["id"]) if event["event"].get("message", {}).get("code") == "log_stun_silent")
    assert explanation["timings"]["invite_to_ring_ms"] < told, (explanation["timings"], told)
    made.phone.events.clear()
    made.call()
    made.phone.command("hangup")
    made.allo.ended_call(2)
    assert made.allo.log().count("did not answer in time") == 1
