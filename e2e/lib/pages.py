"""The pages in Debian's Chromium, by Playwright: every fault of a page (an error of its console, a request to another host, a missing
text) fails the test that meets it."""

import atexit
import pathlib
import re
import shutil
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WORDS = {"fr": ("Adresse électronique", "Se connecter"), "en": ("E-mail address", "Log in")}


# Two cores are shared by all tests.
GIVE_UP_MS = 60_000
expect.set_options(timeout=GIVE_UP_MS)

_driver = []


def driver():
    """Playwright's driver, one a process: it cannot be begun twice."""
    if not _driver:
        _driver.append(sync_playwright().start())
        atexit.register(_driver[0].stop)
    return _driver[0]


# Chromium's own treatment of a voice changes a synthetic one: a recorded file is to arrive as it was recorded.
UNTOUCHED = """const media = navigator.mediaDevices, take = media?.getUserMedia.bind(media);
if (take) media.getUserMedia = () => take({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1}});
// Larger buffers: a machine that is busy with other tests drops none of it.
window.AudioContext = class extends AudioContext { constructor(options) { super({...options, latencyHint: 'playback'}); } };"""


#: The connections of the page, to listen at them.
PEERS = """window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection { constructor(...how) { super(...how); window.peers.push(this); } };"""
#: Level and frequency of what the last of them brings, by the browser's own analyser.
MEASURE = """() => {
  const track = window.peers.at(-1)?.getReceivers()[0]?.track;
  if (!track) return {level: 0, hz: 0};
  if (window.heard !== track) {
    window.heard = track;
    const context = new AudioContext(), ear = window.ear = context.createAnalyser();
    ear.fftSize = 8192;
    context.createMediaStreamSource(new MediaStream([track])).connect(ear);
  }
  const ear = window.ear, wave = new Float32Array(ear.fftSize), bins = new Float32Array(ear.frequencyBinCount);
  ear.getFloatTimeDomainData(wave); ear.getFloatFrequencyData(bins);
  let best = 0; for (let n = 1; n < bins.length; n++) if (bins[n] > bins[best]) best = n;
  return {level: Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length), hz: best * ear.context.sampleRate / ear.fftSize};
}"""


class Browser:
    """`clicks` counts what a hand does: presses of the mouse. `untouched`: the microphone's file is not treated as a voice. `script` is run
    before those of each page."""

    def __init__(self, base, folder, language="fr", dark=False, width=1440, microphone=None, untouched=False, script=""):
        self.base, self.folder, self.language, self.width, self.clicks = base, folder, language, width, 0
        self.faults, self.expected = [], []
        hearing = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
        # A browser that speaks is paced as a call is; the others leave the two cores to the calls of the tests beside them.
        binary = shutil.which("chromium") if microphone else str(pathlib.Path(__file__).parent / "chromium")
        self._browser = driver().chromium.launch(executable_path=binary, args=SWITCHES + hearing)
        self.context = self._browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844}, color_scheme="dark" if dark else "light",
            locale="fr-FR" if language == "fr" else "en-GB", has_touch=width < 600, timezone_id="Europe/Paris", permissions=["microphone"] if microphone else [],
        )
        self.context.set_default_timeout(GIVE_UP_MS)
        self.context.expose_binding("countPress", lambda _: self._pressed())
        # At the document: a press that Playwright takes back, because something else came to be there, goes no further than the window.
        self.context.add_init_script("document.addEventListener('pointerdown', event => event.isTrusted && countPress(), true)")
        if untouched:
            self.context.add_init_script(UNTOUCHED)
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self._watch(self.page)

    def _watch(self, page):
        own = urlsplit(self.base).netloc

        def console(message):
            if message.type in ("error", "warning"):
                self.faults.append(f"console: {message.text} ({message.location.get('url')})")

        def request(asked):
            parts = urlsplit(asked.url)
            if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != own:
                self.faults.append(f"a request to another house: {asked.url}")

        page.on("console", console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", request)

    def _pressed(self):
        self.clicks += 1

    def log_in(self, address, password):
        email, submit = WORDS[self.language]
        self.page.goto(f"{self.base}/admin/login")
        self.page.get_by_label(email).fill(address)
        self.page.locator("input[type=password]").fill(password)
        self.page.get_by_role("button", name=submit).click()
        self.page.wait_for_url("**/admin/live")
        # Whether somebody is logged in is asked before the log-in too: that answer is 401.
        self.faults = [fault for fault in self.faults if "401" not in fault]
        return self

    def open(self, path):
        self.page.goto(f"{self.base}/admin{path}")
        expect(self.page.locator("h1").first).to_be_visible()
        return self.page

    def settled(self):
        """Nothing is being loaded any more."""
        expect(self.page.get_by_role("status", name=re.compile("Chargement|Loading"))).to_have_count(0)
        self.page.wait_for_load_state("domcontentloaded")

    def shown(self, selector):
        """It is there whole: what is still being faded in has the contrast of neither of its ends."""
        self.page.wait_for_function(
            """selector => { for (let it = document.querySelector(selector); it; it = it.parentElement) {
                if (getComputedStyle(it).opacity !== '1' || it.getAnimations().some(one => one.playState === 'running')) return false;
            } return document.querySelector(selector) !== null; }""",
            arg=selector,
        )

    def shot(self, name):
        path = self.folder / "screenshots" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        self.page.screenshot(path=path, full_page=True)
        return path

    def accessible(self, within=None):
        """Findings of axe-core that are serious or critical, on the whole page or within one element of it."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        # A notice that fades in or out has the colours of a moment.
        self.page.evaluate(
            """() => Promise.race([
                Promise.allSettled(document.getAnimations().filter((one) => one.effect?.getComputedTiming().iterations !== Infinity).map((one) => one.finished)),
                new Promise((done) => setTimeout(done, 3000)),
            ])"""
        )
        # Without `preload`: it would bring styles into the page, which its policy refuses.
        found = self.page.evaluate("within => axe.run(within ?? document, {resultTypes: ['violations'], preload: false})", within)
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}" for one in serious for node in one["nodes"][:3]]

    def no_faults(self):
        left = [fault for fault in self.faults if not any(re.search(pattern, fault) for pattern in self.expected)]
        assert not left, "\n".join(left)

    def close(self):
        self.context.close()
        self._browser.close()


def browsing(house, usual):
    """A fixture: `browse(role=usual, **how)` is a browser with that role logged in at the fixture `house`. Its faults are those of the test."""

    @pytest.fixture
    def browse(request, folder):
        there, made = request.getfixturevalue(house), []

        def make(role=usual, **how):
            made.append(Browser(there.base, folder, **how))
            return made[-1].log_in(*there.users[role])

        yield make
        for browser in made:
            browser.close()
        for browser in made:
            browser.no_faults()

    return browse


__all__ = ["MEASURE", "PEERS", "SWITCHES", "UNTOUCHED", "Browser", "browsing", "driver", "expect"]
