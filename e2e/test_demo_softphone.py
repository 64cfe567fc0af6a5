"""`allo demo` as a new user meets it: the scripted call, then a softphone calls the address that it prints, then Ctrl+C."""

import re
import signal
import tomllib

import numpy as np
import pytest

from lib.allo import BINARY, ROOT, Process, clean_environment, only_expected_log_lines, wait_for
from lib.audio import FRAME, read_wav, rms, speak
from lib.softphone import Baresip

SCENARIO = tomllib.loads((ROOT / "assets" / "scenarios" / "bella-fr.toml").read_text())


def line(utterance):
    return next(row["text"] for row in SCENARIO["utterance"] if row["id"] == utterance)


def answer(utterance):
    return next(row["say"] for row in SCENARIO["rule"] if row.get("hears") == utterance)


def spoken(text, who):
    voice = SCENARIO[f"{who}_voice"]
    return speak(text, voice["name"], voice["words_per_minute"], voice["pitch"])


def envelope(samples):
    return np.array([rms(samples[i : i + FRAME]) for i in range(0, len(samples) - FRAME, FRAME)])


def likeness(heard, expected):
    """How alike the level of what was heard and of the expected sentence are at the best place: 1 is the same, silence and other sentences are far below."""
    heard, expected = envelope(heard), envelope(expected)
    if len(heard) < len(expected):
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(heard, len(expected))
    windows = windows - windows.mean(axis=1, keepdims=True)
    expected = expected - expected.mean()
    norms = np.sqrt((windows**2).sum(axis=1)) * np.sqrt((expected**2).sum())
    return float((windows @ expected / np.maximum(norms, 1e-6)).max())


@pytest.fixture
def demo(folder):
    process = Process([BINARY, "demo", "--data-dir", folder / "data"], folder, "demo", clean_environment())
    yield process
    process.stop()


@pytest.fixture
def baresip(folder):
    telephone = Baresip(folder)
    yield telephone
    telephone.stop()


def test_a_softphone_calls_the_address_that_the_demo_prints(folder, demo, baresip):
    # Once for the scripted call, and once for whoever wants to call afterwards.
    address = wait_for("the address", lambda: re.findall(r"sip:\+33353010042@[\w.:\[\]]+", demo.output())[1:] or ended(demo), 110, 0.1)[0]
    baresip.dial(address)
    baresip.event("CALL_ESTABLISHED")

    def hears(text):
        expected = spoken(text, "agent")
        wait_for(f"{text!r} at the softphone", lambda: likeness(baresip.samples(), expected) > 0.85, 25, 0.3)

    hears(SCENARIO["agent"]["greeting"])
    utterance = SCENARIO["utterance"][0]["id"]
    baresip.say(spoken(line(utterance), "caller"))
    hears(answer(utterance))
    baresip.say(spoken(line("goodbye"), "caller"))
    hears(answer("goodbye"))
    baresip.event("CALL_CLOSED", 15)
    assert likeness(baresip.samples(), spoken(answer("change"), "agent")) < 0.7, "the judge does not tell sentences apart"
    wait_for("the call in the demo's transcript", lambda: demo.output().count(line("goodbye")) >= 2, 5)
    assert demo.alive()
    assert demo.stop(how=signal.SIGINT, timeout=10) == 0, demo.log()
    assert "panicked" not in demo.log() and not only_expected_log_lines(demo.log()), demo.log()


def ended(demo):
    if not demo.alive():
        raise AssertionError(f"the demo ended: {demo.output()}{demo.log()}")
