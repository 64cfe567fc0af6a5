"""A caller is parked by whoever took them over, waits with music, and is taken again: from a page, by the API, by a telephone of the account that
dials `*85`; or the agent has them again. Judges that we did not write: baresip is the telephone, sipp and Debian's Chromium where a page or a
colleague is wanted. Who hears whom, and the music, is judged by frequency."""

import contextlib
import hashlib
import json
import re
import shutil
import time

import pytest
from lib.allo import wait_for
from lib.audio import tone
from lib.pages import browsing, expect
from lib.phone import Phone
from lib.softphone import Baresip, write_wav
from lib.webphone import ServerCertificate, WebPhone
from test_invite import Colleague, called, events
from test_people import BACK_HZ, CALLER_HZ, PERSON_HZ, Call, bursts, by_socket, house_of, page_hears
from test_transfer_matrix import Target
from test_webrtc import PEERS

PASSWORD = "a-password-of-a-telephone"
#: Notes of the music on hold, one after the other.
MUSIC_HZ = (392.0, 523.25)
chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    certificate = ServerCertificate(folder)
    for made in house_of(folder, settings=certificate.settings, outboundPrefixes=["sip:127.0.0.1"]):
        made.certificate = certificate
        yield made


browse = browsing("house", "operator")


def device_of(house, username, account=None, agent=None, **more):
    body = {"account_id": account or house.account, "label": f"Poste {username}", "username": username, "password": PASSWORD, "agent_id": agent or house.agent} | more
    made = house.platform.good("POST", "/api/admin/devices", body)["id"]
    known = lambda: "not registered" in str(house.platform.ask("POST", "/api/calls", {"device": made})[2])  # noqa: E731
    wait_for("the device on the telephone side", known, 20)
    return made


@contextlib.contextmanager
def telephone_of(house, folder, username, **more):
    """A registered baresip of the account."""
    device = device_of(house, username, **more)
    account = f"<sip:{username}@127.0.0.1:{house.allo.udp}>;auth_pass={PASSWORD};regint=60"
    telephone = Baresip(folder, f"telephone-{username}", account=account)
    try:
        wait_for("its registration", lambda: house.platform.good("GET", f"/api/admin/devices/{device}")["bindings"], 30)
        yield telephone
    finally:
        telephone.stop()


class Extension(Phone):
    """A socket that calls with the password of a device."""

    def proven(self, method, uri, ask):
        """The request again, with the password that is asked for."""
        ask(1, [])
        challenge = self.wait(lambda m: m.status == 401 and m.cseq_method == method, 10).header("WWW-Authenticate")
        if method == "INVITE":
            self.ack()
        field = lambda name: re.search(rf'{name}="([^"]*)"', challenge).group(1)  # noqa: E731
        digest = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: S324, E731
        first, second = digest(f"{self.user}:{field('realm')}:{PASSWORD}"), digest(f"{method}:{uri}")
        asks_qop = "qop=" in challenge
        middle = f"{field('nonce')}:00000001:c:auth" if asks_qop else field("nonce")
        qop = ', qop=auth, nc=00000001, cnonce="c"' if asks_qop else ""
        proof = f'response="{digest(f"{first}:{middle}:{second}")}"'
        self.messages.clear()
        self.to_tag = ""
        ask(2, [f'Authorization: Digest username="{self.user}", realm="{field("realm")}", nonce="{field("nonce")}", uri="{uri}", {proof}, algorithm=MD5{qop}'])

    def register(self):
        """From here on its calls are those of the device, whatever its address may do."""
        dialled, self.service = self.service, self.user
        registrar = f"sip:127.0.0.1:{self.server[1]}"

        def ask(cseq, headers):
            text = self.request("REGISTER", cseq=cseq, headers=[*headers, "Expires: 120"], to_tag="")
            self.send(text.replace(f"REGISTER sip:{self.user}@127.0.0.1:{self.server[1]}", f"REGISTER {registrar}", 1))

        self.proven("REGISTER", registrar, ask)
        self.wait(lambda m: m.status == 200 and m.cseq_method == "REGISTER", 10)
        self.messages.clear()
        self.service, self.call_id = dialled, f"{self.call_id}-invite"

    def dial(self):
        self.register()
        uri = f"sip:{self.service}@127.0.0.1:{self.server[1]}"
        self.proven("INVITE", uri, lambda cseq, headers: self.invite(cseq=cseq, headers=headers))
        return self.final(10)


def refused(house, username, dialled):
    """What a telephone that dials this is told: the status, and the Reason."""
    with contextlib.closing(Extension(house.allo.udp, user=username, service=dialled)) as phone:
        final = phone.dial()
        phone.ack(cseq=2)
        return final.status, final.header("Reason")


def parked(call):
    return next(one["parked"] for one in call.house.platform.good("GET", "/api/calls/live") if one["id"] == call.id)


def park(call, expected=1, **body):
    """The caller is put into this place, and hears the music."""
    before = call.now()
    assert call.ask("park", body=body) == {"id": call.id, "place": expected}
    for hz in MUSIC_HZ:
        call.hears(hz, 200, after=before)
    return parked(call)


def taken_over(call):
    page, _ = by_socket(call, seat="instead", name="Marie")
    call.hears(PERSON_HZ)
    return page


def both_talk(call, telephone, since):
    """Since then: the telephone begins each of its calls with what it said last."""
    call.peer.say(tone(CALLER_HZ, 60_000))
    telephone.wait_sounding(CALLER_HZ)
    call.hush()
    telephone.say(tone(PERSON_HZ, 2_000))
    call.hears(PERSON_HZ, after=since)


@pytest.mark.timeout(240)
def test_parked_by_the_api_and_taken_by_a_telephone(house, folder):
    with telephone_of(house, folder, "201") as telephone, contextlib.closing(Call(house, "+33155509001")) as call:
        dial = lambda place="": telephone.dial(f"sip:*85{place}@127.0.0.1:{house.allo.udp}")  # noqa: E731
        page = taken_over(call)
        view = park(call, name="Marie", note="Il attend les ventes.")
        assert (view["place"], view["by"]) == (1, "Marie") and view["since"] < view["until"], view
        wait_for("the page to be told", lambda: page.over, 20)
        assert call.person() is None
        # One caller waits: no place is needed.
        since = call.now()
        dial()
        wait_for("the telephone on the line", lambda: call.person() and call.person()["seat"] == "instead", 20)
        both_talk(call, telephone, since)
        assert parked(call) is None
        call.told("took the caller from place 1 after")
        # By the keys of the telephone, which is told the place, and let go.
        heard, before = len(telephone.samples()), call.now()
        telephone.command("sndcode", "*85")
        wait_for("the caller to be parked again", lambda: parked(call), 20)
        for hz in MUSIC_HZ:
            call.hears(hz, 200, after=before)
        wait_for("the telephone to be let go", lambda: any(e.get("type") == "CALL_CLOSED" for e in telephone.events), 20)
        spoken = telephone.samples()[heard:]
        loud = sum(abs(spoken[at : at + 160].astype(int)).max() > 3_000 for at in range(0, len(spoken), 160)) * 20
        assert loud > 800, f"{loud} ms of speech"
        since = call.now()
        dial("1")
        wait_for("the telephone on the line again", lambda: call.person(), 20)
        both_talk(call, telephone, since)
        before = call.now()
        telephone.command("hangup")
        call.hears(BACK_HZ, after=before).told("hung up; the caller is back")
        call.phone.bye()
        record = call.ended()
        told = [(one["place"], one["by"], one["end"]) for one in record["statistics"]["parked"]]
        assert record["endReason"] == "caller_hung_up" and told == [(1, "Marie", "retrieved"), (1, told[1][1], "retrieved")], record["statistics"]["parked"]
        legs = [(leg["from_page"], leg["from_telephone"], leg["end"]) for leg in record["statistics"]["second_legs"]]
        assert legs == [(True, False, "parked the caller"), (False, True, "parked the caller"), (False, True, "hung up")], legs
        assert [event["place"] for event in events(call, "parked")] == [1, 1] and len(events(call, "retrieved")) == 2
        # The dialogs of the telephone are in the journal of this call: it has none of its own.
        sip = [entry["event"] for entry in house.platform.good("GET", f"/api/calls/{call.id}/events?limit=500") if "*85" in str(entry["event"])]
        assert sip, "the INVITE to the place is not in the journal"
        audit = house.platform.good("GET", f"/api/audit?accountId={house.account}&entity=call")
        assert [line["action"] for line in audit if line["entityId"] == call.id][::-1] == ["take_over", "park"], audit
    wait_for("no call to be left", lambda: not house.allo.live(), 20)


@chromium
@pytest.mark.timeout(180)
def test_taken_by_a_softphone_in_a_browser(house, folder):
    """JsSIP: its audio is that of browsers, whatever the account's telephones have."""
    page = WebPhone(folder, house.certificate.pin, write_wav(folder / "microphone.wav", tone(PERSON_HZ, 120_000)))
    with contextlib.closing(page), contextlib.closing(Call(house, "+33155509003")) as call:
        device_of(house, "203")
        page.jssip(f"wss://127.0.0.1:{house.allo.port('sip/wss')}", "203", PASSWORD)
        page.wait("registered")
        taken_over(call)
        park(call)
        since = call.now()
        page.call("sip:*85@127.0.0.1")
        page.wait("confirmed")
        call.hears(PERSON_HZ, after=since)
        call.peer.say(tone(CALLER_HZ, 60_000))
        page.hears(CALLER_HZ)
        call.hush()
        before = call.now()
        page.hang_up()
        call.hears(BACK_HZ, after=before)
        call.phone.bye()
        (_, leg) = call.ended()["statistics"]["second_legs"]
        assert (leg["from_telephone"], leg["end"]) == (True, "hung up"), leg


@pytest.mark.timeout(120)
def test_nobody_takes_the_caller_in_time(house):
    device_of(house, "202")
    with contextlib.closing(Call(house, "+33155509002")) as call:
        for action, code in (("park", "api_person_nobody"), ("retrieve", "api_call_not_parked")):
            assert call.ask(action, 409)["code"] == code
        assert call.ask("park", 422, {"timeoutSec": 9})["errors"][0]["path"] == "timeoutSec"
        taken_over(call)
        begun = time.monotonic()
        park(call, timeoutSec=10, note="Il attend les ventes.")
        before = call.now()
        call.hears(BACK_HZ, after=before)
        assert 9 < time.monotonic() - begun < 40
        call.told("parked the caller in place 1; nobody took them in 10 s; the caller is back. What they want you to know: Il attend les ventes.")
        assert parked(call) is None
        quiet = call.now() + 1.5
        wait_for("a second and a half", lambda: call.now() > quiet, 10)
        music = [round(hz) for hz, ms, stretch in call.peer.tones() if stretch[0].at > before and ms >= 200 and abs(hz - 523.25) < 8 and stretch[0].at > quiet - 1]
        assert not music, music
        # The place is free, and whoever dials it is told so.
        assert refused(house, "202", "*851") == (404, 'Q.850;cause=1;text="not_parked"')
        assert events(call, "parking_ended")[0]["timed_out"] == 1
        call.phone.bye()
        assert call.ended()["endReason"] == "caller_hung_up"
    # The refusal is a record that can be explained.
    found = next(one for one in house.platform.good("GET", f"/api/calls?accountId={house.account}") if one["to"] == "*851")
    told = house.platform.good("GET", f"/api/calls/{found['id']}/explanation?lang=fr")
    assert (found["endReason"], told["verdict"]["code"]) == ("not_parked", "end_not_parked"), told


@pytest.mark.timeout(180)
def test_places_belong_to_the_account(house, folder):
    other = house.account_of("Autre")
    foreign = house.platform.good("POST", "/api/agents", {"accountId": other, "name": "Autre", "basePrompt": "x"})["id"]
    device_of(house, "301", other, foreign)
    device_of(house, "204")
    keys = [{"X-API-Key": house.platform.good("POST", "/api/keys", {"accountId": of, "name": role, "role": role})["key"]} for of, role in ((house.account, "viewer"), (other, "owner"))]
    with contextlib.closing(Call(house, "+33155509003")) as call, contextlib.closing(Call(house, "+33155509004")) as second:
        taken_over(call)
        park(call)
        for action in ("park", "retrieve"):
            for key, status in zip(keys, (403, 404), strict=True):
                call.ask(action, status, headers=key)
        # Another account's telephone finds nobody, whatever it dials.
        for dialled in ("*85", "*851"):
            assert refused(house, "301", dialled) == (404, 'Q.850;cause=1;text="not_parked"'), dialled
        assert parked(call)["place"] == 1
        taken_over(second)
        park(second, 2)
        # Two wait: the number is missing.
        assert refused(house, "204", "*85")[0] == 484
        # The caller hangs up: the place is free.
        call.phone.bye()
        record = call.ended()
        assert (record["endReason"], record["statistics"]["parked"][0]["end"]) == ("caller_hung_up", "call_ended"), record
        with contextlib.closing(Call(house, "+33155509005")) as third:
            taken_over(third)
            park(third, 1)
            # A person gives them to the agent.
            before = third.now()
            third.ask("hand-back", body={"note": "Personne n'est là."})
            third.hears(BACK_HZ, after=before).told("a colleague gave them to you after")
            third.phone.bye()
            third.ended()
        # Who is called and does not come leaves the caller where they are.
        busy = Target("busy").refuses("486 Busy Here")
        with contextlib.closing(Colleague(house, folder, busy)) as desk:
            second.ask("retrieve", body={"to": desk.address, "name": "Paul"})
            desk.sipp.wait(30)
            wait_for("the state", lambda: called(second) and called(second)["state"] == "over", 10)
            assert (called(second)["reason"], parked(second)["place"]) == ("busy", 2)
        # A ticket alone takes nobody; a page that comes does, and one that comes after it finds nobody.
        second.ask("retrieve", 201, {"name": "Jean"})
        assert parked(second)["place"] == 2
        with contextlib.closing(Colleague(house, folder, Target("desk").answers().until_bye())) as desk:
            before = second.now()
            second.ask("retrieve", body={"to": desk.address, "name": "Paul"})
            wait_for("Paul to have the caller", lambda: second.person() == {"name": "Paul", "seat": "instead"}, 20)
            second.peer.say(tone(CALLER_HZ, 4_000))
            desk.peer.wait_tone(CALLER_HZ, 300, timeout=30)
            second.hush()
            desk.peer.say(tone(PERSON_HZ, 1_500))
            second.hears(PERSON_HZ, after=before)
            assert second.ask("retrieve", 409)["code"] == "api_call_not_parked"
            second.phone.bye()
            desk.sipp.wait(30)
        assert second.ended()["endReason"] == "transferred"
    wait_for("no call to be left", lambda: not house.allo.live(), 20)


@chromium
@pytest.mark.timeout(180)
def test_a_page_parks_and_takes_again(house, browse, folder):
    browser = browse(script=PEERS, microphone=bursts(folder / "person.wav"), untouched=True)
    page = browser.open("/live")
    with contextlib.closing(Call(house, "+33155509006", folder)) as call:
        card = page.get_by_role("listitem").filter(has_text="1 55 50 90 06")
        card.get_by_role("button", name="Suivre").click()
        drawer = page.get_by_role("dialog")
        press = lambda name: drawer.get_by_role("button", name=name, exact=True).click()  # noqa: E731
        press("Prendre la main")
        expect(drawer.get_by_text("Vous avez l'appelant, sans l'agent")).to_be_visible()
        call.hears(PERSON_HZ)
        before = call.now()
        press("Mettre en attente")
        expect(drawer.get_by_text("En attente, place 1")).to_be_visible()
        for hz in MUSIC_HZ:
            call.hears(hz, 200, after=before)
        browser.shown("[role=dialog]")
        assert not browser.accessible()
        page.keyboard.press("Escape")
        expect(card.get_by_text("En attente, place 1")).to_be_visible()
        assert not browser.accessible()
        again = call.now()
        card.get_by_role("button", name="Reprendre").click()
        expect(drawer.get_by_text("Vous avez l'appelant, sans l'agent")).to_be_visible()
        call.hears(PERSON_HZ, after=again)
        call.peer.say(tone(CALLER_HZ, 4_000))
        page_hears(page, CALLER_HZ)
        call.hush()
        back = call.now()
        press("Rendre à l'agent")
        call.hears(BACK_HZ, after=back)
        house.platform.good("POST", f"/api/calls/{call.id}/hangup")
        call.sipp.wait(30)
        record = call.ended()
        assert [(one["place"], one["end"]) for one in record["statistics"]["parked"]] == [(1, "retrieved")], record
        # The story of the call says it.
        told = json.dumps(house.platform.good("GET", f"/api/calls/{call.id}/explanation?lang=fr"), ensure_ascii=False)
        assert "a mis l'appelant en attente, place 1" in told and "a repris l'appelant de la place 1" in told, told
        audit = house.platform.good("GET", f"/api/audit?accountId={house.account}&entity=call")
        assert [line["action"] for line in audit if line["entityId"] == call.id][::-1] == ["take_over", "park", "retrieve", "hand_back", "hang_up"], audit
