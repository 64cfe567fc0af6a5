"""A fake AlloResto back office, written from the contracts alone. It keeps every request byte for byte, and its own ledger of what was
ordered: the judge of "no order twice, none lost". It can fail, be slow, and die in the middle of an answer.
"""

import json
import random
import re
import socket
import threading
import time
import urllib.parse
import uuid

from .ports import free_port

RESTAURANT = "5b0c6c1e-6f0a-4d8a-9d53-1f0d6f1b2c3d"
MENU_ITEM = "0d9a7a52-93a4-4e1a-8f6e-0a8f5b7c9d10"


class Request:
    """One request as it came: the head's bytes, the body's bytes, and what they say."""

    def __init__(self, head, body, at):
        self.head, self.body, self.at = head, body, at
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ", 2)
        self.headers = [tuple(line.split(": ", 1)) for line in lines if line]
        parts = urllib.parse.urlsplit(self.target)
        self.path, self.query = parts.path, parts.query
        self.status = None

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def parameters(self):
        return urllib.parse.parse_qsl(self.query, keep_blank_values=True)

    def __repr__(self):
        return f"{self.method} {self.target} {self.body.decode(errors='replace')}"


class Rule:
    """What goes wrong with requests of a path: the first `times` of them (all when None)."""

    def __init__(self, path, times=None, status=None, delay=0.0, drop=None, body=None, method=None):
        assert drop in (None, "before", "after", "half")
        self.path, self.times, self.status, self.delay, self.drop, self.body, self.method = path, times, status, delay, drop, body, method


class BackOffice:
    """Serves on a free port of loopback until `close`."""

    def __init__(self, session=None):
        self.lock = threading.RLock()
        self.requests, self.rules = [], []
        #: Idempotency-Key (or a fresh one where there was none) -> the order that it made.
        self.orders = {}
        #: Keys that came again, and how often.
        self.repeats = {}
        #: Bodies of the call-end webhook by webhook-id, each time it came.
        self.webhooks = {}
        self.messages, self.reservations, self.faqs, self.customers, self.cancelled = [], [], [], [], []
        #: What differs from the ordinary answer of the session: members, or a function that gives them for each asking.
        self.session = session or {}
        #: The list of the discovery; None: this back office has none.
        self.agents = None
        self.restaurants = {RESTAURANT}
        self.blocked = set()
        self.keeps_calls, self.calls = False, {}
        #: Every request may take so long, half before its effect and half after it; and the answer of so many is lost.
        self.jitter_s, self.lost = 0.0, 0.0
        self.random = random.Random()
        self.open = set()
        self.closing = False
        # Not one of those that the system gives to anybody: it is given up and taken again.
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- what a test asks -------------------------------------------------------------------------------------------------

    def to(self, path, method=None):
        """Requests of a path that were answered or dropped, in order."""
        with self.lock:
            return [r for r in self.requests if r.path == path and method in (None, r.method)]

    def rule(self, path, **options):
        with self.lock:
            self.rules.insert(0, Rule(path, **options))

    def well(self):
        """Nothing goes wrong any more."""
        with self.lock:
            self.rules.clear()

    def calls_ended(self):
        """webhook-id -> payload; each id has one body however often it came."""
        with self.lock:
            for copies in self.webhooks.values():
                assert len({body for body, _ in copies}) == 1, "the same webhook id with two bodies"
            return {key: json.loads(copies[0][0]) for key, copies in self.webhooks.items()}

    def go_away(self):
        """Its port is closed until `come_back`."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in list(self.open):
                connection.close()

    def come_back(self):
        """It listens on its old port again."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.close()
        with self.lock:
            for connection in list(self.open):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    # ---- HTTP ------------------------------------------------------------------------------------------------------------

    def _accept(self):
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self.lock:
            self.open.add(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        try:
            while self._one(connection, stream):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close()

    def _one(self, connection, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline(65536)
            if not line:
                return False
            head += line
        request = Request(head[:-4], b"", time.time())
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            request.body = self._chunked(stream)
        else:
            length = int(request.header("content-length") or 0)
            request.body = stream.read(length)
            if len(request.body) != length:
                return False
        with self.lock:
            self.requests.append(request)
            rule = self._rule_of(request)
            waits = [self.random.uniform(0, self.jitter_s / 2) for _ in range(2)]
            if rule is None and self.random.random() < self.lost:
                rule = Rule(request.path, drop="after")
        self._take(waits[0])
        if rule and rule.delay:
            self._take(rule.delay)
        if rule and rule.drop == "before":
            return False
        if rule and rule.status:
            status, answer = rule.status, rule.body if rule.body is not None else {"error": "made to fail"}
        else:
            with self.lock:
                status, answer = self._answer(request)
        request.status = status
        self._take(waits[1])
        if rule and rule.drop == "after":
            return False
        body = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        reply = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        connection.sendall(reply[: len(reply) // 2] if rule and rule.drop == "half" else reply)
        return not (rule and rule.drop)

    @staticmethod
    def _take(seconds):
        """The back office is slow: that is what it is made to be here."""
        if seconds > 0:
            threading.Event().wait(seconds)

    @staticmethod
    def _chunked(stream):
        body = b""
        while True:
            size = int(stream.readline(64).split(b";")[0], 16)
            body += stream.read(size)
            stream.readline(64)
            if size == 0:
                return body

    def _rule_of(self, request):
        for rule in self.rules:
            if re.fullmatch(rule.path, request.path) and rule.method in (None, request.method):
                if rule.times is None:
                    return rule
                if rule.times > 0:
                    rule.times -= 1
                    return rule
        return None

    # ---- AlloResto ---------------------------------------------------------------------------------------------------------

    def _answer(self, request):
        handler = self.ROUTES.get((request.method, request.path))
        if handler is None:
            return 404, {"error": f"no such route: {request.method} {request.path}"}
        return handler(self, request)

    def _session(self, request):
        parameters = dict(request.parameters)
        if parameters.get("restaurantId") not in self.restaurants:
            return 400, {"error": "restaurantId is required"}
        phone = parameters.get("callerPhone")
        return 200, {
            "systemPrompt": "Tu es l'hôte du restaurant Les Tilleuls. #1 Margherita 12 €.",
            "tools": [],
            "voice": "sage",
            "avgPrepTimeMin": 25,
            "deliveryEnabled": True,
            "reservationEnabled": True,
            "customerContext": {"id": "cust-1", "firstName": "Zoé", "phone": phone, "totalOrders": 3, "totalSpent": 61.5},
            "itemMap": {"1": {"id": MENU_ITEM, "name": "Margherita"}},
            "transferEnabled": True,
            "transferPhoneNumber": "+33140000001",
            "transferAutomatic": False,
            "aiCostMarginPct": 30,
            "currency": "EUR",
            "exchangeRateToLocal": 1,
            "timezone": "Europe/Paris",
            "greeting": "greet Zoé",
            "initialContext": {
                "item_map": {"1": {"id": MENU_ITEM, "name": "Margherita"}},
                "customer_id": "cust-1",
                "customer_name": "Zoé",
                "customer_delivery_lat": 48.8566,
                "customer_delivery_lng": 2.3522,
                "avg_prep_time_min": 25,
                "delivery_enabled": True,
                "restaurant_id": RESTAURANT,
                "transfer_phone": "+33140000001",
            },
        } | (self.session() if callable(self.session) else self.session)

    def _agents(self, request):
        if self.agents is None:
            return 404, {"error": "no such route"}
        return 200, self.agents

    def _blocked(self, request):
        phone = dict(request.parameters).get("phone")
        return 200, {"blocked": phone in self.blocked, "reason": "test" if phone in self.blocked else None}

    def _availability(self, request):
        body = request.json
        if body.get("restaurantId") != RESTAURANT or "mode" not in body:
            return 400, {"error": "restaurantId and mode are required"}
        answer = {"available": True, "mode": body["mode"], "estimatedTime": "20:30", "estimatedTimeISO": "2026-11-21T19:30:00.000Z"}
        if body["mode"] == "delivery":
            answer |= {
                "deliveryDistanceKm": 2.4,
                "deliveryDurationMin": 11,
                "deliveryFee": 3.5,
                "customerAddressFormatted": "12 rue des Lilas, 75020 Paris",
                "customerLat": 48.8739,
                "customerLng": 2.4012,
                "apiCosts": 0.005,
            }
        return 200, answer

    def _order(self, request):
        body = request.json
        if body.get("restaurantId") != RESTAURANT or not body.get("items"):
            return 500, {"success": False, "error": "restaurantId and items are required"}
        key = request.header("idempotency-key") or f"none-{uuid.uuid4()}"
        if key in self.orders:
            self.repeats[key] = self.repeats.get(key, 0) + 1
        else:
            self.orders[key] = {"number": len(self.orders) + 101, "id": str(uuid.uuid4()), "body": body, "at": request.at}
        order = self.orders[key]
        return 200, {
            "success": True,
            "order_id": order["id"],
            "order_number": order["number"],
            "message": f"Commande {order['number']} confirmée",
            "heure_estimee": "20:30",
            "mode": "prete",
        }

    def _reserve(self, request):
        body = request.json
        missing = [name for name in ("restaurantId", "customerPhone", "partySize", "reservationTime") if name not in body]
        if missing:
            return 400, {"error": f"missing {missing}"}
        self.reservations.append(body)
        return 201, body | {"id": f"resa-{len(self.reservations)}", "endTime": "2026-11-21T21:00:00.000Z", "durationMin": 90}

    def _change_reservation(self, request):
        return 200, request.json

    def _find_reservation(self, request):
        return 200, {
            "found": True,
            "reservations": [
                {
                    "id": "resa-1",
                    "customerName": "Zoé",
                    "partySize": 2,
                    "reservationTime": "2026-11-21T19:30:00.000Z",
                    "status": "confirmed",
                    "seatingPreference": None,
                    "notes": None,
                }
            ],
        }

    def _customer(self, request):
        body = request.json
        if "restaurantId" not in body or "phone" not in body:
            return 400, {"error": "restaurantId and phone are required"}
        self.customers.append(body)
        return 200, {"id": "cust-2", "lastName": None, "totalOrders": 0, "totalSpent": 0} | body

    def _faq(self, request):
        self.faqs.append(request.json)
        return 201, {"id": f"faq-{len(self.faqs)}", "status": "pending", "askCount": 1}

    def _message(self, request):
        self.messages.append(request.json)
        return 201, {"id": f"message-{len(self.messages)}"}

    def _order_status(self, request):
        return 200, {
            "found": True,
            "orders": [
                {
                    "id": "order-1",
                    "orderNumber": 101,
                    "status": "preparing",
                    "orderType": "pickup",
                    "total": 24,
                    "estimatedReadyAt": "2026-11-21T19:30:00.000Z",
                    "createdAt": "2026-11-21T19:00:00.000Z",
                    "itemCount": 2,
                    "itemsSummary": "2x Margherita",
                }
            ],
        }

    def _cancel(self, request):
        self.cancelled.append(request.json)
        return 200, {"success": True, "message": "Commande annulée"}

    def _call_ended(self, request):
        """The first version keeps a record, answers 201 with it, and has it completed by PATCH; the second only says ok."""
        if self.keeps_calls:
            body = request.json
            if "restaurantId" not in body or "callerNumber" not in body or "startedAt" not in body:
                return 400, {"error": "restaurantId, callerNumber, startedAt are required"}
            record = {"id": str(uuid.uuid4()), "outcome": "in_progress"}
            self.calls[record["id"]] = record
            return 201, record
        key = request.header("webhook-id") or f"none-{uuid.uuid4()}"
        self.webhooks.setdefault(key, []).append((request.body, request))
        return 200, {"ok": True}

    def _complete_call(self, request):
        body = request.json
        if body.get("id") not in self.calls:
            return 404, {"error": "no such call"}
        self.calls[body["id"]] |= body
        return 200, self.calls[body["id"]]

    ROUTES = {
        ("GET", "/api/ai"): _session,
        ("GET", "/api/blocked-phones/check"): _blocked,
        ("GET", "/api/sip/agents"): _agents,
        ("POST", "/api/availability/check"): _availability,
        ("POST", "/api/ai/tools/confirm-order"): _order,
        ("POST", "/api/reservations"): _reserve,
        ("PATCH", "/api/reservations"): _change_reservation,
        ("GET", "/api/reservations/lookup"): _find_reservation,
        ("POST", "/api/customers"): _customer,
        ("POST", "/api/faq"): _faq,
        ("POST", "/api/messages"): _message,
        ("GET", "/api/orders/status"): _order_status,
        ("POST", "/api/ai/tools/cancel-order"): _cancel,
        ("POST", "/api/calls"): _call_ended,
        ("PATCH", "/api/calls"): _complete_call,
    }
