"""The web interface in Debian's Chromium against a running server with a real call behind it, lines at Kamailio and a caller who speaks."""

import csv
import io
import json
import pathlib
import re
import shutil

import pytest
from lib.allo import wait_for
from lib.audio import silence, speak
from lib.interface import SECRET, World
from lib.kamailio import PASSWORD
from lib.pages import AXE, ROOT, Browser, browsing, expect
from lib.softphone import write_wav

UI = ROOT / "ui"
pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed"),
    pytest.mark.timeout(600),
]
#: A line with a wrong password, and a webhook of the demonstration whose receiver is gone, are part of the world.
ALLOWED_LOG = (r"registration_|log_account_|log_webhook_failing",)
#: Every address of the menu. `{agent}` and `{call}` are those of the demonstration.
PAGES = [
    "/live", "/calls", "/calls/{call}", "/calls/{call}?tab=tools", "/calls/{call}?tab=latency", "/calls/{call}?tab=quality", "/calls/{call}?tab=sip",
    "/calls/{call}?tab=cost", "/servers", "/sip-accounts", "/devices", "/bans", "/agents", "/agents/{agent}", "/agents/{agent}?tab=voice", "/agents/{agent}?tab=tools",
    "/agents/{agent}?tab=transfer", "/agents/{agent}?tab=limits", "/agents/{agent}?tab=lines", "/agents/{agent}?tab=chat", "/agents/{agent}?tab=versions",
    "/agents/{agent}?tab=more", "/workflows", "/faq", "/blocked", "/service", "/reservations?date={day}", "/menu", "/hours", "/customers", "/messages",
    "/statistics", "/restaurant-settings", "/restaurant-settings?tab=orders", "/restaurant-settings?tab=bookings", "/restaurant-settings?tab=tables",
    "/restaurant-settings?tab=services", "/restaurant-settings?tab=telephone", "/restaurant-settings?tab=notices", "/start", "/start?step=1", "/start?step=2",
    "/start?step=3", "/accounts", "/users", "/keys", "/webhooks", "/audit", "/billing", "/health",
]  # fmt: skip


@pytest.fixture
def world(folder):
    made = World(folder, ALLOWED_LOG)
    yield made
    made.close()


browse = browsing("world", "node")


def flat(texts, prefix=""):
    for name, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def catalogue(language):
    return dict(flat({path.stem: json.loads(path.read_text()) for path in sorted((UI / "src/i18n" / language).glob("*.json"))}))


def test_both_catalogues_have_every_text():
    french, english = catalogue("fr"), catalogue("en")
    assert french.keys() == english.keys(), french.keys() ^ english.keys()
    for key, text in french.items():
        assert text.strip() and english[key].strip(), key
        names = [set(re.findall(r"{{(\w+)}}", one)) for one in (text, english[key])]
        assert names[0] == names[1] or key.endswith("_one"), (key, names)
    used = set()
    for path in (UI / "src").rglob("*.ts*"):
        used |= set(re.findall(r"""\bt\(\s*'([a-z][\w.]+)'""", path.read_text()))
    plural = {re.sub("_(one|other)$", "", key) for key in french}
    assert len(used) > 300 and not used - plural - french.keys(), sorted(used - plural - french.keys())
    # And none that nobody uses: neither by its name nor by one that is put together (`calls.states.${state}`).
    source = "\n".join(path.read_text() for path in (UI / "src").rglob("*.ts*"))
    named = set(re.findall(r"""['"`]([a-z]\w*(?:\.\w+)+)['"`]""", source))
    made = [re.sub(r"\\\$\\{.*?\\}", r"[\\w -]+", re.escape(one)) for one in re.findall(r"`([a-z]\w*(?:\.(?:\w+|\${[^`{}]*}))+)`", source) if "$" in one]
    unused = {key for key in plural - named if not any(re.fullmatch(one, key) for one in made)}
    assert len(made) > 30 and not unused, sorted(unused)


def fill(world, path):
    return path.format(agent=world.demo_agent, call=world.demo_call, day=world.booked_day)


#: In French and light on a desk with every tab, in English and dark on a telephone. In parts, for several hands.
DESK, TELEPHONE = ("fr", False, 1440), ("en", True, 390)
LOOKS = [(DESK, PAGES[part::3]) for part in range(3)] + [(TELEPHONE, [path for path in PAGES if not re.search(r"\?(tab|step)=", path)])]


@pytest.mark.parametrize(("look", "paths"), LOOKS, ids=["desk1", "desk2", "desk3", "telephone"])
def test_every_page(world, browse, look, paths):
    """Opened, read by axe-core, looked at."""
    world.caller(110)
    found = []
    language, dark, width = look
    browser = browse(language=language, dark=dark, width=width)
    for path in paths:
        page = browser.open(fill(world, path))
        browser.settled()
        if "/calls/{call}" in path:
            expect(page.locator("[data-verdict]")).to_be_visible()
        name = re.sub(r"[^a-z]+", "-", path.replace("{call}", "call").replace("{agent}", "agent").replace("{day}", "day")).strip("-")
        browser.shot(f"{name}-{language}-{'dark' if dark else 'light'}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than its window"
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.lang") == language
        found += [f"{path} ({language}, {width}): {one}" for one in browser.accessible()]
    assert not found, "\n".join(found)


def a_wrong_password_and_the_way_out(world, browse, folder):
    browser = Browser(world.base, folder)
    browser.expected = ["401"]
    try:
        page = browser.page
        page.goto(f"{world.base}/admin/servers")
        page.wait_for_url("**/admin/login*")
        page.get_by_label("Adresse électronique").fill("viewer@example.org")
        page.locator("input[type=password]").fill("not this one at all")
        page.get_by_role("button", name="Se connecter").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert not browser.accessible()
        page.locator("input[type=password]").fill(SECRET)
        page.get_by_role("button", name="Se connecter").click()
        expect(page.get_by_role("heading", level=1, name="Serveurs vocaux")).to_be_visible()
        page.get_by_role("button", name=re.compile("Mon compte")).click()
        page.get_by_role("menuitem", name="Se déconnecter").click()
        page.wait_for_url("**/admin/login")
        page.goto(f"{world.base}/admin/servers")
        page.wait_for_url("**/admin/login*")
        browser.no_faults()
    finally:
        browser.close()


def voice_servers(world, browse, folder):
    """Columns, search, sort; stop with a call in progress, start, restart, refresh: each outcome is said, and is so on the server."""
    world.caller(90)
    browser = browse("operator")
    page = browser.open("/servers")
    row = page.get_by_role("row").filter(has_text="Accueil")
    expect(row).to_contain_text("En marche")
    expect(row).to_contain_text("SIP")
    expect(page.get_by_role("row").filter(has_text="Pizza Bella")).to_be_visible()
    for header in ("Agent", "État", "Appels", "Mode", "En marche depuis", "Ports", "Redémarrages", "Dernier contrôle"):
        expect(page.get_by_role("columnheader", name=header)).to_be_visible()
    page.get_by_label("Rechercher un client").fill("acc")
    expect(page.get_by_role("row").filter(has_text="Pizza Bella")).to_have_count(0)
    page.wait_for_url("**q=acc*")
    page.get_by_label("Rechercher un client").fill("")
    page.get_by_role("button", name="Appels", exact=True).click()
    expect(page.get_by_role("columnheader", name="Appels")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Arrêter Accueil").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 appel en cours")
    assert not browser.accessible()
    dialog.get_by_role("button", name="Arrêter").click()
    expect(page.get_by_text(re.compile("Accueil: arrêt demandé"))).to_be_visible()
    wait_for("the agent to stop", lambda: world.state_of(world.agent) in ("stopping", "stopped"), 10)
    assert world.platform.good("GET", "/api/calls/live"), "its call goes on"
    expect(row).to_contain_text(re.compile("Arrêté|S'arrête"))
    page.get_by_role("button", name="Démarrer Accueil", exact=True).click()
    expect(row).to_contain_text("En marche", timeout=30_000)
    assert world.state_of(world.agent) == "running"
    page.get_by_role("button", name="Redémarrer Accueil").click()
    expect(page.get_by_text(re.compile("Accueil: redémarrage demandé"))).to_be_visible()
    page.get_by_role("button", name="Rafraîchir la liste").click()
    expect(page.get_by_text("La liste a été relue")).to_be_visible()


def sip_accounts(world, browse, folder):
    """The form of the requirements: checks, a live test that tells a wrong password from a right one, a password that no page reads."""
    browser = browse("admin")
    page = browser.open("/sip-accounts")
    row = page.get_by_role("row").filter(has_text="Ancienne ligne")
    expect(row).to_contain_text("En échec")
    expect(row).to_contain_text("identifiant ou mot de passe incorrect")
    main = page.get_by_role("row").filter(has_text="Trunk principal")
    for word in ("Défaut", "Actif", "Enregistré"):
        expect(main).to_contain_text(word)
    page.get_by_role("button", name="Ajouter un compte").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("Donnez-lui un nom")).to_be_visible()
    expect(form.get_by_text("Une URI SIP s'écrit")).to_be_visible()
    form.get_by_label("Nom", exact=False).first.fill("Ligne du soir")
    form.get_by_label("URI SIP").fill(f"sip:soir@127.0.0.1:{world.registrar.ports.udp}")
    form.get_by_label("Nom d'utilisateur").fill("soir")
    form.get_by_label("Port de contact").fill("70000")
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("Un port est un nombre entier")).to_be_visible()
    form.get_by_label("Port de contact").fill("")
    secret = form.locator("input[type=password]")
    secret.fill("wrong")
    form.get_by_role("button", name="Essayer", exact=True).click()
    expect(form.get_by_text("Port", exact=False).first).to_be_visible(timeout=30_000)
    secret.fill(PASSWORD)
    assert not browser.accessible()
    form.get_by_role("button", name="Créer").click()
    new = page.get_by_role("row").filter(has_text="Ligne du soir")
    expect(new).to_contain_text("Enregistré", timeout=20_000)
    made = next(one for one in world.sip_accounts() if one["label"] == "Ligne du soir")
    assert made["status"]["state"] == "registered" and made["has_password"] and not made["is_default"]
    page.get_by_role("button", name="Modifier Ligne du soir").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Enregistré, jamais montré.")).to_be_visible()
    assert PASSWORD not in page.content()
    form.get_by_label("Compte par défaut").check()
    form.get_by_role("button", name="Enregistrer").click()
    expect(new).to_contain_text("Défaut")
    expect(main).not_to_contain_text("Défaut")
    page.get_by_role("button", name="Supprimer Ligne du soir").click()
    page.get_by_role("dialog").get_by_role("button", name="Supprimer").click()
    expect(new).to_have_count(0)
    page.get_by_role("button", name="Où irait ce numéro").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Numéro appelé").fill("+33140506070")
    drawer.get_by_role("button", name="Voir").click()
    expect(drawer.get_by_text("Workflow : accueil")).to_be_visible()


def calls_live_history_and_one_explained(world, browse, folder):
    browser = browse("admin")
    page = browser.open("/live")
    expect(page.get_by_text("Aucun appel en cours.")).to_be_visible()
    world.caller(90)
    card = page.get_by_role("listitem").filter(has_text="+33 1 23 45 67 89")
    expect(card).to_contain_text("En conversation")
    card.get_by_role("button", name="Suivre").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("log")).to_contain_text("greeting tone", timeout=15_000)
    drawer.get_by_role("button", name="Écouter").click()
    expect(drawer.locator("audio")).to_be_visible()
    wait_for("sound that plays", lambda: page.evaluate("document.querySelector('audio').currentTime") > 0.3, 20, 0.2)
    # Read every five seconds; this telephone sends no reports.
    network = drawer.get_by_role("region", name="Le réseau : dernière mesure et pire")
    expect(network).to_contain_text("Pertes à l'arrivée", timeout=20_000)
    expect(network).to_contain_text("Pas de rapports (RTCP) de")
    drawer.get_by_label("Souffler à l'agent").fill("Dites que nous fermons à 22 h.")
    drawer.get_by_role("button", name="Souffler").click()
    expect(page.get_by_text("L'agent le sait.")).to_be_visible()
    assert not browser.accessible()
    drawer.get_by_role("button", name="Raccrocher").click()
    page.get_by_role("dialog").filter(has_text="L'appel se termine aussitôt").get_by_role("button", name="Raccrocher").click()
    expect(page.get_by_text("L'appel est terminé.")).to_be_visible()
    wait_for("no call", lambda: not world.platform.good("GET", "/api/calls/live"), 10)

    page = browser.open("/calls")
    ordered = page.get_by_role("row").filter(has_text="+33 6 39 98 12 34")
    expect(ordered).to_contain_text("Commande")
    # The agent's own line is known by its number.
    expect(ordered).to_contain_text("+33 3 53 01 00 42")
    page.get_by_label("Numéro").fill("3998")
    expect(page.get_by_role("row").filter(has_text="+33 1 23 45 67 89")).to_have_count(0)
    assert "party=3998" in page.url
    page.get_by_role("button", name="Vues").click()
    page.get_by_label("Nom de la vue").fill("Martin")
    page.get_by_role("button", name="Enregistrer").click()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(pathlib.Path(download.value.path()).read_text())))
    assert len(rows) == 1 and "+33639981234" in json.dumps(rows[0]), rows
    page.get_by_role("button", name="Effacer les filtres").click()
    expect(page.get_by_role("row").filter(has_text="+33 1 23 45 67 89")).to_be_visible()
    page.get_by_role("button", name="Vues").click()
    page.get_by_role("menuitem", name="Martin").click()
    expect(page).to_have_url(re.compile("party=3998"))

    page = browser.open(f"/calls/{world.demo_call}")
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_contain_text("L'agent a raccroché après l'au revoir")
    expect(page.get_by_text(re.compile(r"0:00 / 0:5\d"))).to_be_visible(timeout=20_000)
    page.get_by_role("button", name=re.compile("Y a-t-il des noix")).click()
    expect(page.get_by_text(re.compile(r"0:1[78] / "))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Y a-t-il des noix"))).to_have_attribute("aria-current", "true")
    page.get_by_role("tab", name=re.compile("Outils")).click()
    page.get_by_text("confirm_order").first.click()
    expect(page.locator("details[open]").get_by_text("order_type").first).to_be_visible()
    page.get_by_role("tab", name="SIP").click()
    page.get_by_role("button", name=re.compile("INVITE")).first.click()
    expect(page.get_by_text("Call-ID:")).to_be_visible()
    page.get_by_role("tab", name="Qualité").click()
    expect(page.get_by_text("MOS").first).to_be_visible()
    page.get_by_role("tab", name="Coût").click()
    expect(page.get_by_text("Voix (moteur)")).to_be_visible()
    # Its number is not erased here: the recording is that of every test of this file.
    page.get_by_role("button", name="Plus", exact=True).click()
    expect(page.get_by_role("menuitem", name="Effacer ce numéro")).to_be_visible()


def an_agent_is_made_changed_and_tried(world, browse, folder):
    browser = browse("admin")
    browser.expected = ["422", "412"]
    page = browser.open("/agents")
    page.get_by_role("button", name="Nouvel agent").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name=re.compile("Messagerie")).check()
    dialog.get_by_label("Nom de la maison").fill("Cabinet Roux")
    dialog.get_by_role("button", name="Créer").click()
    expect(dialog.get_by_text("agt_", exact=False)).to_be_visible()
    dialog.get_by_role("button", name="Ouvrir l'agent").click()
    expect(page.get_by_role("heading", level=1, name="Cabinet Roux")).to_be_visible()
    agent = page.url.rsplit("/", 1)[1]
    prompt = page.get_by_role("textbox", name="Consignes")
    expect(prompt).to_have_value(re.compile("messagerie de Cabinet Roux"))
    prompt.fill("=Bonjour {{ctx.customer_name")
    page.get_by_role("button", name="Enregistrer").click()
    alert = page.get_by_role("alert").filter(has_text="Rien n'est enregistré")
    expect(alert).to_contain_text("basePrompt")
    prompt.fill("Vous êtes la messagerie du cabinet.")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les prochains appels suivent cette version.")).to_be_visible()
    assert world.platform.good("GET", f"/api/agents/{agent}")["basePrompt"] == "Vous êtes la messagerie du cabinet."
    # Somebody else changed it: nothing is lost silently.
    prompt.fill("Un autre texte.")
    desk = {"destination": "+33491234500", "description": "Le bureau", "ringSeconds": 12, "showCaller": True}
    world.platform.good("PUT", f"/api/agents/{agent}", {"aiVoice": "cedar", "transferTargets": {"bureau": desk}})
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Quelqu'un a modifié cet agent entre-temps.")).to_be_visible()
    page.get_by_role("button", name="Abandonner").click()
    page.get_by_role("tab", name="Voix").click()
    expect(page.get_by_label("Voix", exact=True).and_(page.locator("input")).first).to_have_value("cedar")
    page.get_by_role("tab", name="Transfert").click()
    page.get_by_role("button", name="Ajouter une destination").click()
    page.get_by_label("Nom", exact=True).last.fill("urgence")
    page.get_by_label("Numéro ou adresse SIP").last.fill("+33491234567")
    page.get_by_label("Quand la choisir").last.fill("Douleur forte")
    page.get_by_role("combobox", name="Comment").last.click()
    page.get_by_role("option", name="Par une seconde ligne", exact=True).click()
    page.get_by_label("Annonce à la personne appelée").last.fill("=Une urgence : {{$ai.summary}}")
    page.get_by_role("switch", name="Elle accepte par la touche 1").last.check(force=True)
    page.get_by_label("Délai pour accepter").last.fill("20")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les prochains appels suivent cette version.").first).to_be_visible()
    stored = {"bureau": desk, "urgence": {"destination": "+33491234567", "description": "Douleur forte", "mode": "bridge", "announce": "=Une urgence : {{$ai.summary}}", "screen": True, "screenSeconds": 20}}
    wait_for("the target", lambda: world.platform.good("GET", f"/api/agents/{agent}").get("transferTargets") == stored, 5)
    # Thrown away: the fields have what somebody else saved meanwhile, and what is written next changes nothing but itself.
    expect(page.get_by_role("button", name="Abandonner")).to_have_count(0)
    number = page.get_by_label("Numéro ou adresse SIP").last
    number.fill("+33491234599")
    stored = {"bureau": desk, "urgence": stored["urgence"] | {"destination": "+33491234511"}}
    world.platform.good("PUT", f"/api/agents/{agent}", {"transferTargets": stored})
    page.get_by_role("button", name="Abandonner").click()
    expect(number).to_have_value("+33491234511")
    page.get_by_label("Quand la choisir").last.fill("Douleur vive")
    page.get_by_role("button", name="Enregistrer").click()
    stored["urgence"]["description"] = "Douleur vive"
    wait_for("the changed target", lambda: world.platform.good("GET", f"/api/agents/{agent}").get("transferTargets") == stored, 5)
    expect(page.get_by_role("button", name="Abandonner")).to_have_count(0)
    page.get_by_role("button", name="Ajouter une destination").click()
    page.get_by_label("Nom", exact=True).last.fill("bureau")
    expect(page.get_by_text("Une destination porte déjà ce nom.")).to_be_visible()
    page.get_by_role("button", name="Supprimer bureau").last.click()
    expect(page.get_by_text("Une destination porte déjà ce nom.")).to_have_count(0)
    page.get_by_role("tab", name="Outils").click()
    page.get_by_role("button", name="Ajouter un outil").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Quand l'utiliser").fill("Pour savoir si le cabinet est ouvert.")
    form.get_by_label("Nom", exact=False).first.fill("opening_hours")
    form.get_by_label("Adresse complète").fill("=https://example.org/hours?day={{$ai.day}}")
    form.get_by_role("button", name="Ajouter un argument").click()
    form.get_by_label("Nom", exact=True).last.fill("day")
    form.get_by_label("Exigé").check()
    assert not browser.accessible()
    form.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("opening_hours est enregistré.")).to_be_visible()
    tool = next(one for one in world.platform.good("GET", f"/api/agents/{agent}/tools") if one["name"] == "opening_hours")
    assert tool["parameters"]["required"] == ["day"] and tool["http"]["method"] == "GET"
    page.get_by_role("tab", name="Versions").click()
    expect(page.get_by_text("tools.opening_hours")).to_be_visible()
    page.get_by_role("radio", name=re.compile("Version 1$")).check()
    page.get_by_role("button", name="Revenir à la version 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Revenir à la version 1").click()
    expect(page.get_by_text("L'agent est comme à la version 1.")).to_be_visible()
    assert [one["name"] for one in world.platform.good("GET", f"/api/agents/{agent}/tools")] == ["end_call"]
    page.get_by_text("Par écrit", exact=True).click()
    page.get_by_role("button", name="Commencer").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("assistant", timeout=15_000)
    page.get_by_label("Votre message").fill("1")
    page.get_by_role("button", name="Envoyer").click()
    expect(log.locator("div")).not_to_have_count(0)
    wait_for("an answer in writing", lambda: len([one for one in log.all_inner_texts()[0].splitlines() if one.strip()]) >= 3, 20, 0.2)
    page.get_by_role("button", name="Mettre en pause").click()
    expect(page.get_by_text("En pause").first).to_be_visible()
    assert world.platform.good("GET", f"/api/agents/{agent}")["isActive"] is False


def a_call_from_the_browser(world, browse, folder):
    """A microphone that plays a recorded sentence talks to the stand-in engine by the page: it is heard, and the agent is heard. The
    browser's own noise suppression changes the sentence, so the engine hears that somebody speaks, not always which words."""
    said = folder / "microphone.wav"
    write_wav(said, silence(6000), speak("Thank you very much, goodbye."), silence(60_000))
    browser = browse("operator", microphone=said)
    page = browser.open(f"/agents/{world.agent}")
    page.get_by_role("button", name="Appeler", exact=True).click()
    expect(page.get_by_role("button", name="Raccrocher")).to_be_visible()
    log = page.get_by_role("log")
    expect(log).to_contain_text("greeting tone")
    assert not browser.accessible()
    call = world.platform.good("GET", "/api/calls?limit=1")[0]["id"]
    heard = lambda: [line for line in world.platform.good("GET", f"/api/calls/{call}/transcript") if line["role"] == "user"]  # noqa: E731
    wait_for("the caller to be heard", heard, 60, 0.5)
    if page.get_by_role("button", name="Raccrocher").count():
        page.get_by_role("button", name="Raccrocher").click()
    page.get_by_role("link", name="Comprendre cet appel").click()
    expect(page.locator("[data-verdict]")).to_contain_text("raccroché")
    ended = world.platform.good("GET", f"/api/calls/{call}")
    assert ended["agentId"] == world.agent and ended["endReason"] in ("agent_hung_up", "caller_hung_up"), ended


def workflow_questions_and_blocked_numbers(world, browse, folder):
    world.platform.good("POST", "/api/faqs", {"agentId": world.demo_agent, "question": "Acceptez-vous les chiens ?"})
    browser = browse("admin")
    page = browser.open("/workflows")
    page.get_by_role("button", name="Nouveau workflow").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Nom", exact=False).first.fill("Soir")
    form.get_by_label("Identifiant").fill("Soir !")
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("Minuscules, chiffres et tirets seulement.")).to_be_visible()
    form.get_by_label("Identifiant").fill("soir")
    form.get_by_label("Numéros").and_(page.locator("input")).first.fill("+33199000001")
    page.keyboard.press("Enter")
    form.get_by_label("Agent").and_(page.locator("input")).first.click()
    page.get_by_role("option", name="Accueil").click()
    form.get_by_label("Compte SIP").and_(page.locator("input")).first.click()
    page.get_by_role("option", name="Support technique").click()
    assert not browser.accessible()
    form.get_by_role("button", name="Créer").click()
    row = page.get_by_role("row").filter(has_text="soir")
    expect(row).to_contain_text("Support technique")
    page.get_by_role("button", name="Modifier Soir").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Pourquoi ce changement").fill("plus court")
    form.get_by_label("Sonnerie").fill("20")
    form.get_by_role("button", name="Enregistrer").click()
    page.get_by_role("button", name="Versions de Soir").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("plus court")).to_be_visible()
    drawer.get_by_role("button", name="Revenir à la version 1").click()
    expect(drawer.get_by_text("Version 3")).to_be_visible()
    page.keyboard.press("Escape")

    page = browser.open("/faq")
    page.get_by_label("Réponse à : Acceptez-vous les chiens ?").fill("Oui, en terrasse.")
    page.get_by_role("button", name="Répondre", exact=True).click()
    expect(page.get_by_text("Aucune question n'attend.")).to_be_visible()
    kept = world.platform.good("GET", f"/api/faqs?agentId={world.demo_agent}")[0]
    assert (kept["status"], kept["answer"]) == ("answered", "Oui, en terrasse.")

    page = browser.open("/blocked")
    page.get_by_role("button", name="Bloquer un numéro").first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Numéro").fill("+33611111111")
    form.get_by_label("Motif").fill("démarchage")
    form.get_by_role("button", name="Bloquer un numéro").click()
    expect(page.get_by_role("row").filter(has_text="+33 6 11 11 11 11")).to_contain_text("démarchage")
    page.get_by_role("button", name=re.compile("Supprimer")).click()
    page.get_by_role("dialog").get_by_role("button", name="Supprimer").click()
    expect(page.get_by_text("Aucun numéro bloqué")).to_be_visible()


def a_restaurant_works_with_it(world, browse, folder):
    # Its restaurant and its telephone are two accounts in the demonstration: the operator of the node sees both.
    browser = browse("node")
    page = browser.open("/service")
    page.get_by_role("button", name="Prendre le service").click()
    expect(page.get_by_text("Son actif")).to_be_visible()
    fresh = page.get_by_role("region", name="Nouvelles")
    ticket = fresh.get_by_role("article", name="Commande 1")
    expect(ticket).to_contain_text("1 × Reine")
    expect(ticket).to_contain_text("Normale · Mozzarella")
    ticket.get_by_role("button", name="En cuisine").click()
    expect(page.get_by_role("region", name="En cuisine").get_by_role("article", name="Commande 1")).to_be_visible()
    wait_for("the kitchen", lambda: world.orders()[0]["status"] == "preparing", 5)
    page.get_by_role("button", name="Annuler").click()
    expect(fresh.get_by_role("article", name="Commande 1")).to_be_visible()
    wait_for("back", lambda: world.orders()[0]["status"] == "confirmed", 5)
    page.locator("body").press("1")
    wait_for("the kitchen, by key", lambda: world.orders()[0]["status"] == "preparing", 5)
    world.back("POST", "/api/orders", {
        "restaurantId": world.house, "customerName": "Lucie", "customerPhone": "+33699887766", "orderType": "pickup", "notes": "Allergie : noix",
        "items": [{"menuItemId": world.dish("Tiramisu"), "quantity": 2}],
    })  # fmt: skip
    news = page.get_by_role("alert").filter(has_text="Nouvelle commande")
    expect(news).to_be_visible()
    expect(fresh.get_by_role("article", name="Commande 2")).to_contain_text("Allergies :")
    assert not browser.accessible()
    page.get_by_role("button", name="Vu", exact=True).click()
    expect(news).to_have_count(0)

    page = browser.open(f"/reservations?date={world.booked_day}")
    row = page.get_by_role("row").filter(has_text="Martin")
    expect(row).to_contain_text("20:00")
    row.get_by_role("button", name="Installer").click()
    expect(row).to_contain_text("À table")
    page.get_by_role("button", name="Nouvelle réservation").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Jour et heure").fill(f"{world.booked_day}T19:30")
    form.get_by_label("Nom").fill("Durand")
    form.get_by_label("Téléphone").fill("+33612121212")
    form.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("row").filter(has_text="Durand")).to_contain_text("19:30")

    page = browser.open("/menu")
    switch = page.get_by_role("switch", name="Tiramisu disponible")
    page.locator("label").filter(has=switch).click()
    expect(page.get_by_text("Tiramisu est épuisé")).to_be_visible()
    wait_for("out of stock", lambda: not world.menu()["Tiramisu"]["isAvailable"], 5)
    page.get_by_role("button", name="Modifier Margherita").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Prix").fill("10,50")
    form.get_by_role("button", name="Ajouter un choix").last.click()
    form.get_by_label("Choix").last.fill("Câpres")
    form.get_by_role("button", name="Enregistrer").click()
    wait_for("the price", lambda: world.menu()["Margherita"]["price"] == 10.5, 5)
    assert "Câpres" in json.dumps(world.menu()["Margherita"]["options"], ensure_ascii=False)
    grip = page.get_by_role("button", name="Déplacer Reine")
    grip.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("document.querySelector('[aria-live=assertive]')?.textContent.length > 0")
    page.keyboard.press("Space")
    wait_for("the new order", lambda: 0 < world.menu()["Reine"]["displayOrder"] < world.menu()["Quatre fromages"]["displayOrder"], 8)

    # "A restaurant changes its closing day": one page, four clicks.
    page = browser.open("/hours")
    page.locator("label").filter(has_text="Toujours ouvert").click()
    page.get_by_role("region", name="Mardi").get_by_role("button", name="Ajouter une plage").click()
    page.get_by_role("button", name="Recopier Mardi jusqu'à dimanche").click()
    page.get_by_label("Date").fill("2026-12-25")
    page.get_by_role("button", name="Fermer ce jour").click()
    assert not browser.accessible()
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les horaires sont enregistrés.")).to_be_visible()
    hours = world.restaurant()["openingHours"]
    assert not hours.get("monday") and hours["sunday"] and hours["exceptions"] == [{"date": "2026-12-25", "closed": True}], hours

    world.back("POST", "/api/messages", {"restaurantId": world.house, "callerPhone": "+33612345678", "callerName": "Ada", "content": "Rappelez-moi.", "isUrgent": True})
    page = browser.open("/messages")
    expect(page.get_by_text("Urgent")).to_be_visible()
    page.get_by_role("button", name="Marquer comme lu").click()
    expect(page.get_by_text("Tout est lu.")).to_be_visible()
    page = browser.open("/customers")
    expect(page.get_by_role("row").filter(has_text="Martin")).to_be_visible()
    page = browser.open("/restaurant-settings?tab=orders")
    page.get_by_label("Frais de livraison").fill("3,50")
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les réglages sont enregistrés.")).to_be_visible()
    assert world.restaurant()["deliveryFee"] == 3.5


def administration(world, browse, folder):
    browser = browse("node")
    page = browser.open("/accounts")
    page.get_by_role("button", name="Nouveau compte").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Nom").fill("Clinique du Port")
    form.get_by_label("Adresse électronique").fill("port@example.org")
    form.get_by_label("Solde").fill("25")
    form.get_by_role("button", name="Créer").click()
    expect(page.get_by_role("row").filter(has_text="Clinique du Port")).to_contain_text("25,00")
    page = browser.open("/users")
    page.get_by_role("button", name="Nouvel utilisateur").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Nom").fill("Zoé")
    form.get_by_label("Adresse électronique").fill("zoe@example.org")
    form.locator("input[type=password]").fill("trop court")
    form.get_by_role("button", name="Enregistrer").click()
    expect(form.get_by_text("Il faut 12 caractères au moins.")).to_be_visible()
    form.locator("input[type=password]").fill(SECRET)
    form.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("row").filter(has_text="zoe@example.org")).to_contain_text("opérateur")
    page = browser.open("/keys")
    page.get_by_role("button", name="Nouvelle clé").first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Nom").fill("tableur")
    form.get_by_role("button", name="Créer").click()
    shown = form.locator("[data-copyable]")
    expect(shown).to_contain_text("acc_")
    key = shown.inner_text()
    assert world.platform.good("GET", "/api/auth/me", headers={"X-API-Key": key})["role"] == "viewer"
    form.get_by_role("button", name="Fermer").last.click()
    page.get_by_role("button", name="Supprimer tableur").click()
    page.get_by_role("dialog").get_by_role("button", name="Supprimer").click()
    expect(page.get_by_role("row").filter(has_text="tableur")).to_contain_text("Reprise")
    assert world.platform.ask("GET", "/api/auth/me", headers={"X-API-Key": key})[0] == 401
    page = browser.open("/webhooks")
    page.get_by_role("button", name="Envoyer de nouveau").first.click()
    expect(page.get_by_text("L'envoi est relancé")).to_be_visible()
    page.get_by_role("button", name="Voir ce qui est envoyé").first.click()
    expect(page.get_by_role("dialog").get_by_text("callerPhone")).to_be_visible()
    page = browser.open("/billing")
    page.get_by_role("button", name="Créditer").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Montant").fill("40")
    form.get_by_role("button", name="Créditer le compte").click()
    expect(page.get_by_text("Le compte est crédité.")).to_be_visible()
    page = browser.open("/audit")
    expect(page.get_by_text("node@example.org").first).to_be_visible()
    page = browser.open("/health")
    expect(page.get_by_text("Va bien")).to_be_visible()


#: What each role must not find, and what the API says to whoever asks all the same.
ABSENT = {
    "viewer": ["/users", "/keys", "/audit", "/accounts", "/start"],
    "operator": ["/users", "/keys", "/audit", "/accounts", "/start"],
    "admin": ["/accounts"],
    "owner": ["/accounts"],
}


def role_by_role(world, browse, folder):
    other = world.platform.tenant("voisin")
    for role in ABSENT:
        one_role(world, browse, role, other)


def one_role(world, browse, role, other):
    browser = browse(role)
    browser.expected = ["40[34]"]
    page = browser.open("/agents")
    links = {link.get_attribute("href") for link in page.get_by_role("navigation").get_by_role("link").all()}
    for path in ABSENT[role]:
        assert f"/admin{path}" not in links, f"{role} sees {path}"
    assert "/admin/servers" in links and "/admin/live" in links
    expect(page.get_by_text("voisin agent")).to_have_count(0)
    buttons = {"viewer": 0, "operator": 0, "admin": 1, "owner": 1}[role]
    expect(page.get_by_role("button", name="Nouvel agent")).to_have_count(buttons)
    page = browser.open("/servers")
    expect(page.get_by_role("row").filter(has_text="Accueil")).to_be_visible()
    expect(page.get_by_role("button", name="Redémarrer Accueil")).to_have_count(0 if role == "viewer" else 1)
    expect(page.get_by_text("voisin agent")).to_have_count(0)
    asked = f"""async () => {{
      const me = await (await fetch('/platform/api/auth/me')).json();
      const ask = async (method, path, body) => (await fetch('/platform' + path, {{method, headers: {{'X-CSRF-Token': me.csrfToken, 'Content-Type': 'application/json'}}, body: body && JSON.stringify(body)}})).status;
      return {{
        restart: await ask('POST', '/api/servers/{world.agent}/restart'),
        agent: await ask('PUT', '/api/agents/{world.agent}', {{aiVoice: 'sage'}}),
        foreign: await ask('GET', '/api/agents/{other["agent"]}'),
        foreignServer: await ask('POST', '/api/servers/{other["agent"]}/restart'),
        users: await ask('GET', '/api/users'),
      }};
    }}"""
    got = page.evaluate(asked)
    allowed = {"viewer": (403, 403, 403), "operator": (200, 403, 403), "admin": (200, 200, 200), "owner": (200, 200, 200)}[role]
    assert (got["restart"], got["agent"], got["users"]) == allowed, got
    assert got["foreign"] == 404 and got["foreignServer"] in (403, 404), got


def the_keyboard_reaches_everything(world, browse, folder):
    browser = browse("node")
    for path in ("/servers", "/sip-accounts", "/devices", "/calls", f"/calls/{world.demo_call}", "/agents", "/service", "/menu", "/hours"):
        page = browser.open(path)
        browser.settled()
        page.evaluate("document.activeElement?.blur()")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip", f"{path}: the first stop leads to the content"
        # What Tab does not reach is reached by arrows: members of a group of tabs, radios or a slider.
        wanted = """() => { let n = 0; for (const e of document.querySelectorAll('#main button, #main a[href], #main input, #main select, #main textarea, #main [role=button]')) {
            const box = e.getBoundingClientRect(), style = getComputedStyle(e);
            const grouped = e.closest('[role=tablist], [role=radiogroup]');
            if (box.width && style.visibility !== 'hidden' && !e.disabled && !grouped) { e.dataset.wanted = ''; n++; } } return n; }"""
        count = page.evaluate(wanted)
        for _ in range(count * 2 + 80):
            page.keyboard.press("Tab")
            page.evaluate("delete document.activeElement.dataset.wanted")
        missed = page.evaluate("[...document.querySelectorAll('[data-wanted]')].map(e => e.outerHTML.slice(0, 160))")
        assert not missed, f"{path}: {missed}"
    page = browser.open("/live")
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1, name="Serveurs vocaux")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Rechercher un client")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Page, agent ou numéro…").fill("pizza")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Pizza Bella")).to_be_visible()


def a_thousand_agents_stay_usable(world, browse, folder):
    """The table of servers with 1,000 agents: only the rows in sight are in the document; a sort takes less than 100 ms."""
    browser = browse("node")
    rows = [
        {
            "id": f"agent-{n}", "name": f"Agent {n:04}", "customer": f"Client {n % 97}", "accountId": None, "state": ["running", "stopped", "failed"][n % 3], "mode": "sip",
            "activeCalls": n % 7, "uptimeSeconds": n, "ports": {"app": 5050 + n}, "pids": [n], "restartCount": n % 5, "lastHealthCheck": None, "fault": None, "retryInSeconds": None,
        }
        for n in range(1000)
    ]  # fmt: skip
    browser.page.route("**/platform/api/servers*", lambda route: route.fulfill(json=rows))
    page = browser.open("/servers")
    expect(page.get_by_role("row").filter(has_text="Agent 0002")).to_be_visible()
    assert page.get_by_role("row").count() < 80, "only what is seen is in the document"
    clock = browser.context.new_cdp_session(page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})
    own = lambda: next(one["value"] for one in clock.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration")  # noqa: E731
    before = own()
    page.evaluate("""async () => { const button = [...document.querySelectorAll('th button')].find(one => one.textContent.startsWith('Appels'));
        const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        for (let n = 0; n < 7; n++) { button.click(); await frame(); } }""")
    # The page's own time, which other tests beside it do not change much: some 20 ms.
    took = 1000 * (own() - before) / 7
    (browser.folder / "sort-ms.txt").write_text(f"{took:.1f}\n")
    assert took < 100, f"sorting 1,000 rows took {took:.0f} ms"
    expect(page.get_by_role("columnheader", name="Appels")).to_have_attribute("aria-sort", "ascending")
    expect(page).to_have_url(re.compile("sort=calls"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("Agent 0000")


def test_telephony_agents_and_administration(world, browse, folder):
    for step in (a_wrong_password_and_the_way_out, sip_accounts, voice_servers, workflow_questions_and_blocked_numbers, an_agent_is_made_changed_and_tried, administration):
        step(world, browse, folder)


def test_calls_restaurant_roles_and_keyboard(world, browse, folder):
    for step in (
        a_call_from_the_browser, the_keyboard_reaches_everything, a_thousand_agents_stay_usable, role_by_role, a_restaurant_works_with_it,
        calls_live_history_and_one_explained,
    ):
        step(world, browse, folder)


def test_what_the_pages_need_is_there():
    assert AXE.exists() and (UI / "dist/index.html").exists(), "run scripts/ui"
    lock = (UI / "package-lock.json").read_text()
    assert '"resolved"' not in lock, "no registry's address belongs in the lock"
    html = (UI / "dist/index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", html), "no inline script or style"
