"""aiosipua, a SIP user agent of PyPI for voice programs, with its companion aiortp for the sound. It has a loop of its own, in a thread."""

import asyncio
import importlib.metadata
import re
import threading

import numpy as np
from aiortp import RTPSession
from aiortp.codecs import get_codec
from aiosipua import SipUAC, SipUAS
from aiosipua.refer import notify_refer
from aiosipua.sdp import build_sdp, negotiate_sdp
from aiosipua.transport import TcpSipTransport, UdpSipTransport

from ..ports import free_pair
from .cells import WHEN_CALLED
from .media import CODECS
from .telephone import Telephone


class AiosipuaTelephone(Telephone):
    TITLE = "aiosipua"
    NOTE = f"It is handed over in calls to it, not in its own: {WHEN_CALLED['aiosipua']}. It has no RFC 3891."

    def __init__(self, world, row, directions, first=None):
        super().__init__(world, row, directions, first)
        self.payload_type, rtpmap, _, self.rate, self.step = CODECS[row.codec]
        self.name, self.clock = rtpmap.split("/")[0], int(rtpmap.split("/")[1])
        self.listens, self.version_of_sdp = free_pair(), 1
        self.heard, self.queue, self.rtp, self.call = [], [], None, None
        self.loop, self.errors = asyncio.new_event_loop(), []
        # aiosipua's own asserts among them, which fail on Python 3.11 without harm.
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.here = ("127.0.0.1", self.listens)
        self.run(self.start())

    @classmethod
    def version(cls):
        return f"{importlib.metadata.version('aiosipua')} with aiortp {importlib.metadata.version('aiortp')}"

    def run(self, coroutine, timeout=15):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def task(self, coroutine):
        task = self.loop.create_task(coroutine)
        task.add_done_callback(lambda done: done.cancelled() or done.exception() is None or self.errors.append(done.exception()))

    def hears(self, hz, call):
        try:
            super().hears(hz, call)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.errors}") from None

    async def start(self):
        self.transport = (TcpSipTransport if self.row.transport == "tcp" else UdpSipTransport)(self.here)
        self.uac = SipUAC(self.transport)
        self.uas = SipUAS(self.transport, uac=self.uac)
        self.uas.on_invite = lambda call: self.task(self.answers(call))
        self.uas.on_refer = lambda call, target: self.task(self.refers(call, target))
        await self.uas.start()
        self.pace = self.loop.create_task(self.speaks())

    async def hears_by(self, remote, port, payload_type):
        if self.rtp:
            await self.rtp.close()
        self.rtp = await RTPSession.create(("127.0.0.1", port), remote, payload_type, get_codec(self.payload_type), clock_rate=self.clock)
        self.rtp.on_audio = lambda pcm, _: self.heard.append(np.frombuffer(pcm, "<i2")[:: self.rate // 8000])

    async def speaks(self):
        """20 ms of sound each 20 ms, silence where there is nothing to say."""
        due, timestamp = self.loop.time(), 0
        while True:
            due, timestamp = due + 0.02, timestamp + self.step
            await asyncio.sleep(max(0, due - self.loop.time()))
            frame = self.queue.pop(0) if self.queue else np.zeros(160, np.int16)
            if self.rtp:
                times = self.rate // 8000
                wide = np.interp(np.arange(160 * times) / times, np.arange(160), frame).astype("<i2")
                self.rtp.send_audio_pcm(wide.tobytes(), timestamp)

    def offer(self, direction="sendrecv"):
        channels = "/2" if self.name == "opus" else ""
        sdp = build_sdp("127.0.0.1", self.port, self.payload_type, self.name, f"{self.clock}{channels}", dtmf_payload_type=0)
        sdp.origin.session_id, sdp.origin.session_version = "1", str(self.version_of_sdp)
        self.version_of_sdp += 1
        sdp.media[0].attributes.pop("sendrecv")
        sdp.media[0].attributes[direction] = []
        return sdp

    async def calls(self, uri):
        user, host, port = re.match(r"sip:([^@]+)@([^:;]+):(\d+)", uri).groups()
        self.there = (host, int(port))
        if self.row.transport == "tcp" and self.there not in self.transport._connections:
            await self.transport.connect(self.there)
        self.port = free_pair()
        call = self.uac.send_invite(f"sip:{self.number}@127.0.0.1", f"sip:{user}@{host}:{port}", self.there, self.offer())
        await call.wait_answered(20)
        self.call = call
        await self.hears_by(call.sdp_answer.rtp_address, self.port, self.payload_type)

    def dial(self, uri):
        self.run(self.calls(uri), 25)

    async def answers(self, call):
        self.port = free_pair()
        # It chooses by numbers, and Opus has the one that was offered.
        offered = next(codec.payload_type for codec in call.sdp_offer.audio.codecs if codec.encoding_name.lower() == self.name.lower())
        answer, _ = negotiate_sdp(call.sdp_offer, "127.0.0.1", self.port, supported_codecs=[offered])
        await self.hears_by(call.sdp_offer.rtp_address, self.port, offered)
        call.ringing()
        call.accept(answer)

    async def refers(self, call, target):
        await self.calls(target)
        notify_refer(call, 200)

    def say(self, samples):
        self.queue += [samples[at : at + 160] for at in range(0, len(samples) - 159, 160)]

    def samples(self):
        return np.concatenate([np.zeros(0, np.int16), *self.heard])

    def hold(self):
        self.run(self.modifies("sendonly"))

    def resume(self):
        self.run(self.modifies("sendrecv"))

    async def modifies(self, direction):
        self.uac.send_reinvite(self.call.dialog, self.offer(direction), self.there)

    async def stop(self):
        self.pace.cancel()
        if self.rtp:
            await self.rtp.close()
        await self.uas.stop()

    def close(self):
        try:
            self.run(self.stop())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(5)
