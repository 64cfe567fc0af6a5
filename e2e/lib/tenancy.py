"""The platform API of a server: requests with any credential, and accounts that have one of everything."""

import json
import urllib.error
import urllib.request

from lib.allo import TOKEN

OWNER = {"Authorization": f"Bearer {TOKEN}"}


class Platform:
    """`ask(method, path, body, headers)` → (status, headers, JSON or text)."""

    def __init__(self, allo):
        self.base = f"http://{allo.addresses['platform']}"

    def ask(self, method, path, body=None, headers=OWNER, timeout=30):
        data = None if body is None else json.dumps(body).encode()
        headers = dict(headers) | ({"Content-Type": "application/json"} if data is not None else {})
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.headers, _content(response)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, _content(error)

    def good(self, method, path, body=None, headers=OWNER):
        status, _, content = self.ask(method, path, body, headers)
        assert 200 <= status < 300, (method, path, status, content)
        return content

    def document(self):
        return self.good("GET", "/api/openapi.json")

    def key(self, account, role, **more):
        return self.good("POST", "/api/keys", {"accountId": account, "name": role, "role": role} | more)

    def tenant(self, name):
        """An account with one of everything; each value carries the account's name as a mark."""
        account = self.good("POST", "/api/accounts", {"name": name, "email": f"{name}@example.org", "balance": 100})["id"]
        keys = {role: self.key(account, role)["key"] for role in ("viewer", "operator", "admin", "owner")}
        as_owner = {"X-API-Key": keys["owner"]}
        made = {"account": account, "name": name, "keys": keys}

        def post(what, path, body):
            made[what] = self.good("POST", path, body, as_owner)["id"]

        post("customer", "/api/final-customers", {"name": f"{name} customer", "currency": "EUR"})
        agent = self.good("POST", "/api/agents", {"name": f"{name} agent", "finalCustomerId": made["customer"], "basePrompt": name}, as_owner)
        made |= {"agent": agent["id"], "agent_token": agent["apiToken"], "public_token": agent["publicToken"]}
        tool = {"name": "end_call", "description": name, "parameters": {"type": "object", "properties": {}}, "http": None, "triggersHangup": True}
        post("tool", f"/api/agents/{made['agent']}/tools", tool)
        line = {"phoneNumber": f"+33{name}", "provider": "sip", "sipUsername": "u", "sipPassword": f"password-{name}", "isActive": False}
        post("line", f"/api/agents/{made['agent']}/phone-lines", line)
        post("faq", "/api/faqs", {"agentId": made["agent"], "question": f"{name}?"})
        post("blocked", "/api/blocked-numbers", {"agentId": made["agent"], "phoneNumber": f"+44{name}"})
        post("plan", "/api/plans", {"name": f"{name} plan", "price": 10})
        post("device", "/api/admin/devices", {"label": f"{name} phone", "username": name, "password": f"password-of-{name}", "agent_id": made["agent"]})
        user = {"email": f"{name}@example.org", "name": name, "password": "correct horse battery", "role": "admin"}
        post("user", "/api/users", user)
        made["key_id"] = self.good("GET", "/api/keys", headers=as_owner)[0]["id"]
        return made


def fill(path, tenant):
    """A path of the document with the ids of a tenant."""
    kinds = {
        "/api/accounts/": "account", "/api/final-customers/": "customer", "/api/agents/": "agent", "/api/faqs/": "faq",
        "/api/blocked-numbers/": "blocked", "/api/plans/": "plan", "/api/keys/": "key_id", "/api/users/": "user", "/api/admin/sip-accounts/": "line",
        "/api/admin/devices/": "device",
    }  # fmt: skip
    own = next((tenant[kind] for prefix, kind in kinds.items() if path.startswith(prefix)), "0193f1d0-0000-7000-8000-000000000000")
    values = {"id": own, "toolId": tenant["tool"], "lineId": tenant["line"], "version": "1", "purpose": "engine:openai"}
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    return path


def operations(document):
    """(method, path, operation) of everything that the document names."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _content(response):
    if response.headers.get_content_type() == "text/event-stream":
        return ""
    text = response.read()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text.decode(errors="replace")
