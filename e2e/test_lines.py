"""SIP accounts and workflows: two hundred accounts at Kamailio over UDP, TCP and TLS, three workflows on three of them, and changes
by the API while fifty calls run."""

import concurrent.futures
import select
import socket
import struct
import threading
import time

import pytest
from lib.allo import wait_for
from lib.kamailio import PASSWORD, Kamailio
from lib.sipp import Script
from lib.tenancy import Platform

ACCOUNTS = 200
CALLS = 50
NUMBERS = {"accueil": "0123456789", "support": "0123456790", "commercial": "0123456791"}


@pytest.fixture
def registrar(folder):
    made = Kamailio(folder, tls=True)
    yield made
    made.stop()


@pytest.fixture
def house(server, standin, registrar):
    allo = server(
        standin("tone").url, server_language="fr", platform_rate_per_s=100_000, sip_tls_ca=registrar.ca, line_allow_loopback="false", agent_idle_reprompt_s=0, limits_calls=100,
    )
    return allo, Platform(allo)


class Caller:
    """The sound of many calls on one port: sends each stream that it hears 50 packets a second, and looks for gaps in what it hears."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heard, self.gaps, self.sent = {}, 0, {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        due = time.monotonic()
        while not self.over.is_set():
            ready, _, _ = select.select([self.socket], [], [], max(0, due - time.monotonic()))
            if ready:
                data, source = self.socket.recvfrom(2048)
                if data[0] >> 6 == 2 and not 200 <= data[1] <= 204:
                    number = struct.unpack("!H", data[2:4])[0]
                    last = self.heard.get(source)
                    self.gaps += last is not None and number != (last + 1) & 0xFFFF
                    self.heard[source] = number
                continue
            due += 0.02
            for source in list(self.heard):
                number = self.sent[source] = self.sent.get(source, 0) + 1
                header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, source[1])
                self.socket.sendto(header + b"\xff" * 160, source)

    def close(self):
        self.over.set()
        self.thread.join(5)
        self.socket.close()


def agent(platform, name, account=None):
    """An agent of the account of the platform: of the first one where none is named."""
    body = {"name": name, "basePrompt": name, "accountId": account or "default"}
    return platform.good("POST", "/api/agents", body)["id"]


def account(registrar, user, transport="udp", **more):
    fields = {
        "label": f"Compte {user}", "trunk_uri": f"sip:{user}@127.0.0.1:{registrar.ports.of(transport)}", "username": user, "password": PASSWORD,
        "contact_transport": transport,
    }
    return fields | more


def accounts(platform, query=""):
    found, cursor = [], ""
    while True:
        status, headers, page = platform.ask("GET", f"/api/admin/sip-accounts?limit=200{query}{cursor}")
        assert status == 200, page
        found += page
        if not headers.get("x-next-cursor"):
            return {one["id"]: one for one in found}
        cursor = f"&cursor={headers['x-next-cursor']}"


def registered(platform, count, timeout=30, query=""):
    def all_of_them():
        now = accounts(platform, query)
        return now if sum(one["status"]["state"] == "registered" for one in now.values()) >= count else None

    return wait_for(f"{count} registered accounts", all_of_them, timeout, 0.25)


def dial(sipp, registrar, caller, number, name, seconds=1, calls=1, **more):
    script = Script(name).call().pause(int(seconds * 1000)).bye()

    class Target:
        udp, tcp = registrar.ports.udp, registrar.ports.tcp

    return sipp(script, Target, caller, service=number, name=name, calls=calls, **more)


@pytest.mark.allowed_log("registration_.*|log_account_.*")
def test_200_accounts_3_workflows_and_changes_under_50_calls(house, registrar, sipp, folder):
    allo, platform = house
    agents = {slug: agent(platform, slug) for slug in NUMBERS}
    transports = ["udp", "tcp", "tls"]
    ids = {}
    for (slug, number), transport in zip(NUMBERS.items(), transports):
        made = platform.good("POST", "/api/admin/sip-accounts", account(registrar, number, transport, label=f"Ligne {slug}", is_default=slug == "accueil"))
        ids[slug] = made["id"]
    assert list(ids.values()) == ["1", "2", "3"], "small numbers, as the documents have them"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = [account(registrar, f"poste{n:03}", transports[n % 3]) for n in range(3, ACCOUNTS)]
        list(pool.map(lambda body: platform.good("POST", "/api/admin/sip-accounts", body), bodies))
    now = registered(platform, ACCOUNTS, 45)
    assert len(now) == ACCOUNTS and sum(one["is_default"] for one in now.values()) == 1
    assert all(0 < one["status"]["expires_in_s"] <= 60 and "password" not in one for one in now.values())
    assert {kind for kind, _ in registrar.seen("REGISTER")} == set(transports)
    assert len(registrar.bindings()) == ACCOUNTS

    # Scenario 1: three numbers, three accounts, three workflows.
    for slug, number in NUMBERS.items():
        body = {"slug": slug, "agent_id": agents[slug], "phone_numbers": [number], "sip_account_id": None if slug == "accueil" else ids[slug]}
        platform.good("POST", "/api/admin/workflows", body)
    route = lambda number, more="": platform.good("GET", f"/api/admin/route?number={number}{more}")  # noqa: E731
    wait_for("the workflows", lambda: route(NUMBERS["commercial"])["workflow"] == "commercial", 1)
    for slug, number in NUMBERS.items():
        answer = route(number)
        assert (answer["workflow"], answer["sip_account_id"], answer["agent_id"]) == (slug, ids[slug], agents[slug]), answer
        chosen = next(step["step"] for step in answer["steps"] if step["is_chosen"])
        assert chosen == ("default_account" if slug == "accueil" else "workflow_account"), answer
    caller = Caller()
    for slug, number in NUMBERS.items():
        dial(sipp, registrar, caller, number, f"one-{slug}").wait()
    calls = allo.ended_call(3) and allo.calls()
    assert {(call["to"], call["agent"], call["line"]) for call in calls} == {(NUMBERS[slug], agents[slug], ids[slug]) for slug in NUMBERS}, calls
    log = allo.log()
    for said in (
        "Chargement des comptes SIP depuis la base de données", "Trouvé 200 compte(s) SIP actif(s)", "Compte SIP par défaut : Ligne accueil (ID: 1)",
        "Gestionnaire SIP démarré pour l'ID 2", f"Enregistrement SIP réussi auprès de 127.0.0.1:{registrar.ports.udp}", "Appel SIP entrant pour",
        "Workflow SIP sélectionné : support", "Workflow associé au compte SIP ID: 2", "Démarrage du pont voix Realtime",
    ):
        assert said in log, said
    assert "0123456790" not in log and PASSWORD not in log, "numbers are masked, passwords are not there"

    # Fifty calls run while everything else is changed.
    fifty = dial(sipp, registrar, caller, NUMBERS["support"], "fifty", 20, CALLS, extra=["-r", "8", "-l", str(CALLS)])
    wait_for("fifty calls", lambda: len(allo.live()) == CALLS, 20, 0.1)
    gaps = caller.gaps
    others = [one for one in now.values() if one["label"].startswith("Compte poste")]

    def live_within_a_second(what, condition):
        wait_for(what, condition, 1, 0.02)

    platform.good("PATCH", f"/api/admin/sip-accounts/{others[0]['id']}", {"is_active": False})
    user = others[0]["username"]
    live_within_a_second("the binding to go", lambda: f"sip:{user}@" not in registrar.rpc("ul.dump").stdout and len(registrar.bindings()) == ACCOUNTS - 1)
    platform.good("PATCH", f"/api/admin/sip-accounts/{others[0]['id']}", {"is_active": True})
    live_within_a_second("the binding to be back", lambda: len(registrar.bindings()) == ACCOUNTS)
    new = platform.good("POST", "/api/admin/sip-accounts", account(registrar, "nouveau", "tls"))["id"]
    live_within_a_second("the new binding", lambda: len(registrar.bindings()) == ACCOUNTS + 1)
    assert platform.ask("DELETE", f"/api/admin/sip-accounts/{new}")[0] == 204
    live_within_a_second("the new binding to go", lambda: len(registrar.bindings()) == ACCOUNTS)
    # The account of the running calls loses its workflow, and the default moves.
    platform.good("PATCH", f"/api/admin/sip-accounts/{ids['commercial']}", {"is_default": True})
    assert [one["id"] for one in accounts(platform).values() if one["is_default"]] == [ids["commercial"]]
    live_within_a_second("the route to follow", lambda: route(NUMBERS["accueil"])["sip_account_id"] == ids["commercial"])
    assert platform.ask("DELETE", f"/api/admin/sip-accounts/{ids['support']}")[0] == 204
    flow = platform.good("GET", "/api/admin/workflows?slug=support")[0]
    assert flow["definition"]["sip_account_id"] is None, "the reference is null, the workflow stays"
    live_within_a_second("the binding of the deleted account to go", lambda: len(registrar.bindings()) == ACCOUNTS - 1)
    assert len(allo.live()) == CALLS, "calls in progress go on"
    fifty.wait()
    allo.idle(15)
    caller.close()
    ended = [call for call in allo.calls() if call["to"] == NUMBERS["support"]][:CALLS]
    assert len(ended) == CALLS and {call["endReason"] for call in ended} == {"caller_hung_up"}
    sound = [allo.call(call["id"])["statistics"]["rtp"] for call in ended]
    assert all(one["packets_lost"] == 0 and one["packets_received"] > 500 for one in sound) and caller.gaps == gaps == 0, (sound, caller.gaps)
    figures = accounts(platform)[ids["accueil"]]["metrics"]
    assert (figures["calls_received"], figures["calls_answered"]) == (1, 1) and figures["duration_s"] >= 1
    allo.stop(30)
    assert registrar.bindings() == []
