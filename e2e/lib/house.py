"""A whole house of the contract: back office, engine behind a wire tap, server, and an agent provisioned over HTTP."""

import base64
import json
import os

from .allo import known_to_calls, wait_for
from .backoffice import RESTAURANT, BackOffice
from .provisioning import Client
from .wiretap import Wiretap

NUMBER = "+33140506070"
CALLER = "+33123456789"


class House:
    def __init__(self, standin, server, scenario="contract", session=None, number=NUMBER, engine=None, **settings):
        self.number = number
        self.office = BackOffice(session)
        self.tap = engine or Wiretap(standin(scenario).url)
        settings = {
            "platform_listen": "127.0.0.1:0",
            "platform_unauthenticated": "true",
            "platform_rate_per_s": 10_000,
            "tools_back_office": self.office.url,
            "agent_idle_reprompt_s": 0,
        } | settings
        self._server = server
        self.allo = server(self.tap.url, **settings)
        self.client = self.connect()
        self.secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()

    def connect(self, **how):
        return Client(f"http://{self.allo.addresses['platform']}", **how)

    def provision(self, **agent):
        """As `POST /api/restaurants` of the existing client does it."""
        self.account = self.client.account()
        self.client.put(f"/accounts/{self.account}/secrets/webhook", {"value": self.secret})
        self.customer = self.client.final_customer(self.account, "Les Tilleuls SARL")
        made = self.client.agent(self.account, self.office.url, RESTAURANT, self.customer, **agent)
        self.agent, self.token = made["id"], made["apiToken"]
        self.client.tools(self.agent)
        self.line = self.client.phone_line(self.agent, self.number)
        return self

    def ready(self):
        """The line is known to the telephone side."""
        bridges = self.client.get(f"/bridges?accountId={self.account}")["bridges"]
        assert [(b["agentId"], b["phoneLineId"]) for b in bridges] == [(self.agent, self.line["id"])], bridges
        known_to_calls(lambda query: self.client.get(f"/admin/route?{query}"), self.account, self.number, self.agent)
        return self

    def calls(self):
        """Every call of the account, newest first, page after page."""
        found, cursor = [], ""
        while True:
            page, following = self.client.page(f"/calls?accountId={self.account}&limit=200{cursor}")
            found += page
            if not following:
                return found
            cursor = f"&cursor={following}"

    def ended_call(self, timeout=30):
        """The newest call, once it has ended."""

        def ended():
            calls = self.calls()
            return calls[0] if calls and calls[0]["endedAt"] else None

        return wait_for("the end of the call", ended, timeout)

    def settled(self):
        """No call runs, and whoever is told of one was: a webhook whose receiver is gone is a warning in the log."""
        wait_for("the end of every call", lambda: all(call["endedAt"] for call in self.calls()), 60)
        wait_for("every webhook", lambda: not self.client.get(f"/webhooks?accountId={self.account}&state=pending"), 30)

    def close(self):
        # Whoever talks goes before whoever listens: a webhook that nobody takes is a warning in the log.
        for process in getattr(self._server, "made", [self.allo]):
            process.stop()
        with open(self.allo.folder / "wiretap.jsonl", "w") as out:
            for session in self.tap.sessions:
                out.writelines(json.dumps({"byAllo": by_allo} | event, ensure_ascii=False) + "\n" for by_allo, event in session.events)
        self.office.close()
        self.tap.close()
