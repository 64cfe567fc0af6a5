"""The service manager: agents are discovered in a back office that may be down, slow or lying, kept registered at a registrar that we did
not write, answered for with a real call, stopped, started and lost. And the requirements' quick starts as they are written.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lib.allo import BINARY, TOKEN, Process, Standin, clean_environment, only_expected_log_lines, wait_for
from lib.backoffice import RESTAURANT, BackOffice
from lib.kamailio import PASSWORD, Kamailio
from lib.ports import free_port, is_free
from lib.provisioning import Client
from lib.sipp import Script, header
from lib.softphone import Baresip
from lib.wiretap import Wiretap

KEY = "00112233445566778899aabbccddeeff" * 2
FIELDS = {
    "restaurantId", "restaurantName", "state", "sipBridge", "ports", "pids", "activeCalls", "uptimeSeconds", "restartCount", "lastHealthCheck",
}  # fmt: skip
EVERY_TOOL = [
    "check_availability", "confirm_order", "confirm_reservation", "save_customer_info", "log_new_faq", "leave_message", "check_order_status",
    "cancel_order", "lookup_reservation", "cancel_reservation", "transfer_call", "end_call",
]  # fmt: skip


def sealed(password, salt, key=KEY):
    """As the back office's own service encrypts: AES-256-GCM, PBKDF2 with the line's id as salt, iv:tag:text in base64."""
    derived = hashlib.pbkdf2_hmac("sha256", bytes.fromhex(key), salt.encode(), 100_000, 32)
    iv = os.urandom(12)
    both = AESGCM(derived).encrypt(iv, password.encode(), None)
    return ":".join(base64.b64encode(part).decode() for part in (iv, both[-16:], both[:-16]))


def curl(url, *arguments):
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *arguments, url], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text)


@pytest.fixture
def office():
    office = BackOffice()
    office.agents = []
    yield office
    office.close()


@pytest.fixture
def kamailio(folder):
    made = []

    def make(**options):
        made.append(Kamailio(folder, name=f"kamailio{len(made) or ''}", **options))
        return made[-1]

    yield make
    for registrar in made:
        registrar.stop()


@pytest.fixture
def baresip(folder):
    telephone = Baresip(folder)
    yield telephone
    telephone.stop()


@pytest.fixture
def manager(office, server):
    """A server that discovers agents in `office`."""

    def make(engine_url, **settings):
        settings = {
            "agents_discover": "true",
            "agents_check_every_s": 1,
            "agents_refresh_s": 1,
            "admin_agents_unauthenticated": "true",
            "tools_back_office": office.url,
            "server_encryption_key": KEY,
            "agent_idle_reprompt_s": 0,
        } | settings
        return Manager(server(engine_url, **settings))

    return make


class Manager:
    def __init__(self, allo):
        self.allo = allo
        self.url = f"http://{allo.addresses['admin']}"

    def get(self, path):
        status, body = curl(f"{self.url}{path}")
        assert status == 200, body
        return body

    def post(self, path, expected=200):
        status, body = curl(f"{self.url}{path}", "-X", "POST")
        assert status == expected, (status, body)
        return body

    def agents(self):
        return {agent["restaurantId"]: agent for agent in self.get("/agents")}

    def state(self, restaurant):
        agent = self.agents().get(restaurant)
        return agent and agent["state"]

    def wait(self, restaurant, state, timeout=20):
        try:
            wait_for(f"{restaurant} to be {state}", lambda: self.state(restaurant) == state, timeout, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.agents()}\n{self.allo.log()[-3000:]}") from None
        return self.agents()[restaurant]


def sip_agent(restaurant, number, registrar, **more):
    agent = {
        "restaurantId": restaurant, "restaurantName": f"Restaurant {restaurant}", "sipBridge": True, "sipDomain": f"127.0.0.1:{registrar.ports.udp}",
        "sipUsername": number, "sipPassword": PASSWORD, "phoneNumber": f"+{number}", "provider": "sip", "maxParallelCalls": 2,
    }
    return agent | more


def twilio_agent(restaurant, number):
    return {
        "restaurantId": restaurant, "restaurantName": "Chez Twilio", "sipBridge": False, "sipDomain": None, "sipUsername": None,
        "sipPassword": None, "phoneNumber": number, "provider": "twilio", "maxParallelCalls": 10,
    }


def bound(registrar, number):
    """The contact of this user at the registrar."""
    dump = registrar.rpc("ul.dump").stdout
    for part in re.split(r"\bAoR: ", dump)[1:]:
        if part.split("\n")[0].strip() == number:
            found = re.search(r"Address: (\S+)", part)
            return found and found.group(1)
    return None


LIES = r"cannot be read|could not be read|log_discovery|wrong_credentials|password|registration|failed too often"


@pytest.mark.allowed_log(LIES)
def test_agents_follow_truth_and_survive_lies(standin, kamailio, manager, office, baresip):
    registrar = kamailio()
    tap = Wiretap(standin("tone").url)
    office.session = {"tools": [{"type": "function", "name": name} for name in ("check_availability", "confirm_order", "end_call")]}
    office.agents = [sip_agent(RESTAURANT, "33491000001", registrar), twilio_agent("r-twilio", "+33900000001")]
    house = manager(tap.url)
    running = house.wait(RESTAURANT, "running")
    assert set(running) == FIELDS
    assert running["sipBridge"] is True and running["restaurantName"] == f"Restaurant {RESTAURANT}"
    assert running["ports"] == {"app": house.allo.port("voice"), "bridge": house.allo.udp}
    assert running["pids"] == {"app": house.allo.process.pid, "bridge": house.allo.process.pid}
    assert (running["activeCalls"], running["restartCount"]) == (0, 0)
    other = house.wait("r-twilio", "running")
    assert (other["sipBridge"], other["ports"]["bridge"], other["pids"]["bridge"]) == (False, None, None)
    assert bound(registrar, "33491000001")
    health = house.get("/health")
    assert {"status", "activeAgents", "totalAgents", "totalActiveCalls", "uptimeSeconds"} <= set(health)
    assert (health["status"], health["activeAgents"], health["totalAgents"], health["totalActiveCalls"]) == ("ok", 2, 2, 0)

    # A real call, by way of the registrar: the session of the back office speaks.
    baresip.dial(f"sip:33491000001@127.0.0.1:{registrar.ports.udp}")
    baresip.event("CALL_ESTABLISHED")
    wait_for("the call in the list", lambda: house.agents()[RESTAURANT]["activeCalls"] == 1)
    baresip.wait_sounding(440)
    [asked] = office.to("/api/ai")
    assert dict(asked.parameters)["restaurantId"] == RESTAURANT
    [checked] = office.to("/api/blocked-phones/check")
    assert dict(checked.parameters)["restaurantId"] == RESTAURANT and "phone" in dict(checked.parameters)
    session = tap.wait_session()
    assert session.offered() == ["check_availability", "confirm_order", "end_call"], "the session chooses the tools"
    instructions = [s["instructions"] for s in session.session_updates() if "instructions" in s][-1]
    assert instructions.startswith("Tu es l'hôte du restaurant Les Tilleuls.")

    # The source lies in every way while the call runs: nothing changes.
    contact = bound(registrar, "33491000001")
    for lie in (
        {"status": 500},
        {"status": 200, "body": b"<html>oops</html>"},
        {"status": 200, "body": {"error": "database is locked"}},
        {"status": 200, "body": [{"name": "no id"}]},
        {"status": 200, "body": []},
        {"drop": "half"},
        {"drop": "before"},
    ):
        once = 2 if lie.get("drop") else 1  # a broken connection is tried again
        office.rule("/api/sip/agents", times=once, **lie)
        before = len(office.to("/api/sip/agents"))
        wait_for("the lie to be told", lambda: len(office.to("/api/sip/agents")) > before, 35)
        assert house.state(RESTAURANT) == "running", lie
    office.well()
    office.go_away()
    status, _ = curl(f"{house.url}/refresh", "-X", "POST")
    assert status != 200 and house.state(RESTAURANT) == "running", "nobody there is not nobody to serve"
    office.come_back()
    wait_for("the truth to be read again", lambda: curl(f"{house.url}/refresh", "-X", "POST")[0] == 200, 30)
    assert house.agents().keys() == {RESTAURANT, "r-twilio"}
    assert bound(registrar, "33491000001") == contact, "never registered anew"
    assert house.agents()[RESTAURANT]["restartCount"] == 0
    baresip.command("hangup")
    ended = house.allo.ended_call()
    assert ended["endReason"] == "caller_hung_up"
    payload = wait_for("the end at the back office", lambda: next(iter(office.calls_ended().values()), None))
    assert payload["restaurantId"] == RESTAURANT

    # Slow is not gone.
    office.rule("/api/sip/agents", times=1, delay=3.0)
    status, _ = curl(f"{house.url}/refresh", "-X", "POST")
    assert status == 200 and house.state(RESTAURANT) == "running"

    # Changed credentials: a wrong password is seen, the right one too, encrypted this time; another user name moves the binding.
    office.agents[0] |= {"sipPassword": "wrong"}
    house.post("/refresh")
    house.wait(RESTAURANT, "failed", 30)
    detail = house.get(f"/agents/{RESTAURANT}/status")
    assert (detail["cause"], detail["health"]["registered"]) == ("registration", False), detail
    office.agents[0] |= {"sipPassword": sealed(PASSWORD, "line-7"), "phoneLineId": "line-7"}
    house.post("/refresh")
    house.wait(RESTAURANT, "running")
    office.agents[0] |= {"sipUsername": "33491000009", "phoneNumber": "+33491000009"}
    house.post("/refresh")
    wait_for("the binding to move", lambda: bound(registrar, "33491000009") and not bound(registrar, "33491000001"), 15)

    # An addition and a removal.
    office.agents.append(sip_agent("r-new", "33491000002", registrar))
    assert house.post("/refresh")["agents"] == 3  # found by this reading or by one of those by itself, a second apart
    house.wait("r-new", "running")
    assert bound(registrar, "33491000002")
    office.agents = [agent for agent in office.agents if agent["restaurantId"] != "r-twilio"]
    house.post("/refresh")
    wait_for("the removal", lambda: house.agents().keys() == {RESTAURANT, "r-new"}, 15)

    # A blocked caller is refused, and no engine speaks.
    office.blocked = {dict(checked.parameters)["phone"]}
    baresip.dial(f"sip:33491000002@127.0.0.1:{registrar.ports.udp}")
    baresip.event("CALL_CLOSED")
    assert not any(session.sent("response.create") for session in tap.sessions[1:]), "nothing was said to a blocked caller"
    tap.close()


@pytest.mark.allowed_log(LIES)
def test_what_was_known_is_still_there_when_the_process_begins_again(folder, standin, kamailio, manager, office):
    registrar = kamailio()
    office.agents = [sip_agent(RESTAURANT, "33491000001", registrar)]
    engine = standin("tone").url
    house = manager(engine)
    house.wait(RESTAURANT, "running")
    house.post(f"/agents/{RESTAURANT}/stop")
    house.wait(RESTAURANT, "stopped")
    wait_for("the binding to go", lambda: not bound(registrar, "33491000001"), 10)
    data = house.allo.data
    house.allo.stop()
    # The back office is down; what an operator stopped stays stopped, and is started by an operator.
    office.rule("/api/sip/agents", status=503)
    house = manager(engine, server_data_dir=data)
    house.wait(RESTAURANT, "stopped")
    assert not bound(registrar, "33491000001")
    answer = house.post(f"/agents/{RESTAURANT}/start")
    assert answer["wanted"] == "running"
    house.wait(RESTAURANT, "running")
    assert bound(registrar, "33491000001")
    assert house.post("/refresh", expected=502)["code"] == "api_discovery_failed"
    assert house.state(RESTAURANT) == "running"


@pytest.mark.allowed_log(LIES)
def test_stop_start_restart_and_calls_in_progress(kamailio, standin, manager, office, sipp, peer):
    registrar = kamailio()
    office.agents = [sip_agent(RESTAURANT, "33491000001", registrar, maxParallelCalls=1)]
    house = manager(standin("tone").url, agents_refresh_s=3600)  # read when it is asked for
    agent = house.wait(RESTAURANT, "running")
    number = "33491000001"
    office.agents.append(twilio_agent("r-second", "+33900000001"))
    found = [house.post("/refresh") for _ in range(2)]
    assert [(read["agents"], read["added"]) for read in found] == [(2, 1), (2, 0)]
    phone = sipp(Script("talks").call().until_bye(), house.allo, peer, service=number)
    peer.wait_tone(440, 250)
    # As many calls as the list says, and no more.
    busy = sipp(Script("busy").invite().receive(100, 180, 486).ack_refusal(), house.allo, peer, service=number)
    busy.wait()
    # Stopped by our own id: new calls are refused, the one that runs goes on.
    own = house.get(f"/agents/{RESTAURANT}/status")["agentId"]
    assert house.post(f"/agents/{own}/stop")["restaurantId"] == RESTAURANT
    house.wait(RESTAURANT, "stopped")
    refused = sipp(Script("refused").invite().receive(100, 180, 480).ack_refusal(), house.allo, peer, service=number)
    refused.wait()
    assert header(refused.received("SIP/2.0 480")[0], "Reason"), refused.trace()
    assert house.agents()[RESTAURANT]["activeCalls"] == 1 and phone.alive()
    # Its calls are said goodbye to when that is asked for.
    house.post(f"/agents/{RESTAURANT}/stop?force")
    phone.wait()
    house.post(f"/agents/{RESTAURANT}/restart")
    agent = house.wait(RESTAURANT, "running")
    house.post(f"/agents/{RESTAURANT}/restart")
    agent = wait_for("the restart", lambda: (a := house.agents()[RESTAURANT])["restartCount"] == 1 and a["state"] == "running" and a)
    assert bound(registrar, number)
    assert house.post("/agents/nobody/stop", expected=404)["code"] == "api_agent_unknown"
    # Without the setting the token is needed, and a page of another site is refused even with it.
    status, _ = curl(f"{house.url}/agents", "-H", "Origin: https://evil.example")
    assert status == 403
    assert agent["lastHealthCheck"] is None or agent["lastHealthCheck"].endswith("Z")


def test_the_routes_want_the_token_unless_a_setting_opens_them(standin, server):
    allo = server(standin("tone").url)
    for method, path in (("GET", "/agents"), ("GET", "/agents/x/status"), ("POST", "/agents/x/stop"), ("POST", "/refresh")):
        status, body = allo.request(path, method=method, token=None)
        assert (status, body["code"]) == (401, "api_unauthorized"), path
    assert allo.request("/agents")[1] == []
    assert allo.request("/refresh", method="POST") == (200, {"agents": 0, "discovery": False})


@pytest.mark.allowed_log(LIES)
def test_a_lost_registrar(standin, kamailio, manager, office):
    registrar, steady = kamailio(expires_s=10), kamailio()
    office.agents = [sip_agent("r-1", "33491000001", registrar), sip_agent("r-2", "33491000002", steady)]
    house = manager(standin("tone").url)
    house.wait("r-1", "running")
    before = house.wait("r-2", "running")
    ports = registrar.ports
    registrar.stop()
    wait_for("the loss to be seen", lambda: house.state("r-1") in ("unhealthy", "failed", "starting"), 60, 0.2)
    after = house.agents()["r-2"]
    assert (after["state"], after["restartCount"]) == ("running", before["restartCount"])
    again = kamailio(ports=ports, expires_s=10)
    house.wait("r-1", "running", 90)
    assert bound(again, "33491000001")


@pytest.mark.allowed_log(LIES)
def test_our_own_list_is_a_source_for_another_manager(kamailio, standin, manager, server):
    """Passwords travel encrypted, with the id that is their salt; in clear only where the operator says so."""
    registrar = kamailio()
    engine = standin("tone").url
    first = server(engine, server_encryption_key=KEY, platform_unauthenticated="true", admin_agents_unauthenticated="true")
    client = Client(f"http://{first.addresses['platform']}")
    account = client.account()
    agent = client.post("/agents", {"accountId": account, "name": "Chez nous", "basePrompt": "Bonjour.", "config": {"restaurantId": "r-ours"}})["id"]
    registrar_address = f"127.0.0.1:{registrar.ports.udp}"
    line = client.phone_line(agent, "+33491000001", sipUsername="33491000001", sipDomain=registrar_address, sipPassword=PASSWORD)
    house = Manager(first)
    house.wait("r-ours", "running")
    house.post("/agents/r-ours/stop")
    wait_for("the binding to go", lambda: not bound(registrar, "33491000001"), 10)
    [listed] = client.get("/sip/agents")
    assert (listed["restaurantId"], listed["sipBridge"], listed["phoneLineId"], listed["agentId"]) == ("r-ours", True, line["id"], agent)
    assert PASSWORD not in json.dumps(listed) and listed["sipPassword"].count(":") == 2
    second = manager(engine, tools_back_office=f"http://{first.addresses['platform']}")
    second.wait("r-ours", "running")
    assert bound(registrar, "33491000001")
    data = first.data
    first.stop()
    again = server(
        engine, server_encryption_key=KEY, server_data_dir=data, platform_unauthenticated="true", platform_clear_passwords="true",
    )  # fmt: skip
    [clear] = Client(f"http://{again.addresses['platform']}").get("/sip/agents")
    assert clear["sipPassword"] == PASSWORD and "phoneLineId" not in clear


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_behind(standin, kamailio, manager, office, sipp, peer, how):
    registrar = kamailio()
    office.agents = [sip_agent(f"r-{n}", f"3349100000{n}", registrar) for n in range(1, 6)]
    office.restaurants = {agent["restaurantId"] for agent in office.agents}
    house = manager(standin("tone").url, server_drain_s=4)
    for agent in office.agents:
        house.wait(agent["restaurantId"], "running")
    assert len(registrar.bindings()) == 5
    phone = sipp(Script("until-goodbye").call().until_bye(), house.allo, peer, service="33491000001")
    peer.wait_tone(440, 250)
    addresses = dict(house.allo.addresses)
    began = time.monotonic()
    status = house.allo.stop(timeout=20, how=how)
    took = time.monotonic() - began
    assert status == 0 and took < 12, (status, took)
    phone.wait()
    wait_for("no binding to be left", lambda: registrar.bindings() == [], 5)
    for name, address in addresses.items():
        kind = socket.SOCK_DGRAM if name.endswith("udp") else socket.SOCK_STREAM
        host, port = address.rsplit(":", 1)
        wait_for(f"the port of {name} to be free", lambda: is_free(int(port), kind, host), 5)
    assert not (house.allo.data / "addresses.json").exists()


# ---- the requirements' own lines ------------------------------------------------------------------------------------------------

#: sip-service.md, "Exemples".
CURL_LINES = """
curl http://localhost:8080/health
curl http://localhost:8080/agents
curl -X POST http://localhost:8080/agents/<restaurant-id>/restart
"""
#: sip-service.md, "Configuration": the two that are required; the others keep their defaults, but for ports, which tests must not share.
MANAGER_ENV = """
OPENAI_API_KEY=sk-...
ENCRYPTION_KEY={key}
NEXT_API_URL={office}
SERVICE_MANAGER_PORT={manager}
"""
#: sip-service.md, "Lancement" and "Test manuel": the old program's name is `allo manager`, `allo serve`.
MANAGER_LINE = "cd sip-service && ./venv/bin/python service_manager.py"
TWILIO_LINE = "OPENAI_API_KEY=sk-... RESTAURANT_ID=xxx ./venv/bin/python app.py"
#: voice-modes.md, "Configuration (.env)".
VOICE_ENV = """
OPENAI_API_KEY=sk-...
RESTAURANT_ID=uuid-du-restaurant

# Mode SIP (optionnel — si absent, mode Twilio uniquement)
SIP_USERNAME=0033972360682
SIP_PASSWORD=secret
SIP_DOMAIN=sip.ovh.fr
"""
#: voice-modes.md, "Quick Start"; sip-service.md, "Test manuel".
START_LINES = ["./start.sh", "./test.sh"]
#: voice-modes.md, "Ou séparément": two terminals.
TERMINALS = ["venv/bin/python app.py", "./start-sipbridge.sh"]
#: sip-service.md, "Générer la clé de chiffrement".
KEY_LINE = """node -e "console.log(require('crypto').randomBytes(32).toString('hex'))\""""


class Shell:
    """A folder with a `.env`, in which the lines are typed. What the tests add goes into the environment, never into the line."""

    def __init__(self, folder, engine_url, **more):
        self.folder = pathlib.Path(folder) / "sip-service"
        self.folder.mkdir()
        self.more = {
            "ALLO_ENGINE_URL": engine_url, "ALLO_SIP_UDP": "127.0.0.1:0", "ALLO_SIP_TCP": "127.0.0.1:0", "ALLO_SIP_TLS": "off",
            "ALLO_PLATFORM_LISTEN": "127.0.0.1:0", "ALLO_VOICE_LISTEN": "127.0.0.1:0", "ALLO_RTP_BIND": "127.0.0.1", "ALLO_ADMIN_TOKEN": TOKEN,
            "ALLO_AGENT_IDLE_REPROMPT_S": "0", "ALLO_SERVER_DRAIN_S": "0", "ALLO_AGENTS_CHECK_EVERY_S": "1",
        } | more

    def start(self, line, program, *arguments, **variables):
        """The line with `allo …` in the place of the old program; nothing is waited for."""
        environment = clean_environment(**(self.more | variables))
        environment.pop("RESTAURANT_ID", None)
        return Process([BINARY, program, *arguments], self.folder, program, environment)

    def run(self, line, program):
        """The line with `allo …` in the place of the old program."""
        words = line.split("&&")[-1].split()
        variables = dict(word.split("=", 1) for word in words if "=" in word)
        environment = clean_environment(**(self.more | variables))
        environment.pop("RESTAURANT_ID", None) if "RESTAURANT_ID" not in variables else None
        process = Process([BINARY, program], self.folder, program, environment)
        path = self.folder / "data" / "addresses.json"

        def addresses():
            assert process.alive(), process.output() + process.log()
            return json.loads(path.read_text()) if path.exists() else None

        try:
            process.addresses = wait_for("the addresses", addresses, 30)
        except AssertionError:
            process.stop()
            raise
        return process


def test_the_manager_quick_start_as_written(folder, standin, kamailio, office):
    registrar = kamailio()
    office.agents = [sip_agent(RESTAURANT, "33491000001", registrar)]
    port = free_port()
    key = subprocess.run(KEY_LINE, shell=True, capture_output=True, text=True, timeout=20).stdout.strip() or KEY
    shell = Shell(folder, standin("tone").url, ALLO_ADMIN_AGENTS_UNAUTHENTICATED="true")
    (shell.folder / ".env").write_text(MANAGER_ENV.format(key=key, office=office.url, manager=port))
    allo = shell.run(MANAGER_LINE, "manager")
    try:

        def typed(line):
            words = line.replace("localhost:8080", f"localhost:{port}").replace("<restaurant-id>", RESTAURANT).split()
            done = subprocess.run([*words, "-sS", "-f"], capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        health, agents, restart = CURL_LINES.strip().splitlines()
        wait_for("the agent to run", lambda: [a["state"] for a in typed(agents)] == ["running"], 30)
        assert typed(health)["activeAgents"] == 1
        [agent] = typed(agents)
        assert set(agent) == FIELDS and agent["restaurantId"] == RESTAURANT
        typed(restart)
        wait_for("the restart", lambda: [(a["state"], a["restartCount"]) for a in typed(agents)] == [("running", 1)], 20)
        assert bound(registrar, "33491000001")
    finally:
        assert allo.stop() == 0
    assert not only_expected_log_lines(allo.log())


def webhook(process):
    """Twilio's webhook, as a program of this machine sends it."""
    form = "CallSid=CA42&AccountSid=AC1&From=%2B33123456789&To=%2B33900000001&CallStatus=ringing&Direction=inbound"
    request = urllib.request.Request(f"http://{process.addresses['voice']}/incoming-call", data=form.encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def test_one_restaurant_with_twilio_alone(folder, standin, office):
    office.restaurants = {"xxx"}
    shell = Shell(
        folder, standin("tone").url, NEXT_API_URL=office.url, ALLO_VOICE_UNSIGNED_LOOPBACK="true", ALLO_ADMIN_PORT="0",
    )
    allo = shell.run(TWILIO_LINE, "serve")
    try:
        assert "<Stream" in webhook(allo)
        done = subprocess.run(
            [str(BINARY), "carrier-standin", "--webhook", f"http://{allo.addresses['voice']}/incoming-call", "--sign", "missing", "--sign-stream", "missing", "--seconds", "3"],
            capture_output=True, text=True, timeout=60, env=clean_environment(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        [outcome] = [json.loads(row) for row in done.stdout.splitlines() if row.startswith("{")]
        assert outcome.get("heardMs", outcome.get("heard_ms", 1)), outcome
        assert [dict(asked.parameters)["restaurantId"] for asked in office.to("/api/ai")] == ["xxx"]
        payload = wait_for("the end at the back office", lambda: next(iter(office.calls_ended().values()), None))
        assert payload["restaurantId"] == "xxx"
    finally:
        assert allo.stop() == 0
    assert not only_expected_log_lines(allo.log())


@pytest.mark.parametrize("line", START_LINES)
def test_one_restaurant_with_a_sip_line(folder, kamailio, standin, office, baresip, line):
    registrar = kamailio()
    office.restaurants = {"uuid-du-restaurant"}
    office.keeps_calls = True
    shell = Shell(folder, standin("tone").url, NEXT_API_URL=office.url, ALLO_ADMIN_PORT="0", ALLO_LINE_PORT=str(registrar.ports.udp))
    # The operator of the document is not on this machine: the registrar stands in for it.
    env = VOICE_ENV.replace("sip.ovh.fr", "127.0.0.1").replace("=secret", f"={PASSWORD}")
    (shell.folder / ".env").write_text(env)
    allo = shell.run(line, "serve")
    try:
        wait_for("the line at its registrar", lambda: bound(registrar, "0033972360682"), 20)
        baresip.dial(f"sip:0033972360682@127.0.0.1:{registrar.ports.udp}")
        baresip.event("CALL_ESTABLISHED")
        baresip.wait_sounding(440)
        assert [dict(asked.parameters)["restaurantId"] for asked in office.to("/api/ai")] == ["uuid-du-restaurant"]
        assert "voice" in allo.addresses, "the same program takes Twilio's calls"
        baresip.command("hangup")
        # The first version of the back office: its record is made, then completed.
        [record] = wait_for("the completed record", lambda: [c for c in office.calls.values() if c["outcome"] != "in_progress"], 20)
        assert record["outcome"] in ("info_only", "abandoned") and record["endedAt"] and record["durationSec"] >= 0, record
    finally:
        assert allo.stop() == 0
    wait_for("the binding to go", lambda: not bound(registrar, "0033972360682"), 5)
    assert not only_expected_log_lines(allo.log())


def test_two_terminals_the_server_and_the_bridge(folder, kamailio, standin, office, baresip):
    """`app.py` in one terminal, `start-sipbridge.sh` in the other. The line is the bridge's: the server's own terminal has no SIP_USERNAME."""
    registrar = kamailio()
    office.restaurants = {"uuid-du-restaurant"}
    shell = Shell(folder, standin("tone").url, NEXT_API_URL=office.url, ALLO_ADMIN_PORT="0", ALLO_VOICE_UNSIGNED_LOOPBACK="true")
    (shell.folder / ".env").write_text(VOICE_ENV.split("# Mode SIP")[0])
    allo = shell.run(TERMINALS[0], "serve")
    variables = {
        "SIP_USERNAME": "0033972360682", "SIP_PASSWORD": PASSWORD, "SIP_DOMAIN": "127.0.0.1", "WS_TARGET": f"ws://{allo.addresses['voice']}/media-stream",
        "BRIDGE_API_PORT": "0", "ALLO_SERVER_LANGUAGE": "fr",
    }  # fmt: skip
    bridge = shell.start(TERMINALS[1], "bridge", "--sip-registrar", f"sip:127.0.0.1:{registrar.ports.udp}", "--rtp-ports", "0-0", **variables)
    try:
        wait_for("the line at its registrar", lambda: bound(registrar, "0033972360682"), 20)
        baresip.dial(f"sip:0033972360682@127.0.0.1:{registrar.ports.udp}")
        baresip.event("CALL_ESTABLISHED")
        baresip.wait_sounding(440)
        assert [dict(asked.parameters)["restaurantId"] for asked in office.to("/api/ai")] == ["uuid-du-restaurant"]
        baresip.command("hangup")
        payload = wait_for("the end at the back office", lambda: next(iter(office.calls_ended().values()), None), 20)
        assert payload["restaurantId"] == "uuid-du-restaurant"
    finally:
        assert bridge.stop() == 0
        assert allo.stop() == 0
    assert not bound(registrar, "0033972360682")
    assert not only_expected_log_lines(allo.log() + bridge.log())


HERE = pathlib.Path(__file__).parent
ONE_BINARY = "allo is one binary: nothing is installed beside it (README, scripts/bootstrap)"
#: Every command, `.env` file and statement that the requirements show, and the test that types it, or why nobody can.
SHOWN = [
    ("sip-service.md", "curl http://localhost:8080/health", "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", "curl http://localhost:8080/agents", "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", "curl -X POST http://localhost:8080/agents/<restaurant-id>/restart", "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", "python3 -m venv venv && ./venv/bin/pip install -r requirements.txt", ONE_BINARY),
    ("sip-service.md", ".env: OPENAI_API_KEY, ENCRYPTION_KEY, NEXT_API_URL, SERVICE_MANAGER_PORT", "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", ".env: APP_BASE_PORT, BRIDGE_BASE_PORT", "ports of agents that run as processes of their own; the others need none"),
    ("sip-service.md", KEY_LINE, "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", "cd web && npm run dev", "the back office's own program, which is not part of allo"),
    ("sip-service.md", MANAGER_LINE, "test_manager.py::test_the_manager_quick_start_as_written"),
    ("sip-service.md", TWILIO_LINE, "test_manager.py::test_one_restaurant_with_twilio_alone"),
    ("sip-service.md", "./test.sh", "test_manager.py::test_one_restaurant_with_a_sip_line"),
    ("sip-service.md", "main-sipbridge.py --sip-username … --param restaurantId=uuid", "test_bridge.py::test_the_command_line_of_the_requirements_registers_and_leaves_nothing_behind"),
    ("sip-service.md", "CTRL+C, SIGTERM", "test_manager.py::test_a_stop_leaves_nothing_behind"),
    ("voice-modes.md", "venv/bin/pip install -r requirements.txt, pjsua2-*.whl, sip-service-requirements.txt", ONE_BINARY),
    ("voice-modes.md", ".env: RESTAURANT_ID, SIP_USERNAME, SIP_PASSWORD, SIP_DOMAIN", "test_manager.py::test_one_restaurant_with_a_sip_line"),
    ("voice-modes.md", "variables of start-sipbridge.sh", "test_bridge.py::test_variables_of_the_launcher_and_refusals_in_a_sentence"),
    ("voice-modes.md", "./start.sh", "test_manager.py::test_one_restaurant_with_a_sip_line"),
    ("voice-modes.md", "webhook http://DOMAINE:5050/incoming-call", "test_manager.py::test_one_restaurant_with_twilio_alone"),
    ("voice-modes.md", "venv/bin/python app.py; ./start-sipbridge.sh", "test_manager.py::test_two_terminals_the_server_and_the_bridge"),
    ("auto-provisioning.md", "POST /api/accounts, /api/agents, /api/agents/:id/tools x12", "test_contract_call.py::"),
    ("incoming-call-tests.md", "pip install -r requirements.txt, pip install pjsua2, apt-get, brew", ONE_BINARY),
    ("incoming-call-tests.md", "test_incoming_calls.py --sip-uri --username --password", "test_incoming_calls.py::test_the_simple_test_registers_answers_echoes_and_leaves"),
    ("incoming-call-tests.md", "--transport TCP --port 5061", "test_incoming_calls.py::test_by_tcp_on_a_port_with_a_tone_and_a_recording"),
    ("incoming-call-tests.md", "--duration 60, 300; timeout 300 …", "test_incoming_calls.py::test_the_time_of_the_test_ends_it_in_a_call_too"),
    ("incoming-call-tests.md", "--verbose", "test_incoming_calls.py::test_verbose_says_everything_and_json_is_for_programs"),
    ("incoming-call-tests.md", "export OPENAI_API_KEY; test_incoming_calls_with_bridge.py", "test_incoming_calls.py::test_with_the_bridge_a_model_speaks_and_is_transcribed"),
    ("incoming-call-tests.md", "--voice shimmer; --instructions …; --voice alloy --instructions …; --api-key", "test_incoming_calls.py::test_voice_instructions_model_and_key_reach_the_engine"),
    ("multi-sip-accounts.md", "INSERT INTO sip_accounts …; UPDATE workflow_definitions …; the two SELECT", "../crates/store/tests/entries/lines.rs::"),
    ("multi-sip-accounts.md", "INSERT INTO sip_accounts … SELECT … FROM app_settings", "test_lines.py::test_migrate"),
    ("multi-sip-accounts.md", "CREATE TABLE sip_accounts …; ALTER TABLE workflow_definitions …", "allo's own migrations make them when it starts"),
    ("multi-sip-accounts.md", 'grep "Appel SIP entrant", "Workflow associé au compte SIP" app.log', "test_lines.py::test_200_accounts_3_workflows_and_changes_under_50_calls"),
]  # fmt: skip


def test_what_the_requirements_show_is_typed_by_a_test():
    for document, line, where in SHOWN:
        if "::" not in where:
            assert len(where) > 20, f"{document}, {line}: a reason"
            continue
        file, name = where.split("::")
        text = (HERE / file).read_text()
        assert f"def {name}(" in text if name else text, (document, line)
