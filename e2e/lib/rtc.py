"""A page in a call by WebRTC: the `aiortc` package (ICE, DTLS, SRTP and Opus by people who are neither Google's nor str0m's) in the place
of a browser, at the pace of a sound card."""

import asyncio
import contextlib
import fractions
import subprocess
import threading
import time

import av
import numpy
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from .audio import dominant_hz, rms

#: Samples of a second and of a frame of the microphone.
RATE, FRAME = 48_000, 960
#: A frame of what is heard, at 8 kHz.
HEARD = 160
#: Level of a frame that is no silence.
LOUD = 600


class Microphone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.waiting, self.lock, self.at, self.due = [], threading.Lock(), 0, None

    async def recv(self):
        self.due = (self.due or time.monotonic()) + 0.02
        await asyncio.sleep(max(0, self.due - time.monotonic()))
        with self.lock:
            samples = self.waiting.pop(0) if self.waiting else numpy.zeros(FRAME, dtype="<i2")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.at, fractions.Fraction(1, RATE)
        self.at += FRAME
        return frame


class RtcPage:
    """`ask(offer)` gives the answer. A loop of its own thread drives the connection; `played` is what was heard, at 8 kHz."""

    def __init__(self, ask, codec="audio/opus"):
        self.played, self.lock = [], threading.Lock()
        self.microphone = Microphone()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.peer = self._run(self._connect(ask, codec))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def _connect(self, ask, codec):
        peer = RTCPeerConnection()
        peer.on("track", lambda track: asyncio.ensure_future(self._hear(track)))
        peer.addTrack(self.microphone)
        wanted = [one for one in RTCRtpSender.getCapabilities("audio").codecs if one.mimeType.lower() == codec.lower()]
        peer.getTransceivers()[0].setCodecPreferences(wanted)
        await peer.setLocalDescription(await peer.createOffer())
        answer = await self.loop.run_in_executor(None, ask, peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return peer

    async def _hear(self, track):
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                samples = frame.to_ndarray().reshape(-1).astype(numpy.float64)
                channels = len(frame.layout.channels)
                samples = samples.reshape(-1, channels).mean(axis=1)
                step = frame.sample_rate // 8_000
                samples = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1)
                with self.lock:
                    self.played += [samples[at : at + HEARD] for at in range(0, len(samples) - HEARD + 1, HEARD)]

    @property
    def state(self):
        return self.peer.connectionState

    @property
    def over(self):
        return self.state in ("closed", "failed")

    def say(self, samples, later):
        """Queues samples of 8 kHz, so many samples of 48 kHz later: the stand-in compares with samples of 8 kHz, and a codec's delay is no whole number of them."""
        raised = subprocess.run(
            ["sox", "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-L", "-", "-t", "raw", "-r", str(RATE), "-"],
            input=numpy.asarray(samples).astype("<i2").tobytes(), capture_output=True, check=True,
        ).stdout  # fmt: skip
        samples = numpy.concatenate([numpy.zeros(later, dtype="<i2"), numpy.frombuffer(raised, dtype="<i2")])
        with self.microphone.lock:
            self.microphone.waiting += [samples[at : at + FRAME] for at in range(0, len(samples) - FRAME + 1, FRAME)]

    def hears(self, hz, ms):
        """Whether so much of this tone was played, loud."""
        with self.lock:
            frames = list(self.played)
        loud = [frame for frame in frames if rms(frame) > LOUD]
        found = sum(1 for at in range(0, len(loud) - 4, 5) if abs(dominant_hz(numpy.concatenate(loud[at : at + 5]))[0] - hz) < 25)
        return found * 100 >= ms

    def level(self):
        """The median level of what was loud."""
        with self.lock:
            levels = [rms(frame) for frame in self.played]
        return float(numpy.median([level for level in levels if level > LOUD] or [0]))

    def close(self):
        """Closes the connection as a page does."""
        self._run(self.peer.close())
        self.vanish()

    def vanish(self):
        """Says nothing more, as a page does whose machine sleeps."""
        self.loop.call_soon_threadsafe(self.loop.stop)
