"""Everyday tasks, each begun on the live board and done by hand: what comes of it is asked of the server, and the clicks are those that
docs/everyday-tasks.md says. Screenshots: e2e/out/everyday_tasks-*/screenshots."""

import re
import shutil

import pytest
from lib.allo import ROOT, wait_for
from lib.audio import RtpPeer
from lib.interface import World
from lib.kamailio import PASSWORD
from lib.pages import Browser, expect
from lib.sipp import Script, Sipp

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed"),
    pytest.mark.timeout(600),
]
#: A line with a wrong password, and a call without sound, are part of the world.
ALLOWED_LOG = (r"registration_|log_account_|media_",)
WEEK = {day: [{"open": "12:00", "close": "14:30"}] for day in ("tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")}


def menu(page, name):
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()


def closing_day(page, world):
    """A restaurant changes its closing day: Tuesday."""
    menu(page, "Horaires")
    page.get_by_role("region", name="Mardi").get_by_role("button", name="Supprimer").click()
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les horaires sont enregistrés.")).to_be_visible()
    hours = world.restaurant()["openingHours"]
    assert not hours.get("tuesday") and hours["wednesday"], hours


def closed_on_christmas(page, world):
    """Closed on Christmas Day."""
    menu(page, "Horaires")
    page.get_by_label("Date").fill("2026-12-25")
    page.get_by_role("button", name="Fermer ce jour").click()
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_text("Les horaires sont enregistrés.")).to_be_visible()
    assert world.restaurant()["openingHours"]["exceptions"] == [{"date": "2026-12-25", "closed": True}]


def tiramisu_is_out(page, world):
    """Tiramisu is out."""
    menu(page, "Carte")
    switch = page.get_by_role("switch", name="Tiramisu disponible")
    page.locator("label").filter(has=switch).click()
    expect(page.get_by_text("Tiramisu est épuisé")).to_be_visible()
    wait_for("out of stock", lambda: not world.menu()["Tiramisu"]["isAvailable"], 5)


def nobody_heard_the_caller(page, world):
    """Why did no one hear the caller? The first sentence of the call's page says it."""
    menu(page, "Historique")
    page.get_by_role("row").filter(has_text="+33 1 23 45 67 89").get_by_role("link").first.click()
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_contain_text(re.compile("entend|son |audio|paquet"))


def what_the_agent_asked(page, world):
    """What did the agent ask the kitchen's system?"""
    menu(page, "Historique")
    page.get_by_role("row").filter(has_text="+33 6 39 98 12 34").get_by_role("link").first.click()
    page.get_by_role("tab", name=re.compile("Outils")).click()
    page.get_by_text("confirm_order").first.click()
    expect(page.locator("details[open]").get_by_text("order_type").first).to_be_visible()


def restart_an_agent(page, world):
    """Restart an agent."""
    menu(page, "Serveurs vocaux")
    page.get_by_role("button", name="Redémarrer Accueil").click()
    expect(page.get_by_text(re.compile("Accueil: redémarrage demandé"))).to_be_visible()


def a_refused_line(page, world):
    """The operator refuses a line: its sentence, the right password, the test, saved."""
    menu(page, "Comptes SIP")
    row = page.get_by_role("row").filter(has_text="Ancienne ligne")
    expect(row).to_contain_text("refuse la ligne « Ancienne ligne » : identifiant ou mot de passe incorrect")
    page.get_by_role("button", name="Modifier Ancienne ligne").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Remplacer").click()
    form.locator("input[type=password]").fill(PASSWORD)
    form.get_by_role("button", name="Essayer", exact=True).click()
    expect(form.get_by_role("listitem").filter(has_text="REGISTER").get_by_label("réussi")).to_be_visible(timeout=30_000)
    form.get_by_role("button", name="Enregistrer").click()
    expect(row).to_contain_text("Enregistré", timeout=20_000)
    assert next(one for one in world.sip_accounts() if one["label"] == "Ancienne ligne")["status"]["state"] == "registered"


def answer_a_question(page, world):
    """Answer a question for all next callers."""
    menu(page, "Questions")
    page.get_by_label("Réponse à : Acceptez-vous les chiens ?").fill("Oui, en terrasse.")
    page.get_by_role("button", name="Répondre", exact=True).click()
    expect(page.get_by_text("Aucune question n'attend.")).to_be_visible()
    assert world.platform.good("GET", f"/api/faqs?agentId={world.demo_agent}")[0]["answer"] == "Oui, en terrasse."


def undo_a_prompt(page, world):
    """Undo yesterday's change of a prompt."""
    menu(page, "Agents")
    page.get_by_role("link", name="Accueil", exact=True).click()
    page.get_by_role("tab", name="Versions").click()
    page.get_by_role("radio", name=re.compile("Version 1$")).check()
    page.get_by_role("button", name="Revenir à la version 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Revenir à la version 1").click()
    expect(page.get_by_text("L'agent est comme à la version 1.")).to_be_visible()
    assert world.platform.good("GET", f"/api/agents/{world.agent}")["basePrompt"] == "Vous répondez pour Exemple."


def take_a_key_back(page, world):
    """Take a key back."""
    menu(page, "Clés")
    page.get_by_role("button", name="Supprimer ancien tableur").click()
    page.get_by_role("dialog").get_by_role("button", name="Supprimer").click()
    expect(page.get_by_role("row").filter(has_text="ancien tableur")).to_contain_text("Reprise")
    assert world.platform.ask("GET", "/api/auth/me", headers={"X-API-Key": world.key})[0] == 401


def connect_a_telephone(page, world):
    """A new telephone: a device, who answers it, and what to type into the telephone."""
    menu(page, "Postes")
    page.get_by_role("button", name="Ajouter un poste").first.click()
    form = page.get_by_role("dialog")
    form.get_by_label("Nom", exact=False).first.fill("Comptoir")
    form.get_by_label("Nom d'utilisateur").fill("102")
    form.get_by_label("Qui répond à ses appels").and_(page.locator("input")).first.click()
    page.get_by_role("option", name="Accueil").first.click()
    form.get_by_role("button", name="Créer").click()
    expect(form.get_by_text("En attente du téléphone…")).to_be_visible()
    expect(form.locator("[data-copyable]").nth(1)).to_have_text("102")
    made = world.platform.good("GET", f"/api/admin/devices?account_id={world.account}")
    assert [(one["username"], one["agent_id"]) for one in made] == [("102", world.agent)], made


TASKS = (
    closing_day, closed_on_christmas, tiramisu_is_out, nobody_heard_the_caller, what_the_agent_asked, restart_an_agent, a_refused_line, answer_a_question,
    undo_a_prompt, take_a_key_back, connect_a_telephone,
)  # fmt: skip


def written():
    """Clicks by task, as the page of the docs has them: its last column names the script."""
    rows = re.findall(r"^\|.*\| (\d+)[^|]*\| `(\w+)` \|$", (ROOT / "docs" / "everyday-tasks.md").read_text(), flags=re.M)
    return {name: int(clicks) for clicks, name in rows}


def prepare(world):
    """What the tasks find: hours, a silent caller's call, a question, a changed prompt, a key."""
    world.back("PATCH", "/api/restaurants", {"id": world.house, "openingHours": WEEK})
    world.platform.good("POST", "/api/faqs", {"agentId": world.demo_agent, "question": "Acceptez-vous les chiens ?"})
    world.platform.good("PUT", f"/api/agents/{world.agent}", {"basePrompt": "Une phrase que personne ne voulait."})
    world.key = world.platform.good("POST", "/api/keys", {"accountId": world.account, "name": "ancien tableur", "role": "viewer"})["key"]
    peer = RtpPeer()
    # Nothing of the caller arrives: a firewall, as far as anybody can tell.
    peer.paused = True
    phone = Sipp(world.folder, Script("silent").call().pause(6_000).bye(), world.registrar.ports.udp, peer.port, "u1", service="accueil", name="silent")
    phone.wait()
    peer.close()
    wait_for("its record", lambda: not world.platform.good("GET", "/api/calls/live"), 10)


def test_everyday_tasks(folder):
    world = World(folder, ALLOWED_LOG)
    browser = None
    counted, said = {}, written()
    assert list(said) == [task.__name__ for task in TASKS]
    try:
        prepare(world)
        for task in TASKS:
            # A restaurant and its telephone are two accounts in the demonstration: the operator of the node sees both.
            if browser is None:
                browser = Browser(world.base, folder).log_in(*world.users["node"])
            browser.open("/live")
            browser.settled()
            browser.clicks = 0
            task(browser.page, world)
            counted[task.__name__] = browser.clicks
            browser.shot(task.__name__)
        browser.no_faults()
    finally:
        if browser:
            browser.close()
        world.close()
    assert counted == said, {name: (counted[name], said[name]) for name in counted if counted[name] != said[name]}
