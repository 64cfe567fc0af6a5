"""After the call: whoever asked is told of an order, once, whatever dies in between. The mail goes to `aiosmtpd`, the webhook is verified by
`standardwebhooks`, the printer's bytes are judged by `python-escpos` and Python's own code page 858; none of them is ours.
"""

import asyncio
import base64
import contextlib
import datetime
import email
import email.policy
import http.server
import json
import os
import socketserver
import ssl
import threading

import pytest
import standardwebhooks
from aiosmtpd.smtp import SMTP, AuthResult
from escpos.printer import Dummy

from lib.allo import TOKEN, wait_for
from lib.kamailio import certificate
from lib.ports import free_port
from test_backoffice import Client

CALLER = "+33612345678"
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Mailbox:
    """Keeps what a mail server is given; can refuse for a while."""

    def __init__(self):
        self.mails, self.refuses = [], False

    async def handle_DATA(self, _server, _session, envelope):
        if self.refuses:
            return "451 try later"
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


@contextlib.contextmanager
def mail_server(**options):
    """`aiosmtpd` on a free port, which its own controller cannot take."""
    box, loop, tls = Mailbox(), asyncio.new_event_loop(), options.pop("tls", None)
    made = loop.create_server(lambda: SMTP(box, loop=loop, enable_SMTPUTF8=True, **options), "127.0.0.1", 0, ssl=tls)
    served = loop.run_until_complete(made)
    box.port = served.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(served.close)
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def mailbox():
    with mail_server() as box:
        yield box


class Receiver:
    """Takes POSTs, or refuses them while `down`."""

    def __init__(self):
        self.seen, self.refused, self.down = [], [], False
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                request = ({name.lower(): value for name, value in self.headers.items()}, self.path, body)
                (owner.refused if owner.down else owner.seen).append(request)
                self.send_response(503 if owner.down else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receivers():
    made = [Receiver(), Receiver()]
    yield made
    for receiver in made:
        receiver.server.shutdown()
        receiver.server.server_close()


@pytest.fixture
def printer():
    """Whatever is written to port 9100 of a printer."""
    tickets = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            tickets.append(self.rfile.read())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", tickets
    server.shutdown()
    server.server_close()


class Restaurant:
    """Pizza Bella with everything switched on."""

    def __init__(self, server, standin, mailbox, receivers, printer, **settings):
        self.server, (self.sms, self.hook) = server, receivers
        self.settings = {
            "back_office_mail_url": f"smtp://127.0.0.1:{mailbox.port}",
            "back_office_mail_from": "Pizza Bella <contact@pizza-bella.example>",
            "back_office_sms_url": f"{self.sms.origin}/send?ref={{id}}",
            "back_office_sms_headers": "Authorization: Bearer sms-secret",
            "back_office_sms_body": '{"messages": [{"to": "{to}", "body": "{text}"}]}',
            "back_office_printers": printer,
            "tools_allow_private": f"{self.sms.origin},{self.hook.origin}",
        } | settings
        self.engine = standin("tone").url
        self.start()
        platform = Client(f"http://{self.allo.addresses['platform']}")
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        status, account = platform.ask("POST", "/api/accounts", {"name": "Bella", "email": "bella@example.fr"}, headers=bearer)
        assert status == 201, account
        self.account = account.get("account", account)["id"]
        self.secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        path = f"/api/accounts/{self.account}/secrets/webhook"
        assert platform.ask("PUT", path, {"value": self.secret}, headers=bearer)[0] in (200, 201, 204)
        self.row = self.ask("POST", "/api/restaurants", {
            "accountId": self.account, "name": "Pizza Bella", "openingHours": {day: [{"open": "00:00", "close": "23:59"}] for day in WEEK},
            "notifications": {"staff": {"email": ["cuisine@pizza-bella.example"]}, "guests": {"sms": True, "email": True},
                              "printer": {"address": printer, "columns": 32}},
            "webhooks": [{"url": f"{self.hook.origin}/hook", "events": ["order.created", "message.created"]}],
        })  # fmt: skip
        self.id = self.row["id"]
        self.ask("POST", "/api/menu", {"restaurantId": self.id, "name": "Reine à l'œuf", "price": 11.5, "isAvailable": True})
        self.ask("POST", "/api/customers", {"restaurantId": self.id, "phone": CALLER, "firstName": "Léa", "email": "lea@example.fr"})

    def start(self, **more):
        self.allo = self.server(self.engine, **(self.settings | more))
        self.office = Client(f"http://{self.allo.addresses['back_office']}")

    def ask(self, method, path, body=None, expected=(200, 201, 202), **query):
        status, answer = self.office.ask(method, path, body, query, headers={"Authorization": f"Bearer {TOKEN}"})
        assert status in expected, (status, answer)
        return answer

    def order(self):
        said = self.ask("POST", "/api/ai/tools/confirm-order", {
            "restaurantId": self.id, "caller_phone": CALLER, "customerName": "Léa", "order_type": "pickup", "total": 23,
            "items": [{"id": 1, "quantity": 2, "unit_price": 11.5, "notes": "allergie aux noix"}],
        })  # fmt: skip
        assert said["success"], said
        return self.ask("GET", "/api/orders", restaurantId=self.id)[0]

    def notices(self, **query):
        return self.ask("GET", "/api/notices", restaurantId=self.id, **query)

    def raw(self, path):
        import urllib.request

        request = urllib.request.Request(self.office.base + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.headers, response.read()


def test_everybody_is_told_of_an_order(server, standin, mailbox, receivers, printer, database):
    address, tickets = printer
    place = Restaurant(server, standin, mailbox, receivers, address, server_database=database)
    order = place.order()
    wait_for("five notices to be sent", lambda: len(place.notices(state="sent")) == 5, 20)
    assert len(place.notices()) == 5

    # The mails: to the kitchen with the whole ticket, to the guest in a sentence.
    staff, guest = sorted(mailbox.mails, key=lambda mail: mail[0])
    assert staff[0] == ["cuisine@pizza-bella.example"] and guest[0] == ["lea@example.fr"]
    assert staff[1]["subject"].startswith(f"Commande n° {order['orderNumber']}, 23,00 €, à emporter")
    text = staff[1].get_content()
    assert "2 x Reine à l'œuf" in text and "! allergie aux noix" in text and "23,00 €" in text
    words = guest[1].get_content().strip()
    assert words.startswith(f"Pizza Bella : commande n° {order['orderNumber']} confirmée, 23,00 €, prête vers ") and words.endswith("2 x Reine à l'œuf")
    assert str(guest[1]["from"]) == "Pizza Bella <contact@pizza-bella.example>"

    # The short message: one request, its key, the operator's form.
    headers, path, body = place.sms.seen[0]
    assert len(place.sms.seen) == 1
    assert headers["authorization"] == "Bearer sms-secret" and path == f"/send?ref={headers['idempotency-key']}"
    assert json.loads(body) == {"messages": [{"to": CALLER, "body": words}]}

    # The webhook: verified by the official package, one id.
    headers, _, body = place.hook.seen[0]
    told = standardwebhooks.Webhook(place.secret).verify(body, headers)
    assert told["type"] == "order.created" and told["data"]["restaurantId"] == place.id
    assert told["data"]["subject"]["id"] == order["id"] and told["data"]["subject"]["items"][0]["notes"] == "allergie aux noix"

    # A message that a caller leaves.
    place.ask("POST", "/api/messages", {"restaurantId": place.id, "content": "Rappelez-moi", "callerPhone": CALLER, "category": "callback_request"})
    wait_for("the message's webhook", lambda: len(place.hook.seen) == 2)
    assert json.loads(place.hook.seen[1][2])["type"] == "message.created"
    wait_for("the message's mail", lambda: len(mailbox.mails) == 3)
    assert "Rappelez-moi" in mailbox.mails[2][1].get_content()

    judge_ticket(place, order, tickets)


def judge_ticket(place, order, tickets):
    """What a printer is given is what python-escpos would command, and the rest is text of code page 858."""
    headers, on_demand = place.raw(f"/api/orders/{order['id']}/ticket?format=escpos&columns=32")
    assert len(tickets) == 1 and tickets[0] == on_demand
    official = {}
    for name, command in {
        "begin": lambda dummy: dummy.hw("INIT"), "page": lambda dummy: dummy.charcode("CP858"),
        "bold": lambda dummy: dummy.set(bold=True), "plain": lambda dummy: dummy.set(bold=False),
        "inverted": lambda dummy: dummy.set(invert=True), "upright": lambda dummy: dummy.set(invert=False),
        "middle": lambda dummy: dummy.set(align="center"), "left": lambda dummy: dummy.set(align="left"),
        "large": lambda dummy: dummy.set(custom_size=True, width=2, height=2),
    }.items():  # fmt: skip
        dummy = Dummy()
        command(dummy)
        official[name] = dummy.output
    bytes_left = on_demand
    for name, sequence in official.items():
        assert sequence in bytes_left, (name, sequence, bytes_left)
    for sequence in sorted(official.values(), key=len, reverse=True):
        bytes_left = bytes_left.replace(sequence, b"")
    for ours in (b"\x1d!\x00", b"\x1bd\x04", b"\x1dVB\x00"):
        bytes_left = bytes_left.replace(ours, b"")
    text = bytes_left.decode("cp858")
    assert all(character == "\n" or character.isprintable() for character in text), text
    assert "2 x Reine à l'oeuf" in text and "! allergie aux noix" in text and "23,00 €" in text
    assert all(len(line) <= 32 for line in text.splitlines())
    headers, page = place.raw(f"/api/orders/{order['id']}/ticket")
    assert headers["content-type"].startswith("text/html") and "Reine à l&#39;œuf" in page.decode()


# Both refuse on purpose, and a printer that is off has no port.
@pytest.mark.allowed_log("could not be delivered", "does not take")
def test_a_kill_loses_no_message(folder, server, standin, mailbox, receivers):
    address = f"127.0.0.1:{free_port()}"
    place = Restaurant(server, standin, mailbox, receivers, address, server_data_dir=folder / "data")
    place.sms.down = place.hook.down = mailbox.refuses = True
    place.order()
    wait_for("each to have been tried", lambda: len([n for n in place.notices() if n["attempts"] and n["lastError"]]) == 5, 20)
    before = {notice["id"]: (notice["channel"], notice["target"]) for notice in place.notices()}
    place.allo.kill()
    place.sms.down = place.hook.down = mailbox.refuses = False
    place.start()
    wait_for("the messages after the kill", lambda: len(place.notices(state="sent")) == 4, 30)
    after = {notice["id"]: (notice["channel"], notice["target"]) for notice in place.notices()}
    assert after == before, "the same messages under the same ids"
    assert len(mailbox.mails) == 2 and len(place.sms.seen) == 1 and len(place.hook.seen) == 1
    # The same id and key at every attempt.
    tried = {headers["webhook-id"] for headers, _, _ in place.hook.refused + place.hook.seen}
    keys = {headers["idempotency-key"] for headers, _, _ in place.sms.refused + place.sms.seen}
    assert len(tried) == len(keys) == 1 and tried | keys <= set(before)


def test_what_cannot_be_is_refused_and_a_dead_one_is_sent_again(server, standin, mailbox, receivers, printer):
    address, _ = printer
    place = Restaurant(server, standin, mailbox, receivers, address)
    refused = place.ask("PATCH", "/api/restaurants", {"id": place.id, "notifications": {"guests": {"texts": {"order.created": "{prix}"}}}}, expected=(400,))
    assert "prix" in refused["error"] and refused["code"] == "notice_settings"
    elsewhere = {"printer": {"address": "192.168.1.50:9100"}}
    refused = place.ask("PATCH", "/api/restaurants", {"id": place.id, "notifications": elsewhere}, expected=(400,))
    assert "192.168.1.50:9100" in refused["error"] and "back_office.printers" in refused["error"]
    place.ask("PATCH", "/api/restaurants", {"id": place.id, "notifications": {"guests": {"sms": True, "texts": {"order.created": "Merci {name}, n° {number}"}}}})
    place.order()
    wait_for("the message", lambda: place.sms.seen)
    assert json.loads(place.sms.seen[0][2])["messages"][0]["body"] == "Merci Léa, n° 1"
    notice = place.notices(channel="sms")[0]
    wait_for("it to be noted", lambda: place.notices(channel="sms")[0]["state"] == "sent")
    place.ask("POST", f"/api/notices/{notice['id']}/replay", {})
    wait_for("the repetition", lambda: len(place.sms.seen) == 2)
    assert place.sms.seen[0][0]["idempotency-key"] == place.sms.seen[1][0]["idempotency-key"] == notice["id"]


@pytest.mark.parametrize("form", ["smtps", "starttls"])
def test_a_booking_is_mailed_by_tls_in_the_guests_language_and_erased(form, folder, server, standin, receivers, printer, monkeypatch):
    """The password leaves over TLS that was verified; a guest who is forgotten is forgotten here too."""
    authority, chain, key = certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)

    def proven(_server, session, _envelope, _mechanism, said):
        right = (said.login, said.password) == (b"bella", b"p4ss") and (form == "smtps" or session.ssl is not None)
        return AuthResult(success=right, handled=right)

    how = {"tls": tls, "auth_require_tls": False} if form == "smtps" else {"tls_context": tls, "require_starttls": True}
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with mail_server(authenticator=proven, auth_required=True, **how) as box:
        address = f"bella:p4ss@localhost:{box.port}"
        url = f"smtps://{address}" if form == "smtps" else f"smtp://{address}?tls=required"
        place = Restaurant(server, standin, box, receivers, printer[0], back_office_mail_url=url)
        place.ask("PATCH", "/api/restaurants", {"id": place.id, "reservationEnabled": True, "totalSeats": 10})
        guest = place.ask("GET", "/api/customers", restaurantId=place.id, phone=CALLER)
        place.ask("POST", "/api/customers", {"restaurantId": place.id, "phone": CALLER, "language": "en"})
        at = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)).strftime("%Y-%m-%dT11:00:00.000Z")
        place.ask("POST", "/api/reservations", {
            "restaurantId": place.id, "customerId": guest["id"], "customerName": "Léa", "customerPhone": CALLER, "partySize": 2, "reservationTime": at,
        })  # fmt: skip
        wait_for("three notices to be sent", lambda: len(place.notices(state="sent")) == 3, 20)
        staff, told = sorted(box.mails, key=lambda mail: mail[0])
        assert staff[1]["subject"].startswith("Réservation pour 2, ") and "Léa" in staff[1].get_content()
        day = datetime.datetime.fromisoformat(at).strftime("%A %B ")
        assert told[1].get_content().startswith(f"Pizza Bella: table booked for 2, {day}")
        assert json.loads(place.sms.seen[0][2])["messages"][0]["body"] == told[1].get_content().strip()
        assert place.allo.cli("privacy", "erase", CALLER).returncode == 0
        assert place.notices() == []
