"""The audio of telephones whose signalling is somebody else's and whose sound is not: G.711 as elsewhere in the tests, G.722 and Opus by ffmpeg
and libopus (PyAV), SRTP by libsrtp (pylibsrtp)."""

import base64
import os
import re

import av
import numpy as np
import pylibsrtp

from ..audio import FRAME, RtpPeer, alaw_encode, rms, silence, ulaw_encode

#: Payload type, name in SDP, name in PyAV, sampling rate, RTP time of a frame.
CODECS = {
    "PCMU": (0, "PCMU/8000", None, 8000, 160), "PCMA": (8, "PCMA/8000", None, 8000, 160),
    "G722": (9, "G722/8000", "g722", 16000, 160), "opus": (111, "opus/48000/2", "libopus", 48000, 960),
}  # fmt: skip
SUITE = "AES_CM_128_HMAC_SHA1_80"


class Coder:
    """Frames of 20 ms at 8 kHz to payloads and back."""

    def __init__(self, codec):
        _, _, library, self.rate, _ = CODECS[codec]
        self.table = {"PCMU": ulaw_encode, "PCMA": alaw_encode}.get(codec)
        if not self.table:
            self.encoder, self.decoder = (av.CodecContext.create(library, mode) for mode in "wr")
            for context in (self.encoder, self.decoder):
                context.sample_rate, context.layout = self.rate, "mono"
            self.encoder.format = "s16"

    def encode(self, samples):
        if self.table:
            return self.table(samples)
        times = self.rate // 8000
        wide = np.interp(np.arange(len(samples) * times) / times, np.arange(len(samples)), samples).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wide.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self.rate
        return b"".join(bytes(packet) for packet in self.encoder.encode(frame))

    def decode(self, payload):
        found = []
        for frame in self.decoder.decode(av.Packet(payload)):
            samples = frame.to_ndarray()
            if samples.dtype != np.int16:
                samples = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
            found.append(samples[0][:: self.rate // 8000])
        return np.concatenate(found) if found else np.zeros(0, np.int16)


class CodecPeer(RtpPeer):
    """An `RtpPeer` of one codec, with SDES or without."""

    def __init__(self, codec, encrypted=False, **options):
        number, self.rtpmap, _, _, self.step = CODECS[codec]
        self.codec, self.coder = codec, Coder(codec)
        self.own_key = os.urandom(30) if encrypted else None
        self.theirs, self.inbound = None, None
        self.outbound = encrypted and self._session(self.own_key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        super().__init__(payload_type=number, **options)

    @staticmethod
    def _session(key, kind):
        policy = pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80)
        return pylibsrtp.Session(policy=policy)

    def sdp(self, direction="sendrecv", version=1, address="127.0.0.1"):
        lines = [
            "v=0", f"o=telephone 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
            f"m=audio {self.port} RTP/{'SAVP' if self.own_key else 'AVP'} {self.payload_type}", f"a=rtpmap:{self.payload_type} {self.rtpmap}",
        ]  # fmt: skip
        if self.own_key:
            lines.append(f"a=crypto:1 {SUITE} inline:{base64.b64encode(self.own_key).decode()}")
        return "\n".join([*lines, f"a={direction}"]) + "\n"

    def learn(self, sdp):
        """The key that the other side encrypts with."""
        found = re.search(rf"a=crypto:\d+ {SUITE} inline:([A-Za-z0-9+/=]+)", sdp)
        if self.own_key and found and found.group(1) != self.theirs:
            self.theirs = found.group(1)
            self.inbound = self._session(base64.b64decode(self.theirs), pylibsrtp.Policy.SSRC_ANY_INBOUND)

    def opened(self, packet):
        if not self.own_key:
            return packet
        try:
            return self.inbound and self.inbound.unprotect(packet)
        except pylibsrtp.Error:
            return None

    def sealed(self, packet):
        return self.outbound.protect(packet) if self.outbound else packet

    def take(self, packet):
        if packet.kind == self.payload_type and not self.coder.table:
            packet.samples = self.coder.decode(packet.payload)
            packet.level = rms(packet.samples)

    def mixed(self, frame):
        return self.coder.encode(silence(20) if frame is None else frame)

    def say(self, samples, label="say"):
        whole = np.concatenate([samples, silence(20)])[: (len(samples) + FRAME - 1) // FRAME * FRAME]
        with self._lock:
            self._outgoing += [(whole[at : at + FRAME], None, rms(whole[at : at + FRAME])) for at in range(0, len(whole), FRAME)]
