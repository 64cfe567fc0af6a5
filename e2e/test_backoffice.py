"""The back office, route by route, as an existing client of the contract uses it: requests are written from contracts.md 1, nothing of
our code is asked. It is `allo serve` that answers."""

import base64
import csv
import datetime
import hashlib
import hmac
import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zoneinfo

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


WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@pytest.fixture
def kitchen(client):
    """Open day and night, near the old port of Marseille."""
    always = {day: [{"open": "00:00", "close": "23:59"}] for day in WEEK}
    row = client.post("/api/restaurants", {
        "name": "Les Tilleuls", "openingHours": always, "deliveryEnabled": True, "deliveryRadiusKm": 10, "deliveryFee": 2.5, "avgPrepTimeMin": 25,
        "kitchenCapacity": 50, "reservationEnabled": True, "totalSeats": 10, "avgMealDurationMin": 90, "minReservationAdvanceMin": 30,
        "city": "Marseille", "postalCode": "13001", "lat": 43.2965, "lng": 5.3698, "transferEnabled": True, "transferPhoneNumber": "+33491000000",
    })  # fmt: skip
    pizzas = client.post("/api/menu", {"type": "category", "data": {"restaurantId": row["id"], "name": "Pizzas", "displayOrder": 1}})["id"]
    size = [{"name": "Taille", "required": True, "choices": [{"id": 1, "label": "33 cm", "price": 0}, {"id": 2, "label": "40 cm", "price": 4}]}]
    reine = {"restaurantId": row["id"], "categoryId": pizzas, "name": "Reine", "price": 11.5, "options": size, "displayOrder": 1}
    water = {"restaurantId": row["id"], "categoryId": pizzas, "name": "Eau", "price": 2.5, "displayOrder": 2}
    ids = [client.post("/api/menu", item)["id"] for item in (reine, water)]
    return {"id": row["id"], "items": ids}


def test_the_session_of_a_call(client, kitchen):
    fails(client, "GET", "/api/ai", 400)
    session = client.get("/api/ai", restaurantId=kitchen["id"], callerPhone=CALLER)
    assert {name: session[name] for name in ("voice", "avgPrepTimeMin", "deliveryEnabled", "reservationEnabled", "customerContext", "currency", "timezone")} == {
        "voice": "sage", "avgPrepTimeMin": 25, "deliveryEnabled": True, "reservationEnabled": True, "customerContext": None, "currency": "EUR",
        "timezone": "Europe/Paris",
    }  # fmt: skip
    assert (session["transferEnabled"], session["transferPhoneNumber"], session["transferAutomatic"]) == (True, "+33491000000", False)
    assert (session["aiCostMarginPct"], session["exchangeRateToLocal"]) == (30, 1)
    assert session["itemMap"] == {"1": {"id": kitchen["items"][0], "name": "Reine"}, "2": {"id": kitchen["items"][1], "name": "Eau"}}
    assert "#1" in session["systemPrompt"] and "Reine" in session["systemPrompt"]
    assert {tool["type"] for tool in session["tools"]} == {"function"} and all({"name", "description", "parameters"} <= set(tool) for tool in session["tools"])
    assert "sipCredentials" not in session, "no password leaves with a call"
    context = session["initialContext"]
    assert (context["restaurant_id"], context["item_map"], context["transfer_phone"]) == (kitchen["id"], session["itemMap"], "+33491000000")
    client.post("/api/customers", {"restaurantId": kitchen["id"], "phone": CALLER, "firstName": "Jeanne"})
    known = client.get("/api/ai", restaurantId=kitchen["id"], callerPhone=CALLER)
    assert (known["customerContext"]["firstName"], known["customerContext"]["totalOrders"]) == ("Jeanne", 0)
    assert "Jeanne" in known["greeting"] and known["initialContext"]["customer_name"] == "Jeanne"


def test_availability(client, kitchen):
    def check(**more):
        status, answer = client.ask("POST", "/api/availability/check", {"restaurantId": kitchen["id"]} | more)
        assert status == 200, answer
        return answer

    pickup = check(mode="pickup")
    assert pickup["available"] is True and pickup["mode"] == "pickup"
    assert len(pickup["estimatedTime"]) == 5 and pickup["estimatedTimeISO"].startswith("20")
    near = check(mode="delivery", customerLat=43.30, customerLng=5.38)
    assert near["available"] is True, near
    assert near["deliveryFee"] == 2.5 and 0 < near["deliveryDistanceKm"] < 5 and near["deliveryDurationMin"] >= 1
    assert (near["customerLat"], near["customerLng"]) == (43.30, 5.38)
    town = check(mode="delivery", customerAddress="1 rue Paradis", customerCity="Marseille", customerPostalCode="13006")
    assert town["available"] is True and "Marseille" in town["customerAddressFormatted"]
    far = check(mode="delivery", customerCity="Paris", customerPostalCode="75001")
    assert far["available"] is False and far["estimatedTime"] == ""
    assert check(mode="delivery")["reason"] == "customer_address_required"
    table = check(mode="reservation", partySize=4, requestedTime="12:00")
    assert table["available"] is True and table["seatsAvailable"] >= 4
    assert check(mode="reservation", requestedTime="12:00")["reason"] == "party_size_required"
    assert check(mode="reservation", partySize=11, requestedTime="12:00")["reason"] == "not_enough_seats_available_10_requested_11"
    assert check(mode="teleport")["reason"] == "unknown_mode"
    fails(client, "POST", "/api/availability/check", 400, {"mode": "pickup"})


def test_orders_of_the_first_version(client, kitchen):
    order = {
        "restaurantId": kitchen["id"], "callId": "call-7", "customerName": "Jeanne", "customerPhone": CALLER, "total": 28, "orderType": "pickup", "deliveryFee": 0,
        "notes": "sonner", "paymentMethod": "card",
        "items": [{"menuItemId": kitchen["items"][0], "name": "Reine", "quantity": 2, "unitPrice": 11.5, "totalPrice": 23,
                   "selectedOptions": [{"name": "Taille", "choice": "33 cm", "extra_price": 0}], "notes": "sans olives"},
                  {"menuItemId": kitchen["items"][1], "name": "Eau", "quantity": 2, "unitPrice": 2.5, "totalPrice": 5, "selectedOptions": []}],
    }  # fmt: skip
    row = client.post("/api/orders", order)
    assert (row["total"], row["orderSize"], row["status"], row["paymentMethod"], row["notes"]) == (28, "M", "confirmed", "card", "sonner")
    assert [(line["name"], line["quantity"], line["totalPrice"], line["notes"]) for line in row["items"]] == [("Reine", 2, 23, "sans olives"), ("Eau", 2, 5, None)]
    assert row["cookStartAt"] < row["handoffAt"] <= row["estimatedReadyAt"]
    assert [one["id"] for one in client.get("/api/orders", restaurantId=kitchen["id"])] == [row["id"]]
    assert client.get("/api/orders", restaurantId=kitchen["id"], status="pending,cancelled") == []
    found = client.get("/api/orders/status", restaurantId=kitchen["id"], phone=CALLER)
    assert found["found"] is True
    [seen] = found["orders"]
    assert (seen["id"], seen["orderNumber"], seen["status"], seen["total"], seen["itemCount"], seen["itemsSummary"]) == (
        row["id"], row["orderNumber"], "confirmed", 28, 4, "2x Reine, 2x Eau",
    )  # fmt: skip
    assert client.get("/api/orders/status", restaurantId=kitchen["id"], phone="+33600000000") == {"found": False, "orders": []}
    status, changed = client.ask("PATCH", "/api/orders", {"id": row["id"], "status": "preparing", "items": [{"id": row["items"][1]["id"], "_delete": True}]})
    assert (status, changed["status"], len(changed["items"]), changed["total"]) == (200, "preparing", 1, 23)
    customer = client.get("/api/customers", restaurantId=kitchen["id"], phone=CALLER)
    assert customer["totalOrders"] == 1
    fails(client, "POST", "/api/orders", 400, {"restaurantId": kitchen["id"]})
    fails(client, "PATCH", "/api/orders", 400, {"status": "ready"})
    fails(client, "PATCH", "/api/orders", 404, {"id": str(uuid.uuid4()), "status": "ready"})


def test_an_order_by_the_tools(client, kitchen):
    session = client.get("/api/ai", restaurantId=kitchen["id"], callerPhone=CALLER)
    order = {
        "restaurantId": kitchen["id"], "order_type": "pickup", "total": 99, "delivery_fee": 0, "payment_method": "cash", "notes": "", "item_map": session["itemMap"],
        "call_id": "call-9", "caller_phone": CALLER, "customer_name": "Jeanne",
        "items": [{"id": 1, "quantity": 1, "unit_price": 11.5, "selected_options": [{"name": "Taille", "choice_id": 2}]}],
    }  # fmt: skip
    status, said = client.ask("POST", "/api/ai/tools/confirm-order", order)
    assert status == 200 and said["success"] is True and said["mode"] == "prete" and len(said["heure_estimee"]) == 5, said
    [row] = client.get("/api/orders", restaurantId=kitchen["id"])
    assert (row["id"], row["orderNumber"], row["total"]) == (said["order_id"], said["order_number"], 15.5), "the menu's price, not the model's"
    status, again = client.ask("POST", "/api/ai/tools/confirm-order", order)
    assert (status, again["order_id"]) == (200, said["order_id"]), "one order for one confirmation"
    # A refusal is words for the model: what it did not ask.
    status, refused = client.ask("POST", "/api/ai/tools/confirm-order", order | {"call_id": "call-10", "items": [{"id": 1, "quantity": 1}]})
    assert status == 200 and refused["success"] is False and "Taille" in refused["error"]
    cancel = {"restaurantId": kitchen["id"], "order_number": said["order_number"]}
    status, foreign = client.ask("POST", "/api/ai/tools/cancel-order", cancel | {"caller_phone": "+33600000000"})
    assert status == 200 and foreign["success"] is False
    status, cancelled = client.ask("POST", "/api/ai/tools/cancel-order", cancel | {"caller_phone": CALLER})
    assert status == 200 and cancelled["success"] is True and cancelled["message"]
    assert client.get("/api/orders", restaurantId=kitchen["id"], status="cancelled")[0]["id"] == row["id"]


def test_reservations(client, kitchen):
    at = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)).replace(hour=11, minute=0, second=0, microsecond=0)
    iso = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = {
        "restaurantId": kitchen["id"], "callId": "call-3", "customerName": "Jeanne", "customerPhone": CALLER, "partySize": 4, "reservationTime": iso,
        "seatingPreference": "window", "notes": "chaise haute",
    }  # fmt: skip
    row = client.post("/api/reservations", body)
    assert (row["partySize"], row["reservationTime"], row["status"], row["durationMin"]) == (4, iso, "confirmed", 90)
    assert row["endTime"] == (at + datetime.timedelta(minutes=90)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    day = at.astimezone(zoneinfo.ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d")
    assert [one["id"] for one in client.get("/api/reservations", restaurantId=kitchen["id"], date=day, status="pending,confirmed")] == [row["id"]]
    assert client.get("/api/reservations", restaurantId=kitchen["id"], date="2020-01-01") == []
    found = client.get("/api/reservations/lookup", restaurantId=kitchen["id"], phone=CALLER)
    assert found["found"] is True
    shown = {name: row[name] for name in ("id", "customerName", "partySize", "reservationTime", "status", "seatingPreference", "notes")}
    assert [{name: one[name] for name in shown} for one in found["reservations"]] == [shown]
    assert client.get("/api/reservations/lookup", restaurantId=kitchen["id"], phone="+33600000000") == {"found": False, "reservations": []}
    # Seats are not sold twice: ten less four are six.
    status, refused = client.ask("POST", "/api/reservations", body | {"customerPhone": "+33600000001", "partySize": 7, "callId": "call-4"})
    assert status == 409 and refused["error"] and refused["code"] == "not_enough_seats_available_6_requested_7"
    status, cancelled = client.ask("PATCH", "/api/reservations", {"id": row["id"], "status": "cancelled"})
    assert (status, cancelled["status"]) == (200, "cancelled")
    client.post("/api/reservations", body | {"customerPhone": "+33600000001", "partySize": 7, "callId": "call-5"})
    for missing in ("customerPhone", "partySize", "reservationTime"):
        fails(client, "POST", "/api/reservations", 400, {name: value for name, value in body.items() if name != missing})


def test_a_menu_as_a_table(client, kitchen):
    request = urllib.request.Request(f"{client.base}/api/menu/csv?restaurantId={kitchen['id']}")
    with urllib.request.urlopen(request, timeout=10) as response:
        rows = list(csv.DictReader(io.StringIO(response.read().decode("utf-8-sig"))))
    assert {row["name"] for row in rows} == {"Reine", "Eau"}


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

    # Heard on the way and sent again: for its own call it is that request once more, for another call it is nobody's.
    data, now = json.dumps({"restaurantId": own, "content": "Une fois"}), str(int(time.time()))
    digest = hmac.new(secret.encode(), f"{now}.POST./api/messages.{data}".encode(), hashlib.sha256).hexdigest()

    def send(call, digest=digest):
        headers = {"Content-Type": "application/json", "X-Allo-Tenant": account, "X-Allo-Timestamp": now, "X-Allo-Signature": f"v1={digest}"}
        request = urllib.request.Request(client.base + "/api/messages", data.encode(), headers | ({"X-Allo-Call": call} if call else {}), method="POST")
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code

    assert [send("call-1"), send("call-1")] == [201, 201], "one call's attempts"
    assert [send("call-2"), send(None), send("call-2", digest.upper())] == [401, 401, 401]


def test_a_row_that_another_changed(client, kitchen):
    """`ETag` and `If-Match`: who changes what he has not seen is told so, on every kind of row."""

    def row_of(path, **query):
        with urllib.request.urlopen(f"{client.base}{path}?{urllib.parse.urlencode(query)}", timeout=10) as response:
            return json.loads(response.read()), response.headers["ETag"]

    restaurant = kitchen["id"]
    item = client.post("/api/menu-items", {"restaurantId": restaurant, "name": "Tarte", "price": 11})
    message = client.post("/api/messages", {"restaurantId": restaurant, "content": "Rappeler"})
    order = client.post("/api/orders", {"restaurantId": restaurant, "customerPhone": CALLER, "items": [{"menuItemId": item["id"], "quantity": 1}], "total": 11})
    house, tag = row_of("/api/restaurants", id=restaurant)
    assert tag == f'"{house["updatedAt"]}"'
    assert row_of("/api/menu-items", restaurantId=restaurant, id=item["id"])[1] == f'"{item["updatedAt"]}"'
    for path, row, change in [
        ("/api/restaurants", house, {"name": "Le Tilleul"}),
        ("/api/menu-items", item, {"price": 12}),
        ("/api/menu", {**item, "updatedAt": None}, {"price": 13}),
        ("/api/messages", message, {"isRead": True}),
        ("/api/orders", order, {"notes": "sans sel"}),
    ]:
        if row["updatedAt"] is None:
            row = row_of("/api/menu-items", restaurantId=restaurant, id=item["id"])[0]
        seen = {"If-Match": f'"{row["updatedAt"]}"'}
        body = {"id": row["id"]} | change
        status, first = client.ask("PATCH", path, body, headers=seen)
        assert status == 200 and first["updatedAt"] > row["updatedAt"], (path, first)
        status, refused = client.ask("PATCH", path, body, headers=seen)
        assert (status, refused["code"]) == (412, "api_precondition_failed"), (path, refused)
        status, _ = client.ask("PATCH", path, body, headers={"If-Match": f'"x", "{first["updatedAt"]}"'})
        assert status == 200, path
        assert client.ask("PATCH", path, body)[0] == 200, "who names no state overwrites, as before"
    status, _ = client.ask("DELETE", "/api/menu-items", query={"id": item["id"]}, headers={"If-Match": f'"{item["updatedAt"]}"'})
    assert status == 412


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
