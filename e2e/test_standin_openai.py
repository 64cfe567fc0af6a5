"""The stand-in engine judged by the official `openai` package: its client talks to it, its types check every server event.

The caller's words are spoken by espeak-ng and brought to 8 kHz by sox, not by the stand-in's own synthesiser, and must be
recognised all the same.
"""

import asyncio
import base64
import json
import subprocess
import typing

import numpy
import openai
import pydantic
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent

from lib.coroutines import run as run_coroutine

FRAME = 160
SILENCE = b"\xff"
WAIT_S = 20
# What the stand-in adds on purpose, as the service may at any time.
SPRINKLED = {"x_future", "obfuscation"}
SPRINKLED_EVENTS = {"session.x_future"}
# Fields of a session that the service sends and the package's request type, which it reuses, does not list.
SESSION_FIELDS = {"id", "object", "expires_at"}

HOURS = "Bonjour, à quelle heure ouvrez-vous ce soir ?"
GOODBYE = "Merci beaucoup, bonne soirée, au revoir."
CALLER = ["-v", "fr-fr+f3", "-s", "150", "-p", "60"]
END_CALL = {"type": "function", "name": "end_call", "description": "Ends the call.", "parameters": {"type": "object", "properties": {}}}

ADAPTER = pydantic.TypeAdapter(RealtimeServerEvent)


def spoken(text, voice=CALLER):
    """A text as µ-law at 8 kHz."""
    wav = subprocess.run(["espeak-ng", *voice, "--stdin", "--stdout"], input=text.encode(), capture_output=True, check=True).stdout
    command = ["sox", "--ignore-length", "-t", "wav", "-", "-t", "raw", "-e", "u-law", "-b", "8", "-r", "8000", "-", "norm", "-3"]
    return subprocess.run(command, input=wav, capture_output=True, check=True).stdout


def unknown_fields(model, path=""):
    """Every field, at any depth, that the package's types do not have."""
    if isinstance(model, pydantic.BaseModel):
        for name in model.model_extra or {}:
            yield f"{path}.{name}"
        for name in type(model).model_fields:
            yield from unknown_fields(getattr(model, name), f"{path}.{name}")
    elif isinstance(model, (list, tuple)):
        for item in model:
            yield from unknown_fields(item, f"{path}[]")


def judge(event):
    """Fails unless the event is one of the package's, with every required field and no unknown one."""
    if event["type"] in SPRINKLED_EVENTS:
        return
    kept = {name: value for name, value in event.items() if name not in SPRINKLED}
    model = ADAPTER.validate_python(kept, strict=False)
    assert model.type == event["type"], event
    unknown = {path.rsplit(".", 1)[-1] for path in unknown_fields(model) if not path.startswith(".session.") or path.count(".") > 2}
    in_session = {path[len(".session.") :] for path in unknown_fields(model) if path.startswith(".session.") and path.count(".") == 2}
    assert not unknown, (unknown, event)
    assert in_session <= SESSION_FIELDS, (in_session, event)
    # The union is lax: the literal fields must be of the very values that the types name.
    assert not list(wrong_literals(model)), (list(wrong_literals(model)), event)


def wrong_literals(model, path=""):
    if isinstance(model, pydantic.BaseModel):
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            literals = literals_of(field.annotation)
            if literals and isinstance(value, str) and value not in literals:
                yield f"{path}.{name} = {value}"
            yield from wrong_literals(value, f"{path}.{name}")
    elif isinstance(model, (list, tuple)):
        for item in model:
            yield from wrong_literals(item, f"{path}[]")


def literals_of(annotation):
    """The values of a literal type; nothing for a type that takes any string."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    if annotation is str:
        return set()
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    found = [literals_of(part) for part in parts]
    return set().union(*found) if found and all(found) else set()


class Session:
    """A connection of the package's client; every event that comes is judged."""

    def __init__(self, connection):
        self.connection = connection
        self.seen = []

    async def event(self):
        raw = json.loads(await asyncio.wait_for(self.connection.recv_bytes(), WAIT_S))
        judge(raw)
        self.seen.append(raw)
        return raw

    async def until(self, kind, **fields):
        while True:
            event = await self.event()
            if event["type"] == kind and all(event.get(name) == value for name, value in fields.items()):
                return event
            assert kind == "error" or event["type"] != "error", event

    async def configure(self, **session):
        await self.until("session.created")
        await self.connection.session.update(session=telephone(**session))
        return await self.until("session.updated")

    async def say(self, audio, silence_ms=700):
        audio = audio + SILENCE * (-len(audio) % FRAME) + SILENCE * 8 * silence_ms
        for at in range(0, len(audio), 5 * FRAME):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(audio[at : at + 5 * FRAME]).decode())

    def kinds(self):
        return [event["type"] for event in self.seen if event["type"] not in SPRINKLED_EVENTS]

    def audio(self, item):
        deltas = [event["delta"] for event in self.seen if event["type"] == "response.output_audio.delta" and event["item_id"] == item]
        return b"".join(base64.b64decode(delta) for delta in deltas)


def telephone(**more):
    vad = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "gpt-transcribe", "language": "fr"}, "turn_detection": vad},
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
        },
        "tools": [END_CALL],
        "tool_choice": "auto",
    } | more


def run(url, conversation, key="sk-test"):
    async def main():
        base = url.removesuffix("/realtime")
        client = AsyncOpenAI(api_key=key, base_url=base.replace("ws://", "http://"), websocket_base_url=base)
        async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            await conversation(Session(connection))

    run_coroutine(asyncio.wait_for(main(), 60))


def level(audio):
    """RMS of µ-law audio."""
    code = ~numpy.frombuffer(audio, dtype=numpy.uint8)
    magnitude = (((code & 0x0F).astype(int) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return float(numpy.sqrt(numpy.mean(magnitude.astype(float) ** 2)))


def test_a_spoken_turn_is_recognised_and_answered_in_the_order_of_the_service(standin):
    async def conversation(session):
        created = await session.configure()
        assert created["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        await session.connection.response.create()
        greeting = (await session.until("response.done"))["response"]
        assert greeting["status"] == "completed" and "Tilleuls" in greeting["output"][0]["content"][0]["transcript"]
        assert level(session.audio(greeting["output"][0]["id"])) > 500
        session.seen.clear()
        await session.say(spoken(HOURS))
        transcript = await session.until("conversation.item.input_audio_transcription.completed")
        assert transcript["transcript"] == HOURS
        answer = (await session.until("response.done"))["response"]
        assert "dix-neuf heures" in answer["output"][0]["content"][0]["transcript"]
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["output_token_details"]["audio_tokens"] > 20
        wanted = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        others = {
            "response.output_audio.delta",
            "response.output_audio_transcript.delta",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        }
        assert [kind for kind in session.kinds() if kind not in others] == wanted

    run(standin("demo-fr").url, conversation)


def test_what_is_no_known_utterance_is_not_understood(standin):
    async def conversation(session):
        await session.configure()
        words = spoken(HOURS)
        garbled = bytearray(words)
        for at in range(0, len(garbled), 8 * FRAME):
            garbled[at : at + FRAME] = bytes((n * 73) % 256 for n in range(FRAME))
        for audio in [words[: len(words) // 2], words[4000:], bytes(garbled), spoken(HOURS, ["-v", "en-us", "-s", "150"])]:
            session.seen.clear()
            await session.say(audio)
            heard = await session.until("conversation.item.input_audio_transcription.completed")
            assert heard["transcript"] == "(inaudible)"
            if "response.done" not in session.kinds():
                await session.until("response.done")

    run(standin("demo-fr").url, conversation)


def test_a_function_call_goes_there_and_back(standin):
    async def conversation(session):
        await session.configure()
        await session.say(spoken(GOODBYE))
        call = await session.until("response.function_call_arguments.done")
        assert call["name"] == "end_call" and "reason" in json.loads(call["arguments"])
        done = (await session.until("response.done"))["response"]
        assert [item["type"] for item in done["output"]] == ["message", "function_call"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
        await session.connection.conversation.item.create(item=output)
        await session.until("conversation.item.done")
        await session.connection.response.create()
        assert (await session.until("response.done"))["response"]["status"] == "completed"
        await session.connection.conversation.item.create(item=output | {"call_id": "call_unknown"})
        assert (await session.until("error"))["error"]["code"] == "invalid_tool_call_id"

    run(standin("demo-fr").url, conversation)


def test_speech_interrupts_and_the_answer_is_truncated(standin):
    async def conversation(session):
        await session.configure()
        question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Et qu'y a-t-il à la carte cette semaine ?"}]}
        await session.connection.conversation.item.create(item=question)
        await session.connection.response.create()
        item = (await session.until("response.output_audio.delta"))["item_id"]
        await session.connection.response.create()
        assert (await session.until("error"))["error"]["code"] == "conversation_already_has_active_response"
        await session.say(spoken("Merci, c'est parfait, je n'en demandais pas tant."), silence_ms=100)
        await session.until("input_audio_buffer.speech_started")
        done = (await session.until("response.done"))["response"]
        assert done["status"] == "cancelled" and done["status_details"]["reason"] == "turn_detected"
        generated_ms = len(session.audio(item)) // 8
        for ms, code in [(generated_ms + 1, "invalid_value"), (generated_ms // 2, None)]:
            await session.connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=ms)
            if code:
                error = (await session.until("error"))["error"]
                assert error["code"] == code and error["param"] == "audio_end_ms"
                assert error["message"] == f"Audio content of {generated_ms}ms is already shorter than {ms}ms"
            else:
                assert (await session.until("conversation.item.truncated"))["audio_end_ms"] == ms
        await session.connection.conversation.item.retrieve(item_id=item)
        assert "transcript" not in (await session.until("conversation.item.retrieved"))["item"]["content"][0]
        await session.connection.conversation.item.truncate(item_id="item_no", content_index=0, audio_end_ms=1)
        assert (await session.until("error"))["error"]["code"] == "item_truncate_invalid_item_id"

    run(standin("demo-fr").url, conversation)


def test_a_written_conversation_is_answered_in_writing(standin):
    async def conversation(session):
        updated = await session.configure(output_modalities=["text"])
        assert updated["session"]["output_modalities"] == ["text"]
        question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Et qu'y a-t-il à la carte cette semaine ?"}]}
        await session.connection.conversation.item.create(item=question)
        await session.connection.response.create()
        done = (await session.until("response.done"))["response"]
        [item] = done["output"]
        [content] = item["content"]
        assert content["type"] == "output_text" and done["output_modalities"] == ["text"]
        deltas = [event["delta"] for event in session.seen if event["type"] == "response.output_text.delta"]
        assert "".join(deltas) == content["text"] != ""
        assert done["usage"]["output_token_details"]["audio_tokens"] == 0
        assert not [kind for kind in session.kinds() if "audio" in kind and kind.startswith("response")]

    run(standin("demo-fr").url, conversation)


def test_what_the_service_refuses_is_refused(standin):
    async def conversation(session):
        await session.configure()
        refused = [
            ({"type": "session.update", "event_id": "mine", "session": {"type": "realtime", "temperature": 0.8}}, "unknown_parameter", "session.temperature"),
            ({"type": "session.update", "session": {"instructions": "x"}}, "missing_required_parameter", "session.type"),
            ({"type": "response.cancel"}, "response_cancel_not_active", None),
            ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
            ({"type": "input_audio_buffer.append", "audio": "###"}, "invalid_value", "audio"),
            ({"type": "nonsense"}, "invalid_value", "type"),
            ({"type": "conversation.item.delete", "item_id": "item_no"}, "item_delete_invalid_item_id", "item_id"),
        ]
        for event, code, param in refused:
            await session.connection.send(event)
            error = (await session.until("error"))["error"]
            assert (error["code"], error["param"]) == (code, param), error
            assert error["event_id"] == event.get("event_id")
        assert "session.updated" not in session.kinds()[2:]

    run(standin("demo-fr").url, conversation)


def test_an_out_of_band_response_leaves_the_conversation_alone(standin):
    async def conversation(session):
        await session.configure()
        await session.connection.response.create(
            response={"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "summary"}, "instructions": 'Write "one short summary"'}
        )
        done = (await session.until("response.done"))["response"]
        assert done["conversation_id"] is None and done["metadata"] == {"topic": "summary"}
        assert done["output"][0]["content"] == [{"type": "output_text", "text": "one short summary"}]
        assert "conversation.item.added" not in session.kinds()

    run(standin("demo-fr").url, conversation)


def test_a_wrong_key_is_refused_before_the_upgrade(standin):
    async def conversation(session):
        await session.until("session.created")

    url = standin("demo-fr", key="sk-right").url
    run(url, conversation, key="sk-right")
    with pytest.raises(Exception) as refused:
        run(url, conversation, key="sk-wrong")
    assert "401" in str(refused.value) or isinstance(refused.value, openai.AuthenticationError)
