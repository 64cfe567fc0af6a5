"""Devices: telephones that register with allo, call its agents and are called by them. baresip and linphone are the telephones, sipp is
the one with the wrong password."""

import socket

import pytest
from lib.allo import wait_for
from lib.ports import free_port
from lib.sipp import Script
from lib.softphone import Baresip, Linphone
from lib.tenancy import Platform

PASSWORD = "a-password-of-a-telephone"


class House:
    def __init__(self, allo):
        self.allo, self.platform = allo, Platform(allo)
        self.agent = self.platform.good("POST", "/api/agents", {"name": "accueil", "basePrompt": "x", "accountId": "default"})["id"]

    def device(self, username, **more):
        body = {"label": f"Poste {username}", "username": username, "password": PASSWORD, "agent_id": self.agent} | more
        made = self.platform.good("POST", "/api/admin/devices", body)
        assert PASSWORD not in str(made)
        self.known(made["id"])
        return made["id"]

    def known(self, device):
        """The telephone side reads what was written a moment later."""

        def refused():
            status, _, body = self.platform.ask("POST", "/api/calls", {"device": device})
            assert status == 409, body
            return "not registered" in str(body)

        wait_for("the device on the telephone side", refused)

    def bindings(self, device):
        return self.platform.good("GET", f"/api/admin/devices/{device}")["bindings"]

    def registered(self, device, count=1, timeout=30):
        return wait_for(f"{count} bindings", lambda: (found := self.bindings(device)) and len(found) == count and found, timeout)

    def calls(self):
        return self.platform.good("GET", "/api/calls?accountId=default")

    def ended(self, count):
        def ended():
            done = [call for call in self.calls() if call["endedAt"]]
            return done[0] if len(done) >= count else None

        return wait_for(f"{count} ended calls", ended, 30)


@pytest.fixture
def house(server, standin):
    return lambda **settings: House(server(standin("tone").url, agent_idle_reprompt_s=0, platform_rate_per_s=100_000, **settings))


def baresip_account(allo, user, password=PASSWORD, regint=60):
    return f"<sip:{user}@127.0.0.1:{allo.udp}>;auth_pass={password};regint={regint}"


def test_baresip_registers_calls_and_is_called(folder, house):
    world = house()
    device = world.device("101", caller_id="+33140506070")
    telephone = Baresip(folder, account=baresip_account(world.allo, "101"))
    try:
        (binding,) = world.registered(device)
        assert binding["transport"] == "udp" and binding["user_agent"].startswith("baresip"), binding
        # The address alone would let it in to the line of the settings: its registration says more.
        telephone.dial(f"sip:anybody@127.0.0.1:{world.allo.udp}")
        telephone.wait_sounding(440)
        telephone.command("hangup")
        call = world.ended(1)
        assert (call["direction"], call["agentId"], call["from"]) == ("inbound", world.agent, "+33140506070"), call
        heard = len(telephone.samples())
        placed = world.platform.good("POST", "/api/calls", {"device": device})
        telephone.event("CALL_INCOMING")
        telephone.command("accept")
        wait_for("more to be heard", lambda: len(telephone.samples()) >= heard + 4000, 20)
        telephone.wait_sounding(440)
        telephone.command("hangup")
        call = world.ended(2)
        assert (call["id"], call["direction"], call["agentId"]) == (placed["id"], "outbound", world.agent), call
    finally:
        telephone.stop()
    wait_for("its own removal", lambda: not world.bindings(device), 10)
    status, _, refused = world.platform.ask("POST", "/api/calls", {"device": device})
    assert status == 409 and "not registered" in str(refused), refused


def test_linphone_registers_over_tcp_with_sha_256_and_is_called(folder, house):
    world = house()
    device = world.device("102", digest=["sha-256"])
    telephone = Linphone(folder)
    try:
        telephone.command("autoanswer enable")
        telephone.command(f"register sip:102@127.0.0.1:{world.allo.tcp} <sip:127.0.0.1:{world.allo.tcp};transport=tcp> {PASSWORD}")
        (binding,) = world.registered(device)
        assert binding["transport"] == "tcp", binding
        world.platform.good("POST", "/api/calls", {"device": device})
        telephone.wait_output("connected")
        wait_for("the agent's first words", lambda: any(call["answeredAt"] for call in world.calls()), 10)
        telephone.command("terminate")
        assert world.ended(1)["direction"] == "outbound"
    finally:
        telephone.stop()


def test_registrations_outlive_a_killed_process(folder, server, standin):
    engine, port = standin("tone").url, free_port()
    settings = {"sip_udp": f"127.0.0.1:{port}", "server_data_dir": folder / "kept", "agent_idle_reprompt_s": 0, "platform_rate_per_s": 100_000}
    world = House(server(engine, **settings))
    device = world.device("101")
    telephone = Baresip(folder, account=baresip_account(world.allo, "101", regint=3600))
    try:
        world.registered(device)
        world.allo.kill()
        agent, world = world.agent, House.__new__(House)
        world.allo = server(engine, **settings)
        world.agent, world.platform = agent, Platform(world.allo)
        world.registered(device)
        world.platform.good("POST", "/api/calls", {"device": device})
        telephone.event("CALL_INCOMING")
        telephone.command("hangup")
        world.ended(1)
    finally:
        telephone.stop()


class Register(Script):
    """sipp as a telephone that registers."""

    def register(self, more=""):
        self.cseq += 1
        lines = [
            "REGISTER sip:[remote_ip]:[remote_port] SIP/2.0",
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-{self.cseq}",
            "From: <sip:[service]@[remote_ip]>;tag=[pid]t[call_number]", "To: <sip:[service]@[remote_ip]>",
            "Call-ID: [call_id]", f"CSeq: {self.cseq} REGISTER", "Max-Forwards: 70",
            "Contact: <sip:[service]@[local_ip]:[local_port]>", "Expires: 120",
        ]
        return self.send("\n".join(lines + ([more] if more else [])) + "\nContent-Length: 0\n\n")

    def proven(self, user, password):
        return self.register().receive(401, auth=True).register(f"[authentication username={user} password={password}]")


def test_sipp_with_the_wrong_and_with_the_right_password(house, sipp):
    """sipp knows MD5 alone."""
    world = house()
    device = world.device("103")
    sipp(Register("wrong").proven("103", "guessed").receive(403), world.allo, service="103").wait()
    sipp(Register("stranger").proven("999", PASSWORD).receive(403), world.allo, service="999").wait()
    assert world.bindings(device) == []
    sipp(Register("right").proven("103", PASSWORD).receive(200), world.allo, service="103").wait()
    assert len(world.bindings(device)) == 1
    world.platform.good("PATCH", f"/api/admin/devices/{device}", {"password": "another-password-of-it"})
    wait_for("the end of its registration", lambda: not world.bindings(device), 10)


@pytest.mark.allowed_log("log_source_banned")
def test_a_guesser_and_a_scanner_are_banned_and_let_in_again_by_the_operator(house):
    world = house(line_allow_loopback="false")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind(("127.0.0.1", 0))
        scanner.settimeout(0.3)

        def options(branch, product):
            lines = [
                "OPTIONS sip:100@127.0.0.1 SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{scanner.getsockname()[1]};branch=z9hG4bK{branch}",
                "From: <sip:100@1.1.1.1>;tag=1", "To: <sip:100@1.1.1.1>", f"Call-ID: {branch}", "CSeq: 1 OPTIONS", f"User-Agent: {product}",
                "Content-Length: 0",
            ]
            scanner.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), ("127.0.0.1", world.allo.udp))

        def answered(branch, product):
            options(branch, product)
            try:
                return scanner.recv(4096).startswith(b"SIP/2.0 200")
            except TimeoutError:
                return False

        assert answered("honest", "a telephone")
        for number in range(10):
            options(f"scan{number}", "friendly-scanner")
        bans = wait_for("the ban", lambda: world.platform.good("GET", "/api/admin/bans"))
        assert [(ban["source"], ban["tries"]) for ban in bans] == [("127.0.0.1", 10)] and 800 < bans[0]["seconds_left"] <= 900
        assert not answered("banned", "a telephone")
        assert world.platform.ask("DELETE", "/api/admin/bans/127.0.0.1")[0] == 204
        assert answered("lifted", "a telephone")
        assert world.platform.ask("DELETE", "/api/admin/bans/127.0.0.1")[0] == 404
        assert world.allo.metric("allo_sip_dropped_total") >= 11
