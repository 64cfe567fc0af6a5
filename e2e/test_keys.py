"""Keys by every way that telephones have: events, SIP INFO, tones; to us and from the agent. baresip sends and judges."""

import numpy as np
import pytest

from lib.allo import wait_for
from lib.audio import RATE, silence, speak
from lib.softphone import Baresip, strongest_pair

ASK = "Could you press five for me please?"
RULE = (
    f'[[utterance]]\nid = "keys"\ntext = "{ASK}"\n'
    '[[rule]]\nhears = "keys"\ncall = [{ name = "send_dtmf", arguments = { digits = "5" } }]\nthen = { text = "pressed", hz = 900, ms = 900 }\n'
)
KEYS = {"1": (697, 1209), "5": (770, 1336), "9": (852, 1477), "0": (941, 1336), "#": (941, 1477)}


def tones_of(digits, ms=120, pause=120):
    t = np.arange(RATE * ms // 1000) / RATE
    pieces = []
    for digit in digits:
        low, high = KEYS[digit]
        pieces += [(6000 * (np.sin(2 * np.pi * low * t) + np.sin(2 * np.pi * high * t))).astype(np.int16), silence(pause)]
    return np.concatenate(pieces)


def pressed(allo, sent):
    call = allo.calls()[0]
    events = [event["event"] for event in allo.events(call["id"])]
    return "".join(event["digit"] for event in events if event["type"] == "dtmf" and event["sent"] == sent)


@pytest.fixture
def telephone(folder):
    made = []

    def make(account=""):
        made.append(Baresip(folder, account=f"<sip:tester@127.0.0.1>;regint=0{account}"))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_tones_are_heard_and_sent(standin, server, telephone):
    allo = server(standin("tone", more=RULE).url, line_dtmf="inband")
    caller = telephone().dial(f"sip:allo@127.0.0.1:{allo.udp}")
    caller.wait_tone(440, 2000, 15)
    caller.say(tones_of("1590#"))
    wait_for("the keys", lambda: pressed(allo, False) == "1590#", 15)
    caller.say_for(speak(ASK), 900)
    assert pressed(allo, True) == "5"
    assert strongest_pair(caller.samples(), *KEYS["5"]), "the tones of the key were not heard"
    # What was said in words is no key.
    assert pressed(allo, False) == "1590#"


def test_info_is_sent(standin, server, telephone):
    allo = server(standin("tone", more=RULE).url, line_dtmf="info")
    caller = telephone().dial(f"sip:allo@127.0.0.1:{allo.udp}")
    caller.wait_tone(440, 2000, 15)
    caller.say_for(speak(ASK), 900)
    assert caller.event("CALL_DTMF_START")["param"] == "5"
    assert "application/dtmf-relay" in caller.output()
