"""A pipecat bot for Twilio, as pipecat's own examples make one: its telephony parser, serializer and WebSocket transport, unmodified. Between them a
processor of this file takes the place of the speech services: it answers tones with tones. Run by the Python of `scripts/pipecat-env`.

It greets with 440 Hz; to 700 Hz it answers with 880 Hz for six seconds, to 1200 Hz with an interruption and 520 Hz; the key 7 asks for a mark; the key 9 ends.
Each event is a line of JSON on the output.
"""

import asyncio
import json
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import EndWorkerFrame, InputAudioRawFrame, InputDTMFFrame, OutputAudioRawFrame, OutputTransportMessageUrgentFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE = 8000
application = FastAPI()


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def tone(hz, ms):
    samples = 8000 * np.sin(2 * np.pi * hz * np.arange(ms * RATE // 1000) / RATE)
    return OutputAudioRawFrame(audio=samples.astype("<i2").tobytes(), sample_rate=RATE, num_channels=1)


class Tones(FrameProcessor):
    def __init__(self, stream):
        super().__init__()
        self.stream, self.heard, self.last = stream, np.zeros(0, dtype=np.int16), None

    def pitch(self, audio):
        """The tone of the last 200 ms, when it is one."""
        self.heard = np.concatenate([self.heard, np.frombuffer(audio, dtype="<i2")])[-1600:]
        if len(self.heard) < 1600 or np.abs(self.heard).max() < 3000:
            return None
        spectrum = np.abs(np.fft.rfft(self.heard * np.hanning(1600)))
        return round(float(np.argmax(spectrum)) * RATE / 1600, -1)

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            hz = self.pitch(frame.audio)
            if hz in (700, 1200) and hz != self.last:
                self.last = hz
                say("heard", hz=hz)
                if hz == 700:
                    await self.push_frame(tone(880, 6000))
                else:
                    await self.broadcast_interruption()
                    say("interrupted")
                    await self.push_frame(tone(520, 1000))
            return
        if isinstance(frame, InputDTMFFrame):
            say("key", digit=frame.button.value)
            if frame.button.value == "7":
                mark = {"event": "mark", "streamSid": self.stream, "mark": {"name": "pipecat"}}
                await self.push_frame(OutputTransportMessageUrgentFrame(message=mark))
            if frame.button.value == "9":
                await self.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            await self.push_frame(tone(440, 1000))


@application.websocket("/media-stream")
async def media_stream(websocket: WebSocket):
    await websocket.accept()
    transport, call = await parse_telephony_websocket(websocket)
    say("call", transport=transport, call=call["call_id"], parameters=call.get("body", {}))
    serializer = TwilioFrameSerializer(call["stream_id"], call["call_id"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False))
    params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, add_wav_header=False, serializer=serializer)
    line = FastAPIWebsocketTransport(websocket=websocket, params=params)
    pipeline = Pipeline([line.input(), Tones(call["stream_id"]), line.output()])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE))

    @line.event_handler("on_client_disconnected")
    async def on_client_disconnected(_line, _websocket):
        say("gone")
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    say("over")


async def main():
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    say("listening", port=server.servers[0].sockets[0].getsockname()[1])
    await serving


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
