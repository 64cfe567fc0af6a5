"""The existing client of the provisioning contract (AlloResto's side), written from the requirements and the contracts alone: account,
final customer, agent, its 12 tools, brain, phone lines. 10 s for each request, as there.
"""

import json
import urllib.error
import urllib.request

TIMEOUT_S = 10

SEATING = ["window", "outdoor", "large_table", "quiet", "bar"]
FAQ_CATEGORIES = [
    "horaires", "livraison", "allergens", "paiement", "parking", "reservation", "promotion", "ingredients", "localisation", "info_restau", "other",
]  # fmt: skip
MESSAGE_CATEGORIES = ["callback_request", "complaint", "info_request", "special_request", "other"]


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


class Client:
    """One of the ways in which clients authenticate: nothing, `X-API-Key`, or an agent's bearer token."""

    def __init__(self, base, api_key=None, token=None):
        self.base, self.headers = base.rstrip("/"), {}
        if api_key:
            self.headers["X-API-Key"] = api_key
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers | ({"Content-Type": "application/json"} if data else {})
        request = urllib.request.Request(f"{self.base}/api{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                text = response.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None

    def page(self, path):
        """A page of a list and the cursor of the next one."""
        request = urllib.request.Request(f"{self.base}/api{path}", headers=self.headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return json.load(response), response.headers["x-next-cursor"]

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def account(self, name="AlloResto"):
        """Found by name, else made."""
        for account in self.get("/accounts"):
            if account["name"] == name:
                return account["id"]
        return self.post("/accounts", {"name": name, "email": "contact@alloresto.fr", "isActive": True, "balance": 100, "currency": "EUR"})["id"]

    def final_customer(self, account, name):
        body = {"accountId": account, "name": name, "email": "resto@example.fr", "currency": "EUR", "costMarginPct": 30, "isActive": True}
        return self.post("/final-customers", body)["id"]

    def agent(self, account, callback, restaurant, final_customer=None, **more):
        body = {
            "accountId": account,
            "finalCustomerId": final_customer,
            "name": "Les Tilleuls",
            "basePrompt": "={{data.systemPrompt}}",
            "aiModel": "gpt-realtime",
            "aiVoice": "sage",
            "vadThreshold": 0.5,
            "vadSilenceMs": 500,
            "vadPrefixPaddingMs": 300,
            "temperature": 0.7,
            "transportType": "sip_bridge",
            "timezone": "Europe/Paris",
            "apiBaseUrl": callback,
            "maxCallDurationSec": 600,
            "onCallEndWebhook": "={{BASE_URL}}/api/calls",
            "externalSessionUrl": f"={callback}/api/ai?restaurantId={{{{config.restaurantId}}}}&callerPhone={{{{callerPhone}}}}",
            "config": {
                "restaurantId": restaurant,
                "deliveryEnabled": True,
                "reservationEnabled": True,
                "orderStatusEnabled": True,
                "transferEnabled": True,
            },
            "isActive": True,
        } | more
        return self.post("/agents", {key: value for key, value in body.items() if value is not None})

    def tools(self, agent, tools=None):
        for tool in tools or TOOLS:
            self.post(f"/agents/{agent}/tools", tool)

    def phone_line(self, agent, number, **more):
        """Upsert by number, as the client does it: looked up first."""
        body = {"phoneNumber": number, "provider": "sip", "isActive": True} | more
        lines = self.get(f"/agents/{agent}/phone-lines")
        lines = lines if isinstance(lines, list) else lines.get("phoneLines", [])
        for line in lines:
            if line["phoneNumber"] == number:
                return self.put(f"/agents/{agent}/phone-lines/{line['id']}", body)
        return self.post(f"/agents/{agent}/phone-lines", body)


def _string(description, **more):
    return {"type": "string", "description": description} | more


def _tool(order, name, description, properties, required, http=None, **more):
    return {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required},
        "http": http,
        "isEnabled": True,
        "sortOrder": order,
    } | more


def _http(method, path, body=None, mapping=None):
    http = {"method": method, "url": f"={{{{BASE_URL}}}}{path}"}
    if body:
        http["bodyTemplate"] = body
    if mapping:
        http["responseMapping"] = mapping
    return http


def _when(key):
    return {"configKey": key, "operator": "truthy"}


_RESTAURANT = "={{config.restaurantId}}"

TOOLS = [
    _tool(
        1, "check_availability", "Vérifie la disponibilité avant une commande ou une réservation.",
        {
            "mode": _string("mode", enum=["pickup", "delivery", "reservation"]),
            "requested_time": _string("HH:MM"),
            "customer_address": _string("adresse"),
            "customer_city": _string("ville"),
            "customer_postal_code": _string("code postal"),
            "party_size": {"type": "integer"},
            "seating_preference": _string("placement", enum=SEATING),
        },
        ["mode"],
        _http("POST", "/api/availability/check", {
            "restaurantId": _RESTAURANT,
            "mode": "={{$ai.mode}}",
            "requestedTime": "={{$ai.requested_time}}",
            "customerAddress": "={{$ai.customer_address}}",
            "customerCity": "={{$ai.customer_city}}",
            "customerPostalCode": "={{$ai.customer_postal_code}}",
            "customerLat": "={{ctx.customer_delivery_lat}}",
            "customerLng": "={{ctx.customer_delivery_lng}}",
            "partySize": "={{$ai.party_size}}",
            "seatingPreference": "={{$ai.seating_preference}}",
        }),
        contextUpdates={
            "last_availability_check": "={{$res}}",
            "customer_delivery_lat": "={{$res.customerLat}}",
            "customer_delivery_lng": "={{$res.customerLng}}",
        },
        extraCostResponseField="={{$res.apiCosts}}",
    ),
    _tool(
        2, "confirm_order", "Enregistre la commande.",
        {
            "order_type": _string("type", enum=["pickup", "delivery", "dine_in"]),
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "integer"},
                        "quantity": {"type": "integer"},
                        "unit_price": {"type": "number"},
                        "selected_options": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "name": {"type": "string"},
                                    "choice_id": {"type": "integer"},
                                    "choice": {"type": "string"},
                                    "extra_price": {"type": "number"},
                                },
                            },
                        },
                        "notes": {"type": "string"},
                    },
                    "required": ["id", "quantity", "unit_price"],
                },
            },
            "subtotal": {"type": "number"},
            "delivery_fee": {"type": "number"},
            "total": {"type": "number"},
            "payment_method": _string("paiement", enum=["cash", "card", "online"]),
            "notes": _string("notes"),
        },
        ["order_type", "items", "total"],
        _http("POST", "/api/ai/tools/confirm-order", {
            "restaurantId": _RESTAURANT,
            "order_type": "={{$ai.order_type}}",
            "items": "={{$ai.items}}",
            "subtotal": "={{$ai.subtotal}}",
            "delivery_fee": "={{$ai.delivery_fee}}",
            "total": "={{$ai.total}}",
            "payment_method": "={{$ai.payment_method}}",
            "notes": "={{$ai.notes}}",
            "item_map": "={{ctx.item_map}}",
            "call_id": "={{ctx.call_id}}",
            "customer_id": "={{ctx.customer_id}}",
            "customer_name": "={{ctx.customer_name}}",
            "caller_phone": "={{ctx.caller_phone}}",
            "last_availability_check": "={{ctx.last_availability_check}}",
        }),
    ),
    _tool(
        3, "confirm_reservation", "Enregistre une réservation.",
        {
            "customer_name": _string("nom"),
            "customer_phone": _string("téléphone"),
            "party_size": {"type": "integer"},
            "reservation_time": _string("HH:MM"),
            "seating_preference": _string("placement", enum=SEATING),
            "service_id": _string("service"),
            "offer_id": _string("offre"),
            "notes": _string("notes"),
        },
        ["customer_name", "customer_phone", "party_size", "reservation_time"],
        _http("POST", "/api/reservations", {
            "restaurantId": _RESTAURANT,
            "callId": "={{ctx.call_id}}",
            "customerId": "={{ctx.customer_id}}",
            "customerName": "={{$ai.customer_name}}",
            "customerPhone": "={{$ai.customer_phone}}",
            "partySize": "={{$ai.party_size}}",
            "reservationTime": "={{ctx.last_availability_check.estimatedTimeISO}}",
            "status": "confirmed",
            "seatingPreference": "={{$ai.seating_preference}}",
            "notes": "={{$ai.notes}}",
        }),
        condition=_when("reservationEnabled"),
    ),
    _tool(
        4, "save_customer_info", "Enregistre les coordonnées.",
        {name: _string(name) for name in ("first_name", "delivery_address", "delivery_city", "delivery_postal_code", "delivery_notes")},
        [],
        _http("POST", "/api/customers", {
            "restaurantId": _RESTAURANT,
            "phone": "={{ctx.caller_phone}}",
            "firstName": "={{$ai.first_name}}",
            "deliveryAddress": "={{$ai.delivery_address}}",
            "deliveryCity": "={{$ai.delivery_city}}",
            "deliveryPostalCode": "={{$ai.delivery_postal_code}}",
            "deliveryNotes": "={{$ai.delivery_notes}}",
            "deliveryLat": "={{ctx.customer_delivery_lat}}",
            "deliveryLng": "={{ctx.customer_delivery_lng}}",
        }),
        contextUpdates={"customer_id": "={{$res.id}}", "customer_name": "={{$res.firstName}}"},
    ),
    _tool(
        5, "log_new_faq", "Note une question sans réponse.",
        {"question": _string("question"), "category": _string("catégorie", enum=FAQ_CATEGORIES)},
        ["question", "category"],
        _http("POST", "/api/faq", {
            "restaurantId": _RESTAURANT,
            "question": "={{$ai.question}}",
            "category": "={{$ai.category}}",
            "callerPhone": "={{ctx.caller_phone}}",
        }, {"success": "true", "message": "Question notée"}),
    ),
    _tool(
        6, "leave_message", "Laisse un message.",
        {
            "content": _string("contenu"),
            "caller_name": _string("nom"),
            "category": _string("catégorie", enum=MESSAGE_CATEGORIES),
            "is_urgent": {"type": "boolean"},
        },
        ["content", "category"],
        _http("POST", "/api/messages", {
            "restaurantId": _RESTAURANT,
            "callId": "={{ctx.call_id}}",
            "callerPhone": "={{ctx.caller_phone}}",
            "callerName": "={{$ai.caller_name}}",
            "content": "={{$ai.content}}",
            "category": "={{$ai.category}}",
            "isUrgent": "={{$ai.is_urgent}}",
        }, {"success": "true", "message": "Message transmis"}),
    ),
    _tool(
        7, "check_order_status", "État des commandes récentes.",
        {"customer_phone": _string("téléphone")}, ["customer_phone"],
        _http("GET", "/api/orders/status?restaurantId={{config.restaurantId}}&phone={{$ai.customer_phone}}"),
        condition=_when("orderStatusEnabled"),
    ),
    _tool(
        8, "cancel_order", "Annule une commande.",
        {"order_number": {"type": "integer"}}, ["order_number"],
        _http("POST", "/api/ai/tools/cancel-order", {
            "restaurantId": _RESTAURANT,
            "order_number": "={{$ai.order_number}}",
            "caller_phone": "={{ctx.caller_phone}}",
        }),
        condition=_when("orderStatusEnabled"),
    ),
    _tool(
        9, "lookup_reservation", "Retrouve les réservations.",
        {"customer_phone": _string("téléphone")}, ["customer_phone"],
        _http("GET", "/api/reservations/lookup?restaurantId={{config.restaurantId}}&phone={{$ai.customer_phone}}"),
        condition=_when("reservationEnabled"),
    ),
    _tool(
        10, "cancel_reservation", "Annule une réservation.",
        {"reservation_id": _string("identifiant")}, ["reservation_id"],
        _http("PATCH", "/api/reservations", {"id": "={{$ai.reservation_id}}", "status": "cancelled"}, {"success": "true", "message": "Réservation annulée"}),
        condition=_when("reservationEnabled"),
    ),
    _tool(
        11, "transfer_call", "Transfère l'appel à une personne.",
        {"reason": _string("raison")}, ["reason"],
        condition=_when("transferEnabled"), triggersTransfer=True, mutesClientAudio=True,
    ),
    _tool(12, "end_call", "Termine l'appel après l'au revoir.", {}, [], triggersHangup=True, mutesClientAudio=True, skipResponseCreate=True),
]  # fmt: skip
