"""A person of the house comes into a call that an agent holds, by voice from its live page: beside the agent, in its place, and back. Judges that
we did not write: sipp is the caller, Debian's Chromium with a microphone of tones the page; `aiortc` and `websockets` where a page has to vanish
or the caller to hang up at an exact moment. Who hears whom is judged by frequency in both directions."""

import contextlib
import shutil
import socket
import wave

import numpy
import pytest
import websockets
import websockets.sync.client
from lib.allo import known_to_calls, wait_for
from lib.audio import RtpPeer, loud_spans, power_at, read_wav, tone
from lib.browser import Page
from lib.interface import Small
from lib.pages import browsing, expect
from lib.phone import Phone
from lib.rtc import RtcPage
from lib.sipp import Script, Sipp
from test_webrtc import MEASURE, PEERS

NUMBER = "+33140506072"
CALLER_HZ, PERSON_HZ = 620, 1040
#: What the agent says when it is told of somebody, in a long story, and when the caller is back.
JOINED_HZ, STORY_HZ, BACK_HZ = 710, 760, 850
RULES = f"""
[[rule]]
instructed = "A person of the house has joined the call"
say = {{ text = "somebody is there", hz = {JOINED_HZ}, ms = 1500 }}

[[rule]]
reads = "[DTMF] 5"
say = {{ text = "a long story", hz = {STORY_HZ}, ms = 30000 }}

[[rule]]
instructed = "the caller is with you again"
say = {{ text = "at your service", hz = {BACK_HZ}, ms = 1000 }}
"""
chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")


def house_of(folder, more="", settings=None, **line):
    """A line leads to an agent that speaks in tones, and understands none."""
    changes = [("not_understood_max = 3", "not_understood_max = 50"), ("hz = 440, ms = 2000", "hz = 440, ms = 700")]
    made = Small(folder, {"replace": changes, "more": RULES + more}, **(settings or {}))
    made.agent = made.agent_of("Accueil")
    made.platform.good("POST", f"/api/agents/{made.agent}/phone-lines", {"phoneNumber": NUMBER, "provider": "sip", "isActive": True, **line})
    known_to_calls(lambda query: made.platform.good("GET", f"/api/admin/route?{query}"), made.account, NUMBER, made.agent)
    yield made
    made.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    yield from house_of(tmp_path_factory.mktemp("house"))


browse = browsing("house", "operator")


class Call:
    """A caller whom the agent has greeted. `phone` is a socket of the test, or else sipp calls and waits for the BYE."""

    def __init__(self, house, number, folder=None):
        self.house, self.peer, self.sipp, self.phone = house, RtpPeer(), None, None
        if folder:
            script = Script("people").call().until_bye()
            script.steps = [step.replace("+33123456789", number) for step in script.steps]
            self.sipp = Sipp(folder, script, house.allo.udp, self.peer.port, service=NUMBER)
        else:
            self.phone = Phone(house.allo.udp, self.peer.port, user=number, service=NUMBER)
            self.phone.invite()
            self.phone.wait(lambda m: m.status == 200 and m.cseq_method == "INVITE", 20)
            self.phone.ack()
        self.peer.wait_tone(440, 500, ended=True, timeout=40)
        running = lambda: next((one["id"] for one in house.platform.good("GET", "/api/calls/live") if one["from"] == number), None)  # noqa: E731
        self.id = wait_for("the call on the board", running, 10)

    def person(self):
        return next(one["person"] for one in self.house.platform.good("GET", "/api/calls/live") if one["id"] == self.id)

    def ask(self, action, expected=202, body=None, **more):
        status, _, answer = self.house.platform.ask("POST", f"/api/calls/{self.id}/{action}", body or {}, **more)
        assert status == expected, (action, status, answer)
        return answer

    def told(self, words):
        """A line of the house in the transcript, which is what the model was told."""
        lines = lambda: [line["content"] for line in self.house.platform.good("GET", f"/api/calls/{self.id}/transcript") if words in line["content"]]  # noqa: E731
        return wait_for(f"the line {words!r}", lines, 20)

    def ended(self):
        record = lambda: (found := self.house.platform.good("GET", f"/api/calls/{self.id}")).get("endReason") and found  # noqa: E731
        return wait_for("the record", record, 30)

    def hears(self, hz, ms=300, after=0.0):
        self.peer.wait_tone(hz, ms, timeout=40, after=after)
        return self

    def hush(self):
        """The caller says nothing more: who speaks on would cut the agent short."""
        with self.peer._lock:
            self.peer._outgoing.clear()

    def now(self):
        """The time of the last packet: what is heard later is heard after this."""
        return self.peer.packets[-1].at

    def close(self):
        for one in (self.phone, self.peer):
            if one:
                one.close()


def bursts(path):
    """A microphone's file: a tone of 700 ms every two seconds."""
    at = numpy.arange(int(0.7 * 48_000)) / 48_000
    burst = (9_000 * numpy.sin(2 * numpy.pi * PERSON_HZ * at)).astype("<i2").tobytes() + bytes(2 * int(1.3 * 48_000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(burst * 200)
    return path


def page_hears(page, hz):
    def sounds():
        heard = page.evaluate(MEASURE)
        return abs(heard["hz"] - hz) < 25 and heard["level"] > 0.02

    wait_for(f"{hz} Hz in the page", sounds, 25, 0.05)


@chromium
@pytest.mark.timeout(240)
def test_a_page_joins_takes_over_and_hands_back(house, browse, folder):
    browser = browse(script=PEERS, microphone=bursts(folder / "person.wav"), untouched=True)
    page = browser.open("/live")
    with contextlib.closing(Call(house, "+33155508001", folder)) as call:
        page.get_by_role("listitem").filter(has_text="1 55 50 80 01").get_by_role("button", name="Suivre").click()
        drawer = page.get_by_role("dialog")
        press = lambda name: drawer.get_by_role("button", name=name, exact=True).click()  # noqa: E731
        press("Rejoindre")
        expect(drawer.get_by_text("Vous êtes en ligne, avec l'agent")).to_be_visible()
        call.told("has joined; they, the caller and you hear each other")
        call.hears(PERSON_HZ)
        browser.shown("[role=dialog]")
        assert not browser.accessible()
        # Who is silent hears the other two.
        press("Couper le micro")
        quiet = lambda: call.peer.packets[-1].at - max(stretch[-1].at for _, _, stretch in call.peer.tones()) > 1.5  # noqa: E731
        wait_for("silence", quiet, 20)
        call.peer.press("5")
        page_hears(page, STORY_HZ)
        call.peer.say(tone(CALLER_HZ, 4_000))
        page_hears(page, CALLER_HZ)
        call.hush()
        press("Prendre la main")
        expect(drawer.get_by_text("Vous avez l'appelant, sans l'agent")).to_be_visible()
        alone = call.now()
        press("Remettre le micro")
        call.hears(PERSON_HZ, after=alone)
        # A key that the agent would answer with a story.
        call.peer.press("5")
        call.peer.say(tone(CALLER_HZ, 4_000))
        page_hears(page, CALLER_HZ)
        call.hush()
        call.hears(PERSON_HZ, after=call.now())
        others = [hz for hz, ms, stretch in call.peer.tones() if stretch[0].at > alone + 0.5 and ms > 100 and abs(hz - PERSON_HZ) > 25]
        assert not others, f"the agent is heard: {others}"
        drawer.get_by_label("Un mot pour l'agent").fill("La table est réservée.")
        press("Rendre à l'agent")
        call.hears(BACK_HZ, after=alone)
        call.told("has handed the caller back to you and left. What they want you to know: La table est réservée.")
        # Once more, without a word beforehand; and the page is left.
        press("Prendre la main")
        expect(drawer.get_by_text("Vous avez l'appelant, sans l'agent")).to_be_visible()
        again = call.now()
        call.hears(PERSON_HZ, after=again)
        page.goto("about:blank")
        call.hears(BACK_HZ, after=again).told("hung up; the caller is back")
        assert call.person() is None
        house.platform.good("POST", f"/api/calls/{call.id}/hangup")
        call.sipp.wait(30)
        record = call.ended()
        legs = [(leg["from_page"], leg["conference"], leg["end"]) for leg in record["statistics"]["second_legs"]]
        assert record["endReason"] == "operator_hung_up" and legs == [(True, True, "handed the caller back"), (True, False, "hung up")], record
        audit = house.platform.good("GET", f"/api/audit?accountId={house.account}&entity=call")
        assert [line["action"] for line in audit if line["entityId"] == call.id][::-1] == ["join", "take_over", "hand_back", "take_over", "hang_up"], audit
        left, right = read_wav(house.allo.data / "recordings" / f"{call.id}.wav")
        heard = [[any(power_at(lane[a * 8 : b * 8], hz) > 0.2 for a, b in loud_spans(lane)) for hz in (CALLER_HZ, PERSON_HZ)] for lane in (left, right)]
        assert heard == [[True, False], [False, True]], heard


def by_socket(call, **body):
    ticket = call.ask("join", 201, body)
    page = Page(call.house.base.replace("http", "ws") + ticket["path"])
    page.say(tone(PERSON_HZ, 60_000))
    return page, ticket


def test_nobody_is_left_alone_whoever_leaves(house):
    with contextlib.closing(Call(house, "+33155508002")) as call:
        # The caller hangs up on the person who has them.
        page, ticket = by_socket(call, seat="instead", name="Marie")
        call.hears(PERSON_HZ)
        assert call.person() == {"name": "Marie", "seat": "instead"}
        call.peer.say(tone(CALLER_HZ, 3_000))
        wait_for("the caller in the page", lambda: page.hears(CALLER_HZ, 1_000), 20)
        assert call.ask("join", 409)["code"] == "api_person_there"
        with pytest.raises(websockets.InvalidStatus):
            websockets.sync.client.connect(house.base.replace("http", "ws") + ticket["path"])
        call.phone.bye()
        wait_for("the page to be told", lambda: page.over, 20)
        record = call.ended()
        (leg,) = record["statistics"]["second_legs"]
        assert (record["endReason"], leg["end"], leg["target"]) == ("transferred", "the caller hung up", "Marie"), record
        assert call.ask("join", 409)["code"] == "api_call_ended"
    with contextlib.closing(Call(house, "+33155508003")) as call:
        assert call.ask("take-over", 409)["code"] == call.ask("hand-back", 409)["code"] == "api_person_nobody"
        # The person's connection breaks without a word.
        page, _ = by_socket(call, seat="instead", name="Marie")
        call.hears(PERSON_HZ)
        gone = call.now()
        page.socket.socket.shutdown(socket.SHUT_RDWR)
        call.hears(BACK_HZ, after=gone).told("the caller is back")
        # By WebRTC beside the agent; then alone with the caller, and back; then somebody else gives the caller back.
        tickets = []
        page = RtcPage(lambda offer: tickets.append(call.ask("join", 201, {"name": "Paul", "offer": offer})) or tickets[0]["answer"])
        try:
            call.told("Paul: has joined")
            wait_for("the person on the board", lambda: call.person() == {"name": "Paul", "seat": "beside"}, 10)
            page.say(tone(PERSON_HZ, 1_500), 0)
            # To its end: what the agent says next would be cut by it.
            call.peer.wait_tone(PERSON_HZ, 1_000, timeout=40, ended=True, after=gone)
            call.ask("take-over")
            call.told("Paul: has the call alone with the caller")
            call.ask("hand-back", body={"stay": True})
            wait_for("the three to be together again", lambda: call.person() == {"name": "Paul", "seat": "beside"}, 10)
            wait_for("the agent in the page", lambda: page.hears(JOINED_HZ, 1_000), 30)
            before = call.now()
            call.ask("hand-back", body={"note": "Tout est dit."})
            wait_for("the page to be told", lambda: page.over, 20)
        finally:
            page.vanish()
        call.hears(BACK_HZ, after=before).told("Tout est dit.")
        call.phone.bye()
        legs = [(leg["target"], leg["conference"], leg["end"]) for leg in call.ended()["statistics"]["second_legs"]]
        assert legs == [("Marie", False, "hung up"), ("Paul", True, "handed the caller back")], legs
    wait_for("no call to be left", lambda: not house.allo.live(), 20)


def test_who_may_come_in(house):
    other = house.account_of("Autre")
    keys = {}
    for role, of in (("viewer", house.account), ("operator", house.account), ("owner", other)):
        keys[of, role] = {"X-API-Key": house.platform.good("POST", "/api/keys", {"accountId": of, "name": role, "role": role})["key"]}
    with contextlib.closing(Call(house, "+33155508004")) as call:
        for action in ("join", "take-over", "hand-back"):
            call.ask(action, 403, headers=keys[house.account, "viewer"])
            call.ask(action, 404, headers=keys[other, "owner"])
        assert call.ask("join", 422, {"name": "x" * 81})["errors"][0]["path"] == "name"
        assert call.ask("join", 422, {"offer": "hello"})["code"] == "api_offer_no_audio"
        assert call.ask("join", 201, headers=keys[house.account, "operator"])["path"]
        assert call.person() is None, "a ticket alone is nobody on the line"
        call.phone.bye()
        call.ended()


def test_a_caller_by_a_stream_is_met_and_taken_over(house):
    """A leg that is played ahead of time, as a carrier's is."""
    good = house.platform.good
    socket_of = lambda ticket: Page(house.base.replace("http", "ws") + ticket["path"])  # noqa: E731
    ticket = good("POST", "/api/calls/browser", {"agentId": house.agent})
    caller, path = socket_of(ticket), f"/api/calls/{ticket['id']}"
    wait_for("the greeting", lambda: caller.hears(440, 400), 20)
    # Nobody cuts what the agent has to say first.
    ticket_of = lambda: (answer := house.platform.ask("POST", f"{path}/join", {"name": "Marie"}))[0] == 201 and answer[2]  # noqa: E731
    person = socket_of(wait_for("what was said first", ticket_of, 20, 0.1))
    wait_for("the agent, for both", lambda: all(one.hears(JOINED_HZ, 500) for one in (caller, person)), 20)
    for one, hz in ((caller, CALLER_HZ), (person, PERSON_HZ)):
        one.say(tone(hz, 40_000))

    def both_hear():
        since = [len(one.played) for one in (caller, person)]
        for one, hz, begun in ((caller, PERSON_HZ, since[0]), (person, CALLER_HZ, since[1])):
            wait_for(f"{hz} Hz", lambda one=one, hz=hz, begun=begun: one.hears(hz, 1_000, begun), 20)

    both_hear()
    good("POST", f"{path}/take-over", {})
    both_hear()
    caller.socket.close()
    wait_for("the person to be told", lambda: person.over, 20)
    record = wait_for("the record", lambda: (found := good("GET", path)).get("endReason") and found, 20)
    (leg,) = record["statistics"]["second_legs"]
    assert (record["endReason"], leg["conference"]) == ("transferred", True), record
