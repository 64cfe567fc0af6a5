"""What keeps calls that are placed from costing more than was meant: numbers that are never called, ceilings, a night, money. Nothing that is refused
leaves as an INVITE (sipp would have seen it), each refusal is in the audit log and in the figures.
"""

import datetime
import socket as socket_module

import pytest
from lib.allo import wait_for
from lib.ports import free_port
from lib.provisioning import Refused
from test_outbound import Callee, house, place, world_that_calls  # noqa: F401  (house is a fixture)


def refused(world, port, code, status, **more):
    with pytest.raises(Refused) as error:
        place(world, port, **more)
    assert error.value.status == status and code in error.value.body, (error.value.status, error.value.body)
    assert '"remedy"' in error.value.body, error.value.body


def limit(world, **outbound):
    world.client.put(f"/accounts/{world.account}", {"settings": {"outbound": outbound}})


def night_now(hours=2, **more):
    """A night around this hour; UTC has no summer time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    clock = lambda shift: (now + datetime.timedelta(hours=shift)).strftime("%H:%M")
    return {"from": clock(-hours), "to": clock(hours), "timeZone": "UTC"} | more


def test_ceilings_a_night_and_money(house, sipp, peer):  # noqa: F811
    world = world_that_calls(house)
    port = free_port(socket_module.SOCK_DGRAM)
    phone = sipp(Callee("callee").answers().until_bye(), world.allo, peer, extra=("-p", str(port)))

    limit(world, night=night_now())
    refused(world, port, "api_call_at_night", 403)
    refused(world, port, "api_call_at_night", 403, to="+33611111111")
    limit(world, callsPerHour=0)
    refused(world, port, "api_calls_per_hour", 429)
    limit(world, spendPerDay=0)
    refused(world, port, "api_calls_spent", 403)
    limit(world, callsMax=1, callsPerHour=2)
    for number in ("+33899123456", "+881612345678", "+97912345678"):
        refused(world, port, "api_call_not_allowed", 403, to=number)

    # One call, and no second one beside it.
    call = place(world, port)
    refused(world, port, "api_calls_at_once", 429)
    wait_for("the answer", lambda: phone.received("ACK"), 20)
    world.client.request("DELETE", f"/calls/{call['id']}")
    phone.wait()
    assert world.ended_call()["id"] == call["id"]
    # Then the hour's two; the money of the account last.
    gone = place(world, free_port(socket_module.SOCK_DGRAM), timeoutSec=5)
    refused(world, port, "api_calls_per_hour", 429)
    limit(world)
    try:
        world.client.request("DELETE", f"/calls/{gone['id']}")
    except Refused as error:
        assert error.status == 409, "nobody is there: it may have ended by itself"
    world.client.put(f"/accounts/{world.account}", {"budgetDaily": 0})
    refused(world, port, "api_calls_no_balance", 403)

    assert len(phone.received("INVITE")) == 1, "nothing that was refused left"
    assert len(world.calls()) == 2, "and nothing of it is a call"
    lines = world.client.get(f"/audit?accountId={world.account}&action=call_refused&limit=50")
    why = sorted(line["detail"]["why"] for line in lines)
    # Who acts for the node names no account where no rule allows a number: those lines are the node's.
    assert why == ["balance", "concurrency", "night", "night", "rate", "rate", "spend"], lines
    assert "611111111" not in str(lines), "no whole number"
    metrics = world.allo.request("/metrics", raw=True)[1].decode()
    assert 'allo_outbound_refused_total{kind="premium"} 3' in metrics, metrics
    assert 'allo_outbound_refused_total{kind="night"} 2' in metrics, metrics
    world.settled()


def test_settings_that_say_nothing_are_refused(house):  # noqa: F811
    world = house().provision()
    for outbound in ({"callsMax": -1}, {"callMax": 3}, {"night": {"from": "20:00", "to": "08:00", "timeZone": "Mars"}}, []):
        with pytest.raises(Refused) as error:
            world.client.put(f"/accounts/{world.account}", {"settings": {"outbound": outbound}})
        assert error.value.status == 422 and "settings.outbound" in error.value.body, error.value.body
