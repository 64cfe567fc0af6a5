"""Agents as processes of their own: `allo serve` for each agent and `allo bridge` for each account, kept by a manager that may be killed
at any moment. The calls are those of a telephone at a registrar that we did not write; what is heard is judged by its frequency.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from lib.allo import wait_for
from lib.audio import loud_spans
from lib.backoffice import RESTAURANT
from lib.kamailio import PASSWORD, Kamailio
from lib.ports import free_port, is_free
from lib.softphone import Baresip
from test_manager import FIELDS, KEY, Manager, bound, office, sip_agent, twilio_agent  # noqa: F401

NUMBER = "33491000001"
LONG = [("hz = 440, ms = 2000", "hz = 440, ms = 40000")]
#: What the manager says of agents that a test kills, stops or takes the registrar from. A process that is stopped while it writes keeps SQLite's
#: file locked until the manager has found it out and killed it: what waits for the file meanwhile says so.
CHAOS = r"is gone without having been told|registration|could not be made what they should be|failed too often|could not be begun|log_outbox_store_failing"


def status_of(pid):
    """Fields of /proc/PID/stat after the name: state, parent…; None where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    return (status_of(pid) or "Z")[0] not in "ZX"


def children(pid):
    found = [(entry.name, status_of(entry.name)) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]
    return {int(number): fields[0] for number, fields in found if fields and fields[1] == str(pid)}


class Isolated(Manager):
    """A manager, and what it left on the disk."""

    def processes(self, restaurant=RESTAURANT):
        detail = self.get(f"/agents/{restaurant}/status")
        return {process["role"]: process for process in detail["processes"] if not process["ending"]}

    def well(self, restaurant=RESTAURANT, timeout=40):
        agent = self.wait(restaurant, "running", timeout)
        assert all(alive(pid) for pid in agent["pids"].values() if pid)
        return agent

    def of_its_own(self):
        """Every process that carries the mark of an agent of this data directory."""
        data, found = str(self.allo.data.resolve()).encode(), set()
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"ALLO_PROCESS=" in environment and data in environment and alive(int(entry.name)):
                found.add(int(entry.name))
        return found


LEAK = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *watch(void *unused) {
    char path[512];
    snprintf(path, sizeof path, "%s/leak-%d", FOLDER, (int)getpid());
    for (;;) {
        FILE *file = fopen(path, "r");
        int megabytes = 0;
        if (file && fscanf(file, "%d", &megabytes) == 1) {
            memset(malloc((size_t)megabytes << 20), 1, (size_t)megabytes << 20);
            return unused;
        }
        if (file) fclose(file);
        usleep(50000);
    }
}
__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, watch, NULL);
}
"""


def leaking_library(folder):
    """A library that makes a process grow by as many MiB as a file of its number says: a leak that nothing in the product knows of."""
    source, library = folder / "leak.c", folder / "leak.so"
    source.write_text(f'#define FOLDER "{folder}"\n{LEAK}')
    subprocess.run([shutil.which("cc") or "gcc", "-shared", "-fPIC", "-pthread", "-o", library, source], check=True, timeout=60)
    return library


@pytest.fixture
def registrar(folder):
    kamailio = Kamailio(folder)
    yield kamailio
    kamailio.stop()


@pytest.fixture
def phone(folder, registrar):
    made = []

    def dial(hz=440, number=NUMBER):
        telephone = Baresip(folder, name=f"baresip{len(made)}")
        made.append(telephone)
        telephone.dial(f"sip:{number}@127.0.0.1:{registrar.ports.udp}")
        telephone.event("CALL_ESTABLISHED", 10)
        telephone.wait_sounding(hz)
        return telephone

    yield dial
    for telephone in made:
        # One whose bridge was killed would wait for the answer to its goodbye.
        telephone.stop(how=signal.SIGKILL)


@pytest.fixture
def isolated(server, office):  # noqa: F811
    made = []

    def make(engine_url, **settings):
        settings = {
            "agents_discover": "true", "agents_check_every_s": 1, "agents_refresh_s": 60, "agents_isolation": "process",
            "agents_app_base_port": free_port(), "agents_bridge_base_port": free_port(),
            "admin_agents_unauthenticated": "true", "tools_back_office": office.url, "server_encryption_key": KEY, "agent_idle_reprompt_s": 0,
            "line_allow_loopback": "false",
        } | settings  # fmt: skip
        made.append(Isolated(server(engine_url, **settings)))
        return made[-1]

    yield make
    for house in made:
        house.allo.stop()
    left = {pid for house in made for pid in house.of_its_own()}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes that nobody ended: {left}"


def unbroken(telephone, since_ms, hz=440, for_ms=2_000):
    """What was heard from there on, for at least so long, is one tone without a hole."""
    wait_for("more to be heard", lambda: len(telephone.samples()) // 8 > since_ms + for_ms, 20)
    until_ms = telephone.wait_sounding(hz)
    heard = telephone.samples()[since_ms * 8 : until_ms * 8]
    spans = loud_spans(heard, gap_frames=6)
    assert len(spans) == 1, f"holes in the tone: {spans}"


@pytest.mark.allowed_log(CHAOS)
def test_a_manager_that_is_killed_breaks_no_call(standin, isolated, office, registrar, phone):  # noqa: F811
    office.agents = [sip_agent(RESTAURANT, NUMBER, registrar), twilio_agent("r-twilio", "+33900000001")]
    office.restaurants = {RESTAURANT, "r-twilio"}
    engine = standin("tone", replace=LONG).url
    house = isolated(engine)
    agent = house.well()
    assert set(agent) == FIELDS
    app, bridge = agent["pids"]["app"], agent["pids"]["bridge"]
    assert len({app, bridge, house.allo.process.pid}) == 3
    other = house.well("r-twilio")
    assert other["pids"]["bridge"] is None and other["ports"]["bridge"] is None
    settings = house.allo.settings
    assert agent["ports"]["app"] >= settings["agents_app_base_port"] and agent["ports"]["bridge"] >= settings["agents_bridge_base_port"]
    assert other["ports"]["app"] != agent["ports"]["app"]
    assert bound(registrar, NUMBER)

    # Nothing secret is on a command line, and each process is a group of its own.
    for pid in (app, bridge):
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in line and KEY.encode() not in line and b"sk-test" not in line and b"token=" not in line
        assert os.getpgid(pid) == pid
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert [row.split()[3] for row in limits.splitlines() if row.startswith("Max open files")] == ["4096"]
    detail = house.get(f"/agents/{RESTAURANT}/status")
    assert {p["role"]: p["pid"] for p in detail["processes"]} == {"app": app, "bridge": bridge}
    assert all(0 < p["memoryBytes"] < detail["memoryMaxBytes"] for p in detail["processes"]), detail

    # A call runs; the manager is killed, and another one begins.
    telephone = phone()
    wait_for("the call in the list", lambda: house.agents()[RESTAURANT]["activeCalls"] == 1, 5)
    since = telephone.wait_sounding(440)
    house.allo.kill()
    assert alive(app) and alive(bridge)
    again = isolated(**{key: value for key, value in settings.items() if value is not None})
    found = again.well()
    assert found["pids"] == {"app": app, "bridge": bridge} and found["ports"] == agent["ports"]
    wait_for("the call in the list", lambda: again.agents()[RESTAURANT]["activeCalls"] == 1, 5)
    assert again.well("r-twilio")["pids"] == other["pids"]
    unbroken(telephone, since)
    assert again.agents()[RESTAURANT]["restartCount"] == 0

    # A second manager of the same agents would begin them twice.
    refused = subprocess.run(
        [str(again.allo.process.args[0]), "serve"], env=again.allo.environment, cwd=again.allo.folder, capture_output=True, text=True, timeout=30
    )
    assert refused.returncode != 0 and "manager.lock" in refused.stderr + refused.stdout, refused.stderr

    # An adopted process that ends is noticed and begun anew, and its remains are nobody's.
    os.kill(bridge, signal.SIGKILL)
    wait_for("another bridge", lambda: again.agents()[RESTAURANT]["pids"]["bridge"] not in (None, bridge), 20)
    after = again.well()
    assert after["pids"]["app"] == app and after["restartCount"] == 1

    # An orderly stop leaves no process, no binding, no port.
    pids = [pid for agent in again.agents().values() for pid in agent["pids"].values() if pid]
    ports = [port for agent in again.agents().values() for port in agent["ports"].values() if port]
    began = time.monotonic()
    assert again.allo.stop(timeout=30) == 0
    print("stopped in", time.monotonic() - began)
    assert not any(alive(pid) for pid in pids) and not again.of_its_own()
    wait_for("no binding to be left", lambda: registrar.bindings() == [], 5)
    for port in ports:
        wait_for(f"port {port} to be free", lambda: is_free(port), 5)


@pytest.mark.allowed_log(CHAOS)
def test_killed_hung_leaking_and_without_a_registrar(folder, standin, isolated, office, registrar, phone):  # noqa: F811
    leak = leaking_library(folder)
    office.agents = [sip_agent(RESTAURANT, NUMBER, registrar), sip_agent("r-2", "33491000002", registrar)]
    office.restaurants = {RESTAURANT, "r-2"}
    os.environ["LD_PRELOAD"], before = str(leak), os.environ.get("LD_PRELOAD")
    try:
        house = isolated(standin("tone", replace=LONG).url, agents_memory_mb=300)
    finally:
        os.environ.pop("LD_PRELOAD") if before is None else os.environ.update(LD_PRELOAD=before)
    agent, neighbour = house.well(), house.well("r-2")

    def restarted(agent, cause, *changed, timeout=40):
        """Waits until the agent runs again after that; only the processes that are named are others."""
        count = agent["restartCount"]

        def again():
            now = house.agents()[RESTAURANT]
            return now if now["state"] == "running" and now["restartCount"] > count and all(now["pids"].values()) else None

        now = wait_for(f"a restart after {cause}: {house.agents()}", again, timeout, 0.02)
        assert {role for role in ("app", "bridge") if now["pids"][role] != agent["pids"][role]} == set(changed), (agent, now)
        assert now["ports"]["app"] == agent["ports"]["app"]
        log = house.allo.log()
        own = house.get(f"/agents/{RESTAURANT}/status")["agentId"]
        assert f"The agent {own} went from running to unhealthy ({cause})" in log, log[-3000:]
        return now

    def forgiven(agent):
        """An operator's restart forgives what was, and begins both anew."""
        house.post(f"/agents/{RESTAURANT}/restart")
        wait_for("the restart", lambda: house.agents()[RESTAURANT]["restartCount"] > agent["restartCount"] and house.state(RESTAURANT) == "running", 30)
        now = house.agents()[RESTAURANT]
        assert all(now["pids"][role] != agent["pids"][role] for role in now["pids"]), (now, agent)
        return now

    # kill -9 of the agent, with a call in it; then the next call is answered.
    telephone = phone()
    began = time.monotonic()
    os.kill(agent["pids"]["app"], signal.SIGKILL)
    telephone.event("CALL_CLOSED", 10)
    agent = restarted(agent, "died", "app")
    phone().command("hangup")
    print("agent killed to next call answered and heard:", time.monotonic() - began)

    # kill -9 of the bridge.
    began = time.monotonic()
    os.kill(agent["pids"]["bridge"], signal.SIGKILL)
    agent = restarted(agent, "died", "bridge")
    phone().command("hangup")
    print("bridge killed to next call answered and heard:", time.monotonic() - began)

    # A machine that is busy with other tests may have made it fail once more, and after the fifth it would be left alone for a while.
    agent = forgiven(agent)

    # One that hangs answers nothing: it is seen by a look, killed, and begun anew.
    for role in ("app", "bridge"):
        began, pid = time.monotonic(), agent["pids"][role]
        os.kill(pid, signal.SIGSTOP)
        agent = restarted(agent, "hung", role)
        assert not alive(pid)
        print(role, "stopped to running again:", time.monotonic() - began)
    phone().command("hangup")

    agent = forgiven(agent)

    # A leak: the call that runs is not cut, and once it is over the process is replaced.
    telephone = phone()
    since, pid = telephone.wait_sounding(440), agent["pids"]["app"]
    (folder / f"leak-{pid}").write_text("400")
    wait_for("the leak to be seen", lambda: house.state(RESTAURANT) in ("unhealthy", "failed"), 20)
    detail = house.get(f"/agents/{RESTAURANT}/status")
    assert (detail["cause"], detail["health"]["memory"]) == ("memory", False), detail
    # The one before it may be listed still, on its way out.
    [leaking] = [process for process in detail["processes"] if process["pid"] == pid]
    assert leaking["memoryBytes"] > detail["memoryMaxBytes"]
    unbroken(telephone, since)
    assert house.agents()[RESTAURANT]["pids"]["app"] == pid, "not while a call runs"
    telephone.command("hangup")
    agent = restarted(agent, "memory", "app")
    phone().command("hangup")

    # Nobody else noticed anything, and nothing is left of what was killed.
    assert house.agents()["r-2"] | {"uptimeSeconds": 0, "lastHealthCheck": 0} == neighbour | {"uptimeSeconds": 0, "lastHealthCheck": 0}
    assert "Z" not in children(house.allo.process.pid).values(), children(house.allo.process.pid)

    # Another password: the bridge is another one, the agent stays.
    office.agents[0] |= {"sipPassword": "wrong"}
    house.post("/refresh")
    wait_for("the wrong password to be noticed", lambda: house.state(RESTAURANT) in ("unhealthy", "failed"), 40)
    assert house.get(f"/agents/{RESTAURANT}/status")["cause"] == "registration"
    office.agents[0] |= {"sipPassword": PASSWORD}
    house.post("/refresh")
    house.well()

    # Stopped: refused by whoever still tries, and no process of it is left; started again.
    pids = house.agents()[RESTAURANT]["pids"].values()
    house.post(f"/agents/{RESTAURANT}/stop")
    house.wait(RESTAURANT, "stopped")
    wait_for("its processes to end", lambda: not any(alive(pid) for pid in pids), 20)
    assert not bound(registrar, NUMBER)
    assert house.agents()[RESTAURANT]["pids"] == {"app": None, "bridge": None}
    house.post(f"/agents/{RESTAURANT}/start")
    house.well()
    # Off the list, and its processes with it.
    pids = house.agents()[RESTAURANT]["pids"].values()
    office.agents.pop(0)
    house.post("/refresh")
    wait_for("its processes to end", lambda: not any(alive(pid) for pid in pids), 20)
    assert house.agents().keys() == {"r-2"}


@pytest.mark.allowed_log(CHAOS)
def test_a_lost_registrar_costs_no_process(folder, standin, isolated, office):  # noqa: F811
    registrar = Kamailio(folder, expires_s=10)
    try:
        office.agents = [sip_agent(RESTAURANT, NUMBER, registrar)]
        house = isolated(standin("tone").url)
        agent, ports = house.well(), registrar.ports
    finally:
        registrar.stop()
    wait_for("the loss to be seen", lambda: house.state(RESTAURANT) in ("unhealthy", "failed"), 60, 0.1)
    assert house.get(f"/agents/{RESTAURANT}/status")["cause"] == "registration"
    again = Kamailio(folder, name="again", ports=ports, expires_s=10)
    try:
        after = house.well(timeout=90)
        assert after["pids"] == agent["pids"], "nothing was wrong with the processes"
        assert bound(again, NUMBER)
        assert house.allo.stop() == 0
    finally:
        again.stop()
