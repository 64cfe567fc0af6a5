"""A telephone of the house dials itself into a running call: it listens and is heard by nobody, comes in by its keys, and dials itself in at once, beside
the agent or in its place. Judge that we did not write: baresip, with its audio and its DTMF. Who hears whom is judged by frequency."""

import contextlib

import pytest
from lib.allo import wait_for
from lib.audio import tone
from test_park import device_of, refused, telephone_of
from test_people import BACK_HZ, CALLER_HZ, PERSON_HZ, STORY_HZ, Call, house_of


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory.mktemp("house"))


def closed(telephone):
    return sum(event.get("type") == "CALL_CLOSED" for event in telephone.events)


def audited(call):
    """What the audit log has of the call, oldest first: the action, who did it, and the person's name."""
    lines = call.house.platform.good("GET", f"/api/audit?accountId={call.house.account}&entity=call")
    own = [line for line in lines if line["entityId"] == call.id][::-1]
    return [(line["action"], line["actorKind"], line["actorName"]) for line in own]


def says(telephone, call):
    """The caller hears what the person says, until they have said it: what is said next is heard as another tone."""
    since = call.now()
    telephone.say(tone(PERSON_HZ, 2_500))
    call.peer.wait_tone(PERSON_HZ, 300, timeout=40, ended=True, after=since)


@pytest.mark.timeout(240)
def test_a_telephone_listens_comes_in_takes_over_and_leaves(house, folder):
    with telephone_of(house, folder, "201", joins_calls=True) as telephone, contextlib.closing(Call(house, "+33155509101")) as call:
        dial = lambda code: telephone.dial(f"sip:{code}@127.0.0.1:{house.allo.udp}")  # noqa: E731
        # By the last digits of the caller's number: it hears the caller and the agent, and neither hears it.
        dial("*889101")
        wait_for("the line in the audit log", lambda: audited(call), 20)
        assert audited(call) == [("listen", "device", "201")]
        call.peer.say(tone(CALLER_HZ, 60_000))
        telephone.wait_sounding(CALLER_HZ)
        call.hush()
        begun = call.now()
        telephone.say(tone(PERSON_HZ, 2_000))
        call.peer.press("5")
        call.hears(STORY_HZ, 2_500, after=begun)
        telephone.wait_sounding(STORY_HZ)
        heard = [round(hz) for hz, ms, stretch in call.peer.tones() if stretch[0].at > begun and abs(hz - PERSON_HZ) < 25]
        assert not heard and call.person() is None, f"whoever listens is heard by nobody: {heard}"
        # Beside the agent, by keys.
        telephone.command("sndcode", "*86")
        wait_for("the person beside the agent", lambda: call.person() and call.person()["seat"] == "beside", 20)
        says(telephone, call)
        # In its place, and back again.
        telephone.command("sndcode", "*87")
        wait_for("the person in its place", lambda: call.person()["seat"] == "instead", 20)
        says(telephone, call)
        call.peer.say(tone(CALLER_HZ, 60_000))
        telephone.wait_sounding(CALLER_HZ)
        call.hush()
        telephone.command("sndcode", "*86")
        wait_for("the agent beside them again", lambda: call.person()["seat"] == "beside", 20)
        telephone.command("sndcode", "*87")
        wait_for("the person alone again", lambda: call.person()["seat"] == "instead", 20)
        before = call.now()
        telephone.command("hangup")
        call.hears(BACK_HZ, after=before).told("hung up; the caller is back")
        call.phone.bye()
        record = call.ended()
        legs = [(leg["from_telephone"], leg["end"]) for leg in record["statistics"]["second_legs"]]
        assert (record["endReason"], legs) == ("caller_hung_up", [(True, "hung up")]), record
        assert audited(call) == [("listen", "device", "201"), ("join", "device", "201")]
    wait_for("no call to be left", lambda: not house.allo.live(), 20)


@pytest.mark.timeout(240)
def test_who_comes_in_by_dialling_and_who_does_not(house, folder):
    with telephone_of(house, folder, "202", joins_calls=True) as telephone:
        device_of(house, "203")
        device_of(house, "204", joins_calls=True)
        other = house.account_of("Autre")
        foreign = house.platform.good("POST", "/api/agents", {"accountId": other, "name": "Autre", "basePrompt": "x"})["id"]
        device_of(house, "301", other, foreign, joins_calls=True)
        dial = lambda code: telephone.dial(f"sip:{code}@127.0.0.1:{house.allo.udp}")  # noqa: E731
        nobody = (404, 'Q.850;cause=1;text="no_such_call"')
        assert refused(house, "204", "*88") == nobody
        with contextlib.closing(Call(house, "+33155509201")) as first, contextlib.closing(Call(house, "+33155509202")) as second:
            # Who is not trusted with it, who means nobody, who means two, and whose calls they are not.
            for code in ("*86", "*879202", "*88"):
                assert refused(house, "203", code) == (403, 'Q.850;cause=21;text="rejected"'), code
            assert refused(house, "204", "*889203") == nobody
            assert refused(house, "204", "*87")[0] == 484
            assert refused(house, "301", "*889201") == nobody
            assert not audited(first) and not audited(second)
            # In the place of the agent at once; the other call goes on, and is not heard.
            dial("*8702")
            wait_for("the person in the agent's place", lambda: second.person() and second.person()["seat"] == "instead", 20)
            says(telephone, second)
            assert first.person() is None and audited(first) == []
            assert audited(second) == [("take_over", "device", "202")]
            # One at a time.
            assert refused(house, "204", "*8602")[0] == 486
            before = second.now()
            telephone.command("hangup")
            second.hears(BACK_HZ, after=before)
            # A listener's telephone is let go when the call ends.
            dial("*889201")
            wait_for("the line in the audit log", lambda: audited(first), 20)
            done = closed(telephone)
            first.phone.bye()
            wait_for("the telephone to be let go", lambda: closed(telephone) > done, 20)
            first.ended()
            # One call is left: no digits are needed.
            dial("*86")
            wait_for("the person beside the agent", lambda: second.person() and second.person()["seat"] == "beside", 20)
            says(telephone, second)
            second.phone.bye()
            second.ended()
    # The refusal is a record that can be explained.
    found = next(one for one in house.platform.good("GET", f"/api/calls?accountId={house.account}") if one["to"] == "*879202")
    told = house.platform.good("GET", f"/api/calls/{found['id']}/explanation?lang=fr")
    assert "n'a pas le droit d'entrer dans les appels en cours" in str(told), told
    wait_for("no call to be left", lambda: not house.allo.live(), 20)
