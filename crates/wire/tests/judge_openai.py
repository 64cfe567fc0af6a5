"""Judges the realtime messages of allo by the types of the official `openai` package.

    judge_openai.py client            reads client events (JSON lines) and checks each one strictly
    judge_openai.py generate          prints every server event that the package can produce (JSON lines)
    judge_openai.py server GENERATED OUTCOMES
                                      checks what `examples/server_events.rs` made of the generated ones

Strictly means: at every depth no field that the type does not have, no required one missing, no value
outside its literal or of another kind. The package itself accepts extra fields; the service does not.
"""

import collections.abc
import json
import sys
import types
import typing

import pydantic
import typing_extensions
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam

# Server events that need no reaction. Every other one must lead to one.
NO_REACTION = {
    "conversation.item.added",
    "conversation.item.created",
    "conversation.item.deleted",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.retrieved",
    "input_audio_buffer.cleared",
    "input_audio_buffer.dtmf_event_received",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "mcp_list_tools.in_progress",
    "output_audio_buffer.cleared",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "response.content_part.added",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.output_item.added",
}

# What each of the others must lead to, in at least one phase of a session and one of its variants.
REACTIONS = {
    "conversation.created": "sends",
    "conversation.item.input_audio_transcription.completed": "UserTranscript",
    "conversation.item.input_audio_transcription.failed": "UserTranscriptFailed",
    "conversation.item.truncated": "ItemTruncated",
    "error": "Fault",
    "input_audio_buffer.committed": "UserCommitted",
    "input_audio_buffer.speech_started": "SpeechStarted",
    "input_audio_buffer.speech_stopped": "SpeechStopped",
    "input_audio_buffer.timeout_triggered": "IdleTimeout",
    "rate_limits.updated": "RateLimits",
    "response.created": "ResponseStarted",
    "response.done": "ResponseDone",
    "response.function_call_arguments.done": "ToolCalled",
    "response.output_audio.delta": "Audio",
    "response.output_audio.done": "AudioDone",
    "response.output_audio_transcript.delta": "AgentTranscriptDelta",
    "response.output_audio_transcript.done": "AgentTranscript",
    "response.output_item.done": "ToolCalled",
    "response.output_text.delta": "AgentTranscriptDelta",
    "response.output_text.done": "AgentTranscript",
    "session.created": "sends",
    "session.updated": "Ready",
}
# The phases of examples/server_events.rs in which an event is tried.
PHASES = 4

# What the scripted conversation has to hold, so that the judgement is worth something.
EXPECTED_EVENTS = {
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
}
EXPECTED_VALUES = {
    ("session.audio.input.format.type", "audio/pcmu"),
    ("session.audio.input.format.type", "audio/pcma"),
    ("session.audio.input.format.type", "audio/pcm"),
    ("session.audio.input.format.rate", 24000),
    ("session.audio.output.format.type", "audio/pcmu"),
    ("session.audio.output.format.type", "audio/pcma"),
    ("session.audio.output.format.type", "audio/pcm"),
    ("session.audio.output.voice", "marin"),
    ("session.audio.output.speed", 1.5),
    ("session.audio.output.speed", 0.25),
    ("session.audio.input.noise_reduction.type", "near_field"),
    ("session.audio.input.noise_reduction.type", "far_field"),
    ("session.audio.input.transcription.language", "fr"),
    ("session.audio.input.transcription.prompt", "Réservations"),
    ("session.audio.input.turn_detection", None),
    ("session.audio.input.turn_detection.type", "server_vad"),
    ("session.audio.input.turn_detection.type", "semantic_vad"),
    ("session.audio.input.turn_detection.idle_timeout_ms", 8000),
    ("session.audio.input.turn_detection.eagerness", "low"),
    ("session.audio.input.turn_detection.eagerness", "medium"),
    ("session.audio.input.turn_detection.eagerness", "high"),
    ("session.audio.input.turn_detection.eagerness", "auto"),
    ("session.audio.input.noise_reduction.strength", 0.0),
    ("session.audio.input.transcription.languages[]", "fr"),
    ("session.audio.input.transcription.keywords[]", "sole meunière"),
    ("session.audio.input.transcription.delay", "minimal"),
    ("session.audio.input.transcription.delay", "xhigh"),
    ("session.audio.input.turn_detection.create_response", False),
    ("session.audio.input.turn_detection.interrupt_response", False),
    ("session.audio.output.voice.id", "voice_1234"),
    ("session.output_modalities[]", "text"),
    ("session.parallel_tool_calls", True),
    ("session.parallel_tool_calls", False),
    ("session.tracing", None),
    ("session.truncation", "auto"),
    ("session.truncation", "disabled"),
    ("session.truncation.type", "retention_ratio"),
    ("session.truncation.token_limits.post_instructions", 5000),
    ("session.tool_choice", "auto"),
    ("session.tool_choice", "none"),
    ("session.tool_choice", "required"),
    ("session.tool_choice.name", "lookup"),
    ("session.reasoning.effort", "minimal"),
    ("session.reasoning.effort", "xhigh"),
    ("session.max_output_tokens", "inf"),
    ("session.max_output_tokens", 2048),
    ("item.type", "function_call_output"),
    ("item.type", "function_call"),
    ("item.role", "user"),
    ("item.role", "assistant"),
    ("item.role", "system"),
    ("response.tool_choice", "none"),
    ("response.output_modalities[]", "text"),
    ("response.instructions", "Greet."),
}


def strip(kind):
    """The type without Annotated, Required and the like."""
    while typing_extensions.get_origin(kind) in (
        typing.Annotated,
        typing_extensions.Required,
        typing_extensions.NotRequired,
        typing.Required,
        typing.NotRequired,
    ):
        kind = typing_extensions.get_args(kind)[0]
    return kind


def is_union(kind):
    return typing_extensions.get_origin(kind) in (typing.Union, types.UnionType)


def faults(value, kind, path=""):
    """Everything that is wrong with a value of a parameter type."""
    kind = strip(kind)
    origin, args = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if kind in (object, typing.Any):
        return []
    if kind in (None, type(None)):
        return [] if value is None else [f"{path}: not null"]
    if is_union(kind):
        attempts = [faults(value, option, path) for option in args]
        return min(attempts, key=lambda found: (len(found), str(found)))
    if origin in (typing.Literal, typing_extensions.Literal):
        ok = any(value == option and type(value) is type(option) for option in args)
        return [] if ok else [f"{path}: {value!r} is none of {args}"]
    if typing_extensions.is_typeddict(kind):
        return typed_dict_faults(value, kind, path)
    if kind is dict or origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        inner = args[1] if len(args) == 2 else object
        return [fault for key, entry in value.items() for fault in faults(entry, inner, f"{path}.{key}")]
    if origin is not None and len(args) == 1:  # list, Iterable, the package's SequenceNotStr
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [fault for entry in value for fault in faults(entry, args[0], f"{path}[]")]
    if kind is float:
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif kind is int:
        ok = isinstance(value, int) and not isinstance(value, bool)
    elif kind in (str, bool):
        ok = isinstance(value, kind)
    else:
        raise TypeError(f"{path}: the judge does not know the type {kind!r}")
    return [] if ok else [f"{path}: {value!r} is not {kind.__name__}"]


def typed_dict_faults(value, kind, path):
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    found = [f"{path}.{key}: unknown field" for key in value if key not in hints]
    for name, hint in hints.items():
        required = typing_extensions.get_origin(hint) in (typing_extensions.Required, typing.Required)
        if name in value:
            found += faults(value[name], hint, f"{path}.{name}")
        elif required:
            found.append(f"{path}.{name}: missing")
    return found


def extra_fields(model, path=""):
    """Fields that the package's own model took without knowing them."""
    if isinstance(model, pydantic.BaseModel):
        found = [f"{path}.{key}: unknown field" for key in model.model_extra or {}]
        for name in type(model).model_fields:
            found += extra_fields(getattr(model, name), f"{path}.{name}")
        return found
    if isinstance(model, list):
        return [fault for entry in model for fault in extra_fields(entry, f"{path}[]")]
    return []


CLIENT_EVENT = pydantic.TypeAdapter(RealtimeClientEvent)


def client_faults(event):
    # The right alternative is known by the type, which makes for a readable verdict.
    alternatives = [
        option
        for option in typing_extensions.get_args(RealtimeClientEventParam)
        if typing_extensions.get_args(strip(typing_extensions.get_type_hints(option)["type"])) == (event.get("type"),)
    ]
    if len(alternatives) != 1:
        return [f"unknown event type {event.get('type')!r}"]
    found = faults(event, alternatives[0])
    try:
        found += extra_fields(CLIENT_EVENT.validate_python(event))
    except pydantic.ValidationError as error:
        found.append(f"the package refuses it: {error}")
    return found


def values(value, path=""):
    yield path, value if not isinstance(value, (dict, list)) else ...
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from values(entry, f"{path}.{key}".lstrip("."))
    if isinstance(value, list):
        for entry in value:
            yield from values(entry, f"{path}[]")


def judge_the_judge():
    """A judge that lets planted faults pass is worth nothing."""

    def update(session):
        return {"type": "session.update", "session": {"type": "realtime", **session}}

    def detection(fields):
        return update({"audio": {"input": {"turn_detection": fields}}})

    planted = [
        {"type": "session.update", "session": {"instructions": "no type"}},
        update({"temperature": 0.8}),
        update({"modalities": ["audio"]}),
        update({"voice": "marin"}),
        update({"output_modalities": ["video"]}),
        update({"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}}),
        update({"audio": {"input": {"noise_reduction": None}}}),
        detection({"type": "semantic_vad", "threshold": 0.5}),
        detection({"type": "server_vad", "eagerness": "low"}),
        detection({"type": "server_vad", "silence_duration_ms": "500"}),
        {"type": "response.create", "response": {"modalities": ["text"]}},
        {"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 3},
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "no call"}},
        {"type": "input_audio_buffer.append", "audio": "AAAA", "stream": "x"},
        {"type": "session.start"},
    ]
    passed = [event for event in planted if not client_faults(event)]
    if passed:
        raise SystemExit(f"the judge let planted faults pass: {passed}")


def judge_client(lines):
    judge_the_judge()
    seen_events, seen_values, wrong, count = set(), set(), [], 0
    for line in lines:
        event = json.loads(line)
        count += 1
        seen_events.add(event["type"])
        seen_values.update((path, value) for path, value in values(event) if value is not ...)
        wrong += [f"{fault}   in {line.strip()[:300]}" for fault in client_faults(event)]
    for missing in sorted(EXPECTED_EVENTS - seen_events):
        wrong.append(f"the conversation never sent {missing}")
    for path, value in sorted(EXPECTED_VALUES - seen_values, key=str):
        wrong.append(f"the conversation never sent {path} = {value!r}")
    return count, wrong


def variants(kind, depth=0):
    """Values of a type: the first with every field filled, then one for each alternative inside."""
    kind = strip(kind)
    origin, args = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return model_variants(kind, depth)
    if is_union(kind):
        options = sorted(args, key=lambda option: option is type(None))
        per_option = [variants(option, depth) for option in options]
        return [found[0] for found in per_option] + [entry for found in per_option for entry in found[1:]]
    if origin in (typing.Literal, typing_extensions.Literal):
        return list(args)
    if kind in (None, type(None)):
        return [None]
    if origin is list:
        inner = variants(args[0], depth)
        return [[inner[0]], *[[entry] for entry in inner[1:]], []]
    if kind is dict or origin is dict:
        return [{"key": "value"}]
    if kind in (object, typing.Any):
        return [{"any": [1, "two", None]}]
    # A text that is also base64, for the fields that hold audio.
    basic = {str: "c3RyaW5n", int: 7, float: 1.5, bool: True}
    return [basic[kind]]


def model_variants(kind, depth):
    if depth > 12:
        return [{}]
    fields = {
        (field.alias or name): (variants(field.annotation, depth + 1), field.is_required())
        for name, field in kind.model_fields.items()
    }
    full = {name: options[0] for name, (options, _) in fields.items()}
    found = [full]
    for name, (options, _) in fields.items():
        found += [{**full, name: option} for option in options[1:]]
    required = {name: options[0] for name, (options, needed) in fields.items() if needed}
    found.append(required)
    found.append({**{name: None for name in fields}, **required})
    return found


def server_event_classes():
    kind = strip(RealtimeServerEvent)
    return typing_extensions.get_args(kind)


def generate():
    for kind in server_event_classes():
        for variant in model_variants(kind, 0):
            kind.model_validate(variant)
            yield variant
            yield {**variant, "obfuscation": "x7", "future_field": {"nested": [None]}}


def judge_server(generated, outcomes):
    wrong, reacted, count = [], {}, 0
    known = NO_REACTION | set(REACTIONS)
    for line, outcome_line in zip(generated, outcomes, strict=True):
        event, outcome = json.loads(line), json.loads(outcome_line)
        count += 1
        name = event["type"]
        where = f"{name}: {outcome} for {line.strip()[:300]}"
        if name not in known:
            wrong.append(f"the judge has no verdict for {where}")
        if outcome["malformed"] or outcome["ignored"] or "Ignored" in outcome["events"]:
            wrong.append(f"not understood: {where}")
        if name in NO_REACTION and (outcome["unused"] != PHASES or outcome["events"] or outcome["sent"]):
            wrong.append(f"unexpected reaction: {where}")
        reacted.setdefault(name, set()).update(outcome["events"])
        if outcome["sent"]:
            reacted[name].add("sends")
    for name, reaction in REACTIONS.items():
        if reaction not in reacted.get(name, set()):
            wrong.append(f"{name} never led to {reaction}")
    classes = {
        typing_extensions.get_args(strip(kind.model_fields["type"].annotation))[0]
        for kind in server_event_classes()
    }
    wrong += [f"never generated: {name}" for name in sorted(classes - set(reacted))]
    return count, wrong


def main():
    match sys.argv[1:]:
        case ["client"]:
            count, wrong = judge_client(sys.stdin)
            print(f"{count} client events judged, {len(wrong)} faults")
        case ["generate"]:
            for event in generate():
                print(json.dumps(event))
            return
        case ["server", generated, outcomes]:
            with open(generated, encoding="utf-8") as left, open(outcomes, encoding="utf-8") as right:
                count, wrong = judge_server(left, right)
            print(f"{count} server events judged, {len(wrong)} faults")
        case _:
            raise SystemExit(__doc__)
    for fault in wrong[:50]:
        print(fault)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
