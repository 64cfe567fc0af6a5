"""Somebody is called into a running call from its live page or the API: beside the agent, or in its place. The person is sipp, the caller sipp or
a socket of the test, the page Debian's Chromium. Who hears whom is judged by frequency in both directions."""

import contextlib
import shutil
import socket

import pytest
from lib.allo import wait_for
from lib.audio import RtpPeer, tone
from lib.pages import browsing, expect
from lib.ports import free_port
from lib.sipp import Sipp
from test_outbound_guard import night_now
from test_people import BACK_HZ, CALLER_HZ, JOINED_HZ, PERSON_HZ, Call, house_of
from test_transfer_matrix import Target

#: What the agent says to a person before they have the caller, and to the caller whom nobody comes to.
ANNOUNCE_HZ, FAILED_HZ = 830, 560
MORE = f"""
[[rule]]
instructed = "A customer of ours waits"
say = {{ text = "a customer of ours waits", hz = {ANNOUNCE_HZ}, ms = 1000 }}

[[rule]]
instructed = "could not be put through"
say = {{ text = "nobody came", hz = {FAILED_HZ}, ms = 700 }}
"""
chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory.mktemp("house"), MORE, outboundPrefixes=["sip:127.0.0.1", "+33"])


browse = browsing("house", "operator")


class Colleague:
    """A telephone that somebody answers, or not."""

    def __init__(self, house, folder, script):
        self.peer, self.port = RtpPeer(), free_port(socket.SOCK_DGRAM)
        self.sipp = Sipp(folder, script, house.allo.udp, self.peer.port, extra=("-p", str(self.port)))
        self.address = f"sip:desk@127.0.0.1:{self.port}"

    def close(self):
        self.sipp.stop()
        self.peer.close()


def called(call):
    return next(one["called"] for one in call.house.platform.good("GET", "/api/calls/live") if one["id"] == call.id)


def both_talk(call, colleague):
    call.peer.say(tone(CALLER_HZ, 4_000))
    colleague.peer.wait_tone(CALLER_HZ, 300, timeout=30)
    call.hush()
    colleague.peer.say(tone(PERSON_HZ, 1_500))
    call.hears(PERSON_HZ)


def events(call, name):
    found = [entry["event"] for entry in call.house.platform.good("GET", f"/api/calls/{call.id}/events?limit=500")]
    return [event["fields"] for event in found if event.get("name") == name]


@chromium
@pytest.mark.timeout(120)
def test_a_page_calls_somebody_beside_the_agent(house, browse, folder):
    page = (browser := browse()).open("/live")
    browser.expected.append("403")
    with contextlib.closing(Call(house, "+33155508101")) as call:
        silent = Target("silent").is_cancelled()
        with contextlib.closing(Colleague(house, folder, silent)) as nobody:
            page.get_by_role("listitem").filter(has_text="1 55 50 81 01").get_by_role("button", name="Suivre").click()
            group = page.get_by_role("dialog").get_by_role("group", name="Appeler quelqu'un dans l'appel")
            number = group.get_by_label("Appeler quelqu'un dans l'appel")
            number.fill("+33 8 99 00 00 00")
            group.get_by_role("button", name="Appeler", exact=True).click()
            expect(page.get_by_text("n'a pas le droit d'appeler ce numéro").or_(page.get_by_text("ne sont jamais appelés")).first).to_be_visible()
            number.fill(nobody.address)
            group.get_by_label("Son nom").fill("Marie")
            group.get_by_role("button", name="Appeler", exact=True).click()
            expect(group.get_by_text("Ça sonne : Marie")).to_be_visible()
            # The caller hears that it rings.
            call.hears(440, 600, after=call.now())
            group.get_by_role("button", name="Annuler").click()
            expect(group.get_by_text("Marie : annulé")).to_be_visible()
            nobody.sipp.wait(20)
            call.hears(FAILED_HZ)
        with contextlib.closing(Colleague(house, folder, Target("desk").answers().until_bye())) as desk:
            number.fill(desk.address)
            group.get_by_role("button", name="Appeler", exact=True).click()
            call.told("Marie: has joined; they, the caller and you hear each other")
            desk.peer.wait_tone(JOINED_HZ, 500, timeout=30)
            both_talk(call, desk)
            assert (call.person(), called(call)["state"]) == ({"name": "Marie", "seat": "beside"}, "joined")
            browser.shown("[role=dialog]")
            assert not browser.accessible()
            # The caller hangs up: nobody is left.
            call.phone.bye()
            desk.sipp.wait(30)
        legs = [(leg["target"], leg["conference"], leg["end"]) for leg in call.ended()["statistics"]["second_legs"]]
        assert legs == [("Marie", False, "called off"), ("Marie", True, "the caller hung up")], legs
        actions = [line["action"] for line in house.platform.good("GET", f"/api/audit?accountId={house.account}&entity=call") if line["entityId"] == call.id]
        assert actions[::-1] == ["invite", "call_off", "invite"], actions


def test_in_the_place_of_the_agent(house, folder):
    with contextlib.closing(Call(house, "+33155508102")) as call:
        key = house.platform.good("POST", "/api/keys", {"accountId": house.account, "name": "desk", "role": "operator"})["key"]
        key = {"X-API-Key": key, "Idempotency-Key": "once"}
        with contextlib.closing(Colleague(house, folder, Target("desk").answers().until_bye())) as desk:
            body = {"to": desk.address, "seat": "instead", "announcement": "A customer of ours waits."}
            call.ask("invite", body=body, headers=key)
            call.ask("invite", body=body, headers=key)
            assert call.ask("invite", 409, body)["code"] == "api_person_there"
            desk.peer.wait_tone(ANNOUNCE_HZ, 700, timeout=30, ended=True)
            wait_for("them to talk", lambda: call.person() == {"name": "A colleague", "seat": "instead"}, 20)
            both_talk(call, desk)
            assert call.house.platform.ask("DELETE", f"/api/calls/{call.id}/invite")[2]["code"] == "api_invite_nobody"
            before = call.now()
            call.ask("hand-back", body={"note": "Tout est dit."})
            desk.sipp.wait(30)
        call.hears(BACK_HZ, after=before).told("Tout est dit.")
        assert called(call) == {"name": "A colleague", "seat": "instead", "state": "over", "reason": "handed the caller back"}
        # Nobody takes it; nobody answers; and a number that may not be called is not.
        busy = Target("busy").refuses("486 Busy Here")
        with contextlib.closing(Colleague(house, folder, busy)) as desk:
            call.ask("invite", body={"to": desk.address, "name": "Paul"})
            desk.sipp.wait(30)
            wait_for("the state", lambda: called(call) == {"name": "Paul", "seat": "beside", "state": "over", "reason": "busy"}, 10)
            call.hears(FAILED_HZ)
        for to, status, code in (("+33899000000", 403, "api_invite_not_allowed"), ("+4912345678", 403, "api_invite_not_allowed"), ("sip:x@192.0.2.1", 403, "api_invite_not_allowed"), ("a b", 422, None)):
            answer = call.ask("invite", status, {"to": to})
            assert code in (None, answer["code"]), answer
        assert call.ask("invite", 422, {"to": "+33140000000", "timeoutSec": 4})["errors"][0]["path"] == "timeoutSec"
        call.phone.bye()
        record = call.ended()
        legs = [(leg["target"], leg["announced"], leg["end"]) for leg in record["statistics"]["second_legs"]]
        assert legs == [("A colleague", True, "handed the caller back"), ("Paul", None, "busy")], legs
        assert [event["reason"] for event in events(call, "transfer_finished")] == ["", "busy"]


def test_who_may_call_somebody(house, folder):
    other = house.account_of("Autre")
    keys = [{"X-API-Key": house.platform.good("POST", "/api/keys", {"accountId": of, "name": role, "role": role})["key"]} for of, role in ((house.account, "viewer"), (other, "owner"))]
    with contextlib.closing(Call(house, "+33155508103")) as call:
        for key, status in zip(keys, (403, 404), strict=True):
            call.ask("invite", status, {"to": "+33140000000"}, headers=key)
        # The account's own ceilings: the night.
        night = {"outbound": {"night": night_now()}}
        house.platform.good("PUT", f"/api/accounts/{house.account}", {"settings": night})
        try:
            assert call.ask("invite", 403, {"to": "+33140000000"})["code"] == "api_call_at_night"
        finally:
            house.platform.good("PUT", f"/api/accounts/{house.account}", {"settings": {}})
        # Whoever hangs up while it rings leaves nobody behind.
        silent = Target("silent").is_cancelled()
        with contextlib.closing(Colleague(house, folder, silent)) as desk:
            call.ask("invite", body={"to": desk.address})
            wait_for("it to ring", lambda: called(call)["state"] == "ringing", 20)
            # Whoever is called is on a line of the account, as a call that it places is.
            house.platform.good("PUT", f"/api/accounts/{house.account}", {"settings": {"outbound": {"callsMax": 1}}})
            try:
                with contextlib.closing(Call(house, "+33155508104")) as second:
                    assert second.ask("invite", 429, {"to": "+33140000000"})["code"] == "api_calls_at_once"
                    second.phone.bye()
            finally:
                house.platform.good("PUT", f"/api/accounts/{house.account}", {"settings": {}})
            call.phone.bye()
            desk.sipp.wait(20)
        assert call.ended()["endReason"] == "caller_hung_up"
        assert call.ask("invite", 409, {"to": "+33140000000"})["code"] == "api_call_ended"
    wait_for("no call to be left", lambda: not house.allo.live(), 20)
