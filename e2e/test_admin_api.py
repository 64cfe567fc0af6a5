"""The administration API and the command line, against a server that has taken calls."""

import json
import re
import urllib.error
import urllib.request

import pytest

from lib.allo import BINARY, clean_environment, wait_for
from lib.audio import read_wav
from lib.sipp import Script


def fetch(allo, path, method="GET", headers=()):
    request = urllib.request.Request(f"http://{allo.addresses['admin']}{path}", method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def problem(answer, status):
    """An error is problem+json with a code, a sentence and what to do."""
    code, headers, body = answer
    assert code == status and headers["Content-Type"] == "application/problem+json", (code, headers["Content-Type"], body)
    found = json.loads(body)
    assert found["status"] == status and found["code"] and found["title"] and found["title"] != found["code"], found
    return found


def test_token_problems_and_languages(standin, server):
    allo = server(standin().url)
    guarded = ["/metrics", "/api/calls", "/api/calls/live", "/api/calls/x", "/api/calls/x/events", "/api/registrations"]
    for path in guarded:
        found = problem(fetch(allo, path), 401)
        assert found["code"] == "api_unauthorized"
        problem(fetch(allo, path, headers={"Authorization": "Bearer wrong"}), 401)
        problem(fetch(allo, path, headers={"Authorization": "Basic ZTplCg=="}), 401)
    assert fetch(allo, "/api/calls")[1]["WWW-Authenticate"] == "Bearer"
    problem(fetch(allo, "/api/calls/x/hangup", "POST"), 401)
    token = {"Authorization": f"Bearer {allo.settings['admin_token']}"}
    french = problem(fetch(allo, "/api/calls/nobody", headers=token | {"Accept-Language": "fr-FR,fr;q=0.9"}), 404)
    english = problem(fetch(allo, "/api/calls/nobody", headers=token | {"Accept-Language": "en"}), 404)
    assert french["code"] == english["code"] == "call_not_found" and french["title"] != english["title"]
    problem(fetch(allo, "/api/calls?limit=x", headers=token), 400)
    problem(fetch(allo, "/api/calls?colour=red", headers=token), 400)
    problem(fetch(allo, "/api/calls?cursor=nonsense", headers=token), 400)
    problem(fetch(allo, "/nothing/here", headers=token), 404)
    problem(fetch(allo, "/api/calls/..%2F..%2Fetc%2Fpasswd/recording.wav", headers=token), 404)
    status, _, _ = fetch(allo, "/api/calls/x/hangup", "PUT", token)
    assert status == 405


def test_health_ready_metrics(standin, server, sipp, peer):
    allo = server(standin().url)
    status, body = allo.request("/health", token=None)
    assert status == 200 and body["status"] == "ok" and re.fullmatch(r"\d+\.\d+\.\d+.*", body["version"]) and body["activeCalls"] == 0
    assert allo.request("/ready", token=None) == (200, {"ready": True, "draining": False})
    sipp(Script("one").call().pause(500).bye(), allo, peer).wait()
    allo.ended_call()
    status, text = allo.request("/metrics", raw=True)
    text = text.decode()
    assert status == 200 and text.endswith("# EOF\n")
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_:][a-z0-9_:]*(\{[^}]*\})? [-+0-9.eE]+(Inf|NaN)?', line), line
    assert re.search(r'^allo_calls_ended_total\{.*reason="caller_hung_up".*\} 1$', text, flags=re.M), [r for r in text.splitlines() if "ended" in r]
    assert "33123456789" not in text


def test_calls_pages_events_recording(standin, server, sipp, peer):
    allo = server(standin().url)
    for index in range(5):
        sipp(Script(f"call{index}").call().pause(400).bye(), allo, peer).wait()
        allo.ended_call(index + 1)
    status, first = allo.request("/api/calls?limit=2")
    assert status == 200 and len(first["calls"]) == 2 and first["next"]
    status, second = allo.request(f"/api/calls?limit=2&cursor={first['next']}")
    status, third = allo.request(f"/api/calls?limit=2&cursor={second['next']}")
    ids = [call["id"] for page in (first, second, third) for call in page["calls"]]
    assert len(ids) == len(set(ids)) == 5 and third["next"] is None
    starts = [call["startedAt"] for page in (first, second, third) for call in page["calls"]]
    assert starts == sorted(starts, reverse=True)
    assert len(allo.request("/api/calls?reason=caller_hung_up")[1]["calls"]) == 5
    assert allo.request("/api/calls?reason=agent_hung_up")[1]["calls"] == []
    events = allo.events(ids[0])
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events}) and events[-1]["event"]["type"] in ("ended", "sip_message")
    kinds = {e["event"]["type"] for e in events}
    assert {"sip_message", "sdp_decision", "milestone", "engine_state", "playout", "rtp_statistics", "ended"} <= kinds, kinds
    caller, agent = read_wav(allo.recording(ids[0]))
    assert len(agent) > 1000
    assert allo.request(f"/api/calls/{ids[0]}/hangup", "POST")[0] == 409


def test_hang_up_by_the_operator(standin, server, sipp, peer):
    allo = server(standin().url)
    phone = sipp(Script("operator").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    live = wait_for("the live call", allo.live, 5)
    assert live[0]["state"] == "answered" and live[0]["from"] == "+33123456789", live
    status, _ = allo.request(f"/api/calls/{live[0]['id']}/hangup", "POST")
    assert status == 202
    phone.wait()
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("operator_hung_up", "operator")


def test_command_line(standin, server, sipp, peer):
    allo = server(standin().url)
    empty = allo.cli("calls")
    assert empty.returncode == 0 and empty.stdout.strip(), "an empty list says so"
    assert allo.cli("call", "explain", "last").returncode != 0
    sipp(Script("cli").call().pause(1500).bye(), allo, peer).wait()
    call = allo.ended_call()
    rows = allo.cli("calls").stdout
    assert call["id"] in rows and "+33123456789" not in rows, rows
    assert json.loads(allo.cli("calls", "--json").stdout.splitlines()[0])["id"] == call["id"]
    english = allo.cli("call", "explain", "last")
    assert english.returncode == 0
    for word in ("INVITE", "180", "200", "ACK", "BYE", "caller hung up"):
        assert word.lower() in english.stdout.lower(), english.stdout
    allo.environment["ALLO_SERVER_LANGUAGE"] = "fr"
    french = allo.cli("call", "explain", call["id"])
    assert french.returncode == 0 and "appelant" in french.stdout and french.stdout != english.stdout
    shown = json.loads(allo.cli("call", "explain", "last", "--json").stdout)
    assert shown["verdict"]["text"] in french.stdout and shown["ladder"] and shown["timeline"]
    assert shown["timings"]
    unknown = allo.cli("call", "explain", "no-such-call")
    assert unknown.returncode != 0 and "no-such-call" in unknown.stdout + unknown.stderr


def check(folder, text, **environment):
    import subprocess

    path = folder / "allo.toml"
    path.write_text(text)
    done = subprocess.run(
        [str(BINARY), "check", "--config", str(path)], env=clean_environment(ALLO_SERVER_LANGUAGE="en", **environment), cwd=folder,
        capture_output=True, text=True, timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


GOOD = """[line]
username = "0033972360682"
password = "secret-of-the-line"
domain = "sip.example.net"

[engine]
api_key = "sk-secret-of-the-engine-0123"
"""


def test_check_of_good_settings(folder):
    status, text = check(folder, GOOD)
    assert status == 0 and "good" in text, text
    assert "secret" not in text


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("unknown-key", ('domain = "sip', 'domian = "sip'), ("line.domian", "line.domain", "allo.toml", "4")),
        ("wrong-kind", ("[engine]", "[limits]\ncalls = \"many\"\n[engine]"), ("limits.calls", "many", "allo.toml:7")),
        ("out-of-range", ("[engine]", "[limits]\ncalls = 0\n[engine]"), ("limits.calls", "1-10000", "allo.toml:7")),
        ("syntax", ('username = "0033', 'username = 0033'), ("allo.toml", "line 2")),
        ("choice", ("[engine]", "[server]\nlog_format = \"xml\"\n[engine]"), ("server.log_format", "text, json", "allo.toml:7")),
        ("public", ("[engine]", "[admin]\nlisten = \"0.0.0.0:8080\"\n[engine]"), ("admin.listen", "0.0.0.0:8080")),
        ("pair", ("[engine]", "[sip]\ntls_certificate = \"cert.pem\"\n[engine]"), ("sip.tls_certificate", "sip.tls_key")),
        ("address", ("[line]", "[line]\nallow = [\"192.168.1.0/99\"]"), ("line.allow", "192.168.1.0/99")),
    ],
)
def test_check_of_bad_settings(folder, name, change, words):
    assert change[0] in GOOD
    status, text = check(folder, GOOD.replace(*change))
    assert status == 2, text
    for word in words:
        assert word in text, f"{word!r} is not said: {text}"
    assert "secret-of" not in text


def test_check_of_the_environment(folder):
    status, text = check(folder, GOOD, ALLO_LIMITS_CALLS="many")
    assert status == 2 and "ALLO_LIMITS_CALLS" in text, text
    status, text = check(folder, GOOD, ALLO_LIMITS_CALL="3")
    assert "ALLO_LIMITS_CALL" in text and "ALLO_LIMITS_CALLS" in text, text
    status, text = check(folder, GOOD.replace('api_key = "sk-secret-of-the-engine-0123"', ""))
    assert status == 2 and "OPENAI_API_KEY" in text, text
