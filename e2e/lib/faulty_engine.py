"""A realtime engine that fails in every way, as a program of its own: `python -m lib.faulty_engine SEED`. Prints its address, and at the end of its
input what it did, as JSON. Each connection takes the next fault of a seeded order; between two faults it works for a while.
"""

import asyncio
import base64
import collections
import http
import json
import pathlib
import random
import sys
import time

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.audio import tone, ulaw_encode  # noqa: E402

#: How often each comes. `status_…` answers the handshake; the others strike at the settings (`early_…`) or in the middle of a response.
PLAN = {
    "fine": 10, "status_401": 2, "status_429": 3, "status_503": 3, "early_close": 2, "early_reset": 2, "early_silence": 1, "close": 3, "reset": 3,
    "stall": 2, "garbage": 3, "unknown": 3, "expiry": 3, "failed": 2, "quota": 1,
}  # fmt: skip
GARBAGE = ["", "not json", "[]", "{}", "null", '{"type":5}', '{"type":"response.output_audio.delta"}', '{"type":"response.done"}', "[" * 2_000, b"\x00\xff",
           '{"type":"response.output_audio.delta","response_id":"x","item_id":"y","delta":"%%%"}', json.dumps({"type": "x", "pad": "y" * 200_000})]  # fmt: skip
TONE = ulaw_encode(tone(440, 600))


class Engine:
    def __init__(self, seed):
        self.random, self.served, self.open = random.Random(seed), collections.Counter(), 0
        self.queue = []

    def next(self):
        if not self.queue:
            self.queue = [kind for kind, times in PLAN.items() for _ in range(times)]
            self.random.shuffle(self.queue)
        return self.queue.pop()

    def handshake(self, connection, request):
        connection.fault = self.next()
        self.served[connection.fault] += 1
        if connection.fault.startswith("status_"):
            return connection.respond(http.HTTPStatus(int(connection.fault[7:])), "no\n")
        return None

    async def session(self, socket):
        self.open += 1
        try:
            await Session(socket, socket.fault).run()
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1


class Session:
    def __init__(self, socket, fault):
        self.socket, self.fault, self.count, self.responses = socket, fault, 0, 0

    def name(self, what):
        self.count += 1
        return f"{what}_{self.count}"

    async def emit(self, kind, **more):
        await self.socket.send(json.dumps({"type": kind, "event_id": self.name("event")} | more))

    async def run(self):
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_faulty"}
        if self.fault == "expiry":
            session["expires_at"] = int(time.time()) + 2
            asyncio.get_running_loop().call_later(2, lambda: asyncio.ensure_future(self.socket.close(1001, "session_expired")))
        await self.emit("session.created", session=session)
        async for text in self.socket:
            # Audio is most of it.
            if '"input_audio_buffer.append"' in text[:60]:
                continue
            event = json.loads(text)
            if event["type"] == "session.update":
                if not await self.settings(event):
                    return
            elif event["type"] == "response.create":
                await self.respond()

    async def settings(self, event):
        if self.fault == "early_close":
            await self.socket.close(1011, "try again")
            return False
        if self.fault == "early_reset":
            self.socket.transport.abort()
            return False
        if self.fault == "early_silence":
            await self.socket.wait_closed()
            return False
        await self.emit("session.updated", session={"object": "realtime.session", "id": "sess_faulty"} | event["session"])
        return True

    def response(self, status):
        return {"id": self.current, "object": "realtime.response", "status": status, "output": [], "output_modalities": ["audio"]}

    async def respond(self):
        self.current, self.responses = self.name("resp"), self.responses + 1
        await self.emit("response.created", response=self.response("in_progress"))
        item = {"id": self.name("item"), "object": "realtime.item", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        place = {"response_id": self.current, "item_id": item["id"], "output_index": 0, "content_index": 0}
        await self.emit("response.output_item.added", response_id=self.current, output_index=0, item=item)
        half = len(TONE) // 2
        await self.emit("response.output_audio.delta", delta=base64.b64encode(TONE[:half]).decode(), **place)
        if self.responses == 1 and not await self.strike():
            return
        await self.emit("response.output_audio.delta", delta=base64.b64encode(TONE[half:]).decode(), **place)
        await self.emit("response.output_audio.done", **place)
        await self.emit("response.output_audio_transcript.done", transcript="a tone", **place)
        await self.emit("response.output_item.done", response_id=self.current, output_index=0, item=item | {"status": "completed"})
        await self.emit("response.done", response=self.response("completed"))

    async def strike(self):
        """The fault in the middle of the first response; whether the response goes on."""
        match self.fault:
            case "close":
                await self.socket.close(1011, "gone")
            case "reset":
                self.socket.transport.abort()
            case "stall":
                await asyncio.wait([asyncio.ensure_future(self.socket.wait_closed())], timeout=5)
                return True
            case "garbage":
                for nonsense in GARBAGE:
                    await self.socket.send(nonsense)
                return True
            case "unknown":
                for kind in ("session.x_future", "response.output_audio.sparkles", "mcp_list_tools.in_progress", "conversation.item.retrieved"):
                    await self.emit(kind, response_id=self.current, x={"y": [1, 2, {"z": None}]})
                return True
            case "failed":
                details = {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}
                await self.emit("response.done", response=self.response("failed") | {"status_details": details})
            case "quota":
                await self.emit("error", error={"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota", "param": None})
                await self.socket.close(1008, "insufficient_quota")
            case _:
                return True
        return False


async def main():
    engine = Engine(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    async with serve(engine.session, "127.0.0.1", 0, compression=None, max_size=None, process_request=engine.handshake, ping_interval=None) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime", flush=True)
        # A line asks for the figures so far.
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"served": engine.served, "open": engine.open}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
