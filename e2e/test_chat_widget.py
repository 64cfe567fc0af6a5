"""The chat widget in Debian's Chromium, on a page of another origin, spoken to by the DevTools protocol."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest
from lib.allo import wait_for
from lib.house import House
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium")
#: Strict: no inline style, no inline script; the widget's address alone is let in.
POLICY = "default-src 'none'; script-src {base}; connect-src {base}"


class Page(http.server.BaseHTTPRequestHandler):
    def __init__(self, *arguments, base, token):
        self.base, self.token = base, token
        super().__init__(*arguments)

    def do_GET(self):
        body = f'<!doctype html><html lang="fr"><title>Les Tilleuls</title><body><script src="{self.base}/widget/chat.js" data-token="{self.token}"></script>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", POLICY.format(base=self.base))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Browser:
    """One page of Chromium; `js` evaluates an expression in it."""

    def __init__(self, folder):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}/chromium"]
        self.process = subprocess.Popen([CHROMIUM, *arguments, "about:blank"], stderr=subprocess.PIPE, text=True)
        port = next(re.search(r"ws://127\.0\.0\.1:(\d+)/", line).group(1) for line in self.process.stderr if "DevTools listening" in line)
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        import urllib.request

        def page():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as response:
                return next((tab["webSocketDebuggerUrl"] for tab in json.load(response) if tab["type"] == "page"), None)

        self.socket = connect(wait_for("a page", page, 20), max_size=None)
        self.number = 0

    def ask(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(30))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def js(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait(10)


ROOT = "document.querySelector('#allo-chat').shadowRoot"
LINES = f"[...{ROOT}.querySelectorAll('.log li')].map(li => [li.className, li.lastChild.textContent])"


@pytest.mark.skipif(not CHROMIUM, reason="Debian's chromium is not installed")
def test_a_visitor_writes_by_the_widget(standin, server, folder):
    world = House(standin, server).provision(chatEnabled=True, chatTitle="Les <b>Tilleuls</b>", chatOpenOnLoad=True)
    base = f"http://{world.allo.addresses['platform']}"
    token = world.client.get(f"/agents/{world.agent}")["publicToken"]
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Page, base=base, token=token))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    browser = Browser(folder)
    try:
        browser.ask("Page.navigate", url=f"http://localhost:{site.server_port}/")
        wait_for("the first message", lambda: browser.js(f"!!document.querySelector('#allo-chat') && {LINES}.length") == 1, 20)
        assert browser.js(f"{ROOT}.querySelector('h2').textContent") == "Les <b>Tilleuls</b>", "text, never markup"
        assert browser.js(f"getComputedStyle({ROOT}.querySelector('.toggle')).position") == "fixed", "its style passes the page's policy"
        assert browser.js(f"{ROOT}.activeElement.id") == "text"
        browser.ask("Input.insertText", text="1")
        browser.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
        wait_for("the answer", lambda: browser.js(LINES)[1:] == [["user", "1"], ["assistant", "tool tone"]], 20)
        assert world.office.to("/api/availability/check")
        browser.ask("Page.reload")
        wait_for("the chat, after a reload", lambda: browser.js(f"document.querySelector('#allo-chat') ? {LINES}.length : 0") == 3, 20)
        browser.ask("Input.insertText", text="#")
        browser.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
        wait_for("the end", lambda: browser.js(f"{ROOT}.querySelector('.again').hidden") is False, 20)
        assert browser.js(f"{ROOT}.querySelector('.note').textContent") == "La conversation est terminée."
        wait_for("the webhook", lambda: world.office.calls_ended(), 20)
    finally:
        browser.close()
        site.shutdown()
        world.close()
