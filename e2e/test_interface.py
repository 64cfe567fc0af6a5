"""What an operator does with a running house, in Chromium: a tool run alone, a prompt previewed, a live call listened to, a call shared and
erased, a workflow drawn; and role by role what is absent from the pages and refused by the API."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from lib.allo import known_to_calls, wait_for
from lib.audio import RtpPeer, speak, tone
from lib.browser import Page as Caller
from lib.interface import Small
from lib.pages import Browser, browsing, expect
from lib.sipp import Script, Sipp, header
from lib.tenancy import OWNER

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed"),
    pytest.mark.timeout(240),
]
CANARY = "canary-5d1f of the house"
NUMBER = "+33140506071"
PHONE = "+33612345678"
SAID = "Thank you very much, goodbye."
#: Long enough to be listened to from a page that opens meanwhile.
LONG_GREETING = {"replace": [('text = "greeting tone", hz = 440, ms = 2000', 'text = "greeting tone", hz = 440, ms = 15000')]}


class Office(ThreadingHTTPServer):
    """A back office that answers what it was asked, the secret in it included."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Desk)
        self.seen = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Desk(BaseHTTPRequestHandler):
    def _answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        status = 500 if self.path.startswith("/broken") else 200
        told = {"open": True, "path": self.path, "key": self.headers.get("x-api-key"), "echo": f"you sent {self.headers.get('x-api-key')}", "body": body}
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def office():
    made = Office()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def house(office, tmp_path_factory):
    """A house whose agent speaks in tones; a line leads to it by SIP."""
    made = Small(tmp_path_factory.mktemp("house"), LONG_GREETING, tools_back_office=office.url)
    made.agent = made.agent_of("Accueil", transferTargets={"cuisine": {"destination": "+33140000001", "description": "Les plats"}}, config={"crm": {"apiKey": CANARY}})
    line = {"phoneNumber": NUMBER, "provider": "sip", "isActive": True}
    made.platform.good("POST", f"/api/agents/{made.agent}/phone-lines", line)
    known_to_calls(lambda query: made.platform.good("GET", f"/api/admin/route?{query}"), made.account, NUMBER, made.agent)
    yield made
    made.close()


browse = browsing("house", "admin")


@pytest.fixture(scope="module")
def call(house):
    return call_of(house, PHONE)


def call_of(house, number):
    """A call of this number that ended, with a recording."""
    ticket = house.platform.good("POST", "/api/calls/browser", {"agentId": house.agent, "from": number})
    caller = Caller(house.base.replace("http", "ws") + ticket["path"])
    wait_for("the greeting", lambda: caller.hears(440, 500), 20)
    caller.say(speak(SAID))
    wait_for("the end", lambda: caller.over, 40)
    wait_for("the record", lambda: house.platform.good("GET", f"/api/calls/{ticket['id']}")["hasRecording"], 20)
    return ticket["id"]


def test_words_that_are_heard_follow_those_that_were_read(house, browse):
    """Of the stream and of the transcript: what both have is shown once, a second "Oui." is shown, and a call that ended keeps no words on the board."""
    browser = browse("operator")
    page, streams, numbers = browser.page, [], ("+33199000011", "+33199000012")
    shared = {"accountId": house.account, "line": "demo", "agent": "demo", "direction": "inbound", "to": NUMBER, "state": "answered", "interruptions": 0}
    calls = [shared | {"id": f"call-{n}", "from": number, "startedAt": "2026-11-29T10:00:00Z"} for n, number in enumerate(numbers)]
    event = lambda kind, id, **data: f"event: call.{kind}\ndata: {json.dumps({'callId': id} | data)}\n\n"  # noqa: E731
    heard = [event("transcript", "call-1", role="user", content="Adieu."), event("ended", "call-1")]
    heard += [event("transcript", "call-0", role="user", content=words) for words in ("Oui.", "Et demain ?", "Oui.")]
    read = [{"role": "user", "content": words} for words in ("Bonjour.", "Oui.")]
    # The page of the log-in follows a stream too: it goes first.
    page.goto("about:blank")
    page.route("**/platform/api/events*", lambda route: streams.append(route))
    page.route("**/platform/api/calls/live*", lambda route: route.fulfill(json=calls))
    page.route("**/platform/api/calls/call-0/transcript", lambda route: route.fulfill(json=read))
    browser.open("/live")
    cards = [page.get_by_role("listitem").filter(has_text=f"00 00 {number[-2:]}") for number in numbers]
    expect(cards[1]).to_contain_text("Pas encore de paroles.")
    wait_for("the stream", lambda: page.evaluate("1") and streams, 20)
    streams[0].fulfill(content_type="text/event-stream", body="retry: 600000\n\n" + "".join(heard))
    expect(cards[0]).to_contain_text("Oui.")
    expect(cards[1]).to_contain_text("Pas encore de paroles.")
    cards[0].get_by_role("button", name="Suivre").click()
    log = page.get_by_role("dialog").get_by_role("log")
    expect(log).to_contain_text("Bonjour.")
    assert [line for line in log.inner_text().splitlines() if line.endswith((".", "?"))] == ["Bonjour.", "Oui.", "Et demain ?", "Oui."], log.inner_text()


def tool(name, method="GET", path="", **more):
    http = {"method": method, "url": f"={{{{BASE_URL}}}}{path or '/' + name}?day={{{{$ai.day}}}}", "headers": {"X-Api-Key": CANARY}}
    if method == "POST":
        http["bodyTemplate"] = {"caller": "={{ctx.caller_phone}}", "name": "={{ctx.customer_name}}", "key": "={{config.crm.apiKey}}"}
    parameters = {"type": "object", "properties": {"day": {"type": "string", "enum": ["monday", "tuesday"]}}, "required": ["day"]}
    return {"name": name, "description": name, "parameters": parameters, "http": http} | more


def test_a_tool_is_run_now_and_no_secret_is_shown(house, office, browse):
    good, agent = house.platform.good, house.agent
    good("PUT", f"/api/agents/{agent}", {"apiBaseUrl": office.url})
    ids = {one["name"]: good("POST", f"/api/agents/{agent}/tools", one)["id"] for one in (
        tool("hours", contextUpdates={"opening": "={{$res.path}}"}), tool("order", "POST", confirm="always"), tool("broken", path="/broken"),
        tool("nowhere", http={"method": "GET", "url": "=https://nowhere.invalid/x"}),
    )}  # fmt: skip

    def run(name, **body):
        return good("POST", f"/api/agents/{agent}/tools/{ids[name]}/run", body)

    seen = len(office.seen)
    dry = run("order", arguments={"day": "monday"}, callerPhone=PHONE, context={"customer_name": "Ada"}, dryRun=True)
    assert len(office.seen) == seen and not dry["requests"][0]["sent"] and dry["output"] is None
    assert json.loads(dry["requests"][0]["body"])["name"] == "Ada" and json.loads(dry["requests"][0]["body"])["caller"] == PHONE
    sent = run("order", arguments={"day": "tuesday"}, callerPhone=PHONE, context={"customer_name": "Ada"})
    assert sent["confirms"] and sent["ok"] and sent["requests"][0]["status"] == 200
    method, path, headers, body = office.seen[-1]
    assert (method, path, headers["x-api-key"]) == ("POST", "/order?day=tuesday", CANARY) and json.loads(body)["key"] == CANARY
    hours = run("hours", arguments={"day": "monday"})
    assert hours["context"] == {"opening": "/hours?day=monday"}, hours
    wrong = run("hours", arguments={"day": "sunday"})
    assert wrong["refusal"] == "bad_arguments" and not wrong["requests"], wrong
    broken = run("broken", arguments={"day": "monday"})
    assert broken["ok"] is False and broken["requests"][0]["status"] == 500, broken
    assert run("nowhere", arguments={"day": "monday"})["requests"][0]["failure"] in ("name", "forbidden", "connect")
    for answer in (dry, sent, hours, broken):
        assert CANARY not in json.dumps(answer) and "canary" not in json.dumps(answer), answer
    noted = good("GET", f"/api/audit?accountId={house.account}&action=tool_tried")
    assert {line["entityId"] for line in noted} >= {ids["order"], ids["hours"]}

    browser = browse()
    page = browser.open(f"/agents/{agent}?tab=tools")
    page.get_by_role("button", name="Essayer order").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Contexte").fill("{")
    drawer.get_by_role("button", name="Montrer la requête").click()
    expect(drawer.get_by_text("Ce JSON n'est pas complet.")).to_be_visible()
    drawer.get_by_label("Contexte").fill('{"customer_name": "Grace"}')
    drawer.get_by_role("button", name="Montrer la requête").click()
    expect(drawer.locator("[data-trial=dry]")).to_contain_text("Grace")
    drawer.locator("label").filter(has_text="À blanc").first.click()
    drawer.get_by_role("button", name="Exécuter maintenant").click()
    result = drawer.locator("[data-trial=ok]")
    expect(result).to_contain_text("HTTP 200")
    expect(result).to_contain_text("demande d'abord l'accord")
    assert not browser.accessible() and "canary" not in page.content()
    browser.shot("tool-trial")
    assert json.loads(office.seen[-1][3])["name"] == "Grace"
    page.keyboard.press("Escape")

    # Completion: the names that this agent knows, by keyboard; faults stand at their fields.
    page.get_by_role("button", name="Modifier hours").click()
    form = page.get_by_role("dialog")
    url = form.get_by_label("Adresse complète")
    url.fill("")
    url.press_sequentially("=https://example.org/{{$ai")
    expect(page.get_by_role("option", name="$ai.day")).to_be_visible()
    assert not browser.accessible()
    url.press("Enter")
    expect(url).to_have_value("=https://example.org/{{$ai.day}}")
    url.fill("=https://example.org/{{nothing.here}}")
    browser.expected = ["422"]
    form.get_by_role("button", name="Enregistrer").click()
    expect(url).to_have_attribute("aria-invalid", "true")
    for one in ids.values():
        good("DELETE", f"/api/agents/{agent}/tools/{one}")


def test_a_prompt_is_previewed_before_it_is_saved(house, browse):
    browser = browse()
    page = browser.open(f"/agents/{house.agent}")
    page.get_by_role("textbox", name="Consignes").fill("=Vous parlez à {{ctx.customer_name}}, au {{callerPhone}}. {{config.crm.apiKey}}")
    page.get_by_role("button", name="Aperçu").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="Montrer").click()
    shown = drawer.locator("[data-preview]")
    expect(shown).to_contain_text(f"Vous parlez à Ada, au {PHONE}. ***")
    expect(shown).to_contain_text("end_call")
    assert not browser.accessible() and "canary" not in shown.inner_text()
    assert house.platform.good("GET", f"/api/agents/{house.agent}")["basePrompt"] == "Be kind.", "nothing was saved"


#: Level and frequency of both sides of what an audio element plays, by the browser's own analyser.
MEASURE = """async () => {
  const audio = document.querySelector('audio');
  if (!window.ears) {
    const context = new AudioContext(), source = context.createMediaElementSource(audio), split = context.createChannelSplitter(2);
    await context.resume();
    source.connect(context.destination); source.connect(split);
    window.ears = [0, 1].map(side => { const ear = context.createAnalyser(); ear.fftSize = 8192; split.connect(ear, side); return ear; });
  }
  return window.ears.map(ear => {
    const wave = new Float32Array(ear.fftSize), bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatTimeDomainData(wave); ear.getFloatFrequencyData(bins);
    let best = 0; for (let n = 1; n < bins.length; n++) if (bins[n] > bins[best]) best = n;
    return {level: Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length), hz: best * ear.context.sampleRate / ear.fftSize};
  });
}"""


@pytest.mark.allowed_log("transfer")
def test_a_live_call_is_heard_in_the_page(house, browse, folder):
    """Both sides of a SIP call, judged by their frequency and level in the browser; the caller is handed over from the board."""
    browser = browse("operator")
    page = browser.open("/live")
    expect(page.get_by_text("Aucun appel en cours.")).to_be_visible()
    peer = RtpPeer()
    script = Script("heard").call().receive_request("REFER").answer_request("202 Accepted")
    notify = ["Event: refer", "Subscription-State: terminated;reason=noresource", "Content-Type: message/sipfrag;version=2.0"]
    script.cseq += 1
    text = script._request("NOTIFY", "[next_url]", script.cseq, "[peer_tag_param]", None, ["Contact: <sip:caller@[local_ip]:[local_port]>", *notify])
    script.send(text.rstrip("\n") + "\n\nSIP/2.0 200 OK\n").receive(200).until_bye()
    phone = Sipp(folder, script, house.allo.udp, peer.port, "u1", service=NUMBER.lstrip("+"))
    try:
        card = page.get_by_role("listitem").filter(has_text="+33 1 23 45 67 89")
        expect(card).to_contain_text("Accueil")
        card.get_by_role("button", name="Suivre").click()
        drawer = page.get_by_role("dialog")
        drawer.get_by_role("button", name="Écouter").click()
        wait_for("sound that plays", lambda: page.evaluate("document.querySelector('audio')?.currentTime > 0.2"), 20, 0.1)

        def sounds(side, hz):
            heard = page.evaluate(MEASURE)[side]
            # A tone of the stand-in stands at a tenth of full scale and more; what nobody hears is below a hundredth.
            return abs(heard["hz"] - hz) < 25 and heard["level"] > 0.05 and heard

        right = wait_for("the agent's 440 Hz on the right", lambda: sounds(1, 440), 15, 0.1)
        peer.say(tone(1000, 4_000), "tone")
        left = wait_for("the caller's 1,000 Hz on the left", lambda: sounds(0, 1000), 15, 0.1)
        (folder / "heard.json").write_text(json.dumps({"agent": right, "caller": left}))
        drawer.get_by_role("textbox", name="Souffler à l'agent").fill("Dites que nous fermons.")
        drawer.get_by_role("button", name="Souffler").click()
        expect(page.get_by_text("L'agent le sait.")).to_be_visible()
        drawer.get_by_role("combobox", name="Transférer").or_(drawer.get_by_label("Transférer").and_(page.locator("input"))).first.click()
        page.get_by_role("option", name="cuisine").click()
        assert not browser.accessible()
        drawer.get_by_role("button", name="Transférer").click()
        expect(page.get_by_text("Le transfert est demandé.")).to_be_visible()
        phone.wait(40)
        assert "+33140000001" in header(phone.received("REFER")[0], "Refer-To")
    finally:
        phone.kill()
        peer.close()


def test_a_call_is_shared_and_the_link_taken_back(house, browse, call, folder):
    browser = browse("operator")
    page = browser.open(f"/calls/{call}")
    page.get_by_role("button", name="Plus", exact=True).click()
    page.get_by_role("menuitem", name="Partager cet appel").click()
    modal = page.get_by_role("dialog")
    modal.locator("label").filter(has_text="Avec l'enregistrement").click()
    modal.get_by_role("button", name="Créer un lien").click()
    link = modal.locator("[data-copyable]").inner_text()
    assert re.fullmatch(rf"{house.base}/admin/shared#shr_\S+", link)
    expect(modal.get_by_text("Jamais ouvert.")).to_be_visible()
    assert not browser.accessible()

    stranger = Browser(house.base, folder)
    try:
        there = stranger.page
        there.goto(link)
        expect(there.locator("[data-verdict]")).to_contain_text("raccroché")
        expect(there.get_by_text(SAID).first).to_be_visible()
        expect(there.get_by_text("…78")).to_be_visible()
        expect(there.get_by_text(re.compile(r"0:00 / 0:\d\d"))).to_be_visible()
        assert "612345678" not in there.content() and "6 12 34 56 78" not in there.content()
        for words in ("Effacer", "Souffler", "Se déconnecter"):
            assert there.get_by_text(words).count() == 0
        assert not stranger.accessible()
        stranger.shot("shared")
        stranger.no_faults()
        # Nothing else opens by it.
        token = link.split("#")[1]
        for name in ("X-API-Key", "Authorization", "X-Public-Token"):
            value = f"Bearer {token}" if name == "Authorization" else token
            assert requests.get(f"{house.base}/api/calls/{call}", headers={name: value}, timeout=10).status_code == 401
        shown = requests.get(f"{house.base}/api/shared", headers={"X-Share-Token": token}, timeout=10)
        assert PHONE not in shown.text and "ladder" not in shown.text and "Call-ID" not in shown.text
        modal.get_by_role("button", name=re.compile("Reprendre shr_")).click()
        expect(page.get_by_text("Le lien ne montre plus rien.")).to_be_visible()
        for path in ("/api/shared", "/api/shared/recording.wav"):
            gone = requests.get(house.base + path, headers={"X-Share-Token": token}, timeout=10)
            assert (gone.status_code, gone.json()["code"]) == (404, "api_share_over")
        stranger.expected = ["404"]
        there.reload()
        expect(there.get_by_role("alert")).to_contain_text("Ce lien est faux, a expiré ou a été repris.")
    finally:
        stranger.close()
    lines = house.platform.good("GET", f"/api/audit?accountId={house.account}&entity=call&entityId={call}")
    assert [line["action"] for line in lines if line["action"] in ("share", "shared_read", "shared_heard", "unshare")][::-1][:2] == ["share", "shared_read"]
    assert {"shared_heard", "unshare"} <= {line["action"] for line in lines}
    # Without the sound there is none; too long a life is refused.
    quiet = house.platform.good("POST", f"/api/calls/{call}/shares", {"days": 1})["path"].split("#")[1]
    assert requests.get(f"{house.base}/api/shared/recording.wav", headers={"X-Share-Token": quiet}, timeout=10).json()["code"] == "api_no_recording"
    assert requests.get(f"{house.base}/api/shared", headers={"X-Share-Token": quiet}, timeout=10).json()["hasSound"] is False
    assert house.platform.ask("POST", f"/api/calls/{call}/shares", {"days": 400})[0] == 422


#: Role by role: what stands on a page (or does not), and what the API says to whoever asks all the same. The columns are the viewer, the
#: operator, the admin, and an admin of another account.
ROLES = ("viewer", "operator", "admin", "stranger")
YES, NO = True, False
ON_PAGES = [
    # page, what (role, name), viewer, operator, admin
    ("/agents", ("button", "Nouvel agent"), NO, NO, YES),
    ("/agents", ("button", "Mettre Accueil en pause"), NO, YES, YES),
    ("/agents", ("button", "Supprimer Accueil"), NO, NO, YES),
    ("/agents/{agent}", ("button", "Mettre en pause"), NO, YES, YES),
    ("/agents/{agent}", ("button", "Enregistrer"), NO, NO, YES),
    ("/agents/{agent}", ("button", "Appeler"), NO, YES, YES),
    ("/agents/{agent}?tab=tools", ("button", "Essayer end_call"), NO, NO, YES),
    ("/agents/{agent}?tab=tools", ("button", "Modifier end_call"), NO, NO, YES),
    ("/servers", ("button", "Redémarrer Accueil"), NO, YES, YES),
    ("/sip-accounts", ("button", "Ajouter un compte"), NO, NO, YES),
    ("/devices", ("button", "Ajouter un poste"), NO, NO, YES),
    ("/devices", ("button", "Modifier Poste 101"), NO, NO, YES),
    ("/devices", ("button", "Régler le téléphone de Poste 101"), NO, NO, YES),
    ("/devices", ("link", "Bannissements"), NO, NO, NO),
    ("/workflows", ("button", "Nouveau workflow"), NO, NO, YES),
    ("/blocked", ("button", "Bloquer un numéro"), NO, YES, YES),
    ("/calls/{call}", ("button", "Plus"), YES, YES, YES),
    ("/calls/{call}#menu", ("menuitem", "Partager cet appel"), NO, YES, YES),
    ("/calls/{call}#menu", ("menuitem", "Effacer ce numéro"), NO, NO, YES),
    ("/live", ("link", "Utilisateurs"), NO, NO, YES),
    ("/live", ("link", "Clés"), NO, NO, YES),
    ("/live", ("link", "Journal d'audit"), NO, NO, YES),
    ("/live", ("link", "Mise en route"), NO, NO, YES),
    ("/live", ("link", "Comptes"), NO, NO, NO),
]  # fmt: skip
BY_API = [
    # method, path, body, viewer, operator, admin, stranger
    ("GET", "/api/agents/{agent}", None, 200, 200, 200, 404),
    ("PUT", "/api/agents/{agent}", {"aiVoice": "sage"}, 403, 403, 200, 404),
    ("POST", "/api/agents/{agent}/preview", {}, 403, 200, 200, 404),
    ("POST", "/api/agents/{agent}/tools/{tool}/run", {"dryRun": True}, 403, 403, 200, 404),
    ("POST", "/api/accounts/{account}/engine-test", {"provider": "custom"}, 403, 403, 422, 404),
    ("POST", "/api/servers/{agent}/restart", None, 403, 200, 200, 404),
    ("GET", "/api/calls/{call}", None, 200, 200, 200, 404),
    ("GET", "/api/calls/{call}/recording.wav", None, 200, 200, 200, 404),
    ("GET", "/api/calls/{call}/listen.wav", None, 403, 409, 409, 404),
    ("POST", "/api/calls/{call}/hangup", None, 403, 409, 409, 404),
    ("POST", "/api/calls/{call}/instruct", {"text": "x"}, 403, 409, 409, 404),
    ("POST", "/api/calls/{call}/transfer", {"target": "cuisine"}, 403, 409, 409, 404),
    ("GET", "/api/calls/{call}/shares", None, 403, 200, 200, 404),
    ("POST", "/api/calls/{call}/shares", {"days": 1}, 403, 201, 201, 404),
    ("POST", "/api/admin/sip-accounts/test", {"trunk_uri": "x"}, 403, 403, 422, 422),
    ("GET", "/api/admin/devices/{device}", None, 200, 200, 200, 404),
    ("POST", "/api/admin/devices", {"label": ""}, 403, 403, 422, 422),
    ("PATCH", "/api/admin/devices/{device}", {"label": "Poste 101"}, 403, 403, 200, 404),
    ("POST", "/api/calls", {"device": "{device}"}, 403, 409, 409, 422),
    ("GET", "/api/admin/bans", None, 403, 403, 403, 403),
    ("DELETE", "/api/admin/bans/192.0.2.1", None, 403, 403, 403, 403),
    ("POST", "/api/admin/workflows", {"slug": "!"}, 403, 403, 422, 422),
    ("POST", "/api/blocked-numbers", {"agentId": "{agent}", "phoneNumber": "+33699999999"}, 403, (200, 201), (200, 201), 404),
    ("GET", "/api/users", None, 403, 403, 200, 200),
    ("GET", "/api/keys", None, 403, 403, 200, 200),
    ("GET", "/api/audit", None, 403, 403, 200, 200),
    ("POST", "/api/accounts", {"name": "x", "email": "a@b.c"}, 403, 403, 403, 403),
    ("POST", "/api/privacy/erase", {"phone": "+33600000000"}, 403, 403, 200, 200),
]  # fmt: skip


def test_role_by_role_what_is_absent_is_refused_too(house, browse, call, folder):
    good = house.platform.good
    other = good("POST", "/api/accounts", {"name": "Voisin", "email": "v@b.c", "isActive": True})["id"]
    good("POST", "/api/users", {"accountId": other, "email": "stranger@example.org", "name": "Stranger", "password": house.users["admin"][1], "role": "admin"})
    house.users["stranger"] = ("stranger@example.org", house.users["admin"][1])
    device = {"account_id": house.account, "label": "Poste 101", "username": "101", "password": "a-password-of-a-telephone", "agent_id": house.agent}
    names = {"device": good("POST", "/api/admin/devices", device)["id"], "agent": house.agent, "call": call, "account": house.account, "tool": next(one["id"] for one in good("GET", f"/api/agents/{house.agent}/tools"))}
    wrong = []
    for column, role in enumerate(ROLES):
        browser = browse(role)
        browser.expected = ["40[349]", "422"]
        page = browser.page
        if role == "stranger":
            for path in ("/agents", "/servers", "/calls", "/live", "/sip-accounts", "/devices", "/workflows"):
                page = browser.open(path)
                browser.settled()
                for word in ("Accueil", "6 12 34 56 78", "Poste 101"):
                    if page.get_by_text(word).count():
                        wrong.append(f"{role} sees {word} on {path}")
                if path in ("/servers", "/calls", "/live"):
                    # Nothing has happened in that account: the page says what to do first.
                    expect(page.get_by_role("main").get_by_role("link", name="Mise en route")).to_be_visible()
            for path in (f"/calls/{call}", f"/agents/{house.agent}"):
                expect(browser.open(path).get_by_role("alert").first).to_contain_text("n'existe pas")
        else:
            before = None
            for row in ON_PAGES:
                path, (kind, name), expected = row[0].format(**names), row[1], row[2 + column]
                if path != before:
                    address, _, menu = path.partition("#")
                    page = browser.open(address)
                    browser.settled()
                    if menu:
                        page.get_by_role("button", name="Plus", exact=True).click()
                        expect(page.get_by_role("menuitem").first).to_be_visible()
                    before = path
                found = page.get_by_role(kind, name=name, exact=True)
                if expected:
                    expect(found.first).to_be_visible()
                elif found.count():
                    wrong.append(f"{role} sees {kind} {name!r} on {path}")
                if (role, path) == ("viewer", "/sip-accounts"):
                    expect(page.get_by_text("Qui administre le compte peut en ajouter.")).to_be_visible()
        for method, path, body, *expected in BY_API:
            sent = json.loads(json.dumps(body).replace("{agent}", house.agent).replace("{device}", names["device"])) if body else body
            got = page.evaluate(
                """async ([method, path, body]) => {
                  const me = await (await fetch('/platform/api/auth/me')).json();
                  const headers = {'X-CSRF-Token': me.csrfToken, 'Content-Type': 'application/json'};
                  const answer = await fetch('/platform' + path, {method, headers, body: body === null ? undefined : JSON.stringify(body)});
                  await answer.body?.cancel(); return answer.status; }""",
                [method, path.format(**names), sent],
            )
            allowed = expected[column] if isinstance(expected[column], tuple) else (expected[column],)
            if got not in allowed:
                wrong.append(f"{role}: {method} {path} {got}, not {expected[column]}")
    assert not wrong, "\n".join(wrong)


def test_an_erased_call_is_not_asked_for_its_sound_again(house, browse):
    call = call_of(house, "+33698765432")
    browser = browse("admin")
    page = browser.open(f"/calls/{call}")
    expect(page.get_by_text(re.compile(r"0:00 / 0:\d\d"))).to_be_visible()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("recording.wav") else None)
    page.get_by_role("button", name="Plus", exact=True).click()
    page.get_by_role("menuitem", name="Effacer ce numéro").click()
    page.get_by_role("dialog").get_by_role("button", name="Effacer ce numéro").click()
    expect(page.get_by_text("Le numéro est effacé.")).to_be_visible()
    expect(page.get_by_text("Non enregistré")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Non enregistré")).to_be_visible()
    assert not asked, asked
    assert requests.get(f"{house.base}/api/calls/{call}/recording.wav", headers=OWNER, timeout=10).status_code == 404


def test_a_workflow_is_drawn(house, browse):
    """The way of a call as a diagram, its account chosen there, by keyboard; the form and the versions say the same."""
    good = house.platform.good
    uri = "sip:soir@127.0.0.1:9"
    line = good("POST", "/api/admin/sip-accounts", {"account_id": house.account, "label": "Ligne du soir", "trunk_uri": uri, "username": "soir", "is_active": False})["id"]
    made = good("POST", "/api/admin/workflows", {"account_id": house.account, "slug": "soir", "name": "Soir", "phone_numbers": ["+33199000002"]})["id"]
    browser = browse("admin")
    page = browser.open("/workflows")
    page.get_by_role("button", name="Dessiner Soir").click()
    drawer = page.get_by_role("dialog")
    diagram = drawer.get_by_role("group", name="Chemin de l'appel")
    expect(diagram.get_by_role("button", name=re.compile("Numéros"))).to_contain_text("+33 1 99 00 00 02")
    expect(diagram.get_by_role("button", name=re.compile("Compte SIP"))).to_have_attribute("aria-pressed", "true")
    expect(diagram.locator(".react-flow__edge")).to_have_count(2)
    drawer.get_by_role("textbox", name="Compte SIP").or_(drawer.get_by_role("combobox", name="Compte SIP")).first.click()
    page.get_by_role("option", name="Ligne du soir").click()
    expect(diagram.get_by_role("button", name=re.compile("Compte SIP"))).to_contain_text("Ligne du soir")
    agent = diagram.get_by_role("button", name=re.compile("^Agent"))
    agent.focus()
    page.keyboard.press("Enter")
    drawer.get_by_role("textbox", name="Agent").or_(drawer.get_by_role("combobox", name="Agent")).first.click()
    page.get_by_role("option", name="Accueil").click()
    expect(agent).to_contain_text("Accueil")
    assert not browser.accessible()
    browser.shot("workflow-builder")
    drawer.get_by_label("Pourquoi ce changement").fill("dessiné")
    drawer.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("row").filter(has_text="soir")).to_contain_text("Ligne du soir")
    kept = good("GET", f"/api/admin/workflows/{made}")["definition"]
    assert (kept["sip_account_id"], kept["agent_id"], kept["note"], kept["phone_numbers"]) == (line, house.agent, "dessiné", ["+33199000002"]), kept
    good("DELETE", f"/api/admin/workflows/{made}")
