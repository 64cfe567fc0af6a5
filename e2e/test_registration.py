"""Registration at Kamailio: MD5 and SHA-256 over UDP, TCP and TLS, calls through it, wrong password, restarts, removal of the binding."""

import time

import pytest

from lib.allo import wait_for
from lib.audio import speak
from lib.kamailio import DOMAIN, PASSWORD, USER, Kamailio, Ports
from lib.softphone import Baresip, tones, without_apologies


@pytest.fixture
def kamailio(folder):
    """A factory of registrars."""
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


def line(ports, transport, **more):
    """The settings of a line at a registrar; only the registrar may call, no program of this machine as such."""
    settings = {
        "line_username": USER, "line_password": PASSWORD, "line_domain": "127.0.0.1", "line_port": ports.of(transport),
        "line_transport": transport, "line_allow_loopback": "false",
    }
    return settings | more


def state(allo):
    status, body = allo.request("/api/registrations")
    assert status == 200, body
    return body["registrations"][0]


def wait_state(allo, wanted, timeout=10):
    return wait_for(f"a line that is {wanted}: {state(allo)}\n{allo.log()[-2000:]}", lambda: state(allo) if state(allo)["state"] == wanted else None, timeout)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_registers_takes_a_call_and_leaves(folder, standin, kamailio, server, baresip, transport, algorithm):
    registrar = kamailio(algorithm=algorithm, tls=transport == "tls")
    more, domain = {"sip_tls_ca": registrar.ca} if transport == "tls" else {}, "127.0.0.1"
    if transport == "tcp":
        # As many operators want it: a domain of its own, reached by an outbound proxy.
        domain = DOMAIN
        proxy = f"sip:127.0.0.1:{registrar.ports.tcp};transport=tcp;lr"
        more = {"line_domain": domain, "line_port": 0, "line_registrar": domain, "line_outbound_proxy": proxy}
    allo = server(standin("tone").url, **line(registrar.ports, transport, **more))
    registered = wait_state(allo, "registered")
    assert registered["aor"] == f"sip:{USER}@{domain}"
    assert 0 < registered["detail"]["expiresInSeconds"] <= 60
    requests = registrar.seen("REGISTER")
    assert {kind for kind, _ in requests} == {transport}
    assert ("algorithm=SHA-256" in requests[-1][1]) == (algorithm == "SHA-256") and "Digest" in requests[-1][1], requests
    assert len(registrar.bindings()) == 1
    # A call by way of the registrar, to the registered contact, is answered and heard.
    baresip.dial(f"sip:{USER}@127.0.0.1:{registrar.ports.udp}")
    baresip.event("CALL_ESTABLISHED")
    baresip.wait_tone(440, 2000)
    if transport == "udp" and algorithm == "MD5":
        baresip.command("hangup")
        call = allo.ended_call()
        assert (call["endReason"], call["endedBy"]) == ("caller_hung_up", "caller")
    else:
        baresip.say_for(speak("Thank you very much, goodbye."), 660)
        baresip.event("CALL_CLOSED", 25)
        assert [round(hz, -1) for hz, *_ in without_apologies(tones(baresip.samples()))] == [440, 660]
        call = allo.ended_call()
        assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    assert call["line"] == f"{USER}@{domain}"
    # SIGTERM removes the binding.
    allo.stop()
    assert registrar.bindings() == []
    assert "expires=0" in registrar.seen("REGISTER")[-1][1]


@pytest.mark.allowed_log("registration_wrong_credentials")
def test_a_wrong_password_stops_with_a_clear_state(folder, standin, kamailio, server):
    registrar = kamailio()
    allo = server(standin("tone").url, **line(registrar.ports, "udp", line_password="open-sesame"))
    failed = wait_state(allo, "failed")
    assert failed["detail"] == {"cause": "wrong_credentials", "retryInSeconds": None}
    # Nothing more comes: a loop would lock the account at an operator.
    deadline = time.monotonic() + 5
    wait_for("five quiet seconds", lambda: time.monotonic() > deadline, 6, 0.2)
    attempts = [text for _, text in registrar.seen("REGISTER")]
    assert len(attempts) == 2, attempts
    assert state(allo)["state"] == "failed"
    lines = [text for text in allo.log().splitlines() if "registration_wrong_credentials" in text]
    assert len(lines) == 1, allo.log()
    assert "open-sesame" not in allo.log() + allo.output(), "the password is in the log"


@pytest.mark.allowed_log("registration_(unreachable|timeout|refused)")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_registrar_restarts_and_the_account_comes_back(folder, standin, kamailio, server, transport):
    ports = Ports()
    registrar = kamailio(ports=ports, expires_s=10)
    allo = server(standin("tone").url, **line(ports, transport))
    wait_state(allo, "registered")
    assert len(registrar.bindings()) == 1
    registrar.stop()
    # Its bindings live in memory only, so what the new one holds was registered with it; over TCP the
    # account may be back before the first question to it.
    registrar = kamailio(ports=ports, expires_s=10)
    wait_for("the binding at the restarted registrar", registrar.bindings, 45, 0.2)
    assert registrar.seen("REGISTER"), "a binding without a request"
    wait_state(allo, "registered")


@pytest.mark.allowed_log("registration_unreachable")
def test_a_registrar_that_comes_later(folder, standin, kamailio, server):
    ports = Ports()
    allo = server(standin("tone").url, **line(ports, "tcp"))
    failed = wait_state(allo, "failed")
    assert failed["detail"]["cause"] == "unreachable" and 0 <= failed["detail"]["retryInSeconds"] <= 30
    registrar = kamailio(ports=ports)
    wait_for("the registration", registrar.bindings, 45, 0.2)
    wait_state(allo, "registered")
