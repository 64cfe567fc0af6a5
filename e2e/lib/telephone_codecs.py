"""Telephones of G.729 and AMR-WB whose codecs are Debian's libraries (bcg729, opencore-amrwb, vo-amrwbenc), called as they are. The packing of
RFC 4867 is written down here once more: it shares nothing with the server's."""

import ctypes
import struct

import numpy as np

from .audio import FRAME, RtpPeer, rms, silence

G729_BYTES, G729_SAMPLES = 10, 80
AMR_SAMPLES, AMR_SID = 320, 9
AMR_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def library(name, *makers):
    found = ctypes.CDLL(name)
    for maker in makers:
        getattr(found, maker).restype = ctypes.c_void_p
    return found


class Bcg729:
    """Frames of 10 ms to payloads and back; with `silence` (Annex B) what is quiet is described or not sent."""

    def __init__(self, annex_b=False):
        self.library = library("libbcg729.so.0", "initBcg729EncoderChannel", "initBcg729DecoderChannel")
        self.encoder = ctypes.c_void_p(self.library.initBcg729EncoderChannel(ctypes.c_uint8(annex_b)))
        self.decoder = ctypes.c_void_p(self.library.initBcg729DecoderChannel())

    def encode(self, samples):
        bits, length = np.zeros(G729_BYTES, np.uint8), ctypes.c_uint8(0)
        samples = np.ascontiguousarray(samples, np.int16)
        self.library.bcg729Encoder(self.encoder, address(samples), address(bits), ctypes.byref(length))
        return bits[: length.value].tobytes()

    def decode(self, frame):
        samples, bits = np.zeros(G729_SAMPLES, np.int16), np.frombuffer(frame.ljust(G729_BYTES, b"\0"), np.uint8).copy()
        flags = [ctypes.c_uint8(value) for value in (len(frame), 0, len(frame) == 2, 0)]
        self.library.bcg729Decoder(self.decoder, address(bits), *flags, address(samples))
        return samples


class CodedPeer(RtpPeer):
    """An `RtpPeer` whose silence may be left out: numbers then go on where they were."""

    def __init__(self, **options):
        self.number, self.kinds_sent = 100, []
        super().__init__(**options)
        self.send_silence = False

    def take(self, packet):
        if packet.kind == self.payload_type:
            packet.samples = self.decoded(packet.payload)
            packet.level = rms(packet.samples)

    def say(self, samples, label="say"):
        whole = np.concatenate([samples, silence(20)])[: (len(samples) + FRAME - 1) // FRAME * FRAME]
        with self._lock:
            self._outgoing += [(whole[at : at + FRAME], None, rms(whole[at : at + FRAME])) for at in range(0, len(whole), FRAME)]

    def sealed(self, packet):
        self.number = (self.number + 1) & 0xFFFF
        return packet[:2] + struct.pack("!H", self.number) + packet[4:]


class G729Peer(CodedPeer):
    def __init__(self, annex_b=False, **options):
        self.coder = Bcg729(annex_b)
        super().__init__(payload_type=18, **options)

    def decoded(self, payload):
        assert len(payload) % G729_BYTES in (0, 2), len(payload)
        return np.concatenate([self.coder.decode(payload[at : at + G729_BYTES]) for at in range(0, len(payload), G729_BYTES)])

    def mixed(self, frame):
        frame = silence(20) if frame is None else frame
        coded = [self.coder.encode(frame[:G729_SAMPLES]), self.coder.encode(frame[G729_SAMPLES:])]
        # A description stands at the end of a packet only.
        payload = b"".join(part for part in coded[:1] if len(part) == G729_BYTES or not coded[1]) + coded[1]
        self.kinds_sent.append(tuple(map(len, coded)))
        return payload or None


def bits_of(data, count):
    return np.unpackbits(np.frombuffer(data, np.uint8))[:count]


def pack_amr(frames, octets, request=15):
    """`frames` are (type, good, bytes)."""
    head = [request >> 3 & 1, request >> 2 & 1, request >> 1 & 1, request & 1] + [0] * 4 * octets
    for index, (kind, good, _) in enumerate(frames):
        head += [index + 1 < len(frames), *(kind >> place & 1 for place in (3, 2, 1, 0)), good] + [0, 0] * octets
    body = []
    for kind, _, data in frames:
        count = AMR_BITS[kind] if kind < len(AMR_BITS) else 0
        body += [*bits_of(data, count)] + [0] * (-count % 8 * octets)
    return np.packbits(np.array(head + body, np.uint8)).tobytes()


def unpack_amr(payload, octets):
    bits = np.unpackbits(np.frombuffer(payload, np.uint8))
    number = lambda part: int("".join(map(str, part)), 2)  # noqa: E731
    request, at, kinds = number(bits[:4]), 8 if octets else 4, []
    while True:
        more, kind, good = bits[at], number(bits[at + 1 : at + 5]), bits[at + 5]
        at += 8 if octets else 6
        kinds.append((kind, good))
        if not more:
            break
    frames = []
    for kind, good in kinds:
        count = AMR_BITS[kind] if kind < len(AMR_BITS) else 0
        frames.append((kind, int(good), np.packbits(bits[at : at + count]).tobytes()))
        at += count + (-count % 8 if octets else 0)
    assert (len(bits) - at) < 8, "nothing is left but what fills the last octet"
    return request, frames


class AmrPeer(CodedPeer):
    """At 16 kHz, in either layout; what it says is brought there from 8 kHz by putting each sample twice and a line between."""

    step = AMR_SAMPLES

    def __init__(self, octets, mode=2, dtx=False, payload_type=97, **options):
        self.octets, self.mode, self.dtx, self.request = octets, mode, dtx, 15
        self.encoding, self.decoding = library("libvo-amrwbenc.so.0", "E_IF_init"), library("libopencore-amrwb.so.0", "D_IF_init")
        self.encoder, self.decoder = ctypes.c_void_p(self.encoding.E_IF_init()), ctypes.c_void_p(self.decoding.D_IF_init())
        self.modes_heard = []
        super().__init__(payload_type=payload_type, **options)

    def decoded(self, payload):
        found = []
        for kind, good, data in unpack_amr(payload, self.octets)[1]:
            self.modes_heard.append(kind)
            samples, frame = np.zeros(AMR_SAMPLES, np.int16), np.frombuffer((bytes([kind << 3 | good << 2]) + data).ljust(64, b"\0"), np.uint8).copy()
            self.decoding.D_IF_decode(self.decoder, address(frame), address(samples), 0)
            found.append(samples)
        return np.concatenate(found)

    def mixed(self, frame):
        frame = silence(20) if frame is None else frame
        wide = np.interp(np.arange(AMR_SAMPLES) / 2, np.arange(FRAME), frame).astype(np.int16)
        coded = np.zeros(64, np.uint8)
        length = self.encoding.E_IF_encode(self.encoder, self.mode, address(wide), address(coded), int(self.dtx))
        kind = int(coded[0]) >> 3 & 15
        self.kinds_sent.append(kind)
        return None if kind == 15 else pack_amr([(kind, 1, coded[1:length].tobytes())], self.octets, self.request)
