"""The process is killed at random moments of calls, tools and webhooks. The judge is the back office's own ledger, and its receiver of
call-end webhooks: no order is made twice, none that was reported as made is lost, each ended call has its record, its cost and its
webhook, delivered at least once under one id.

`ALLO_KILLS=200 ALLO_KILLS_SEED=7 pytest e2e/test_kills.py` for the long run.
"""

import json
import os
import random
import threading
import time

import pytest
from lib.allo import Server, wait_for
from lib.audio import RtpPeer
from lib.house import House
from lib.phone import Phone

ROUNDS = int(os.environ.get("ALLO_KILLS", "10"))
CALLERS = int(os.environ.get("ALLO_KILLS_CALLERS", "3"))
SEED = int(os.environ.get("ALLO_KILLS_SEED", "7"))


class Caller(threading.Thread):
    """Calls, asks for the availability, orders once, and hangs up or lets the agent do so. It gives up when the other side is dead."""

    def __init__(self, world, port, number, dice):
        super().__init__(daemon=True)
        self.world, self.port, self.number = world, port, number
        self.over, self.polite, self.pause = threading.Event(), dice.random() < 0.5, dice.uniform(0, 0.6)
        self.answered = self.ordered = False

    def run(self):
        peer = RtpPeer()
        phone = Phone(self.port, peer.port, self.number, service=self.world.number)
        try:
            self._call(phone, peer)
        except OSError:
            pass
        finally:
            phone.close()
            peer.close()

    def _until(self, condition, seconds):
        """Whether it came true before the end of the round."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.over.wait(0.02) or time.monotonic() > deadline:
                return False
        return True

    def _asked(self, path):
        number = json.dumps(self.number)[1:-1].encode()
        return any(number in r.body or number.replace(b"+", b"%2B") in r.target.encode() for r in self.world.office.to(path))

    def _call(self, phone, peer):
        phone.invite()
        final = phone.wait(lambda m: m.status >= 200 and m.cseq_method == "INVITE", 8, must=False)
        if final is None:
            return
        phone.ack()
        if final.status != 200:
            return
        self.answered = True
        tones = lambda: [(hz, ms) for hz, ms, _ in peer.tones()]  # noqa: E731
        if not self._until(lambda: any(abs(hz - 440) < 8 and ms > 400 for hz, ms in tones()), 8):
            return
        peer.press("1")
        if not self._until(lambda: said_to_its_end(peer, 580), 10):
            return
        if self.over.wait(self.pause):
            return
        peer.press("2")
        self.ordered = True
        if not self._until(lambda: self._asked("/api/ai/tools/confirm-order"), 10):
            return
        if self.over.wait(self.pause):
            return
        if self.polite:
            peer.press("#")
            phone.wait(lambda m: m.method == "BYE", 5, must=False)
        else:
            phone.bye()
            phone.wait(lambda m: m.cseq_method == "BYE", 2, must=False)


def said_to_its_end(peer, hz):
    """The policy lets a caller confirm only what was said: the key comes after the agent's words, as a person's would."""
    packets = peer.audio()
    return any(abs(found - hz) < 8 and ms > 200 and packets[-1].at - stretch[-1].at > 0.3 for found, ms, stretch in peer.tones())


class Restarts:
    """One server after the other on the same data and settings; the last one is ended with the test."""

    def __init__(self, folder, engine_url, settings):
        self.folder, self.engine_url, self.settings, self.count = folder, engine_url, settings, 0
        self.running = None

    def start(self):
        self.count += 1
        self.running = Server(self.folder, self.engine_url, name=f"allo-{self.count}", **self.settings)
        return self.running


@pytest.fixture
def houses(standin, folder):
    made = []

    def server(engine_url, **settings):
        restarts = Restarts(folder, engine_url, {"server_data_dir": folder / "data", "limits_calls": 100} | settings)
        made.append(restarts)
        return restarts.start()

    def make(**options):
        house = House(standin, server, **options)
        made.append(house)
        return house, made[0]

    yield make
    for one in made:
        if isinstance(one, Restarts):
            one.running.stop()
    for one in made:
        if not isinstance(one, Restarts):
            one.close()


@pytest.mark.timeout(60 + ROUNDS * 30)
def test_killed_at_random_moments_nothing_is_lost_and_no_order_is_made_twice(houses):
    print(f"ALLO_KILLS_SEED={SEED}")
    dice = random.Random(SEED)
    world, restarts = houses()
    world.provision().ready()
    world.office.random.seed(SEED)
    world.office.jitter_s, world.office.lost = 0.4, 0.05
    numbers, ordered = iter(f"+3361{index:07}" for index in range(10_000_000)), []
    for _ in range(ROUNDS):
        allo = restarts.running
        callers = [Caller(world, allo.udp, next(numbers), dice) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        # The moment is the experiment: it is drawn, over the whole of a call or close to an order.
        if dice.random() < 0.5:
            threading.Event().wait(dice.uniform(0.0, 9.0))
        else:
            wait_for("somebody to order", lambda: any(c.ordered or not c.is_alive() for c in callers), 30)
            threading.Event().wait(dice.uniform(0.0, 1.2))
        allo.kill()
        for caller in callers:
            caller.over.set()
        for caller in callers:
            caller.join(15)
            ordered += [caller.number] if caller.ordered else []
        world.allo = restarts.start()
        world.client = world.connect()
    world.office.lost = 0.0
    # A last call in peace, so that the tests of the ledger see that orders do go through.
    last = Caller(world, restarts.running.udp, next(numbers), dice)
    last.polite = True
    last.start()
    last.join(40)
    assert last.ordered
    ordered.append(last.number)
    judge(world, ordered)


def judge(world, ordered):
    wait_for("every call to have ended", lambda: all(call.get("endedAt") for call in world.calls()), 30)
    calls = world.calls()
    answered = {call["id"] for call in calls if call.get("answeredAt")}

    def told():
        return {payload["finalContext"]["call_id"] for payload in world.office.calls_ended().values()}

    try:
        wait_for("a webhook of each answered call", lambda: answered <= told(), 90)
    except AssertionError:
        missing = [call for call in calls if call["id"] in answered - told()]
        raise AssertionError(f"{len(missing)} of {len(answered)} calls have no webhook, for example {missing[:3]}") from None
    payloads = list(world.office.calls_ended().values())
    by_call = {}
    for payload in payloads:
        by_call.setdefault(payload["finalContext"]["call_id"], []).append(payload)
    assert not [call for call, copies in by_call.items() if len(copies) > 1], "a call has two webhooks of different ids"
    # The ledger: at most one order for each caller, whatever was repeated.
    made = {}
    for key, order in world.office.orders.items():
        made.setdefault(order["body"]["caller_phone"], []).append(key)
    twice = {number: keys for number, keys in made.items() if len(keys) > 1}
    assert not twice, f"ordered twice: {twice}"
    assert not set(made) - set(ordered), "an order that nobody asked for"
    assert len(made) >= max(1, ROUNDS // 8), f"only {len(made)} orders came through: nothing was shown"
    # What was reported as made is in the ledger.
    reported = {p["callerPhone"] for p in payloads if "confirm_order" in [tool["name"] for tool in p["toolCalls"]]}
    assert not reported - set(made), f"reported as made and lost: {reported - set(made)}"
    # What is in the ledger is known to the record: done, or begun with an outcome that nobody knows.
    begun = {call["id"] for call in calls if "confirm_order" in [tool["name"] for tool in call["toolCalls"]]}
    unknown = {order["body"]["call_id"] for order in world.office.orders.values()} - begun
    assert not unknown, f"orders of which the record knows nothing: {unknown}"
    for call in calls:
        assert call["endReason"], call
        if call["id"] in answered:
            [payload] = by_call[call["id"]]
            assert payload["costs"]["costCurrency"] == "EUR" and payload["costs"]["costTotal"] >= 0
    print(
        f"{len(calls)} calls, {len(answered)} answered, {len(ordered)} asked to order, {len(made)} orders, {len(reported)} reported, "
        f"{sum(world.office.repeats.values())} repeated requests, {sum(len(c) for c in world.office.webhooks.values())} webhook deliveries"
    )
