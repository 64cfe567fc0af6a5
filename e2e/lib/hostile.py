"""A realtime engine that wants harm: it speaks OpenAI Realtime as the service does, and does in each session what its plan says.

Every event of both directions is validated by the types of the official `openai` package.
"""

import base64
import collections
import json
import threading
import time

import pydantic
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from .audio import tone, ulaw_encode

SERVER_EVENT, CLIENT_EVENT = pydantic.TypeAdapter(RealtimeServerEvent), pydantic.TypeAdapter(RealtimeClientEvent)
USAGE = {
    "total_tokens": 20,
    "input_tokens": 10,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 5, "audio_tokens": 5, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 5, "audio_tokens": 5},
}


def calls(*attempts):
    """One response that calls tools: (name, arguments as they are written)."""
    return ("calls", attempts)


def say(text):
    """One response in audio."""
    return ("say", text)


def caller(text):
    """The caller says something; the response to it is the next step."""
    return ("caller", text)


class Session:
    """One connection. It greets, then follows its plan, then ends the call."""

    def __init__(self, socket, begin):
        #: What it does, from its first answer on.
        self.socket, self.plan, self.begin = socket, collections.deque(), begin
        self.headers = {name.lower(): value for name, value in socket.request.headers.raw_items()}
        #: (sent by allo, event), without audio.
        self.events, self.faults = [], []
        #: call_id -> (name, arguments), and what the model was told.
        self.attempts, self.outputs = {}, {}
        self.count = self.asked = 0
        self.audio = False

    def run(self):
        self.emit("session.created", session={"type": "realtime", "object": "realtime.session", "id": "sess_hostile"})
        try:
            for text in self.socket:
                self.take(json.loads(text))
        except ConnectionClosed:
            pass

    def take(self, event):
        kind = event["type"]
        if kind == "input_audio_buffer.append" and self.audio:
            return
        self.audio |= kind == "input_audio_buffer.append"
        try:
            CLIENT_EVENT.validate_python(event)
        except pydantic.ValidationError as error:
            self.faults.append(f"{event}: {error}")
        self.events.append((True, event))
        if kind == "session.update":
            self.emit("session.updated", session={"object": "realtime.session", "id": "sess_hostile"} | event["session"])
        elif kind == "conversation.item.create":
            item = event["item"]
            if item["type"] == "function_call_output":
                assert item["call_id"] in self.attempts and item["call_id"] not in self.outputs, item
                self.outputs[item["call_id"]] = item["output"]
            item = {"id": self.name("item")} | item
            for what in ("added", "done"):
                self.emit(f"conversation.item.{what}", item=item, previous_item_id=None)
        elif kind == "response.create":
            self.asked += 1
            if self.asked == 1:
                self.plan.extend(self.begin(self))
            # The disclosure, then the greeting; from then on the plan.
            if self.asked == 1:
                self.respond("Je suis une intelligence artificielle.")
            else:
                self.advance()

    def advance(self):
        if not self.plan:
            return self.respond("Au revoir.", [("end_call", "{}")])
        step = self.plan.popleft()
        if step[0] == "caller":
            self.turn(step[1])
            return self.advance()
        if step[0] == "calls":
            return self.respond(attempts=step[1])
        self.respond(step[1])
        if self.plan and self.plan[0][0] == "caller":
            self.advance()

    def name(self, what):
        self.count += 1
        return f"{what}_{self.count}"

    def emit(self, kind, **more):
        event = {"type": kind, "event_id": self.name("event")} | more
        try:
            SERVER_EVENT.validate_python(event)
        except pydantic.ValidationError as error:
            self.faults.append(f"{event}: {error}")
        self.events.append((False, event))
        self.socket.send(json.dumps(event))

    def response(self, status, output):
        return {
            "id": self.current, "object": "realtime.response", "status": status, "output": output, "output_modalities": ["audio"],
            "usage": USAGE if status == "completed" else None,
        }  # fmt: skip

    def respond(self, text=None, attempts=()):
        """One response: what is said, then what is called."""
        self.current = self.name("resp")
        self.emit("response.created", response=self.response("in_progress", []))
        output = [self.speak(text)] if text else []
        for name, arguments in attempts:
            output.append(self.call(name, arguments, len(output)))
        self.emit("response.done", response=self.response("completed", output))

    def speak(self, text):
        item = {"id": self.name("item"), "object": "realtime.item", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        place = {"response_id": self.current, "item_id": item["id"], "output_index": 0, "content_index": 0}
        self.emit("response.output_item.added", response_id=self.current, output_index=0, item=item)
        self.emit("conversation.item.added", item=item, previous_item_id=None)
        self.emit("response.output_audio.delta", delta=base64.b64encode(ulaw_encode(tone(440, 100))).decode(), **place)
        self.emit("response.output_audio.done", **place)
        self.emit("response.output_audio_transcript.done", transcript=text, **place)
        item = item | {"status": "completed", "content": [{"type": "output_audio", "transcript": text}]}
        self.emit("response.output_item.done", response_id=self.current, output_index=0, item=item)
        self.emit("conversation.item.done", item=item, previous_item_id=None)
        return item

    def call(self, name, arguments, index):
        call_id = self.name("call")
        self.attempts[call_id] = (name, arguments)
        item = {"id": self.name("item"), "object": "realtime.item", "type": "function_call", "call_id": call_id, "name": name}
        item |= {"arguments": "", "status": "in_progress"}
        self.emit("response.output_item.added", response_id=self.current, output_index=index, item=item)
        place = {"response_id": self.current, "item_id": item["id"], "output_index": index, "call_id": call_id}
        self.emit("response.function_call_arguments.done", arguments=arguments, name=name, **place)
        item = item | {"arguments": arguments, "status": "completed"}
        self.emit("response.output_item.done", response_id=self.current, output_index=index, item=item)
        return item

    def turn(self, text):
        item = self.name("item")
        self.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=300, item_id=item)
        self.emit("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        usage = {"type": "duration", "seconds": 1}
        self.emit("conversation.item.input_audio_transcription.completed", item_id=item, content_index=0, transcript=text, usage=usage)

    def told(self):
        """[(name, arguments, output)] in the order of the attempts; an output is None where there was none."""
        return [(*attempt, self.outputs.get(call_id)) for call_id, attempt in self.attempts.items()]


class HostileEngine:
    """Serves on a free port; give `url` to allo. Each session takes the next of the plans when it is asked to speak.

    A connection that is given up before that (the caller of a slow machine had hung up) is no session and takes no plan.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.plans, self.sessions = collections.deque(), []
        self.server = serve(self._session, "127.0.0.1", 0, compression=None, max_size=None)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/v1/realtime"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _session(self, socket):
        Session(socket, self._begin).run()

    def _begin(self, session):
        with self.lock:
            self.sessions.append(session)
            return self.plans.popleft() if self.plans else []

    def over(self, timeout=30):
        """Waits until every plan was followed to its end."""
        deadline = time.monotonic() + timeout
        while self.plans or any(session.plan for session in self.sessions):
            rest = [(place, list(session.plan), session.events[-3:]) for place, session in enumerate(self.sessions) if session.plan]
            assert time.monotonic() < deadline, f"plans that no session took: {len(self.plans)}; not followed to the end: {rest}"
            time.sleep(0.02)
        faults = [fault for session in self.sessions for fault in session.faults]
        assert not faults, "events that the official package does not know:\n" + "\n".join(faults[:5])

    def close(self):
        self.server.shutdown()
