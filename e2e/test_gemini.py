"""Gemini Live: what allo and the stand-in send, judged by the official `google-genai` package; calls on it, heard by their caller."""

import asyncio
import json
import os
import pathlib
import subprocess
import time

import pytest
import websockets
from google import genai
from google.genai import types

from lib.allo import wait_for
from lib.audio import speak, tone
from lib.coroutines import run as run_coroutine
from lib.sipp import Script
from test_openai_judge import cargo_example

MODEL = "gemini-3.8-live"
KEY = "gemini-key-of-the-stand-in"
TOOL = '[[utterance]]\nid = "keys"\ntext = "Could you press five for me please?"\n[[rule]]\nhears = "keys"\ncall = [{ name = "send_dtmf", arguments = { digits = "5" } }]\nthen = { text = "pressed", hz = 900, ms = 900 }\n'


def faults_of_client(message):
    """What the package's types refuse in a message of allo; they forbid every name that they do not know."""
    message = json.loads(json.dumps(message))
    setup = message.get("setup", {})
    # The one member that the package's setup type lacks, although its own converter writes it there.
    realtime = setup.pop("realtimeInputConfig", None)
    try:
        types.LiveClientMessage.model_validate(message)
        if realtime is not None:
            types.RealtimeInputConfig.model_validate(realtime)
    except Exception as error:  # noqa: BLE001  any refusal is a fault
        return [str(error)]
    return [fault for fault in wrong_enumerations(message, realtime)]


def wrong_enumerations(message, realtime):
    """The package takes any word for an enumeration; the service does not."""
    known = {
        "responseModalities": {one.value for one in types.Modality},
        "thinkingLevel": {one.value for one in types.ThinkingLevel},
        "startOfSpeechSensitivity": {one.value for one in types.StartSensitivity},
        "endOfSpeechSensitivity": {one.value for one in types.EndSensitivity},
        "activityHandling": {one.value for one in types.ActivityHandling},
    }

    def walk(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in known:
                    words = inner if isinstance(inner, list) else [inner]
                    yield from (f"{name} = {word}" for word in words if word not in known[name])
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    yield from walk(message)
    yield from walk(realtime)


@pytest.mark.timeout(600)
def test_every_message_of_allo_is_accepted_without_an_unknown_name():
    planted = [
        {"setup": {"model": "m", "temperature": 1}},
        {"setup": {"model": "m", "realtimeInputConfig": {"threshold": 1}}},
        {"setup": {"model": "m", "generationConfig": {"responseModalities": ["SONG"]}}},
        {"realtimeInput": {"sound": {}}},
        {"response": {}},
    ]
    assert all(faults_of_client(message) for message in planted), "the judge let planted faults pass"
    messages = [json.loads(line) for line in cargo_example("gemini_messages").splitlines()]
    assert len(messages) > 100
    wrong = [(fault, message) for message in messages for fault in faults_of_client(message)]
    assert not wrong, wrong[:5]
    kinds = {next(iter(message)) for message in messages}
    assert kinds == {"setup", "clientContent", "realtimeInput", "toolResponse"}
    inputs = {name for message in messages for name in message.get("realtimeInput", {})}
    assert inputs == {"audio", "text", "audioStreamEnd", "activityStart", "activityEnd"}
    answers = [message["toolResponse"]["functionResponses"] for message in messages if "toolResponse" in message]
    assert all([a["id"] for a in answer] == ["c1", "c2"] for answer in answers), "parallel calls are answered in one message"


def client(url, key=KEY):
    base = url.split("/ws/")[0]
    made = genai.Client(api_key=key, http_options={"base_url": base.replace("ws://", "http://"), "api_version": "v1beta"})
    # The package knows no service without TLS.
    made._api_client._websocket_base_url = lambda *_: base
    made._api_client._websocket_ssl_ctx = {}
    return made


def pcm16(text):
    """A text as linear audio at 16 kHz, made by espeak-ng and sox."""
    wav = subprocess.run(["espeak-ng", "-v", "en-us+f3", "-s", "150", "-p", "60", "--stdin", "--stdout"], input=text.encode(), capture_output=True, check=True).stdout
    command = ["sox", "--ignore-length", "-t", "wav", "-", "-t", "raw", "-e", "signed", "-b", "16", "-r", "16000", "-", "norm", "-3"]
    return subprocess.run(command, input=wav, capture_output=True, check=True).stdout


async def say(session, text):
    sound = pcm16(text) + bytes(32 * 1200)
    for at in range(0, len(sound), 3200):
        await session.send_realtime_input(audio=types.Blob(data=sound[at : at + 3200], mime_type="audio/pcm;rate=16000"))


async def turn(session, seen):
    """Messages up to the end of the model's turn, or to a tool call."""
    heard, said, audio = "", "", b""
    async for message in session.receive():
        seen.append(message)
        if message.tool_call:
            return heard, said, audio, message.tool_call.function_calls
        content = message.server_content
        if content and content.input_transcription:
            heard += content.input_transcription.text or ""
        if content and content.output_transcription:
            said += content.output_transcription.text or ""
        if message.data:
            audio += message.data
    return heard, said, audio, []


CONFIG = {
    "response_modalities": ["AUDIO"],
    "input_audio_transcription": {},
    "output_audio_transcription": {},
    "session_resumption": {},
    "system_instruction": "Be kind.",
    "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Puck"}}},
    "realtime_input_config": {"automatic_activity_detection": {"silence_duration_ms": 500}},
    "tools": [{"function_declarations": [{"name": name, "description": "x", "parameters": {"type": "OBJECT", "properties": {}}} for name in ("send_dtmf", "end_call")]}],
}


@pytest.mark.timeout(120)
def test_the_packages_own_client_talks_to_the_stand_in(standin):
    engine = standin("tone", key=KEY, dialect="gemini", more=TOOL)

    async def main():
        seen = []
        async with client(engine.url).aio.live.connect(model=MODEL, config=CONFIG) as session:
            await session.send_realtime_input(text="Greet the caller.")
            _, said, audio, _ = await turn(session, seen)
            assert said == "greeting tone" and len(audio) == 2000 * 48
            await say(session, "Could you press five for me please?")
            heard, _, _, calls = await turn(session, seen)
            assert heard == "Could you press five for me please?" and calls[0].name == "send_dtmf" and calls[0].args == {"digits": "5"}
            await session.send_tool_response(function_responses=[types.FunctionResponse(id=calls[0].id, name=calls[0].name, response={"ok": True})])
            _, said, audio, _ = await turn(session, seen)
            assert said == "pressed" and len(audio) == 900 * 48
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Please tell me a very long story."}]})
            async for message in session.receive():
                if message.data:
                    break
            await say(session, "Thank you, that is quite enough.")
            _, said, _, _ = await turn(session, seen)
            _, said, _, _ = await turn(session, seen)
            assert said == "as you wish", said
        handles = [m.session_resumption_update.new_handle for m in seen if m.session_resumption_update]
        usage = [m.usage_metadata for m in seen if m.usage_metadata]
        assert handles and usage and usage[-1].total_token_count > 0
        resumed = {**CONFIG, "session_resumption": {"handle": handles[-1]}}
        async with client(engine.url).aio.live.connect(model=MODEL, config=resumed) as session:
            await session.send_realtime_input(text="Greet the caller.")
            _, said, _, _ = await turn(session, [])
            assert said == "reprompt tone", "it knows that it has greeted already"

    run_coroutine(asyncio.wait_for(main(), 90))


@pytest.mark.timeout(60)
def test_what_the_stand_in_sends_is_of_the_packages_types_and_what_it_refuses_closes(standin):
    engine = standin("tone", key=KEY, dialect="gemini", replace=[("sprinkle = true", "sprinkle = true\nsession_ms_max = 4000")])

    async def main():
        url = f"{engine.url}?key={KEY}"
        kinds = set()
        async with websockets.connect(url) as socket:
            await socket.send(json.dumps({"setup": {"model": f"models/{MODEL}", "generationConfig": {"responseModalities": ["AUDIO"]}, "sessionResumption": {}, "outputAudioTranscription": {}}}))
            await socket.send(json.dumps({"realtimeInput": {"text": "Hello"}}))
            try:
                async for raw in socket:
                    assert isinstance(raw, bytes), "the service sends JSON in binary frames"
                    message = json.loads(raw)
                    types.LiveServerMessage.model_validate(message)
                    kinds |= set(message) | set(message.get("serverContent", {}))
            except websockets.ConnectionClosed as closed:
                assert closed.rcvd.code == 1011
        assert {"setupComplete", "goAway", "usageMetadata", "sessionResumptionUpdate", "modelTurn", "generationComplete", "turnComplete", "outputTranscription"} <= kinds
        refused = [
            ({"setup": {"model": "m", "voice": "x"}}, 1007, "Unknown name \"voice\" at 'setup'"),
            ({"realtimeInput": {"text": "x"}}, 1007, "setup must be the first message"),
            ({"setup": {"model": "m", "sessionResumption": {"handle": "no"}}}, 1008, "not found"),
        ]
        for message, code, reason in refused:
            async with websockets.connect(url) as socket:
                await socket.send(json.dumps(message))
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await asyncio.wait_for(socket.recv(), 5)
                assert closed.value.rcvd.code == code and reason in closed.value.rcvd.reason
        async with websockets.connect(f"{engine.url}?key=wrong") as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
            assert closed.value.rcvd.code == 1007 and "API key not valid" in closed.value.rcvd.reason

    run_coroutine(asyncio.wait_for(main(), 50))


def gemini(server, engine, **settings):
    return server(engine.url, engine_provider="gemini", engine_api_key=KEY, agent_voice="Puck", engine_transcription_model="on", **settings)


def notes(allo, call_id, name):
    return [e for e in allo.events(call_id) if e["event"].get("name") == name]


@pytest.mark.timeout(120)
def test_a_call_on_gemini_from_greeting_to_goodbye(standin, server, sipp, peer):
    engine = standin("tone", key=KEY, dialect="gemini", more=TOOL)
    allo = gemini(server, engine)
    phone = sipp(Script("gemini").call().until_bye(), allo, peer)
    _, ms, _ = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2020, "the greeting is as long here as at the engine"
    # A tool call: the key reaches the caller's side, and the model goes on by itself.
    peer.say(speak("Could you press five for me please?"))
    hz, ms, _ = peer.wait_tone(900, 800, ended=True, timeout=20)
    assert abs(hz - 900) < 8 and 880 <= ms <= 920
    # Barge-in: a long story is cut, and what was said is answered.
    peer.say(speak("Please tell me a very long story."))
    story = peer.wait_tone(700, 1500, timeout=20)
    peer.say(speak("Thank you, that is quite enough."), "enough")
    peer.wait_tone(800, 700, ended=True, timeout=20)
    cut = next(stretch for stretch in peer.stretches() if stretch[0] is story[2][0])
    assert cut[-1].at - peer.said_at("enough") < 1.0, "the story ended soon after the caller began"
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert abs(peer.tones()[-1][0] - 660) < 8 and 1480 <= peer.tones()[-1][1] <= 1540, "the goodbye is whole"
    call = allo.ended_call()
    assert (call["endReason"], call["endedBy"]) == ("agent_hung_up", "agent")
    record = json.dumps(allo.call(call["id"]))
    for words in ["greeting tone", "Could you press five for me please?", "Thank you, that is quite enough.", "goodbye and thank you"]:
        assert words in record, words
    served = [e for e in allo.events(call["id"]) if MODEL in json.dumps(e)]
    assert served, "the journal tells which engine served"
    assert not notes(allo, call["id"], "conversation.item.truncated")


@pytest.mark.timeout(120)
def test_a_connection_that_goes_away_is_replaced_in_the_call(standin, server, sipp, peer):
    engine = standin("tone", key=KEY, dialect="gemini", replace=[("sprinkle = true", "sprinkle = true\nsession_ms_max = 9000")])
    allo = gemini(server, engine, agent_idle_reprompt_s=0)
    phone = sipp(Script("goaway").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    call_id = allo.calls()[0]["id"]
    ready = lambda: [e for e in allo.events(call_id) if e["event"]["type"] == "engine_state" and "ready" in json.dumps(e["event"]).lower()]  # noqa: E731
    wait_for("a second session", lambda: len(ready()) >= 2, 20)
    assert notes(allo, call_id, "goAway")
    assert not [e for e in allo.events(call_id) if e["event"].get("state") == "lost"]
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert abs(peer.tones()[-1][0] - 660) < 8
    assert allo.ended_call()["endReason"] == "agent_hung_up"


@pytest.mark.timeout(120)
@pytest.mark.allowed_log("engine", "fallback")
def test_a_second_engine_serves_when_the_first_refuses(standin, server, sipp, peer):
    first = standin("tone", key="another-key")
    second = standin("tone", key=KEY, dialect="gemini")
    allo = server(first.url, engine_fallback_provider="gemini", engine_fallback_url=second.url, engine_fallback_api_key=KEY)
    phone = sipp(Script("fallback").call().until_bye(), allo, peer)
    _, ms, _ = peer.wait_tone(440, 1900, ended=True)
    assert 1980 <= ms <= 2020
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    assert MODEL in json.dumps(allo.events(call["id"]))


@pytest.mark.timeout(120)
@pytest.mark.allowed_log("engine", "fallback")
def test_a_second_engine_takes_over_in_the_middle(standin, server, sipp, peer):
    # The first one breaks while it tells a story, and is not there any more.
    broken = '[[fault]]\non = "response"\nat = 2\naction = "abort"\nms = 1500\n[[fault]]\non = "connect"\nconnection = 2\naction = "status"\nstatus = 503\n[[fault]]\non = "connect"\nconnection = 3\naction = "status"\nstatus = 503\n'
    first = standin("tone", more=broken)
    second = standin("tone", key=KEY, dialect="gemini")
    allo = server(first.url, engine_fallback_provider="gemini", engine_fallback_url=second.url, engine_fallback_api_key=KEY)
    phone = sipp(Script("takeover").call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Please tell me a very long story."))
    story = peer.wait_tone(700, 500, timeout=20)
    # It was told what was said, and takes up the conversation.
    peer.wait_tone(500, 500, ended=True, timeout=20, after=story[2][0].at)
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    call = allo.ended_call()
    assert call["endReason"] == "agent_hung_up"
    told = json.dumps(allo.events(call["id"]))
    assert MODEL in told and "gpt-realtime-2.1" in told


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dialect, voice", [("azure", "marin"), ("xai", "eve")])
def test_a_call_on_a_compatible_service(standin, server, sipp, peer, dialect, voice):
    engine = standin("tone", key=KEY, dialect=dialect)
    allo = server(engine.url, engine_provider=dialect, engine_api_key=KEY, engine_model="voice-deployment", agent_voice=voice)
    phone = sipp(Script(dialect).call().until_bye(), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert abs(peer.tones()[-1][0] - 660) < 8
    assert allo.ended_call()["endReason"] == "agent_hung_up"


@pytest.mark.timeout(120)
def test_linear_audio_to_openai_is_heard_and_measured_as_g711_is(standin, server, sipp, peer):
    engine = standin("barge_in")
    allo = server(engine.url, engine_audio="linear")
    phone = sipp(Script("linear").call().until_bye(), allo, peer)
    _, ms, _ = peer.wait_tone(440, 900, ended=True)
    assert 990 <= ms <= 1010
    peer.say(tone(1200, 300), "first")
    story = peer.wait_tone(700, 1000, timeout=20)
    peer.say(tone(1200, 300), "second")
    call_id = allo.calls()[0]["id"]
    truncated = wait_for("the truncation", lambda: notes(allo, call_id, "conversation.item.truncated"), 10)
    told = int(truncated[0]["event"]["detail"])
    stretch = wait_for("the story's end", lambda: next((s for s in peer.stretches() if s[0] is story[2][0] and time.monotonic() - s[-1].at > 0.3), None), 5)
    heard = ((stretch[-1].timestamp - stretch[0].timestamp) & 0xFFFFFFFF) // 8 + len(stretch[-1].samples) // 8
    assert abs(told - heard) <= 20, (told, heard)
    # The story that answers the second tone is cut by the goodbye.
    peer.wait_tone(700, 300, timeout=20, after=stretch[-1].at)
    peer.say(speak("Thank you very much, goodbye."))
    phone.wait()
    assert allo.ended_call()["endReason"] == "agent_hung_up"
