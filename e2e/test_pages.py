"""The server's side of the web pages, as a browser sees it: files with their policies, the first administrator by the printed link,
sessions by cookie on both addresses, the manager's list, live events. `requests` and `http.cookiejar` decide what a cookie is."""

import contextlib
import json
import re
import subprocess
import threading

import pytest
import requests
from lib.allo import BINARY, ROOT, TOKEN, wait_for

PASSWORD = "correct horse battery"


class Browser(requests.Session):
    """Says of itself what a browser says: its origin, and the token with what changes something."""

    def __init__(self, address, **headers):
        super().__init__()
        self.trust_env = False
        self.base = f"http://{address.replace('127.0.0.1', 'localhost')}"
        self.headers.update({"Sec-Fetch-Site": "same-origin", "Accept-Language": "en"} | headers)

    def request(self, method, url, **options):
        url = self.base + url if url.startswith("/") else url
        return super().request(method, url, timeout=10, **options | {"allow_redirects": False})

    def enter(self, answer):
        assert answer.ok, answer.text
        self.headers["X-CSRF-Token"] = answer.json()["csrfToken"]
        return answer.json()


@pytest.fixture
def allo(standin, server):
    return server(standin("tone").url, platform_rate_per_s=1_000)


def link_of(text):
    return re.search(r"(http://\S+/admin/setup)#(set_\S+)", text)


def owner_of(allo):
    link = wait_for("the link", lambda: link_of(allo.output()))
    browser = Browser(allo.addresses["platform"])
    made = browser.post("/platform/api/auth/first-run", json={"token": link[2], "email": "lea@example.org", "password": PASSWORD, "name": "Léa"})
    browser.enter(made)
    return browser


def test_the_printed_link_makes_the_first_administrator_once(allo):
    link = wait_for("the link", lambda: link_of(allo.output()))
    assert link[1].startswith(f"http://{allo.addresses['platform']}")
    browser = Browser(allo.addresses["platform"])
    assert browser.get("/platform/api/auth/first-run").json() == {"needed": True}
    body = {"token": link[2], "email": "Lea@Example.org", "password": PASSWORD, "name": "Léa"}
    made = browser.post("/api/auth/first-run", json=body)
    assert made.status_code == 201, made.text
    cookie = next(iter(browser.cookies))
    assert cookie.name == "allo_session" and cookie.path == "/" and not cookie.secure
    assert {"HttpOnly", "SameSite"} <= set(cookie._rest) and cookie._rest["SameSite"] == "Strict"
    browser.enter(made)
    assert browser.get("/platform/api/auth/me").json()["role"] == "owner"
    assert browser.get("/platform/api/auth/first-run").json() == {"needed": False}
    again = Browser(allo.addresses["platform"]).post("/api/auth/first-run", json=body | {"email": "other@example.org"})
    assert again.status_code == 403 and again.json()["code"] == "api_link_used"
    assert link[2] not in allo.log(), "the token is printed, not logged"
    # Who lost the password asks the command, beside the running server.
    done = subprocess.run([BINARY, "admin", "link", "--quiet"], env=allo.environment, cwd=allo.folder, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    further = link_of(done.stdout)
    assert further and further[1] == link[1]
    made = Browser(allo.addresses["platform"]).post("/api/auth/first-run", json=body | {"token": further[2], "email": "b@example.org"})
    assert made.status_code == 201, made.text


def test_one_session_serves_both_addresses_and_both_interfaces(allo):
    browser = owner_of(allo)
    assert browser.get("/platform/api/accounts").ok
    assert browser.get("/restaurant/api/restaurants").ok
    # Cookies know no ports: a browser sends it to the other address of this machine as well.
    office = f"http://{allo.addresses['back_office'].replace('127.0.0.1', 'localhost')}"
    assert browser.get(f"{office}/platform/api/auth/me").json()["email"] == "lea@example.org"
    assert browser.get(f"{office}/restaurant/api/restaurants").ok
    assert browser.get(f"{office}/api/restaurants").ok
    body = {"name": "Chez Léa", "timezone": "Europe/Paris"}
    made = browser.post("/restaurant/api/restaurants", json=body)
    assert made.ok, made.text
    for headers in ({"X-CSRF-Token": "wrong"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}):
        for address in ("/restaurant/api/restaurants", "/platform/api/accounts", f"{office}/restaurant/api/restaurants"):
            refused = browser.post(address, json=body, headers=headers)
            assert refused.status_code == 403 and refused.json()["code"] == "api_forged", (headers, address, refused.text)
    assert browser.post("/platform/api/auth/logout").status_code == 204
    assert not browser.cookies
    assert browser.get("/restaurant/api/restaurants").status_code == 401


def test_pages_are_served_with_their_policies(allo):
    built = (ROOT / "ui" / "dist" / "index.html").exists()
    for name in ("platform", "back_office"):
        browser = Browser(allo.addresses[name])
        assert browser.get("/admin").headers["Location"] == "/admin/"
        for path in ("/admin/", "/admin/servers", "/admin/setup"):
            page = browser.get(path)
            assert page.headers["Content-Type"].startswith("text/html")
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "same-origin"
            if not built:
                assert page.status_code == 503 and page.text.count("make ui") == 2
                continue
            assert page.status_code == 200
            nonce = re.search(r"'nonce-(\w+)'", policy)[1]
            assert nonce in page.text and "__NONCE__" not in page.text
            assert browser.get(path).headers["Content-Security-Policy"] != policy, "each page has a nonce of its own"
            assert "unsafe" not in policy and "http" not in policy
        assert browser.get("/admin/assets/none-1234.js").status_code == 404
        if built:
            script = re.search(r'src="(/admin/assets/[^"]+\.js)"', browser.get("/admin/").text)[1]
            answer = browser.get(script, headers={"Accept-Encoding": "identity"})
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Content-Type"].startswith("text/javascript")
            known = browser.get(script, headers={"Accept-Encoding": "identity", "If-None-Match": answer.headers["ETag"]})
            assert known.status_code == 304 and not known.content
            squeezed = browser.get(script, headers={"Accept-Encoding": "gzip"})
            assert squeezed.content == answer.content and squeezed.headers["ETag"] != answer.headers["ETag"]
    assert Browser(allo.addresses["platform"]).get("/").headers["Location"] == "/admin/"


def listen(browser, path, found):
    with browser.get(path, stream=True, headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        found.append(("open", {}))
        name = None
        # The server's end ends the stream.
        with contextlib.suppress(requests.RequestException):
            for line in stream.iter_lines(decode_unicode=True):
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    found.append((name, json.loads(line[6:])))


def test_servers_are_listed_ordered_and_watched(allo):
    browser = owner_of(allo)
    account = browser.post("/platform/api/accounts", json={"name": "Tilleuls", "email": "a@b.c", "isActive": True}).json()["id"]
    customer = browser.post("/platform/api/final-customers", json={"accountId": account, "name": "Chez Ada", "currency": "EUR"}).json()["id"]
    agent = {"accountId": account, "finalCustomerId": customer, "name": "Accueil", "basePrompt": "Be kind."}
    agent = browser.post("/platform/api/agents", json=agent).json()["id"]

    def row():
        rows = [one for one in browser.get("/platform/api/servers").json() if one["id"] == agent]
        return rows and rows[0]

    running = wait_for("the agent to run", lambda: (found := row()) and found["state"] == "running" and found, 30)
    assert running["customer"] == "Chez Ada" and running["mode"] == "twilio" and running["activeCalls"] == 0
    assert running["ports"]["app"] == allo.port("voice") and running["ports"]["bridge"] is None
    assert running["pids"] == [allo.process.pid] and running["uptimeSeconds"] >= 0
    looked = browser.get(f"/platform/api/servers/{agent}").json()
    assert looked["lastHealthCheck"] and looked["fault"] is None and looked["cause"] is None
    for search, expected in (("ada", 1), ("accu", 1), ("nobody", 0)):
        assert len(browser.get(f"/platform/api/servers?search={search}").json()) == expected
    found = []
    watcher = threading.Thread(target=listen, args=(browser, "/platform/api/events", found), daemon=True)
    watcher.start()
    wait_for("the stream", lambda: found)
    stopped = browser.post(f"/platform/api/servers/{agent}/stop").json()
    assert stopped["wanted"] == "stopped"
    wait_for("the agent to stop", lambda: row()["state"] == "stopped")
    assert row()["uptimeSeconds"] is None
    wait_for("its event", lambda: any(name == "server.changed" and data["id"] == agent and data["state"] == "stopped" for name, data in found))
    assert browser.post(f"/platform/api/servers/{agent}/start").ok
    wait_for("the agent to run again", lambda: row()["state"] == "running", 30)
    assert browser.post(f"/platform/api/servers/{agent}/restart").ok
    assert browser.post("/platform/api/servers/refresh").json()["agents"] >= 1
    audit = browser.get(f"/platform/api/audit?accountId={account}&entity=server").json()
    assert sorted(line["action"] for line in audit) == ["restart", "start", "stop"]

    def key(role, of=account):
        made = browser.post("/platform/api/keys", json={"accountId": of, "name": role, "role": role})
        return {"X-API-Key": made.json()["key"], "Cookie": ""}

    other = browser.post("/platform/api/accounts", json={"name": "Autre", "email": "a@b.c", "isActive": True}).json()["id"]
    for headers, seen, acts in ((key("viewer"), 200, 403), (key("operator"), 200, 200), (key("owner", other), 404, 404)):
        assert requests.get(f"{browser.base}/api/servers/{agent}", headers=headers, timeout=10).status_code == seen
        assert requests.post(f"{browser.base}/api/servers/{agent}/restart", headers=headers, timeout=10).status_code == acts
        listed = [one["id"] for one in requests.get(f"{browser.base}/api/servers", headers=headers, timeout=10).json()]
        assert (agent in listed) == (seen == 200)
    assert requests.get(f"{browser.base}/api/servers", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).ok


def test_a_restart_makes_another_link_and_a_change_of_password_ends_sessions(standin, server, folder):
    first = server(standin("tone").url, server_data_dir=folder / "one")
    old = wait_for("the link", lambda: link_of(first.output()))
    first.stop()
    second = server(standin("tone").url, server_data_dir=folder / "one")
    browser = Browser(second.addresses["platform"])
    body = {"token": old[2], "email": "lea@example.org", "password": PASSWORD}
    assert browser.post("/api/auth/first-run", json=body).status_code == 403
    browser = owner_of(second)
    other = Browser(second.addresses["platform"])
    other.enter(other.post("/api/auth/login", json={"email": "LEA@example.org", "password": PASSWORD}))
    changed = browser.post("/api/auth/password", json={"current": PASSWORD, "new": "another horse battery"})
    browser.enter(changed)
    assert browser.get("/api/auth/me").ok and other.get("/api/auth/me").status_code == 401
    second.stop()
    third = server(standin("tone").url, server_data_dir=folder / "one")
    wait_for("the server", lambda: "voice" in third.output())
    assert not link_of(third.output()), "there is an administrator"
