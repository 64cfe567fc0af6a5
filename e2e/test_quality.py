"""What the network does to a call, both ways of both legs: counted here, and as the other side reports it. The reports are baresip's (RTCP of libre), the losses
those of nftables on a wire of their own: one packet of ten on the way there, one of five on the way here.
"""

import contextlib
import json
import re
import socket
import urllib.request

import pytest
from lib import natlab
from lib.allo import wait_for
from lib.house import House
from lib.natlab import INSIDE, LAN, InsideServer, Laboratory, run
from lib.ports import free_port
from lib.softphone import Baresip

#: A packet of G.711, 20 ms, with its headers: nothing else of a call is as long.
RTP_BYTES = 8 + 12 + 160
SENT, RECEIVED = 10, 5


class Wire(Laboratory):
    """allo and a telephone on one wire that loses packets of audio, by count."""

    def __init__(self):
        super().__init__(None)

    def _make(self, *_):
        self._wire(self._space("in"), INSIDE, self._space("out"), LAN, "eth")
        for space, of in (("out", SENT), ("in", RECEIVED)):
            rules = f"table inet wire {{\nchain comes {{\ntype filter hook input priority 0\nudp length {RTP_BYTES} numgen inc mod {of} 0 drop\n}}\n}}\n"
            run("ip", "netns", "exec", self.path(space), "nft", "-f", "-", text=rules)


def is_about(figure, value):
    """Each of its readings is of some two hundred packets, the last one of fifty at least."""
    return all(figure[name] is not None and abs(figure[name] - value) < 0.04 for name in ("last", "mean", "worst"))


@pytest.mark.skipif(natlab.may() is not None, reason=natlab.may() or "")
def test_losses_of_each_way_are_told_while_the_call_runs_and_in_its_record(folder):
    wire, made = Wire(), contextlib.ExitStack()
    made.callback(wire.remove)
    with made:
        engine = natlab.standin(wire, folder)
        made.callback(engine.stop)
        allo = InsideServer(wire, folder, engine.url, line_allow=f"{LAN}/32", platform_unauthenticated="true", agent_idle_reprompt_s=0)
        made.callback(allo.stop)

        def ask(path):
            return urllib.request.urlopen(f"http://{allo.addresses['platform']}{path}", timeout=20)

        events = wire.inside("in", lambda: ask("/api/events"))
        made.callback(events.close)
        phone = wire.inside("out", lambda: Baresip(folder, host=LAN, control=LAN))
        made.callback(phone.stop)
        wire.inside("out", lambda: phone.dial(f"sip:allo@{INSIDE}:5060"))
        phone.event("CALL_ESTABLISHED")
        # Two reports of the telephone: one may be of the first moments alone. And one that answers a report of ours: the wire takes some of those too.
        told = iter(json.loads(line.removeprefix(b"data: ")) for line in events if line.startswith(b"data: "))
        [leg] = next(event["legs"] for event in told if event.get("legs") and event["legs"][0]["reports"] >= 2 and event["legs"][0]["roundTripMs"]["last"] is not None)
        assert leg["leg"] == "caller" and is_about(leg["received"]["loss"], 1 / RECEIVED), leg
        assert abs(leg["sent"]["loss"]["last"] - 1 / SENT) < 0.04, leg
        assert leg["sent"]["jitterMs"]["worst"] >= leg["sent"]["jitterMs"]["mean"] >= 0 and leg["received"]["jitterMs"]["last"] is not None, leg
        assert 0 <= leg["roundTripMs"]["last"] <= leg["roundTripMs"]["worst"] < 1_000, leg
        [live] = wire.inside("in", lambda: json.load(ask("/api/calls/live")))
        assert live["quality"][0]["reports"] >= 2, live
        phone.command("hangup")
        call = allo.ended_call()
        rtp = allo.call(call["id"])["statistics"]["rtp"]
        quality = rtp["quality"]
        assert is_about(quality["received"]["loss"], 1 / RECEIVED) and abs(quality["sent"]["loss"]["last"] - 1 / SENT) < 0.04, quality
        assert quality["reports"] >= 2 and quality["round_trip_ms"]["mean"] == pytest.approx(rtp["round_trip_ms"], abs=1_000), rtp
        metrics = allo.request("/metrics", raw=True)[1].decode()
        counted = {kind: float(value) for kind, value in re.findall(r'^allo_rtp_loss_ratio_count\{kind="(\w+)"\} (\S+)$', metrics, re.M)}
        assert 1 <= counted["sent"] <= quality["reports"] and counted["received"] >= 2, counted
        assert allo.metric("allo_rtp_round_trip_seconds_count") >= 1 and allo.metric("allo_rtp_jitter_seconds_count") >= 4


def test_both_legs_of_a_bridge_are_told(standin, server, folder):
    house = House(standin, server)
    phones = contextlib.ExitStack()
    with phones:
        port = free_port(socket.SOCK_DGRAM)
        desk = Baresip(folder, name="desk", account="<sip:desk@127.0.0.1>;regint=0;answermode=auto", listen=f"127.0.0.1:{port}")
        phones.callback(desk.stop)
        target = {"destination": f"sip:desk@127.0.0.1:{port}", "mode": "bridge", "ringSeconds": 20}
        house.provision(transferTargets={"desk": target}).ready()
        phone = Baresip(folder)
        phones.callback(phone.stop)
        phone.dial(f"sip:{house.number}@127.0.0.1:{house.allo.udp}")
        phone.event("CALL_ESTABLISHED")
        [call] = wait_for("the call", house.calls)
        house.client.post(f"/calls/{call['id']}/transfer?accountId={house.account}", {"target": "desk"})
        desk.event("CALL_ESTABLISHED", 30)

        def both():
            [live] = house.client.get(f"/calls/live?accountId={house.account}")
            legs = {leg["leg"]: leg for leg in live["quality"]}
            # A telephone's first report may be of before it had one of ours, and know no round trip.
            return legs if len(legs) == 2 and all(leg["roundTripMs"]["last"] is not None for leg in legs.values()) else None

        legs = wait_for("reports of both telephones", both, 40, 0.2)
        for leg in legs.values():
            assert leg["reports"] >= 1 and leg["sent"]["loss"]["last"] < 0.1, legs
        phone.command("hangup")
        house.ended_call()
        statistics = house.client.get(f"/calls/{call['id']}?accountId={house.account}")["statistics"]
        [second] = statistics["second_legs"]
        assert second["rtp"]["quality"]["reports"] >= legs["target"]["reports"] and statistics["rtp"]["quality"]["reports"] >= 1, statistics
        house.settled()
    house.close()
