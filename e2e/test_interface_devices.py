"""The pages of devices and bans, the newer fields of a SIP account, and every dialog: in Chromium, on a house where baresip registers as a
telephone and a scanner knocks."""

import re
import shutil
import socket
from urllib.parse import parse_qsl, urlsplit

import pytest
from lib.allo import wait_for
from lib.interface import Small
from lib.pages import browsing, expect
from lib.softphone import Baresip

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed"),
    pytest.mark.timeout(240),
]
SCANNER = "127.0.0.2"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house that lets nobody in for being on the same machine: the scanner is one source, the telephone another."""
    made = Small(tmp_path_factory.mktemp("devices"), allowed_log=("log_source_banned",), line_allow_loopback="false")
    made.agent = made.agent_of("Accueil")
    yield made
    made.close()


browse = browsing("house", "admin")


def devices(house):
    return house.platform.good("GET", f"/api/admin/devices?account_id={house.account}")


def test_a_telephone_is_made_registers_and_is_rung(house, browse, folder):
    """From an empty page to a telephone that rings: what the page says is typed into baresip, which judges it; the page says when it registers."""
    browser = browse()
    page = browser.open("/devices")
    expect(page.get_by_text("Aucun poste")).to_be_visible()
    assert not browser.accessible()
    page.get_by_role("button", name="Ajouter un poste").first.click()
    form = page.get_by_role("dialog")
    label = form.get_by_label("Nom", exact=False).first
    expect(label).to_be_focused()
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("Donnez-lui un nom")).to_be_visible()
    expect(form.get_by_text("Lettres sans accent")).to_be_visible()
    label.fill("Salle")
    form.get_by_label("Nom d'utilisateur").fill("101")
    form.get_by_label("Qui répond à ses appels").and_(page.locator("input")).first.click()
    page.get_by_role("option", name="Accueil").click()
    form.get_by_role("button", name=re.compile("^Avancé")).click()
    expect(form.get_by_label("Endroits à la fois")).to_be_visible()
    assert not browser.accessible()
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("En attente du téléphone…")).to_be_visible()
    told = [one.inner_text() for one in form.locator("[data-copyable]").all()]
    assert told[:2] == ["127.0.0.1", "101"] and len(told[2]) == 20, told
    assert not browser.accessible()
    browser.shot("device-told")
    made = devices(house)[0]
    assert (made["label"], made["agent_id"], made["bindings"]) == ("Salle", house.agent, []) and told[2] not in str(made), made

    telephone = Baresip(folder, account=f"<sip:101@127.0.0.1:{house.allo.udp}>;auth_pass={told[2]};regint=60")
    try:
        expect(form.get_by_text("Il est enregistré")).to_be_visible(timeout=30_000)
        expect(form.get_by_text(re.compile(r"Depuis 127\.0\.0\.1:\d+, en UDP : baresip"))).to_be_visible()
        form.get_by_role("button", name="Fermer").last.click()
        row = page.get_by_role("row").filter(has_text="Salle")
        expect(row).to_contain_text("Enregistré")
        expect(row).to_contain_text("127.0.0.1:")
        expect(row).to_contain_text("Accueil")
        assert told[2] not in page.content()
        browser.shot("devices")
        # Every order of a row is reached by Tab, and rings by Enter.
        page.get_by_role("region", name="Postes").focus()
        wanted = ["Faire sonner Salle", "Régler le téléphone de Salle", "Modifier Salle", "Supprimer Salle"]
        reached = []
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
            if reached[-1] == wanted[-1]:
                break
        assert [one for one in reached if one in wanted] == wanted, reached
        page.get_by_role("button", name=wanted[0]).press("Enter")
        expect(page.get_by_text("Salle sonne")).to_be_visible()
        telephone.event("CALL_INCOMING")
        telephone.command("accept")
        telephone.wait_sounding(440)
        telephone.command("hangup")

        page.get_by_role("button", name="Modifier Salle").click()
        form = page.get_by_role("dialog")
        expect(form.get_by_text("Enregistré, jamais montré.")).to_be_visible()
        form.get_by_label("Nom", exact=False).first.fill("Salle du fond")
        form.get_by_label("Numéro présenté").fill("+33140506070")
        assert devices(house)[0]["joins_calls"] is False
        form.get_by_role("switch", name="Peut entrer dans les appels en cours").click()
        form.get_by_role("button", name="Enregistrer").click()
        expect(row).to_contain_text("Salle du fond")
        kept = devices(house)[0]
        assert (kept["label"], kept["caller_id"], kept["agent_id"], len(kept["bindings"])) == ("Salle du fond", "+33140506070", house.agent, 1), kept
        assert kept["joins_calls"] is True, kept
    finally:
        telephone.stop()
    expect(row).to_contain_text("Non enregistré", timeout=30_000)
    expect(page.get_by_role("button", name="Faire sonner Salle du fond")).to_have_count(0)
    page.get_by_role("button", name="Supprimer Salle du fond").click()
    page.get_by_role("dialog").get_by_role("button", name="Supprimer").click()
    expect(page.get_by_text("Aucun poste")).to_be_visible()
    assert devices(house) == []


@pytest.mark.allowed_log("log_source_banned")
def test_a_scanner_is_banned_and_let_in_again(house, browse):
    """A source that knocks as a known scanner does stands on the page of the operator of the node, who lifts its ban; nobody else sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind((SCANNER, 0))
        for number in range(10):
            lines = [
                "OPTIONS sip:100@127.0.0.1 SIP/2.0", f"Via: SIP/2.0/UDP {SCANNER}:{scanner.getsockname()[1]};branch=z9hG4bKscan{number}",
                "From: <sip:100@1.1.1.1>;tag=1", "To: <sip:100@1.1.1.1>", f"Call-ID: scan{number}", "CSeq: 1 OPTIONS", "User-Agent: friendly-scanner",
                "Content-Length: 0",
            ]  # fmt: skip
            scanner.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), ("127.0.0.1", house.allo.udp))
    bans = lambda: [ban["source"] for ban in house.platform.good("GET", "/api/admin/bans")]  # noqa: E731
    wait_for("the ban", lambda: bans() == [SCANNER], 10)
    browser = browse("node")
    page = browser.open("/live")
    page.keyboard.press("g")
    page.keyboard.press("b")
    expect(page.get_by_role("heading", level=1, name="Sources bannies")).to_be_visible()
    row = page.get_by_role("row").filter(has_text=SCANNER)
    expect(row).to_contain_text("10 mots de passe faux ou messages de scanner")
    expect(row).to_contain_text(re.compile(r"encore 1\d min"))
    assert not browser.accessible()
    browser.shot("bans")
    page.get_by_role("button", name=f"Lever le bannissement de {SCANNER}").click()
    expect(page.get_by_text(f"{SCANNER} est de nouveau écouté.")).to_be_visible()
    expect(page.get_by_text("Personne n'est banni")).to_be_visible()
    assert bans() == []
    assert any(line["action"] == "lift" and line["entityId"] == SCANNER for line in house.platform.good("GET", "/api/audit"))


def test_a_sip_account_says_its_codecs_keys_sound_and_security(house, browse):
    """Every newer field of an account by its form, by keyboard where order counts; what is emptied is the profile's again."""
    uri = "sip:soir@127.0.0.1:9"
    line = house.platform.good("POST", "/api/admin/sip-accounts", {"account_id": house.account, "label": "Ligne du soir", "trunk_uri": uri, "username": "soir", "is_active": False})["id"]
    browser = browse()
    page = browser.open("/sip-accounts")

    def opened():
        page.get_by_role("button", name="Modifier Ligne du soir").click()
        form = page.get_by_role("dialog")
        for name in ("Son et touches", "Sécurité"):
            form.get_by_role("button", name=re.compile(f"^{name}")).click()
        expect(form.get_by_role("textbox", name="Domaine du mot de passe")).to_be_visible()
        return form

    def chosen(form, label, option):
        form.get_by_label(label).and_(page.locator("input")).first.click()
        page.get_by_role("option", name=option, exact=True).click()

    form = opened()
    expect(form.get_by_text("Selon le profil, sinon ceux du serveur.")).to_be_visible()
    for codec in ("G.711 A-law", "G.722"):
        form.get_by_role("button", name=f"Ajouter {codec}", exact=True).click()
    up = form.get_by_role("button", name="Monter G.722")
    up.focus()
    page.keyboard.press("Enter")
    expect(form.get_by_role("listitem").filter(has_text="1. G.722")).to_contain_text("large bande")
    chosen(form, "Touches (DTMF)", "SIP INFO")
    expect(form.get_by_text("pour de vieux centraux")).to_be_visible()
    chosen(form, "Réduction du bruit", "Oui")
    chosen(form, "Niveau automatique", "Non")
    chosen(form, "Chiffrement du son", "Exigé")
    form.get_by_role("textbox", name="Domaine du mot de passe").fill("sip.example.org")
    allow = form.get_by_label("Adresses admises").and_(page.locator("input")).first
    allow.fill("n'importe où")
    allow.press("Enter")
    form.get_by_role("button", name="Enregistrer").click()
    expect(form.get_by_text("n'est pas une adresse ni un réseau")).to_be_visible()
    allow.press("Backspace")
    allow.fill("192.0.2.0/24")
    allow.press("Enter")
    demanded = form.get_by_role("checkbox", name="Exiger un certificat")
    demanded.check()
    form.get_by_role("button", name="Enregistrer").click()
    expect(form.get_by_text("Indiquez d'abord un certificat")).to_be_visible()
    certificates = form.get_by_label("Certificats du trunk").and_(page.locator("input")).first
    certificates.fill("sha256 Fingerprint=" + ":".join(["0a"] * 32))
    certificates.press("Enter")
    assert not browser.accessible()
    browser.shot("sip-account-sound-and-security")
    form.get_by_role("button", name="Enregistrer").click()
    expect(form).to_have_count(0)
    kept = house.platform.good("GET", f"/api/admin/sip-accounts/{line}")
    fields = ("codecs", "dtmf", "noise_suppression", "automatic_gain", "srtp", "realm", "allow")
    assert [kept[name] for name in fields] == ["g722,pcma", "info", True, False, "required", "sip.example.org", ["192.0.2.0/24"]], kept
    assert (kept["client_certificates"], kept["client_certificate_required"]) == ([":".join(["0A"] * 32)], True), kept

    form = opened()
    for codec in ("G.722", "G.711 A-law"):
        form.get_by_role("button", name=f"Retirer {codec}", exact=True).click()
    form.get_by_role("button", name=re.compile("^Avancé")).click()
    # The panel opens in a movement, and what is below its edge cannot be clicked before that is over.
    panel = form.get_by_role("region", name=re.compile("^Avancé"))
    is_open = "panel => panel.clientHeight > 200 && panel.clientHeight >= panel.scrollHeight && !panel.getAnimations({ subtree: true }).length"
    wait_for("the whole panel", lambda: panel.evaluate(is_open))
    chosen(form, "Preuve du numéro de l'appelant", "Refuser sous l'attestation B")
    form.get_by_label("Nouveaux appels par seconde").fill("5")
    chosen(form, "Touches (DTMF)", "Automatique")
    chosen(form, "Réduction du bruit", "Comme le dit le serveur")
    form.get_by_role("textbox", name="Domaine du mot de passe").fill("")
    form.get_by_role("button", name="Enregistrer").click()
    expect(form).to_have_count(0)
    kept = house.platform.good("GET", f"/api/admin/sip-accounts/{line}")
    assert [kept.get(name) for name in fields[:3]] + [kept.get("realm"), kept["srtp"]] == [None, None, None, None, "required"], kept
    assert (kept["caller_identity"], kept["calls_per_s_max"]) == ("require_b", 5), kept
    house.platform.good("DELETE", f"/api/admin/sip-accounts/{line}")


def test_a_list_of_many_accounts_is_asked_one_after_the_other(house, browse):
    """45 accounts; one has more keys than a page of a list, and once the API is asked too much. The page has the keys of the first 40 and says so."""
    browser = browse("node")
    page, asked, held = browser.page, [], []
    accounts = [{"id": f"account-{n}", "name": f"Compte {n:02}", "isActive": True, "currency": "EUR"} for n in range(45)]
    named = {"account-2": "premiere", "account-2 more": "seconde", "account-39": "derniere", "account-40": "beyond"}

    def keys(route):
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        asked.append(f"{query['accountId']} {query.get('cursor', '')}".strip())
        if len(asked) == 1:
            held.append(route)
        elif asked[-1] == "account-1" and asked.count("account-1") == 1:
            route.fulfill(status=429, json={"status": 429, "code": "api_rate", "title": "Too much"})
        else:
            name = named.get(asked[-1])
            rows = [{"id": name, "name": name, "prefix": "acc_1", "role": "viewer", "scopes": [], "createdAt": "2026-11-29T10:00:00Z"}] if name else []
            route.fulfill(json=rows, headers={"X-Next-Cursor": "more"} if asked[-1] == "account-2" else {})

    page.route("**/platform/api/accounts?*", lambda route: route.fulfill(json=accounts))
    page.route("**/platform/api/keys?*", keys)
    browser.expected = ["429"]
    browser.open("/keys")
    wait_for("the first account", lambda: page.evaluate("1") and held, 20)
    # What would be asked at the same time is asked before this.
    page.evaluate("fetch('/platform/api/auth/me').then(answer => answer.text())")
    assert asked == ["account-0"], asked
    held[0].fulfill(json=[])
    for name in ("premiere", "seconde", "derniere"):
        expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="beyond")).to_have_count(0)
    assert asked == ["account-0", "account-1", "account-1", "account-2", "account-2 more"] + [f"account-{n}" for n in range(3, 40)], asked
    expect(page.get_by_role("note")).to_contain_text("Les 40 premiers comptes sont montrés.")


#: Page, and the button that opens what stands over it, in both languages. On a telephone the longest ones are enough.
DIALOGS = [
    ("/agents", "Nouvel agent", "New agent"), ("/workflows", "Nouveau workflow", "New workflow"), ("/blocked", "Bloquer un numéro", "Block a number"),
    ("/sip-accounts", "Ajouter un compte", "Add an account"), ("/sip-accounts", "Où irait ce numéro ?", "Where would this number go?"),
    ("/devices", "Ajouter un poste", "Add a device"), ("/accounts", "Nouveau compte", "New account"), ("/users", "Nouvel utilisateur", "New user"),
    ("/keys", "Nouvelle clé", "New key"),
]  # fmt: skip
LONGEST = ("Nouvel agent", "Ajouter un compte", "Ajouter un poste")


@pytest.mark.parametrize(("language", "dark", "width"), [("fr", False, 1440), ("en", True, 390)])
def test_every_dialog_is_read_by_axe(house, browse, language, dark, width):
    browser = browse("node", language=language, dark=dark, width=width)
    page, found, before = browser.page, [], None
    for number, (path, *names) in enumerate(DIALOGS):
        if width < 600 and names[0] not in LONGEST:
            continue
        if path != before:
            page = browser.open(path)
            browser.settled()
        before = path
        page.get_by_role("button", name=names[language == "en"], exact=True).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("button:not([aria-label])").first).to_be_visible()
        browser.settled()
        browser.shown("[role=dialog]")
        browser.shot(f"dialog-{number}{path.replace('/', '-')}-{language}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than its window"
        found += [f"{path} {names[0]}: {one}" for one in browser.accessible("[role=dialog]")]
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    page.keyboard.press("Shift+?")
    expect(page.get_by_role("dialog")).to_be_visible()
    browser.shown("[role=dialog]")
    found += [f"keys: {one}" for one in browser.accessible("[role=dialog]")]
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder(re.compile("numéro|number"))).to_be_visible()
    browser.shown("[role=dialog]")
    found += [f"palette: {one}" for one in browser.accessible("[role=dialog]")]
    assert not found, "\n".join(found)
