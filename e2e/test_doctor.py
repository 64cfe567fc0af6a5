"""`allo doctor` and the test of a line before it is saved: at Kamailio with the right and a wrong password, at names, ports and certificates that
are wrong, at a registrar that never answers, and at an engine with a wrong key."""

import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lib.allo import BINARY, TOKEN, clean_environment, wait_for
from lib.kamailio import PASSWORD, USER, Kamailio
from lib.ports import free_port
from lib.softphone import Baresip

KEY = "sk-0123456789abcdef"


@pytest.fixture(scope="module")
def registrar(tmp_path_factory):
    kamailio = Kamailio(tmp_path_factory.mktemp("registrar"), tls=True)
    yield kamailio
    kamailio.stop()


@pytest.fixture
def silent():
    """A port where datagrams arrive and nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class TlsServer:
    """Shakes hands with a certificate of the test authority's own making, valid or not."""

    def __init__(self, folder, address, names, days):
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("Another authority", "server"))
        self.ca = folder / f"ca{days}.pem"

        def made(subject, issuer, public, until):
            return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public).serial_number(x509.random_serial_number())
                    .not_valid_before(now - datetime.timedelta(days=90)).not_valid_after(until))

        ca = made(ca_name, ca_name, ca_key.public_key(), now + datetime.timedelta(days=9)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(ca_key, hashes.SHA256())
        leaf = made(name, ca_name, key.public_key(), now + datetime.timedelta(days=days)).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]), critical=False
        ).sign(ca_key, hashes.SHA256())
        self.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        (folder / "leaf.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        (folder / "leaf.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(context,), daemon=True).start()

    def _serve(self, context):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                pass

    def close(self):
        self.listener.close()


def line_test(allo, **account):
    """The steps of the test of an account, by name."""
    body = {"trunk_uri": f"sip:{USER}@127.0.0.1", "username": USER, "password": PASSWORD} | account
    request = urllib.request.Request(
        f"http://{allo.addresses['platform']}/api/admin/sip-accounts/test", data=json.dumps(body).encode(), method="POST",
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.loads(response.read())
    steps = {step["step"]: step for step in answer["steps"]}
    for step in steps.values():
        assert step["sentence"] and (step["verdict"] != "failed" or step["remedy"]), step
    assert answer["passed"] == all(step["verdict"] != "failed" for step in steps.values())
    return steps


def verdicts(steps):
    return {name: step["verdict"] for name, step in steps.items()}


def at(port):
    return f"sip:{USER}@127.0.0.1:{port}"


def test_the_line_test_says_what_is_wrong_and_touches_nothing(folder, standin, server, registrar, silent):
    allo = server(standin("tone").url, sip_tls_ca=registrar.ca)
    ports = registrar.ports
    # Right, by each transport: bound and removed where nobody was bound.
    for transport in ("udp", "tcp", "tls"):
        steps = line_test(allo, trunk_uri=at(ports.of(transport)), contact_transport=transport)
        wanted = {"dns": "passed", "port": "passed", "options": "passed", "register": "passed"}
        if transport == "tls":
            # The test authority's certificate lives for two days.
            wanted["tls"] = "warning"
            assert steps["tls"]["code"] == "line_test_tls_soon"
        assert verdicts(steps) == wanted, steps
        assert steps["register"]["code"] == "line_test_register_ok"
        assert registrar.bindings() == []
    # A wrong password is said once: two REGISTERs, and no further one.
    before = len(registrar.seen("REGISTER"))
    steps = line_test(allo, trunk_uri=at(ports.udp), password="open-sesame")
    assert steps["register"]["code"] == "line_test_register_wrong" and steps["register"]["verdict"] == "failed"
    assert len(registrar.seen("REGISTER")) - before == 2
    assert "open-sesame" not in allo.log()
    # Where somebody is registered, at a registrar that keeps one contact, the binding stays.
    running = server(
        standin("tone").url, line_username=USER, line_password=PASSWORD, line_domain="127.0.0.1", line_port=ports.udp, line_allow_loopback="false"
    )
    bound = wait_for("the registration", registrar.bindings, 20)
    steps = line_test(allo, trunk_uri=at(ports.udp))
    assert steps["register"]["code"] == "line_test_register_proved" and "1" not in steps["register"]["verdict"]
    assert registrar.bindings() == bound
    running.stop()
    # Nobody listens; nobody answers; no such name.
    closed = line_test(allo, trunk_uri=at(free_port()), contact_transport="tcp")
    assert closed["port"]["code"] == "line_test_port_closed"
    assert verdicts(closed)["register"] == "skipped"
    closed = line_test(allo, trunk_uri=at(free_port(socket.SOCK_DGRAM)))
    assert closed["port"]["code"] == "line_test_port_closed"
    assert line_test(allo, trunk_uri=at(silent))["port"]["code"] == "line_test_port_silent"
    unknown = line_test(allo, trunk_uri=f"sip:{USER}@no-such-name.invalid")
    assert unknown["dns"]["code"] in ("line_test_dns_unknown", "line_test_dns_silent") and verdicts(unknown)["port"] == "skipped"
    with pytest.raises(urllib.error.HTTPError) as refused:
        line_test(allo, trunk_uri="sip:nobody")
    assert refused.value.code == 422


@pytest.mark.parametrize(("code", "names", "days"), [
    ("line_test_tls_name", ["sip.example.org"], 9), ("line_test_tls_expired", ["127.0.0.1"], -9), ("line_test_tls_untrusted", ["127.0.0.1"], 9),
])
def test_certificates_that_cannot_be_trusted(folder, standin, server, code, names, days):
    peer = TlsServer(folder, "127.0.0.1", names, days)
    settings = {} if code == "line_test_tls_untrusted" else {"sip_tls_ca": peer.ca}
    allo = server(standin("tone").url, **settings)
    steps = line_test(allo, trunk_uri=at(peer.port), contact_transport="tls")
    peer.close()
    assert steps["tls"]["code"] == code and verdicts(steps)["register"] == "skipped", steps
    if code == "line_test_tls_name":
        assert "sip.example.org" in steps["tls"]["sentence"]


def test_a_call_proves_that_the_line_calls(folder, standin, server, registrar):
    proxy = f"sip:127.0.0.1:{registrar.ports.udp}"
    callee = Baresip(folder, account=f"<sip:callee@127.0.0.1>;auth_user=callee;auth_pass={PASSWORD};outbound=\"{proxy}\";regint=60;answermode=auto")
    allo = server(standin("tone").url)
    wait_for("the callee's registration", registrar.bindings, 20)
    steps = line_test(allo, trunk_uri=at(registrar.ports.udp), number="callee")
    assert steps["call"]["code"] == "line_test_call_answered", steps["call"]
    callee.event("CALL_CLOSED")
    callee.stop()
    # A number that the registrar does not know.
    steps = line_test(allo, trunk_uri=at(registrar.ports.udp), number="+33999999999")
    assert steps["call"]["code"] == "line_test_call_refused", steps["call"]


def doctor(folder, *arguments, **settings):
    defaults = {
        "server_data_dir": folder / "data", "server_language": "en", "admin_port": 0, "platform_listen": "127.0.0.1:0", "back_office_listen": "127.0.0.1:0", "voice_listen": "127.0.0.1:0",
        "sip_udp": "127.0.0.1:0", "sip_tcp": "127.0.0.1:0", "sip_tls": "127.0.0.1:0", "rtp_bind": "127.0.0.1", "engine_api_key": KEY,
    }
    environment = clean_environment(**{f"ALLO_{key.upper()}": value for key, value in (defaults | settings).items()})
    done = subprocess.run([str(BINARY), "doctor", *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return done


def checks(done):
    answer = json.loads(done.stdout)
    return answer, {check["code"]: check for check in answer["checks"]}


def test_the_doctor_on_settings_alone(folder, standin, registrar, silent):
    line = {"line_username": USER, "line_password": PASSWORD, "line_domain": "127.0.0.1", "line_port": registrar.ports.udp}
    engine = standin("tone", key=KEY).url
    done = doctor(folder, "--json", engine_url=engine, **line)
    answer, found = checks(done)
    assert (done.returncode, answer["verdict"], answer["first"]) == (0, "passed", None), answer
    for code in ("doctor_server_stopped", "doctor_data_ok", "doctor_key_new", "doctor_database_new", "doctor_port_free", "doctor_rtp_ok",
                 "line_test_register_ok", "doctor_nat_none", "engine_test_ok"):
        assert code in found, (code, answer)
    assert registrar.bindings() == [] and not (folder / "data").exists(), "the doctor left something behind"
    # The engine refuses the key: the key's end is shown, never the key.
    wrong = "sk-fedcba9876543210"
    done = doctor(folder, engine_url=engine, engine_api_key=wrong, **line)
    assert done.returncode == 2
    assert "3210" in done.stdout and wrong not in done.stdout
    assert "To do first: Replace the key" in done.stdout, done.stdout
    # A wrong password comes before the engine.
    done = doctor(folder, "--json", engine_url=engine, engine_api_key=wrong, **(line | {"line_password": "open-sesame"}))
    answer, found = checks(done)
    assert done.returncode == 2 and answer["first"]["code"] == "line_test_register_wrong" and "engine_refused" in found
    # A port that another program holds; an engine that is not there; a back office that is not there.
    held = socket.create_server(("127.0.0.1", 0))
    port = held.getsockname()[1]
    gone = f"ws://127.0.0.1:{free_port()}/v1/realtime"
    done = doctor(folder, "--json", sip_tcp=f"127.0.0.1:{port}", engine_url=gone, tools_back_office=f"http://127.0.0.1:{free_port()}")
    answer, found = checks(done)
    held.close()
    assert {"doctor_port_taken", "engine_unreachable", "doctor_back_office_down", "config_no_line"} <= set(found), answer
    assert answer["first"]["code"] == "doctor_port_taken"
    # In French, as the house speaks by default.
    done = doctor(folder, engine_url=engine, server_language="fr", **(line | {"line_port": silent}))
    assert done.returncode == 2 and "À faire d'abord : Un pare-feu bloque" in done.stdout, done.stdout


def test_the_doctor_beside_a_running_server(folder, standin, server, registrar):
    allo = server(
        standin("tone").url, line_username=USER, line_password=PASSWORD, line_domain="127.0.0.1", line_port=registrar.ports.udp,
        line_allow_loopback="false",
    )
    bound = wait_for("the registration", registrar.bindings, 20)
    done = allo.cli("doctor", "--json", timeout=60)
    answer, found = checks(done)
    assert done.returncode == 0, answer
    assert {"doctor_server_running", "doctor_port_ours", "registration_registered", "line_test_register_proved", "engine_test_ok"} <= set(found), answer
    assert registrar.bindings() == bound
