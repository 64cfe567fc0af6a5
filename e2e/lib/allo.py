"""The product under test: the binary, its processes and its API. Every process is started on free ports in its own folder."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from .ports import rtp_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ALLO_BIN", ROOT / "target" / "release" / "allo"))
TOKEN = "end-to-end-token-0123456789"


#: A machine that is shared, or half as fast, is late and not wrong: deadlines say when to give up, and what works never waits for one.
PATIENCE = 3


def wait_for(what, condition, timeout=10.0, interval=0.02):
    """Waits for a truthy value, with a deadline (of a machine that does nothing else, in seconds): never for a fixed time."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out after {timeout} s waiting for {what}")
        time.sleep(interval)


def known_to_calls(route, account, number, agent):
    """Waits until a call of this number would reach this agent: the telephone side reads what was written a moment later.

    `route` asks `GET /api/admin/route` with a query.
    """
    query = urllib.parse.urlencode({"account_id": account, "number": number})
    wait_for(f"the number of {agent}", lambda: route(query)["agent_id"] == agent, 30)


def clean_environment(**extra):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ALLO_", "SIP_", "OPENAI_", "VAD_", "MAX_", "ENCRYPTION_", "DATABASE_", "NEXT_"))}
    # The callers of most tests speak in tones, which are no voices; other tests run on the same machine, for which no call shall be refused; and who
    # waits for something looks fifty times a second whether it is there.
    usual = {
        "ALLO_LINE_NOISE_INTERRUPTS": "true", "ALLO_LIMITS_LATE_MS": "0", "ALLO_LIMITS_CPU_PERCENT": "0", "ALLO_PLATFORM_RATE_PER_S": "100000",
    }  # fmt: skip
    return keep | usual | {k: str(v) for k, v in extra.items() if v is not None}


class Process:
    def __init__(self, arguments, folder, name, environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / f"{name}.log"
        self.out_path = self.folder / f"{name}.out"
        self._log, self._out = open(self.log_path, "wb"), open(self.out_path, "wb")
        self.process = subprocess.Popen(
            [str(a) for a in arguments], cwd=self.folder, env=environment or clean_environment(), stdin=subprocess.DEVNULL,
            stdout=self._out, stderr=self._log,
        )

    def log(self):
        return self.log_path.read_text(errors="replace")

    def output(self):
        return self.out_path.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self, timeout=15, how=signal.SIGTERM):
        if self._log.closed:
            return self.process.returncode
        if self.alive():
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._log.close()
        self._out.close()
        return self.process.returncode

    def kill(self):
        return self.stop(how=signal.SIGKILL)


class Standin(Process):
    """`allo engine-standin` with a scenario (a file of e2e/scenarios or an embedded name); `more` is TOML to add to the file."""

    def __init__(self, folder, scenario="demo-fr", key=None, name="standin", more="", replace=(), dialect="openai"):
        path = ROOT / "e2e" / "scenarios" / f"{scenario}.toml"
        if more or replace:
            text = path.read_text()
            for old, new in replace:
                assert old in text, f"{old!r} is not in {path}"
                text = text.replace(old, new)
            path = pathlib.Path(folder) / f"{name}.toml"
            path.write_text(f"{text}\n{more}\n")
        arguments = [BINARY, "engine-standin", "--listen", "127.0.0.1:0", "--scenario", path if path.exists() else scenario]
        arguments += ["--dialect", dialect]
        super().__init__(arguments, folder, name, clean_environment(ALLO_STANDIN_KEY=key))
        found = wait_for("the stand-in's address", lambda: re.search(r"ws://\S+", self.output()) or self._dead(), 30)
        self.url = found.group(0)

    def _dead(self):
        if not self.alive():
            raise AssertionError(f"the stand-in ended: {self.log()}")


def database_of(data_dir, made={}):
    """With ALLO_E2E_DATABASE=postgres each data directory has a database of its own on the server of ALLO_TEST_POSTGRES, which a
    second server on that directory finds again; otherwise SQLite, in that directory."""
    if os.environ.get("ALLO_E2E_DATABASE") != "postgres":
        return None
    key = str(pathlib.Path(data_dir).resolve())
    if key not in made:
        base = os.environ["ALLO_TEST_POSTGRES"]
        name = f"e2e_{os.getpid()}_{len(made)}_{time.time_ns()}"
        subprocess.run(["psql", "-qX", base, "-c", f"CREATE DATABASE {name}"], check=True)
        made[key] = f"{base.rsplit('/', 1)[0]}/{name}"
    return made[key]


class Server(Process):
    """`allo serve` on free ports. Settings are given as `section_key=value` (ALLO_SECTION_KEY)."""

    def __init__(self, folder, engine_url, name="allo", **settings):
        defaults = {
            "server_data_dir": pathlib.Path(folder) / "data",
            "server_language": "en",
            "server_log_level": "info",
            "server_drain_s": 0,
            "admin_port": 0,
            "platform_listen": "127.0.0.1:0",
            "back_office_listen": "127.0.0.1:0",
            "voice_listen": "127.0.0.1:0",
            "admin_token": TOKEN,
            "sip_udp": "127.0.0.1:0",
            "sip_tcp": "127.0.0.1:0",
            "sip_tls": "127.0.0.1:0",
            "rtp_bind": "127.0.0.1",
            "rtp_ports": rtp_ports(),
            "line_allow_loopback": "true",
            "engine_url": engine_url,
            "engine_api_key": "sk-test-key-of-the-stand-in",
            "recording_enabled": "true",
            "recording_announce": "false",
            "agent_language": "en",
        }
        self.settings = defaults | settings
        self.settings.setdefault("server_database", database_of(self.settings["server_data_dir"]))
        # A process that was killed leaves its file.
        (pathlib.Path(self.settings["server_data_dir"]) / "addresses.json").unlink(missing_ok=True)
        environment = clean_environment(**{f"ALLO_{key.upper()}": value for key, value in self.settings.items()})
        super().__init__(self.command(), folder, name, environment)
        self.environment = environment
        self.data = pathlib.Path(self.settings["server_data_dir"])
        self.addresses = wait_for("the server's addresses", self._addresses, 20)

    def command(self):
        return [BINARY, "serve"]

    def _addresses(self):
        if not self.alive():
            raise AssertionError(f"allo ended with {self.process.returncode}: {self.output()}{self.log()}")
        path = self.data / "addresses.json"
        return json.loads(path.read_text()) if path.exists() else None

    def port(self, name):
        return int(self.addresses[name].rsplit(":", 1)[1])

    @property
    def udp(self):
        return self.port("sip/udp")

    @property
    def tcp(self):
        return self.port("sip/tcp")

    @property
    def tls(self):
        return self.port("sip/tls")

    def request(self, path, method="GET", token=TOKEN, raw=False):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://{self.addresses['admin']}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                body = response.read()
                return response.status, (body if raw else json.loads(body or b"null"))
        except urllib.error.HTTPError as error:
            body = error.read()
            return error.code, (body if raw else json.loads(body or b"null"))

    def calls(self):
        status, body = self.request("/api/calls")
        assert status == 200, body
        return body["calls"]

    def call(self, call_id):
        status, body = self.request(f"/api/calls/{call_id}")
        assert status == 200, body
        return body

    def events(self, call_id):
        status, body = self.request(f"/api/calls/{call_id}/events")
        assert status == 200, body
        return body["events"]

    def explanation(self, call_id, language="en"):
        status, body = self.request(f"/api/calls/{call_id}/explanation?lang={language}")
        assert status == 200, body
        return body

    def live(self):
        status, body = self.request("/api/calls/live")
        assert status == 200, body
        return body["calls"]

    def idle(self, timeout=10):
        """Waits until no call runs."""
        wait_for("no call to run", lambda: not self.live(), timeout)

    def metric(self, name):
        """The sum of a metric's samples."""
        status, text = self.request("/metrics", raw=True)
        assert status == 200
        rows = re.findall(rf"^{re.escape(name)}(?:{{.*}})? ([0-9.e+-]+)$", text.decode(), flags=re.M)
        return sum(float(row) for row in rows)

    def recording(self, call_id):
        """Path of the downloaded recording."""
        status, body = self.request(f"/api/calls/{call_id}/recording.wav", raw=True)
        assert status == 200, body
        path = self.folder / f"{call_id}.wav"
        path.write_bytes(body)
        return path

    def ended_call(self, count=1, timeout=30):
        """The newest call, once `count` calls have ended."""

        def ended():
            calls = self.calls()
            done = [call for call in calls if call.get("endedAt")]
            return done[0] if len(done) >= count else None

        return wait_for(f"{count} ended calls", ended, timeout)

    def cli(self, *arguments, timeout=30):
        return subprocess.run(
            [str(BINARY), *arguments], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=timeout
        )


#: How long the database took is the machine's affair in a test: four of them and their peers share two cores and one disk.
SLOW = r"WARN slow statement: execution time exceeded|WARN acquired connection, but time to acquire exceeded"


def only_expected_log_lines(text, allowed=()):
    """Any WARN or ERROR line that a test did not expect is a failure of that test."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    bad = [line for line in text.splitlines() if re.search(r"\b(WARN|ERROR)\b", line) and not re.search(SLOW, line)]
    return [line for line in bad if not any(re.search(pattern, line) for pattern in allowed)]
