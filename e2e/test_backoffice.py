"""The back office, route by route, as an existing client of the contract uses it: requests are written from contracts.md 1, nothing of
our code is asked. It is `allo serve` that answers."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

CALLER = "+33612345678"


class Client:
    """HTTP as the existing clients speak it; with a secret it signs as the voice side does."""

    def __init__(self, base, key=None, account=None, secret=None):
        self.base, self.key, self.account, self.secret = base, key, account, secret

    def ask(self, method, path, body=None, query=None, headers=()):
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if self.key:
            sent["X-API-Key"] = self.key
        if self.secret:
            now = str(int(time.time()))
            text = f"{now}.{method}.{target}.".encode() + (data or b"")
            digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
            sent |= {"X-Allo-Tenant": self.account, "X-Allo-Timestamp": now, "X-Allo-Signature": f"v1={digest}"}
        request = urllib.request.Request(self.base + target, data=data, method=method, headers=sent | dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path, **query):
        status, answer = self.ask("GET", path, query=query)
        assert status == 200, answer
        return answer

    def post(self, path, body, expected=201):
        status, answer = self.ask("POST", path, body)
        assert status == expected, (status, answer)
        return answer


@pytest.fixture
def allo(standin, server):
    return server(standin("tone").url, back_office_unsigned="true", platform_unauthenticated="true")


@pytest.fixture
def client(allo):
    """No existing client sends a credential: that is let in from this machine, where a setting says so."""
    return Client(f"http://{allo.addresses['back_office']}")


@pytest.fixture
def restaurant(client):
    row = client.post("/api/restaurants", {
        "name": "Les Tilleuls", "timezone": "Europe/Paris", "currency": "EUR", "aiVoice": "sage", "deliveryEnabled": True, "deliveryFee": 2.5,
        "deliveryFreeAbove": 30, "minOrderAmount": 12.5, "avgPrepTimeMin": 25, "reservationEnabled": True, "totalSeats": 40, "sipEnabled": True,
        "sipBridge": True, "maxParallelCalls": 4, "openingHours": {"monday": [{"open": "12:00", "close": "14:30"}]},
    })  # fmt: skip
    uuid.UUID(row["id"])
    assert (row["deliveryFee"], row["minOrderAmount"], row["deliveryFreeAbove"]) == (2.5, 12.5, 30)
    assert row["openingHours"] == {"monday": [{"open": "12:00", "close": "14:30"}]}
    assert row["agentId"] is None or isinstance(row["agentId"], str)
    return row["id"]


def fails(client, method, path, status, body=None, **query):
    got, answer = client.ask(method, path, body, query)
    assert got == status and isinstance(answer["error"], str) and answer["error"], (path, got, answer)


def test_restaurants(client, restaurant):
    assert [row["id"] for row in client.get("/api/restaurants")] == [restaurant]
    status, row = client.ask("PATCH", "/api/restaurants", {"id": restaurant, "name": "Le Tilleul", "transferPhoneNumber": "+33491000000"})
    assert (status, row["name"], row["transferPhoneNumber"]) == (200, "Le Tilleul", "+33491000000")
    assert row["deliveryFee"] == 2.5, "what is not named stays"
    fails(client, "PATCH", "/api/restaurants", 400, {"name": "nobody's"})
    fails(client, "PATCH", "/api/restaurants", 404, {"id": str(uuid.uuid4()), "name": "nobody's"})
    fails(client, "POST", "/api/restaurants", 400, {"timezone": "Europe/Paris"})


def test_phone_lines_and_the_list_of_agents(client, restaurant):
    assert client.get("/api/phone-lines", restaurantId=restaurant)["phoneLine"] is None
    assert client.get("/api/sip/agents") == [], "no active line yet"
    line = {
        "restaurantId": restaurant, "phoneNumber": "+33491234567", "provider": "sip", "sipDomain": "sip.ovh.fr", "sipUsername": "0033491234567",
        "sipPassword": "s3cret:with:colons", "isActive": True,
    }  # fmt: skip
    status, answer = client.ask("PUT", "/api/phone-lines", line)
    assert status == 200 and "sipPassword" not in json.dumps(answer).replace("hasSipPassword", ""), answer
    shown = client.get("/api/phone-lines", restaurantId=restaurant)
    assert shown["hasSipPassword"] is True and shown["phoneLine"]["hasSipPassword"] is True
    assert "s3cret" not in json.dumps(shown)
    [agent] = client.get("/api/sip/agents")
    assert agent["restaurantId"] == restaurant and agent["restaurantName"] == "Les Tilleuls"
    assert (agent["sipBridge"], agent["sipDomain"], agent["sipUsername"]) == (True, "sip.ovh.fr", "0033491234567")
    assert (agent["phoneNumber"], agent["provider"], agent["maxParallelCalls"]) == ("+33491234567", "sip", 4)
    assert len(agent["sipPassword"].split(":")) == 3 and "s3cret" not in agent["sipPassword"] and agent["phoneLineId"]
    client.ask("PUT", "/api/phone-lines", line | {"sipBridge": False, "sipPassword": None})
    [agent] = client.get("/api/sip/agents")
    assert (agent["sipDomain"], agent["sipUsername"], agent["sipPassword"]) == (None, None, None)
    client.ask("PUT", "/api/phone-lines", line | {"isActive": False})
    assert client.get("/api/sip/agents") == []
    fails(client, "PUT", "/api/phone-lines", 400, {"restaurantId": restaurant})


def test_clear_passwords_only_by_a_setting(standin, server):
    allo = server(standin("tone").url, back_office_unsigned="true", back_office_clear_passwords="true")
    client = Client(f"http://{allo.addresses['back_office']}")
    row = client.post("/api/restaurants", {"name": "A", "sipEnabled": True, "sipBridge": True})
    line = {"restaurantId": row["id"], "phoneNumber": "+33491234567", "provider": "sip", "sipUsername": "u", "sipDomain": "d.example", "sipPassword": "s3cret:x:y"}
    client.ask("PUT", "/api/phone-lines", line)
    [agent] = client.get("/api/sip/agents")
    assert agent["sipPassword"] == "s3cret:x:y"


def test_blocked_phones(client, restaurant):
    check = lambda number: client.get("/api/blocked-phones/check", restaurantId=restaurant, phone=number)  # noqa: E731
    assert check(CALLER) == {"blocked": False, "reason": None}
    body = {"restaurantId": restaurant, "phone": CALLER, "reason": "insults"}
    first = client.post("/api/blocked-phones", body)
    assert client.post("/api/blocked-phones", body, 200)["id"] == first["id"], "twice is once"
    for spelling in (CALLER, "0612345678", "06 12 34 56 78", "0033612345678"):
        assert check(spelling) == {"blocked": True, "reason": "insults"}, spelling
    assert [row["phone"] for row in client.get("/api/blocked-phones", restaurantId=restaurant)] == [CALLER]
    status, _ = client.ask("DELETE", "/api/blocked-phones", query={"restaurantId": restaurant, "phone": CALLER})
    assert status == 200 and check(CALLER)["blocked"] is False
    fails(client, "GET", "/api/blocked-phones/check", 400, restaurantId=restaurant)


def test_customers(client, restaurant):
    known = client.get("/api/customers", restaurantId=restaurant, phone=CALLER)
    assert known is None
    row = client.post("/api/customers", {"restaurantId": restaurant, "phone": CALLER, "firstName": "Jeanne", "deliveryCity": "Marseille", "deliveryLat": 43.29})
    assert (row["firstName"], row["deliveryCity"], row["deliveryLat"]) == ("Jeanne", "Marseille", 43.29)
    assert (row["totalOrders"], row["totalSpent"]) == (0, 0)
    again = client.post("/api/customers", {"restaurantId": restaurant, "phone": "0612345678", "lastName": "Martin"}, 200)
    assert (again["id"], again["firstName"], again["lastName"]) == (row["id"], "Jeanne", "Martin")
    assert client.get("/api/customers", restaurantId=restaurant, phone=CALLER)["id"] == row["id"]
    assert [one["id"] for one in client.get("/api/customers", restaurantId=restaurant)] == [row["id"]]
    fails(client, "POST", "/api/customers", 400, {"restaurantId": restaurant})


def test_messages(client, restaurant):
    body = {"restaurantId": restaurant, "content": "Rappelez-moi", "callerPhone": CALLER, "callerName": "Jeanne", "category": "callback_request", "isUrgent": True, "callId": "call-1"}
    row = client.post("/api/messages", body)
    assert (row["content"], row["category"], row["isUrgent"], row["isRead"]) == ("Rappelez-moi", "callback_request", True, False)
    assert client.post("/api/messages", body)["id"] == row["id"], "the retry of a tool is no second message"
    made_up = client.post("/api/messages", {"restaurantId": restaurant, "content": "x", "category": "made_up"})
    assert made_up["category"] == "other"
    status, changed = client.ask("PATCH", "/api/messages", {"id": row["id"], "isRead": True})
    assert (status, changed["isRead"]) == (200, True)
    unread = client.get("/api/messages", restaurantId=restaurant, unreadOnly="true")
    assert [one["id"] for one in unread] == [made_up["id"]]
    assert client.ask("DELETE", "/api/messages", query={"id": made_up["id"]})[0] == 200
    assert len(client.get("/api/messages", restaurantId=restaurant)) == 1
    fails(client, "POST", "/api/messages", 400, {"restaurantId": restaurant})


def test_faq(client, restaurant):
    body = {"restaurantId": restaurant, "question": "Avez-vous un parking ?", "category": "parking", "callerPhone": CALLER}
    row = client.post("/api/faq", body)
    assert (row["status"], row["askCount"], row["category"]) == ("pending", 1, "parking")
    again = client.post("/api/faq", body, 200)
    assert (again["id"], again["askCount"]) == (row["id"], 2)
    assert client.get("/api/faq", restaurantId=restaurant, for_prompt="true") == []
    status, answered = client.ask("PATCH", "/api/faq", {"id": row["id"], "answer": "Oui, rue Haute."})
    assert (status, answered["status"], answered["answer"]) == (200, "answered", "Oui, rue Haute.")
    assert [one["id"] for one in client.get("/api/faq", restaurantId=restaurant, for_prompt="true")] == [row["id"]]
    assert client.get("/api/faq", restaurantId=restaurant, status="pending") == []
    assert client.ask("DELETE", "/api/faq", query={"id": row["id"]})[0] == 200


def test_calls_of_the_first_version(client, restaurant):
    row = client.post("/api/calls", {"restaurantId": restaurant, "callerNumber": CALLER, "startedAt": "2026-11-29T10:00:00.000Z"})
    assert row["outcome"] == "in_progress"
    end = {
        "id": row["id"], "endedAt": "2026-11-29T10:02:00.000Z", "durationSec": 120, "outcome": "message_left", "inputTokens": 900, "outputTokens": 300,
        "inputAudioTokens": 700, "outputAudioTokens": 250, "costAi": 0.0421, "costTelecom": 0.016, "costGoogle": 0.005, "aiModel": "gpt-realtime",
        "costCurrency": "EUR", "transcript": [{"role": "user", "content": "Bonjour", "timestamp": "2026-11-29T10:00:03.000Z"}],
    }  # fmt: skip
    status, ended = client.ask("PATCH", "/api/calls", end)
    assert status == 200 and all(ended[name] == value for name, value in end.items()), ended
    assert [one["id"] for one in client.get("/api/calls", restaurantId=restaurant, limit=20)] == [row["id"]]
    stale = client.post("/api/calls", {"restaurantId": restaurant, "callerNumber": CALLER, "startedAt": "2026-01-01T10:00:00.000Z"})
    listed = {one["id"]: one["outcome"] for one in client.get("/api/calls", restaurantId=restaurant)}
    assert listed[stale["id"]] == "abandoned"
    fails(client, "PATCH", "/api/calls", 400, {"outcome": "error"})


def end_of_call(restaurant, **more):
    return {
        "finalContext": {"restaurant_id": restaurant, "customer_id": None, "call_id": "voice-1"}, "callerPhone": CALLER, "startedAt": "2026-11-29T10:00:00Z",
        "endedAt": "2026-11-29T10:03:00Z", "durationSec": 180, "outcome": "completed", "toolCalls": [], "aiModel": "gpt-realtime",
        "transcript": [{"role": "assistant", "content": "Bonjour"}, {"role": "user", "content": "Vous faites du sans gluten ?"}],
        "costs": {"costTotal": 0.2, "costCurrency": "EUR", "tokens": {"inputTokens": 5, "outputTokens": 6, "inputAudioTokens": 3, "outputAudioTokens": 4}},
    } | more  # fmt: skip


def test_the_end_of_a_call(client, restaurant):
    for _ in range(2):
        assert client.post("/api/calls", end_of_call(restaurant), 200)["ok"] is True
    [call] = client.get("/api/calls", restaurantId=restaurant)
    assert (call["outcome"], call["durationSec"], call["outputAudioTokens"]) == ("info_only", 180, 4)
    [message] = client.get("/api/messages", restaurantId=restaurant)
    assert (message["category"], message["callId"]) == ("info_request", call["id"])
    assert "sans gluten" in message["content"]
    for tools, outcome in (
        (["confirm_order", "leave_message"], "order_placed"), (["confirm_reservation"], "reservation_placed"), (["leave_message"], "message_left"),
        (["transfer_call", "confirm_order"], "transferred"), ([], "info_only"),
    ):  # fmt: skip
        call_id = str(uuid.uuid4())
        body = end_of_call(restaurant, toolCalls=[{"name": name} for name in tools])
        body["finalContext"]["call_id"] = call_id
        client.post("/api/calls", body, 200)
        assert client.get("/api/calls", restaurantId=restaurant, id=call_id)["outcome"] == outcome, tools
    silent = end_of_call(restaurant, transcript=[], outcome="abandoned")
    silent["finalContext"]["call_id"] = "voice-silent"
    client.post("/api/calls", silent, 200)
    assert client.get("/api/calls", restaurantId=restaurant, id="voice-silent")["outcome"] == "abandoned"
    fails(client, "POST", "/api/calls", 400, {"outcome": "completed", "endedAt": "2026-11-29T10:03:00Z"})


def test_prices_and_figures(client, restaurant):
    prices = client.get("/api/ai-pricing")
    assert set(prices["models"]["gpt-realtime"]) == {"textInput", "textOutput", "audioInput", "audioOutput"}
    assert {"telecomCostPerMin", "baseCurrency"} <= set(prices)
    status, changed = client.ask("PUT", "/api/ai-pricing", {"telecomCostPerMin": 0.01})
    assert (status, changed["telecomCostPerMin"], changed["models"]) == (200, 0.01, prices["models"])
    client.post("/api/calls", end_of_call(restaurant), 200)
    for period, length in (("day", 24), ("week", 7), ("month", 30)):
        stats = client.get("/api/stats", restaurantId=restaurant, period=period, date="2026-11-29")
        assert stats["totals"]["calls"] == 1 and len(stats["buckets"]) == length, stats


def test_menu_export_and_import(client, restaurant):
    category = client.post("/api/menu", {"type": "category", "data": {"restaurantId": restaurant, "name": "Pizzas", "displayOrder": 1}})
    item = client.post("/api/menu", {"restaurantId": restaurant, "categoryId": category["id"], "name": "Margherita", "price": 11.9, "allergens": ["gluten"], "options": [{"name": "Taille", "required": True, "choices": [{"label": "33 cm", "price": 2}]}]})  # fmt: skip
    menu = client.get("/api/menu", restaurantId=restaurant)
    assert [one["id"] for one in menu["items"]] == [item["id"]] and menu["items"][0]["price"] == 11.9
    assert client.ask("PATCH", "/api/menu", {"id": item["id"], "price": 12.5})[0] == 200
    fails(client, "PATCH", "/api/menu", 400, {"id": item["id"], "price": 12.505})
    document = client.get("/api/restaurants/export", restaurantId=restaurant)
    copy = client.post("/api/restaurants/import", document)
    copied = client.get("/api/menu", restaurantId=copy["id"])["items"]
    assert [(one["name"], one["price"], one["options"]) for one in copied] == [("Margherita", 12.5, item["options"])]


def test_signed_requests_of_the_voice_side(allo, client):
    platform = Client(f"http://{allo.addresses['platform']}")
    account = platform.post("/api/accounts", {"name": "AlloResto", "email": "a@example.org", "isActive": True})["id"]
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    assert platform.ask("PUT", f"/api/accounts/{account}/secrets/webhook", {"value": secret})[0] in (200, 204)
    own = client.post("/api/restaurants", {"name": "Theirs", "accountId": account})["id"]
    other = client.post("/api/restaurants", {"name": "Another account's"})["id"]
    voice = Client(client.base, account=account, secret=secret)
    assert voice.get("/api/blocked-phones/check", restaurantId=own, phone=CALLER)["blocked"] is False
    assert voice.post("/api/messages", {"restaurantId": own, "content": "Bonjour"})["content"] == "Bonjour"
    fails(voice, "GET", "/api/blocked-phones/check", 404, restaurantId=other, phone=CALLER)
    fails(voice, "GET", "/api/messages", 403, restaurantId=own)
    forged = Client(client.base, account=account, secret=secret + "x")
    fails(forged, "GET", "/api/blocked-phones/check", 401, restaurantId=own, phone=CALLER)


def test_nobody_without_a_credential(standin, server):
    allo = server(standin("tone").url)
    nobody = Client(f"http://{allo.addresses['back_office']}")
    fails(nobody, "GET", "/api/restaurants", 401)
    admin = Client(nobody.base, key=allo.settings["admin_token"])
    assert admin.get("/api/restaurants") == []


def test_a_page_of_another_site_is_nobody(allo, client):
    """Even where unsigned clients are let in: a name that is pointed to this machine, and a form, which needs no permission."""
    assert client.ask("GET", "/api/restaurants", headers={"Host": "evil.example:3000"}.items())[0] == 401
    request = urllib.request.Request(client.base + "/api/restaurants", data=b'{"name":"x"}', headers={"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    assert error.value.code == 415


def test_off_by_a_switch(standin, server):
    allo = server(standin("tone").url, back_office_listen="off")
    assert "back_office" not in allo.addresses
