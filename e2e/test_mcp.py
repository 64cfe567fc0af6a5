"""MCP tools against a server by the official `mcp` package, through `allo probe`: what an agent would get of it."""

import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from lib.allo import BINARY

SECRET = "the account's signing secret"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class ToolServer:
    def __init__(self, folder, *options):
        self.log = folder / f"mcp{'-'.join(options)}.jsonl"
        script = pathlib.Path(__file__).parent / "lib" / "mcp_server.py"
        command = [sys.executable, script, "--log", self.log, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.origin = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.url = f"{self.origin}/mcp"

    def requests(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def called(self, name):
        return [
            message
            for message in (json.loads(request["body"]) for request in self.requests() if request["body"])
            if message.get("method") == name
        ]

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=[(), ("--json",), ("--stateless",), ("--json", "--stateless")], ids=lambda options: "".join(options) or "events")
def tools(folder, request):
    server = ToolServer(folder, *request.param)
    yield server
    server.stop()


@pytest.fixture
def events(folder):
    server = ToolServer(folder)
    yield server
    server.stop()


def probe(*arguments, allow=None, secret=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLO_")}
    environment["ALLO_TOOLS_ALLOW_PRIVATE"] = allow or ""
    if secret:
        environment["ALLO_PROBE_SECRET"] = secret
    done = subprocess.run([BINARY, "probe", "mcp", *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def test_lists_the_tools_with_their_schemas(tools):
    answer, status = probe(tools.url, allow=tools.origin)
    assert status == 0, answer
    by_name = {tool["name"]: tool for tool in answer["tools"]}
    assert sorted(by_name) == ["add", "forget", "huge", "menu", "refuse", "stall", "talk"]
    assert by_name["add"]["description"] == "Adds two numbers."
    schema = by_name["add"]["inputSchema"]
    assert schema["required"] == ["a", "b"]
    assert schema["properties"]["a"]["type"] == "integer"


def test_calls_a_tool(tools):
    answer, status = probe(tools.url, "--tool", "add", "--arguments", '{"a": 20, "b": 22}', allow=tools.origin)
    assert (answer, status) == ({"isError": False, "content": {"result": 42}}, 0)
    answer, _ = probe(tools.url, "--tool", "menu", "--arguments", '{"course": "entrée"}', allow=tools.origin)
    assert answer == {"isError": False, "content": {"course": "entrée", "name": "Bœuf bourguignon"}}
    answer, _ = probe(tools.url, "--tool", "talk", allow=tools.origin)
    assert answer == {"isError": False, "content": "bonjour"}


def test_a_tool_that_fails_says_so(tools):
    answer, _ = probe(tools.url, "--tool", "refuse", allow=tools.origin)
    assert answer["isError"] is True
    assert "no table left" in answer["content"]
    answer, _ = probe(tools.url, "--tool", "nobody", allow=tools.origin)
    assert answer["isError"] is True
    answer, _ = probe(tools.url, "--tool", "add", "--arguments", '{"a": "x"}', allow=tools.origin)
    assert answer["isError"] is True


def test_a_tool_that_stalls_meets_the_deadline(events):
    began = time.monotonic()
    answer, status = probe(events.url, "--tool", "stall", "--timeout-ms", "1000", allow=events.origin)
    assert (answer, status) == ({"failed": "timed_out"}, 1)
    assert time.monotonic() - began < 10


def test_a_huge_answer_is_refused(tools):
    answer, status = probe(tools.url, "--tool", "huge", allow=tools.origin)
    assert status == 1
    assert answer["failed"] == "too_large"


def test_a_forgotten_session_is_made_anew(events):
    answer, status = probe(events.url, "--tool", "forget", "--times", "3", allow=events.origin)
    assert (answer, status) == ({"isError": False, "content": {"result": "forgotten"}}, 0)
    assert len(events.called("tools/call")) >= 3


def test_one_session_serves_several_calls(events):
    probe(events.url, "--tool", "talk", "--times", "5", allow=events.origin)
    assert len(events.called("initialize")) == 1
    assert len(events.called("tools/call")) == 5


def test_without_the_operators_leave_it_is_not_reached(events):
    answer, status = probe(events.url)
    assert status == 1
    assert answer["failed"] == "address_loopback"
    answer, _ = probe(events.url, "--tool", "talk")
    assert answer == {"failed": "forbidden"}
    assert not events.log.exists()


def test_each_request_is_signed_and_says_who_asks(events):
    options = ["--header", "Authorization: Bearer of the tool", "--key", "call-7", "--traceparent", PARENT]
    probe(events.url + "?branch=a%20b", "--tool", "talk", *options, allow=events.origin, secret=SECRET)
    requests = events.requests()
    assert len(requests) >= 3
    for request in requests:
        headers = request["headers"]
        assert headers["x-allo-tenant"] == "probe"
        assert headers["authorization"] == "Bearer of the tool"
        text = f"{headers['x-allo-timestamp']}.{request['method']}.{request['target']}.{request['body']}"
        expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        assert headers["x-allo-signature"] == f"v1={expected}"
        assert abs(time.time() - int(headers["x-allo-timestamp"])) < 60
    [call] = events.called("tools/call")
    assert call["params"]["_meta"]["allo/idempotencyKey"] == "call-7"
    # The trace of who calls the tool: in the message, as the protocol has it, and in the head of its request, for what stands between.
    assert call["params"]["_meta"]["traceparent"] == PARENT
    assert [request["headers"]["traceparent"] for request in requests if "traceparent" in request["headers"]] == [PARENT]
