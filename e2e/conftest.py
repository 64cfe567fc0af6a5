"""Fixtures of the tests with real peers. Each test has its own processes, ports, folder and database."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib.allo import BINARY, PATIENCE, Server, Standin, only_expected_log_lines  # noqa: E402
from lib.audio import RtpPeer  # noqa: E402
from lib.sipp import Sipp  # noqa: E402

OUT = pathlib.Path(__file__).parent / "out"
#: Fixtures that a server talks to; none of them is made with a server.
SERVED = ("database", "mailbox", "receivers", "printer", "maps", "trunks", "application", "engine")


def pytest_collection_modifyitems(items):
    """The bounds of the tests are those of a machine that does nothing else."""
    for item in items:
        if bound := item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(bound.args[0] * PATIENCE), append=False)


@pytest.fixture
def folder(request):
    module, _, name = request.node.nodeid.rpartition("/")[2].partition("::")
    path = OUT / re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{module.removesuffix('.py').removeprefix('test_')}-{name.removeprefix('test_')}")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@pytest.fixture
def standin(folder):
    """A factory: standin("scenario", key=None, more="…TOML appended to the scenario…")."""
    made = []

    def make(scenario="tone", **options):
        made.append(Standin(folder, scenario, name=f"standin{len(made) or ''}", **options))
        return made[-1]

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def server(folder, request):
    """A factory: server(engine_url, section_key=value…). `allowed_log` marks name the WARN and ERROR lines that a test expects."""
    made = []
    # Asked for first, so that they go last: a server complains whose database is dropped, or whose receivers are gone while it delivers.
    for name in SERVED:
        if name in request.fixturenames:
            request.getfixturevalue(name)

    def make(engine_url, **settings):
        name = f"allo{len(made) or ''}"
        settings.setdefault("server_data_dir", folder / f"data{len(made) or ''}")
        made.append(Server(folder, engine_url, name=name, **settings))
        return made[-1]

    make.made = made
    yield make
    allowed = [pattern for mark in request.node.iter_markers("allowed_log") for pattern in mark.args]
    unexpected = []
    for process in made:
        process.stop()
        unexpected += only_expected_log_lines(process.log(), allowed)
    assert not unexpected, "unexpected WARN or ERROR lines:\n" + "\n".join(unexpected)


@pytest.fixture
def sipp(folder):
    """A factory: sipp(script or scenario name, server, peer, transport="u1"…). Ended with the test."""
    made = []

    def make(scenario, server, peer=None, transport="u1", **options):
        port = server.udp if transport.startswith("u") else server.tcp
        made.append(Sipp(folder, scenario, port, peer.port if peer else 9, transport, **options))
        return made[-1]

    yield make
    for process in made:
        process.kill()


@pytest.fixture
def peer():
    """The caller's telephone, as far as audio goes."""
    peer = RtpPeer()
    yield peer
    peer.close()


def _databases():
    """SQLite, and PostgreSQL where ALLO_TEST_POSTGRES names a server (scripts/postgres starts one)."""
    return ["sqlite"] + (["postgres"] if os.environ.get("ALLO_TEST_POSTGRES") else [])


@pytest.fixture(params=_databases())
def database(request):
    """The setting server.database of a fresh database: empty for SQLite in the data directory."""
    if request.param == "sqlite":
        yield ""
        return
    server = os.environ["ALLO_TEST_POSTGRES"]
    name = f"allo_{uuid.uuid4().hex}"
    psql = shutil.which("psql") or sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1]
    subprocess.run([psql, server, "-qc", f"CREATE DATABASE {name}"], check=True, timeout=30)
    yield urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()
    subprocess.run([psql, server, "-qc", f"DROP DATABASE {name} WITH (FORCE)"], check=False, timeout=30)


def pytest_configure(config):
    config.addinivalue_line("markers", "allowed_log(*patterns): WARN or ERROR lines that the test provokes")


def pytest_sessionstart(session):
    if not BINARY.exists():
        pytest.exit(f"{BINARY} does not exist: run `make build` first", returncode=2)
