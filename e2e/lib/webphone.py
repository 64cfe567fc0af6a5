"""Softphones in a browser: JsSIP and SIP.js, as their packages have them, in a page of Debian's Chromium; and the wire between it and allo, which can
be cut."""

import base64
import contextlib
import hashlib
import http.server
import pathlib
import shutil
import socket
import subprocess
import threading

from .allo import wait_for
from .certificates import CURVE, openssl
from .pages import MEASURE, PEERS, SWITCHES, UNTOUCHED, driver

PACKAGES = pathlib.Path(__file__).resolve().parents[1] / "web_phone"

#: What the tests ask of the packages; each event of theirs is kept.
PHONE = """window.phone = {
  events: [], session: null,
  note(name, cause) { this.events.push([name, cause ?? '']); },
  take(session) {
    this.session = session;
    for (const name of ['progress', 'accepted', 'confirmed', 'ended', 'failed', 'hold', 'unhold']) {
      session.on(name, (event) => this.note(name, event?.originator ? `${event.originator} ${event.cause ?? ''}`.trim() : ''));
    }
  },
  jssip({url, user, password, expires}) {
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)], uri: `sip:${user}@127.0.0.1`, password, register_expires: expires,
      connection_recovery_min_interval: 1, connection_recovery_max_interval: 2,
    });
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered', 'registrationFailed']) this.ua.on(name, (event) => this.note(name, event?.cause));
    this.ua.on('newRTCSession', ({originator, session}) => { this.note('session', originator); this.take(session); });
    this.ua.start();
  },
  how() { return {mediaConstraints: {audio: true, video: false}, pcConfig: {iceServers: []}}; },
  async sipjs({url, user, password}) {
    this.simple = new SIP.Web.SimpleUser(url, {
      aor: `sip:${user}@127.0.0.1`, media: {constraints: {audio: true, video: false}},
      delegate: {onCallAnswered: () => this.note('confirmed'), onCallHangup: () => this.note('ended'), onCallReceived: () => this.note('session', 'remote')},
      userAgentOptions: {
        authorizationUsername: user, authorizationPassword: password, logLevel: 'error',
        sessionDescriptionHandlerFactoryOptions: {iceGatheringTimeout: 500, peerConnectionConfiguration: {iceServers: []}},
      },
    });
    await this.simple.connect();
    await this.simple.register();
  },
};"""


class ServerCertificate:
    """Of a server at 127.0.0.1, that signed itself; `pin` is how Chromium is told to trust its key."""

    def __init__(self, folder):
        self.pem, self.key = pathlib.Path(folder) / "server.pem", pathlib.Path(folder) / "server.key"
        names = ("-subj", "/CN=allo", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("req", "-x509", *CURVE, "-keyout", self.key, "-out", self.pem, "-days", 2, *names)
        public = subprocess.run(["openssl", "pkey", "-in", str(self.key), "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.pin = base64.b64encode(hashlib.sha256(public).digest()).decode()

    @property
    def settings(self):
        return {"sip_wss": "127.0.0.1:0", "sip_tls_certificate": self.pem, "sip_tls_key": self.key}


class Wire:
    """A TCP wire to a port of this machine."""

    def __init__(self, port):
        self.target, self.whole, self.ends, self.lock = port, True, set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                with self.lock:
                    self.ends |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Nothing passes until `mend`."""
        self.whole = False
        with self.lock:
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self.ends.clear()

    def mend(self):
        self.whole = True

    def close(self):
        self.cut()
        self.listener.close()


class WebPhone:
    """A page with both packages. `microphone` is what it hears of its room."""

    def __init__(self, folder, pin, microphone):
        self.folder = pathlib.Path(folder)
        bundle = self.folder / "phones.js"
        tool = PACKAGES / "node_modules" / ".bin" / "esbuild"
        subprocess.run([tool, PACKAGES / "phones.mjs", "--bundle", "--format=iife", f"--outfile={bundle}", "--log-level=error"], check=True, timeout=60)
        (self.folder / "index.html").write_text("<!doctype html><meta charset=utf-8><title>phone</title><script src=phones.js></script>")
        handler = lambda *how: _Files(*how, directory=str(self.folder))  # noqa: E731
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        arguments = [
            *SWITCHES, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop",
            f"--ignore-certificate-errors-spki-list={pin}", "--autoplay-policy=no-user-gesture-required",
        ]  # fmt: skip
        self.browser = driver().chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        context = self.browser.new_context(permissions=["microphone"])
        for script in (UNTOUCHED, PEERS, PHONE):
            context.add_init_script(script)
        self.page = context.new_page()
        self.console = []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.page.goto(f"http://127.0.0.1:{self.server.server_address[1]}/index.html")

    def do(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def events(self):
        return [tuple(event) for event in self.do("phone.events")]

    def wait(self, name, cause=None, count=1, timeout=20):
        """The events so far, once one of this name (and cause) came so often."""

        def came():
            events = self.events()
            found = [event for event in events if event[0] == name and cause in (None, event[1])]
            return len(found) >= count and events

        try:
            return wait_for(f"{name} {cause or ''}", came, timeout, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.events()}; {self.console[-10:]}") from None

    def forget(self):
        self.do("() => { phone.events = []; window.heard = undefined; }")

    def jssip(self, url, user, password, expires=60):
        self.do("how => phone.jssip(how)", {"url": url, "user": user, "password": password, "expires": expires})

    def sipjs(self, url, user, password):
        self.do("how => phone.sipjs(how)", {"url": url, "user": user, "password": password})

    def call(self, to="sip:anybody@127.0.0.1"):
        self.forget()
        self.do("to => { phone.ua.call(to, phone.how()); }", to)

    def answer(self):
        self.do("() => { phone.session.answer(phone.how()); }")

    def hang_up(self):
        self.do("() => { phone.session.terminate(); }")

    def hears(self, hz, timeout=20):
        """By the browser's own analyser."""

        # Chromium hands on what a call brings once an element plays it.
        self.do("""() => {
          const track = window.peers.at(-1)?.getReceivers()[0]?.track;
          if (track && window.playing !== track) {
            window.playing = track;
            window.loudspeaker = Object.assign(new Audio(), {srcObject: new MediaStream([track])});
            window.loudspeaker.play();
          }
        }""")

        def sounds():
            heard = self.do(MEASURE)
            return abs(heard["hz"] - hz) < 25 and heard["level"] > 0.05 and heard

        try:
            return wait_for(f"{hz} Hz", sounds, timeout, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.do(MEASURE)}; {self.events()}; {self.console[-10:]}") from None

    def close(self):
        self.browser.close()
        self.server.shutdown()
        self.server.server_close()


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
