"""A restaurant makes its agent: through a proxy that lets the voice server be down, slow, and die between each pair of requests. In the
end there is one account, and for each restaurant one agent with the twelve tools."""

import json
import time
import urllib.error
import urllib.request

import pytest

from lib.allo import TOKEN, wait_for
from lib.faultproxy import FaultProxy

NAMES = {
    "check_availability", "confirm_order", "confirm_reservation", "save_customer_info", "log_new_faq", "leave_message",
    "check_order_status", "cancel_order", "lookup_reservation", "cancel_reservation", "transfer_call", "end_call",
}  # fmt: skip


class Office:
    """The back office and the voice server behind it, as their clients see them."""

    def __init__(self, allo):
        self.allo = allo

    def ask(self, side, method, path, body=None):
        request = urllib.request.Request(
            f"http://{self.allo.addresses[side]}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def restaurant(self, **fields):
        return self.ask("back_office", "POST", "/api/restaurants", {"name": "Pizza Bella", "sipEnabled": True} | fields)["id"]

    def change(self, restaurant, **fields):
        return self.ask("back_office", "PATCH", "/api/restaurants", {"id": restaurant} | fields)

    def row(self, restaurant):
        return self.ask("back_office", "GET", f"/api/restaurants?id={restaurant}")

    def account(self):
        """The one account of the application."""
        accounts = [a for a in self.ask("platform", "GET", "/api/accounts?limit=500") if a["name"] == "AlloResto"]
        assert len(accounts) == 1, accounts
        return accounts[0]["id"]

    def agents(self, restaurant):
        every = self.ask("platform", "GET", f"/api/agents?accountId={self.account()}&limit=500")
        return [agent for agent in every if agent["config"]["restaurantId"] == restaurant]

    def complete(self, restaurant):
        """The agent, once the restaurant names it and it has its tools; never two of anything."""
        agent = self.row(restaurant)["agentId"]
        if not agent:
            return None
        try:
            tools = [tool["name"] for tool in self.ask("platform", "GET", f"/api/agents/{agent}/tools")]
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            return None
        assert len(tools) == len(set(tools)), tools
        return agent if set(tools) == NAMES else None

    def assert_one(self, restaurant, agent):
        assert [found["id"] for found in self.agents(restaurant)] == [agent]
        customers = self.ask("platform", "GET", f"/api/final-customers?accountId={self.account()}&limit=500")
        assert len([c for c in customers if c["settings"].get("restaurantId") == restaurant]) == 1, customers


@pytest.fixture
def proxy():
    made = FaultProxy()
    yield made
    made.close()


@pytest.fixture
def office(server, standin, proxy):
    allo = server(
        standin("tone").url, platform_unauthenticated="true", platform_rate_per_s=10_000, back_office_listen="127.0.0.1:0",
        back_office_voice_url=proxy.url,
    )  # fmt: skip
    proxy.target = allo.addresses["platform"]
    return Office(allo)


LOG = pytest.mark.allowed_log(r"\[sip-provisioning\]")


@LOG
def test_whatever_happens_there_is_one_agent_with_twelve_tools(office, proxy):
    # Down: the restaurant is saved all the same, and the reconciler catches up by itself.
    proxy.down = True
    first = office.restaurant()
    wait_for("an attempt", lambda: proxy.requests, 10)
    assert office.row(first)["agentId"] is None
    wait_for("the log's prefix", lambda: "[sip-provisioning]" in office.allo.log() + office.allo.output(), 10)
    proxy.down = False
    agent = wait_for("the agent of the first restaurant", lambda: office.complete(first), 30)
    office.assert_one(first, agent)
    # How many requests a whole way has; the account is there by now.
    proxy.arm({})
    second = office.restaurant()
    office.assert_one(second, wait_for("the second", lambda: office.complete(second), 20))
    whole = len(proxy.requests)
    assert whole >= 15, proxy.requests
    # It dies between each pair: before the request arrives, or after it was done and before its answer.
    for fault in ("lost", "unheard"):
        for place in range(whole):
            proxy.arm({place: fault, place + 1: "lost"})
            restaurant = office.restaurant(name=f"{fault} {place}")
            wait_for(f"{fault} at {place}", lambda place=place: proxy.count > place, 10)
            proxy.arm({})
            # The next PATCH catches up at once.
            office.change(restaurant, aiVoice="coral")
            agent = wait_for(f"the agent after {fault} at {place}", lambda: office.complete(restaurant), 20)
            office.assert_one(restaurant, agent)
            wait_for("the changed voice", lambda: office.agents(restaurant)[0]["aiVoice"] == "coral", 10)


@LOG
def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(office, proxy):
    proxy.delay = 0.3
    slow = office.restaurant()
    agent = wait_for("the agent of a slow server", lambda: office.complete(slow), 30)
    office.assert_one(slow, agent)
    proxy.delay = 0.0
    # The making of the agent takes longer than the patience of ten seconds, and is done in the end.
    proxy.arm({3: 12.0})
    silent = office.restaurant(name="Silence")
    began = time.monotonic()
    agent = wait_for("the agent of a silent server", lambda: office.complete(silent), 60)
    assert time.monotonic() - began > 9, "nobody waited"
    office.assert_one(silent, agent)


@LOG
def test_changes_follow_and_an_agent_that_was_deleted_is_made_again(office, proxy):
    restaurant = office.restaurant(transferEnabled=True, transferPhoneNumber="+33400000000")
    agent = wait_for("the agent", lambda: office.complete(restaurant), 20)
    assert office.agents(restaurant)[0]["config"]["transferEnabled"] is True
    wait_for("rest", lambda: office.row(restaurant)["agentPublicToken"], 5)
    proxy.arm({})
    office.change(restaurant, name="Pizza Bellissima", timezone="Europe/Brussels", transferAutomatic=True, deliveryEnabled=True)
    wait_for("the new name", lambda: office.agents(restaurant)[0]["name"] == "Pizza Bellissima", 10)
    found = office.agents(restaurant)[0]
    assert (found["timezone"], found["config"]["transferEnabled"], found["config"]["deliveryEnabled"]) == ("Europe/Brussels", False, True)
    assert [method for method, _ in proxy.requests] == ["PUT"], proxy.requests
    office.ask("platform", "DELETE", f"/api/agents/{agent}")
    office.change(restaurant, aiVoice="ash")
    again = wait_for("another agent", lambda: (made := office.complete(restaurant)) != agent and made, 20)
    office.assert_one(restaurant, again)


@LOG
def test_a_restaurant_that_is_switched_off_is_called_by_nobody(office, proxy):
    restaurant = office.restaurant()
    agent = wait_for("the agent", lambda: office.complete(restaurant), 20)
    line = {"restaurantId": restaurant, "phoneNumber": "+33411223344", "provider": "twilio", "isActive": True}
    office.ask("back_office", "PUT", "/api/phone-lines", line)

    def lines():
        found = office.ask("platform", "GET", f"/api/agents/{agent}/phone-lines")
        return [line["isActive"] for line in found]

    wait_for("the line", lambda: lines() == [True], 10)
    office.change(restaurant, isActive=False)
    wait_for("the line out of use", lambda: lines() == [False], 10)
    office.change(restaurant, isActive=True)
    wait_for("the line in use again", lambda: lines() == [True], 10)


@LOG
def test_in_one_process_the_account_and_its_key_make_themselves(server, standin):
    allo = server(standin("tone").url, back_office_listen="127.0.0.1:0")
    office = Office(allo)
    restaurant = office.restaurant()
    office.assert_one(restaurant, wait_for("the agent", lambda: office.complete(restaurant), 20))
    log = allo.log() + allo.output()
    assert "acc_" not in log and "whsec_" not in log


@pytest.mark.allowed_log(r"\[sip-provisioning\]", "does not exist in the DNS", "failed too often and is tried again")
def test_a_restaurant_that_is_removed_takes_its_agent_and_line_along(office, proxy):
    """By the API that made them, also where the voice server is down at that moment; its neighbour stays."""
    first, second = office.restaurant(), office.restaurant(name="La Voisine")
    line = {"phoneNumber": "+33491234568", "provider": "sip", "sipDomain": "sip.example", "sipUsername": "x", "sipPassword": "y", "isActive": True}
    office.ask("back_office", "PUT", "/api/phone-lines", line | {"restaurantId": first})
    agents = [wait_for("an agent", lambda of=of: office.complete(of), 30) for of in (first, second)]
    lines = lambda: [l["phoneNumber"] for l in office.ask("platform", "GET", f"/api/phone-lines?accountId={office.account()}")]  # noqa: E731
    wait_for("its line", lambda: line["phoneNumber"] in lines(), 20)
    proxy.down = True
    office.ask("back_office", "DELETE", f"/api/restaurants?id={first}")
    wait_for("an attempt that fails", lambda: "RemoveAgent" in office.allo.log() or "FindAgent" in office.allo.log(), 20)
    assert office.agents(first), "the voice server was down"
    proxy.down = False
    # The next restaurant that changes wakes the task; else the pause does.
    wait_for("the agent to go", lambda: not office.agents(first), 60)
    assert line["phoneNumber"] not in lines()
    office.assert_one(second, agents[1])
