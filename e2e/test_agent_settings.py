"""Every setting of an agent's engine, written through the API, as it arrives at the engine: judged by the types of the official packages
(`openai`: strictly, by crates/wire/tests/judge_openai.py; `google-genai`: as e2e/test_gemini.py does).
"""

import json
import sys
from pathlib import Path

from lib.allo import known_to_calls
from lib.provisioning import Client
from lib.sipp import Script
from lib.wiretap import Wiretap
from test_gemini import KEY, faults_of_client, gemini

sys.path.insert(0, str(Path(__file__).parent.parent / "crates" / "wire" / "tests"))
from judge_openai import client_faults  # noqa: E402

VAD = {"type": "server_vad", "threshold": 0.7, "prefixPaddingMs": 240, "silenceDurationMs": 640}
INPUT, OUTPUT = ("audio", "input"), ("audio", "output")
#: What is written, and (place in the session, value) that must arrive.
SETTINGS = [
    ({}, []),
    ({"model": "gpt-realtime-mini"}, []),
    ({"voice": "cedar"}, [((*OUTPUT, "voice"), "cedar")]),
    ({"speed": 1.25}, [((*OUTPUT, "speed"), 1.25)]),
    ({"turnDetection": VAD}, [((*INPUT, "turn_detection", "threshold"), 0.7), ((*INPUT, "turn_detection", "prefix_padding_ms"), 240),
                              ((*INPUT, "turn_detection", "silence_duration_ms"), 640)]),
    ({"turnDetection": VAD | {"idleTimeoutMs": 9000}}, [((*INPUT, "turn_detection", "idle_timeout_ms"), 9000)]),
    ({"turnDetection": {"createResponse": False}}, [((*INPUT, "turn_detection", "create_response"), False)]),
    ({"turnDetection": {"interruptResponse": False}}, [((*INPUT, "turn_detection", "interrupt_response"), False)]),
    ({"turnDetection": {"type": "none"}}, [((*INPUT, "turn_detection"), None)]),
    *[({"turnDetection": {"type": "semantic_vad", "eagerness": value}}, [((*INPUT, "turn_detection", "type"), "semantic_vad"), ((*INPUT, "turn_detection", "eagerness"), value)])
      for value in ("low", "medium", "high", "auto")],
    *[({"noiseReduction": value}, [((*INPUT, "noise_reduction", "type"), value)]) for value in ("near_field", "far_field")],
    ({"noiseReduction": "none"}, [((*INPUT, "noise_reduction"), None)]),
    ({"transcription": {"model": "gpt-4o-transcribe", "language": "fr", "prompt": "Pizza, réservation"}},
     [((*INPUT, "transcription", "model"), "gpt-4o-transcribe"), ((*INPUT, "transcription", "language"), "fr"), ((*INPUT, "transcription", "prompt"), "Pizza, réservation")]),
    ({"transcription": {"disabled": True}}, [((*INPUT, "transcription"), None)]),
    *[({"model": "gpt-realtime-2", "reasoningEffort": value}, [(("reasoning", "effort"), value)]) for value in ("minimal", "low", "medium", "high", "xhigh")],
    ({"maxOutputTokens": 900}, [(("max_output_tokens",), 900)]),
]  # fmt: skip
#: The flat fields of the contract.
FLAT = [
    ({"aiVoice": "sage"}, [((*OUTPUT, "voice"), "sage")]),
    ({"vadThreshold": 0.55, "vadSilenceMs": 700, "vadPrefixPaddingMs": 200},
     [((*INPUT, "turn_detection", "threshold"), 0.55), ((*INPUT, "turn_detection", "silence_duration_ms"), 700), ((*INPUT, "turn_detection", "prefix_padding_ms"), 200)]),
    ({"tools": [{"name": "lookup", "description": "Looks up.", "parameters": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
                 "http": {"method": "GET", "url": "https://example.com/"}}]}, [(("tools", 0, "name"), "lookup")]),
]  # fmt: skip


def at(value, path):
    """What is there; a member that is left out is as good as none."""
    for step in path:
        if isinstance(value, list):
            value = value[step]
        else:
            value = (value or {}).get(step)
    return value


def number(place):
    return f"+339777{place:05}"


def agents(client, written):
    account = client.account("Réglages")
    for place, (settings, _) in enumerate(written):
        agent = client.post("/agents", {"accountId": account, "name": f"Agent {place}", "basePrompt": f"Be kind, number {place}.", "isActive": True, "preCallChecks": []} | settings)
        client.post(f"/agents/{agent['id']}/phone-lines", {"phoneNumber": number(place), "provider": "sip", "isActive": True})
    # The last one is known to the telephone side, and with it all.
    known_to_calls(lambda query: client.get(f"/admin/route?{query}"), account, number(place), agent["id"])


def called(allo, sipp, peer, tap, place):
    """One call of a number; what the engine was sent in it."""
    before = len(tap.sessions)
    phone = sipp(Script(f"settings-{place}").call().pause(300).bye(), allo, peer, service=number(place))
    phone.wait(30)
    allo.idle()
    events = [event for session in tap.sessions[before:] for by_allo, event in session.events if by_allo]
    assert f"Be kind, number {place}." in json.dumps(events), f"the engine was not asked for this agent in call {place}"
    return events


def test_each_setting_reaches_openai_in_its_own_words(standin, server, sipp, peer):
    tap = Wiretap(standin("tone").url)
    allo = server(tap.url, platform_listen="127.0.0.1:0", platform_unauthenticated="true", platform_rate_per_s=10_000)
    written = [({"engine": engine}, expected) for engine, expected in SETTINGS] + FLAT
    client = Client(f"http://{allo.addresses['platform']}")
    agents(client, written)
    try:
        for place, (settings, expected) in enumerate(written):
            events = called(allo, sipp, peer, tap, place)
            wrong = [(fault, event) for event in events for fault in client_faults(event)]
            assert not wrong, (settings, wrong[:3])
            [session, *_] = [event["session"] for event in events if event["type"] == "session.update"]
            for path, value in expected:
                assert at(session, path) == value, (settings, path, session)
    finally:
        tap.close()


DETECTION = ("realtimeInputConfig", "automaticActivityDetection")
GEMINI = [
    ({}, []),
    ({"voice": "Kore"}, [(("generationConfig", "speechConfig", "voiceConfig", "prebuiltVoiceConfig", "voiceName"), "Kore")]),
    ({"turnDetection": VAD}, [((*DETECTION, "silenceDurationMs"), 640)]),
    ({"turnDetection": {"type": "none"}}, [((*DETECTION, "disabled"), True)]),
    *[({"turnDetection": {"type": "semantic_vad", "eagerness": value}}, []) for value in ("low", "medium", "high", "auto")],
    ({"transcription": {"disabled": True}}, [(("inputAudioTranscription",), None)]),
    *[({"reasoningEffort": value}, []) for value in ("minimal", "low", "medium", "high", "xhigh")],
    ({"maxOutputTokens": 900}, [(("generationConfig", "maxOutputTokens"), 900)]),
    # What Gemini has no word for is left out.
    ({"speed": 1.25, "noiseReduction": "near_field"}, []),
]  # fmt: skip


def test_each_setting_reaches_gemini_in_its_own_words(standin, server, sipp, peer):
    tap = Wiretap(standin("tone", key=KEY, dialect="gemini").url)
    allo = gemini(server, tap, platform_listen="127.0.0.1:0", platform_unauthenticated="true", platform_rate_per_s=10_000)
    client = Client(f"http://{allo.addresses['platform']}")
    agents(client, [({"engine": engine}, expected) for engine, expected in GEMINI])
    try:
        for place, (settings, expected) in enumerate(GEMINI):
            events = called(allo, sipp, peer, tap, place)
            wrong = [(fault, event) for event in events for fault in faults_of_client(event)]
            assert not wrong, (settings, wrong[:3])
            [setup, *_] = [event["setup"] for event in events if "setup" in event]
            for path, value in expected:
                assert at(setup, path) == value, (settings, path, setup)
    finally:
        tap.close()
