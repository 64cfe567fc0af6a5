"""What the pages are looked at with: a house after a real call (the demonstration's order and table), lines at Kamailio, users of each role,
and a caller who is speaking."""

import contextlib
import os
import fcntl
import shutil
import subprocess

from .allo import BINARY, Server, Standin, clean_environment, known_to_calls, only_expected_log_lines, wait_for
from .audio import RtpPeer
from .kamailio import PASSWORD, Kamailio
from .sipp import Script, Sipp
from .tenancy import Platform

SECRET = "correct horse battery staple"
ROLES = ("viewer", "operator", "admin", "owner")


def after_a_call(out):
    """A data directory after the demonstration's call, made once for each binary; its call lasts most of a minute."""
    made = out / "interface-demo"
    stamp = f"{BINARY.stat().st_mtime_ns}"
    with open(out / "interface-demo.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "stamp").exists() or (made / "stamp").read_text() != stamp:
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            command = [BINARY, "demo", "--once", "--data-dir", made / "data"]
            run = subprocess.run(command, env=clean_environment(), cwd=made, capture_output=True, text=True, timeout=180)
            assert run.returncode == 0, run.stdout + run.stderr
            (made / "stamp").write_text(stamp)
    return made / "data"


class Kept:
    """A server and what it talks to. `allowed_log` are the WARN and ERROR lines that the tests provoke."""

    def __init__(self, folder, allowed_log):
        self.folder, self.allowed_log, self.made = folder, allowed_log, contextlib.ExitStack()

    def close(self):
        """Who calls goes first, then the server, then what it talks to: a server complains of what is gone before it."""
        self.made.close()
        unexpected = only_expected_log_lines(self.allo.log(), self.allowed_log)
        assert not unexpected, "unexpected WARN or ERROR lines:\n" + "\n".join(unexpected)


class Small(Kept):
    """An empty house with one account: `self.users` is role → (address, password), `self.agent` answers in tones."""

    def __init__(self, folder, scenario=None, allowed_log=(), **settings):
        super().__init__(folder, allowed_log)
        self.standin = Standin(folder, "tone", **(scenario or {}))
        self.made.callback(self.standin.stop)
        defaults = {"server_language": "fr", "agent_language": "en", "platform_rate_per_s": 10_000, "agent_idle_reprompt_s": 0}
        self.allo = Server(folder, self.standin.url, **(defaults | settings))
        self.made.callback(self.allo.stop, 30)
        self.platform = Platform(self.allo)
        self.base = self.platform.base
        self.account = self.account_of("Tilleuls")
        self.users = users_of(self.platform, self.account)

    def account_of(self, name):
        return self.platform.good("POST", "/api/accounts", {"name": name, "email": "a@b.c", "isActive": True})["id"]

    def agent_of(self, name, **more):
        """An agent that can end a call, once it runs."""
        end = {"name": "end_call", "description": "End the call.", "parameters": {"type": "object", "properties": {}}, "http": None, "triggersHangup": True}
        body = {"accountId": self.account, "name": name, "basePrompt": "Be kind.", "aiVoice": "sage", "tools": [end]} | more
        made = self.platform.good("POST", "/api/agents", body)["id"]

        def running():
            status, _, found = self.platform.ask("GET", f"/api/servers/{made}")
            return status == 200 and found["state"] == "running"

        wait_for("the agent to run", running, 30)
        return made


def users_of(platform, account):
    """A user of each role of the account, and the operator of the node."""
    users = {}
    for role in ROLES:
        address = f"{role}@example.org"
        platform.good("POST", "/api/users", {"accountId": account, "email": address, "name": role.capitalize(), "password": SECRET, "role": role})
        users[role] = (address, SECRET)
    platform.good("POST", "/api/users", {"email": "node@example.org", "name": "Camille", "password": SECRET, "role": "owner"})
    users["node"] = ("node@example.org", SECRET)
    return users


class World(Kept):
    """`folder` keeps everything. `self.users` is role → (address, password)."""

    def __init__(self, folder, allowed_log=(), **settings):
        super().__init__(folder, allowed_log)
        data = folder / "data"
        shutil.copytree(after_a_call(folder.parent), data)
        self.registrar = Kamailio(folder)
        self.made.callback(self.registrar.stop)
        self.standin = Standin(folder, "tone")
        self.made.callback(self.standin.stop)
        defaults = {"server_data_dir": data, "server_language": "fr", "agent_language": "fr", "platform_rate_per_s": 10_000, "agent_idle_reprompt_s": 0}
        self.allo = Server(folder, self.standin.url, **(defaults | settings))
        self.made.callback(self.allo.stop, 30)
        self.platform, self.office = Platform(self.allo), Platform(self.allo)
        self.office.base = f"http://{self.allo.addresses['back_office']}"
        self.base = os.environ.get("ALLO_UI_BASE") or self.platform.base
        self.account = self.platform.good("GET", "/api/accounts")[0]["id"]
        self.users = users_of(self.platform, self.account)
        self.house = self.restaurant()["id"]
        self.demo_agent = self.restaurant()["agentId"]
        self.demo_call = self.platform.good("GET", "/api/calls")[0]["id"]
        self.booked_day = self.back("GET", f"/api/reservations?restaurantId={self.house}")[0]["reservationTime"][:10]
        self.lines()

    def lines(self):
        """Two accounts that register, and one whose password is wrong."""
        good = self.platform.good

        def line(label, user, password=PASSWORD, **more):
            uri = f"sip:{user}@127.0.0.1:{self.registrar.ports.udp}"
            fields = {"account_id": self.account, "label": label, "trunk_uri": uri, "username": user, "password": password, "contact_transport": "udp"}
            return good("POST", "/api/admin/sip-accounts", fields | more)["id"]

        self.sip = {
            "main": line("Trunk principal", "accueil", is_default=True),
            "support": line("Support technique", "support"),
            "wrong": line("Ancienne ligne", "ancienne", "not-the-password"),
        }
        self.agent = good("POST", "/api/agents", {"accountId": self.account, "name": "Accueil", "basePrompt": "Vous répondez pour Exemple.", "aiVoice": "sage"})["id"]
        good("POST", "/api/admin/workflows", {
            "account_id": self.account, "slug": "accueil", "name": "Accueil", "sip_account_id": self.sip["main"], "agent_id": self.agent, "phone_numbers": ["+33140506070"],
        })  # fmt: skip

        def registered():
            states = {one["id"]: one["status"]["state"] for one in good("GET", f"/api/admin/sip-accounts?account_id={self.account}")}
            return states[self.sip["main"]] == "registered" and states[self.sip["wrong"]] not in ("registered", "registering") and states

        wait_for("the lines", registered, 30, 0.1)
        known_to_calls(lambda query: good("GET", f"/api/admin/route?{query}"), self.account, "+33140506070", self.agent)

    def caller(self, seconds=60, name="caller"):
        """Somebody calls, by the registrar, and stays."""
        peer = RtpPeer()
        self.made.callback(peer.close)

        class Target:
            udp, tcp = self.registrar.ports.udp, self.registrar.ports.tcp

        phone = Sipp(self.folder, Script(name).call().pause(seconds * 1000).bye(), Target.udp, peer.port, "u1", service="accueil", name=name)
        self.made.callback(phone.kill)
        wait_for("the call", lambda: self.platform.good("GET", "/api/calls/live"), 15)
        return peer

    # What the server knows, beside what the pages say.

    def state_of(self, agent):
        return self.allo.request(f"/agents/{agent}/status")[1]["state"]

    def sip_accounts(self):
        return self.platform.good("GET", f"/api/admin/sip-accounts?account_id={self.account}")

    def back(self, method, path, body=None):
        return self.office.good(method, path, body)

    def restaurant(self):
        return self.back("GET", "/api/restaurants")[0]

    def orders(self):
        return sorted(self.back("GET", f"/api/orders?restaurantId={self.house}"), key=lambda order: order["orderNumber"])

    def menu(self):
        return {dish["name"]: dish for dish in self.back("GET", f"/api/menu?restaurantId={self.house}")["items"]}

    def dish(self, name):
        return self.menu()[name]["id"]

