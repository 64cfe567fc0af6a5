"""Trunks that are recognised by their TLS client certificate: certificates by openssl, calls by baresip (with its `sip_certificate`) and by Python's ssl
(OpenSSL) with SIP written by hand, for what no telephone does. Each refusal is a 403 with a Reason, and its record says which certificate it was.
"""

import copy
import re
import socket
import ssl

import pytest
from lib.allo import wait_for
from lib.audio import speak
from lib.certificates import Authority, self_signed
from lib.phone import Message, Phone
from lib.softphone import Baresip
from lib.tenancy import OWNER, Platform
from test_trunk_limits import trunk

NAMED, PINNED, STRICT, THEIRS = (f"+3350000000{number}" for number in range(1, 5))
GOODBYE = "Thank you very much, goodbye."


class TlsPhone(Phone):
    """A telephone on a TLS connection of its own, with or without a certificate. It sends no audio."""

    def __init__(self, allo, service, certificate=None, host="127.0.0.2", version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.maximum_version = version
        if certificate:
            context.load_cert_chain(certificate.pem)
        plain = socket.create_connection(("127.0.0.1", allo.tls), timeout=10, source_address=(host, 0))
        super().__init__(allo.tls, service=service)
        self.socket.close()
        self.socket, self.host, self.data = context.wrap_socket(plain), host, b""
        self.port = self.socket.getsockname()[1]

    def request(self, *arguments, **options):
        return super().request(*arguments, **options).replace("SIP/2.0/UDP 127.0.0.1", f"SIP/2.0/TLS {self.host}")

    def raw(self, data):
        self.socket.sendall(data)

    def wait(self, condition, timeout=15.0, must=True):
        self.socket.settimeout(timeout)
        for message in self.messages:
            if condition(message):
                return message
        while True:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length:\s*(\d+)", head, flags=re.I)[1]) if end else 0
            if not end or len(rest) < length:
                read = self.socket.recv(65536)
                assert read, f"the connection was closed; came: {[one.first for one in self.messages]}"
                self.data += read
                continue
            self.messages.append(Message(head + end + rest[:length]))
            self.data = rest[length:]
            if condition(self.messages[-1]):
                return self.messages[-1]

    def dial(self):
        """The final answer to a call, which is acknowledged."""
        self.invite()
        final = self.final(15)
        self.ack()
        return final

    def again(self, service=None):
        """The next call on the same connection."""
        self.call_id, self.to_tag, self.messages = f"{self.call_id}-again", "", []
        self.service = service or self.service
        return self

    def hang_up(self):
        self.bye()
        assert self.wait(lambda one: one.cseq_method == "BYE").status == 200


class House:
    """A server with trunks of two accounts of the platform, and what happened to its calls."""

    def __init__(self, allo, folder):
        self.allo, self.platform, self.phones, self.refused = allo, Platform(allo), [], 0
        self.authority, self.stranger = Authority(folder, "ours"), Authority(folder, "nobody")
        self.pinned, self.strict, self.theirs = (self_signed(folder, name) for name in ("pinned", "strict", "theirs"))
        agent = self.agent("default")
        self.trunk = lambda label, number, **more: trunk(self.platform, label, agent, "carrier.test", number, contact_transport="tls", **more)  # noqa: E731
        named = {"client_names": ["SIP.carrier.test"], "client_ca": self.authority.root.read_text()}
        self.lines = {"named": self.trunk("named", NAMED, **named)}
        self.lines["pinned"] = self.trunk("pinned", PINNED, client_certificates=[self.pinned.fingerprint])
        demands = {"client_certificates": [self.strict.digits.lower()], "client_certificate_required": True, "allow": ["127.0.0.3"]}
        self.lines["strict"] = self.trunk("strict", STRICT, **demands)
        self.other = self.platform.good("POST", "/api/accounts", {"name": "other", "email": "other@example.org", "balance": 100})["id"]

    def agent(self, account):
        return self.platform.good("POST", "/api/agents", {"name": f"reception of {account}", "basePrompt": "Be kind.", "accountId": account})["id"]

    def phone(self, service, certificate=None, **more):
        self.phones.append(TlsPhone(self.allo, service, certificate, **more))
        return self.phones[-1]

    def told(self, call):
        return self.platform.good("GET", f"/api/calls/{call}/explanation?lang=en", headers=OWNER | {"Accept-Language": "en"})

    def accepts(self, phone, line, words):
        """The call is taken by this line, and its record says why. It goes on."""
        assert phone.dial().status == 200, phone.messages[-1].text
        call = wait_for("the call", lambda: next((one for one in self.allo.live() if one["line"] == self.lines[line]), None))
        notes = lambda: [one["text"] for one in self.told(call["id"])["timeline"] if one["code"] == "certificate_recognised"]  # noqa: E731
        told = wait_for("the record to say by what", notes)
        assert len(told) == 1 and words in told[0], told

    def refuses(self, phone, status, reason, line=None, words=None):
        """The call is refused with a Reason, and its record says why."""
        final = phone.dial()
        assert final.status == status and f'text="{reason}"' in final.header("Reason"), final.text
        found = lambda: [one for one in self.platform.good("GET", "/api/calls?limit=100") if one["endedAt"] and one["endReason"] != "caller_hung_up"]  # noqa: E731
        self.refused += 1
        call = wait_for("the record", lambda: found()[0] if len(found()) == self.refused else None)
        assert (call["endReason"], call["line"] or None) == (reason, self.lines.get(line)), call
        told = self.told(call["id"])
        if words:
            [why] = [one["text"] for one in told["why"] if one["code"] == "certificate_refused"]
            assert all(word in why for word in words), why
        return told


@pytest.fixture
def house(folder, standin, server):
    allo = server(standin("tone").url, line_allow_loopback="false", recording_enabled="false", agent_idle_reprompt_s=0)
    house = House(allo, folder)
    yield house
    for phone in house.phones:
        phone.close()


def test_a_trunk_by_its_certificate(folder, house):
    allo, names = house.allo, "DNS:sip.carrier.test"
    # A telephone with a certificate that the line's authority vouches for, by an issuer between them; and what it hears.
    right = house.authority.signs(names)
    telephone = Baresip(folder, more=(f"sip_certificate {right.pem}",)).dial(f"sip:{NAMED}@127.0.0.1:{allo.tls};transport=tls")
    try:
        telephone.wait_sounding(440)
        telephone.say_for(speak(GOODBYE), 660)
        telephone.command("hangup")
    finally:
        telephone.stop()
    call = allo.ended_call()
    assert (call["endReason"], call["line"]) == ("caller_hung_up", house.lines["named"])
    [told] = [one["text"] for one in allo.explanation(call["id"], "fr")["timeline"] if one["code"] == "certificate_recognised"]
    assert "sip.carrier.test" in told and right.digits in told, told

    # The same name by another authority, and one that was right until last year; none of them ends the connection.
    forged = house.stranger.signs(names)
    house.refuses(house.phone(NAMED, forged), 403, "certificate_refused", "named", ("no authority", forged.digits))
    late = house.authority.signs(names, ("-startdate", "20250101000000Z", "-enddate", "20260101000000Z"))
    phone = house.phone(NAMED, late, version=ssl.TLSVersion.TLSv1_2)
    house.refuses(phone, 403, "certificate_refused", "named", ("expired", "sip.carrier.test"))
    house.refuses(phone.again(), 403, "certificate_refused", "named", ("expired",))

    # One that signed itself, which the line lists; with TLS 1.2 too. What nobody lists is a stranger, whose record says what to list.
    for version in (None, ssl.TLSVersion.TLSv1_2):
        phone = house.phone(PINNED, house.pinned, version=version)
        house.accepts(phone, "pinned", house.pinned.digits)
        phone.hang_up()
        allo.idle()
    house.refuses(house.phone(PINNED, house.theirs), 403, "unauthorized", None, (house.theirs.digits, "none of those"))
    told = house.refuses(house.phone(PINNED), 403, "unauthorized")
    assert not any(one["code"] == "certificate_refused" for one in told["why"])

    # A line that demands one: also from an address that it lists.
    house.refuses(house.phone(STRICT, host="127.0.0.3"), 403, "certificate_refused", "strict", ("showed none",))
    house.refuses(house.phone(STRICT, house.theirs, host="127.0.0.3"), 403, "certificate_refused", "strict", (house.theirs.digits,))
    phone = house.phone(STRICT, house.strict, host="127.0.0.3")
    house.accepts(phone, "strict", house.strict.digits)
    phone.hang_up()


def test_accounts_and_renewals(house):
    allo, platform = house.allo, house.platform
    # What one account of the platform has, another cannot have as well; nor is there a demand without a certificate, nor a name without an authority.
    mine = {"label": "mine", "trunk_uri": "sip:carrier.test", "account_id": house.other, "registers": False, "keep_alive_s": 0}
    for taken in (
        {"client_certificates": [house.theirs.digits, house.pinned.digits]},
        {"client_names": ["sip:sip.carrier.test"], "client_ca": house.authority.root.read_text()},
    ):
        status, _, problem = platform.ask("POST", "/api/admin/sip-accounts", mine | taken)
        assert (status, problem["code"]) == (409, "api_certificate_shared"), problem
    for wrong, path in (
        ({"client_certificate_required": True}, "client_certificate_required"),
        ({"client_names": ["a.test"]}, "client_ca"),
        ({"client_certificates": ["AB:CD"]}, "client_certificates[0]"),
        ({"client_certificates": [house.theirs.digits] * 17}, "client_certificates"),
        ({"client_names": ["a b"]}, "client_names[0]"),
        ({"client_names": ["a.test"], "client_ca": "nonsense"}, "client_ca"),
    ):
        status, _, problem = platform.ask("POST", "/api/admin/sip-accounts", mine | wrong)
        assert (status, problem["errors"][0]["path"]) == (422, path), problem
    agent = house.agent(house.other)
    own = {"account_id": house.other, "contact_transport": "tls", "client_certificates": [house.theirs.pem.read_text().split("-----BEGIN PRIVATE")[0]]}
    made = platform.good("POST", "/api/admin/sip-accounts", mine | own)
    assert made["client_certificates"] == [house.theirs.digits]
    house.lines["theirs"] = made["id"]
    route = {"slug": "theirs", "agent_id": agent, "phone_numbers": [THEIRS], "sip_account_id": made["id"], "account_id": house.other}
    platform.good("POST", "/api/admin/workflows", route)
    asked = f"/api/admin/route?number=%2B{THEIRS[1:]}&account_id={house.other}"
    wait_for("the trunk of the other account", lambda: platform.good("GET", asked)["workflow"] == "theirs", 15)

    # The certificate of one account reaches its own lines: the numbers of another are not there.
    phone = house.phone(THEIRS, house.theirs)
    house.accepts(phone, "theirs", house.theirs.digits)
    phone.hang_up()
    allo.idle()
    house.refuses(phone.again(PINNED), 404, "unknown_number", "theirs")
    house.refuses(house.phone(THEIRS, house.pinned), 404, "unknown_number", "pinned")

    # A renewed certificate: by its name nothing has to be told, and who is connected with the one before goes on.
    before, after = (house.authority.signs("URI:sip:sip.carrier.test,DNS:other.test") for _ in range(2))
    first = house.phone(NAMED, before)
    house.accepts(first, "named", before.digits)
    second = house.phone(NAMED, after)
    assert second.dial().status == 200
    first.hang_up()
    second.hang_up()
    allo.idle()
    # By its fingerprint it is listed first; the one before is refused once it is not listed any more, the call that it began goes on.
    first, second = house.phone(PINNED, house.pinned), house.phone(PINNED, after)
    house.accepts(first, "pinned", house.pinned.digits)
    platform.good("PATCH", f"/api/admin/sip-accounts/{house.lines['pinned']}", {"client_certificates": [after.digits]})
    # Once calls know what was written later they know this as well.
    house.trunk("later", "+33500000009")
    assert second.dial().status == 200
    house.refuses(copy.copy(first).again(), 403, "unauthorized", None, (house.pinned.digits,))
    first.hang_up()
    second.hang_up()
