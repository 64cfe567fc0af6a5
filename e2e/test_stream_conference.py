"""A conference with a caller whom Twilio brings: signed by the `twilio` package, the caller's sound played in real time by a clock that may be slower than
ours. The person comes from a page's socket, or is sipp, called in. Who hears whom is judged by frequency in all directions, and by the phase of the agent's
tone that nothing of it is repeated or lost."""

import contextlib
import json

import numpy
import pytest
from lib.allo import BINARY, Process, wait_for
from lib.audio import FRAME, RATE, loud_spans, power_at, read_wav, rms, tone
from lib.browser import Page
from lib.carrier import Caller
from test_invite import Colleague
from test_people import BACK_HZ, CALLER_HZ, JOINED_HZ, NUMBER, PERSON_HZ, STORY_HZ, Call, house_of
from test_transfer_matrix import Target

SID, TOKEN = "AC00000000000000000000000000000001", "stand-in-token"
#: Most that the carrier may have in hand while somebody is beside the agent, ms: 100, a piece that came late, and a machine that does much else.
DEPTH_MS_MAX = 240


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    settings = {"voice_twilio_account_sid": SID, "voice_twilio_auth_token": TOKEN}
    yield from house_of(tmp_path_factory.mktemp("house"), settings=settings, provider="twilio", outboundPrefixes=["sip:127.0.0.1"])


class StreamCall(Call):
    """A caller whom the agent has greeted."""

    def __init__(self, house, number, slower=0.0):
        self.house, self.phone, self.peer = house, None, None
        self.caller = Caller(house.allo.addresses["voice"], NUMBER, SID, TOKEN, slower, number)
        self.hears(440, 500)
        running = lambda: next((one["id"] for one in house.platform.good("GET", "/api/calls/live") if one["from"] == number), None)  # noqa: E731
        self.id = wait_for("the call on the board", running, 10)

    def hears(self, hz, ms=300, since=0):
        wait_for(f"{hz} Hz for {ms} ms", lambda: self.caller.hears(hz, ms, since), 40)
        return self

    def joins(self, name):
        """Somebody from a page, beside the agent, who says nothing."""
        asked = lambda: (answer := self.house.platform.ask("POST", f"/api/calls/{self.id}/join", {"name": name}))[0] == 201 and answer[2]  # noqa: E731
        ticket = wait_for("what is said first", asked, 20, 0.1)
        page = Page(self.house.base.replace("http", "ws") + ticket["path"])
        wait_for("the person on the board", lambda: self.person() == {"name": name, "seat": "beside"}, 10)
        return page

    def plays(self, ms):
        until = self.caller.now() + ms // 20
        wait_for(f"{ms} ms", lambda: self.caller.now() > until, ms / 1_000 + 10)

    def close(self):
        self.caller.hang_up()


def page_hears(page, hz, ms, since=0):
    wait_for(f"{hz} Hz in the page", lambda: page.hears(hz, ms, since), 30)


def steps(sound, hz):
    """By how much the phase of a tone changes from each 20 ms to the next, against an even one."""
    at = numpy.arange(len(sound)) / RATE
    turned = sound * numpy.exp(-2j * numpy.pi * hz * at)
    phases = numpy.angle(turned[: len(sound) // FRAME * FRAME].reshape(-1, FRAME).mean(axis=1))
    return numpy.abs(numpy.angle(numpy.exp(1j * numpy.diff(phases))))


@pytest.mark.timeout(240)
def test_caller_agent_and_person_hear_each_other(house):
    with contextlib.closing(StreamCall(house, "+33155508201")) as call:
        caller = call.caller
        caller.press("5")
        call.hears(STORY_HZ, 1_000)
        # In the middle of a long sentence, of which nothing is repeated or lost, though some of it was at the carrier already.
        met = caller.now()
        page = call.joins("Marie")
        page_hears(page, STORY_HZ, 1_000)
        call.plays(2_000)
        sentence = caller.sound(met - 25)
        assert min(rms(sentence[at : at + FRAME]) for at in range(0, len(sentence) - FRAME + 1, FRAME)) > 1_000, "a hole in it"
        assert max(steps(sentence, STORY_HZ)) < 0.3, "another place of the tone"
        assert caller.clears == 0
        # The person cuts the agent short, and is heard to their end.
        said = caller.now()
        page.say(tone(PERSON_HZ, 3_000))
        call.hears(PERSON_HZ, 2_500, said)
        heard = caller.sound(said)
        begins = next(at for at in range(0, len(heard), FRAME) if power_at(heard[at : at + 5 * FRAME], PERSON_HZ) > 0.3)
        print(f"the person is heard {begins // 8} ms after they began")
        call.plays(1_000)
        assert not caller.hears(STORY_HZ, 300, said + 75), "the agent goes on"
        assert caller.clears == 0, "the person would be cut with it"
        # The caller is heard by the person.
        caller.say(tone(CALLER_HZ, 2_000))
        page_hears(page, CALLER_HZ, 1_000)
        assert max(caller.depths[met + 50 :]) <= DEPTH_MS_MAX, caller.depths[met:]
        # Without the person the agent's words are ahead of time again, and a barge-in cuts them there.
        left = caller.now()
        call.ask("hand-back", body={"note": "Tout est dit."})
        call.hears(BACK_HZ, 500, left).told("Tout est dit.")
        wait_for("the page to be told", lambda: page.over, 20)
        alone = caller.now()
        caller.press("5")
        call.hears(STORY_HZ, 1_000, alone)
        assert max(caller.depths[-25:]) >= 120, caller.depths[-25:]
        caller.say(tone(CALLER_HZ, 1_000))
        wait_for("the agent to be cut", lambda: caller.clears == 1, 20)
        caller.hang_up()
        record = call.ended()
        (leg,) = record["statistics"]["second_legs"]
        assert (record["endReason"], leg["conference"], leg["end"]) == ("caller_hung_up", True, "handed the caller back"), record
        assert not caller.faults, caller.faults
        left, right = read_wav(house.allo.data / "recordings" / f"{call.id}.wav")
        lanes = [[any(power_at(lane[a * 8 : b * 8], hz) > 0.2 for a, b in loud_spans(lane)) for hz in (CALLER_HZ, PERSON_HZ)] for lane in (left, right)]
        assert lanes == [[True, False], [False, True]], lanes


@pytest.mark.timeout(240)
def test_somebody_called_in_is_not_heard_later_and_later_by_a_slower_carrier(house, folder):
    """By a thirtieth. How much the carrier has in hand is judged at simulated time (`media/feed`): here it is printed, and far beyond it fails."""
    with contextlib.closing(StreamCall(house, "+33155508202", slower=0.03)) as call, contextlib.closing(Colleague(house, folder, Target("desk").answers().until_bye())) as desk:
        caller = call.caller
        asked = lambda: house.platform.ask("POST", f"/api/calls/{call.id}/invite", {"to": desk.address, "name": "Paul"})[0] == 202  # noqa: E731
        wait_for("what is said first", asked, 20, 0.1)
        call.told("Paul: has joined; they, the caller and you hear each other")
        desk.peer.wait_tone(JOINED_HZ, 500, timeout=30)
        caller.press("5")
        desk.peer.wait_tone(STORY_HZ, 1_000, timeout=30)
        begun = caller.now()
        call.hears(STORY_HZ, 1_000, begun).plays(20_000)
        depths = caller.depths[begun:]
        print(f"in hand after each five seconds: {[max(depths[at : at + 250]) for at in range(0, len(depths), 250)]} ms")
        assert max(depths) <= 1_000, depths
        said = caller.now()
        desk.peer.say(tone(PERSON_HZ, 1_500))
        call.hears(PERSON_HZ, 1_000, said)
        caller.say(tone(CALLER_HZ, 3_000))
        desk.peer.wait_tone(CALLER_HZ, 300, timeout=30)
        assert not caller.faults, caller.faults
        caller.hang_up()
        desk.sipp.wait(30)
        (leg,) = call.ended()["statistics"]["second_legs"]
        assert (leg["target"], leg["conference"], leg["end"]) == ("Paul", True, "the caller hung up"), leg


@pytest.mark.timeout(120)
def test_the_stand_in_finds_no_fault_in_a_conference(house, folder):
    """Its marks and the order of messages, by code that shares nothing with ours."""
    command = [BINARY, "carrier-standin", "--webhook", f"http://{house.allo.addresses['voice']}/twilio/{NUMBER}/incoming-call",
               "--to", NUMBER, "--account", SID, "--token", TOKEN, "--seconds", "15"]  # fmt: skip
    carrier = Process(command, folder, "carrier")
    try:
        live = lambda: next((one["id"] for one in house.platform.good("GET", "/api/calls/live") if one["state"] == "answered"), None)  # noqa: E731
        call = StreamCall.__new__(StreamCall)
        call.house, call.id = house, wait_for("the call", live, 20)
        page = call.joins("Marie")
        page.say(numpy.concatenate([tone(PERSON_HZ, 700), numpy.zeros(RATE, dtype=numpy.int16)] * 20))
        wait_for("the end of the call", lambda: page.over, 40)
        carrier.process.wait(20)
    finally:
        carrier.stop()
    (outcome,) = [json.loads(row) for row in carrier.output().splitlines() if row.startswith("{")]
    print(outcome)
    assert (outcome["wrong_marks"], outcome["wrong_messages"]) == (0, 0), outcome
    assert outcome["deepest_ms"] <= 300, outcome
