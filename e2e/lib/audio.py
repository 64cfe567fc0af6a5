"""G.711, RTP and frequency analysis, written here from the standards so that the tests judge the product's own."""

import socket
import struct
import threading
import time

import numpy as np

RATE = 8000
FRAME = 160


def _ulaw_table():
    table = np.zeros(256, dtype=np.int16)
    for value in range(256):
        inverted = ~value & 0xFF
        exponent, mantissa = (inverted >> 4) & 7, inverted & 15
        magnitude = ((mantissa << 3) + 0x84 << exponent) - 0x84
        table[value] = -magnitude if inverted & 0x80 else magnitude
    return table


def _alaw_table():
    table = np.zeros(256, dtype=np.int16)
    for value in range(256):
        inverted = value ^ 0x55
        exponent, mantissa = (inverted >> 4) & 7, inverted & 15
        magnitude = (mantissa << 4) + 8
        if exponent:
            magnitude = (magnitude + 0x100) << (exponent - 1)
        table[value] = magnitude if inverted & 0x80 else -magnitude
    return table


ULAW, ALAW = _ulaw_table(), _alaw_table()


def _encoder(table):
    order = np.argsort(table, kind="stable")
    levels = table[order].astype(np.int32)

    def encode(samples):
        samples = np.asarray(samples, dtype=np.int32)
        above = np.clip(np.searchsorted(levels, samples), 1, len(levels) - 1)
        nearer = np.where(samples - levels[above - 1] <= levels[above] - samples, above - 1, above)
        return order[nearer].astype(np.uint8).tobytes()

    return encode


ulaw_encode, alaw_encode = _encoder(ULAW), _encoder(ALAW)


def decode(payload_type, payload):
    table = {0: ULAW, 8: ALAW}[payload_type]
    return table[np.frombuffer(payload, dtype=np.uint8)]


def tone(hz, ms, amplitude=8000):
    t = np.arange(int(RATE * ms / 1000)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def silence(ms):
    return np.zeros(int(RATE * ms / 1000), dtype=np.int16)


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64))))) if len(samples) else 0.0


def dominant_hz(samples):
    """The strongest frequency, and its share of the energy within 30 Hz."""
    if len(samples) < 400:
        return 0.0, 0.0
    windowed = samples.astype(np.float64) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(windowed)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum[frequencies < 60] = 0
    peak = frequencies[int(np.argmax(spectrum))]
    near = spectrum[np.abs(frequencies - peak) < 30].sum()
    return float(peak), float(near / max(spectrum.sum(), 1e-9))


def power_at(samples, hz):
    """The share of the energy that lies within 30 Hz of a frequency."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[np.abs(frequencies - hz) < 30].sum() / max(spectrum.sum(), 1e-9))


def loud_spans(samples, threshold=600, frame=FRAME, gap_frames=10):
    """(start_ms, end_ms) of stretches above the threshold; gaps shorter than gap_frames are joined."""
    spans, start, quiet = [], None, 0
    count = len(samples) // frame
    for index in range(count):
        loud = rms(samples[index * frame : (index + 1) * frame]) > threshold
        if loud:
            start = index if start is None else start
            quiet = 0
        elif start is not None:
            quiet += 1
            if quiet > gap_frames:
                spans.append((start * 20, (index - quiet + 1) * 20))
                start, quiet = None, 0
    if start is not None:
        spans.append((start * 20, (count - quiet) * 20))
    return spans


SO_TIMESTAMPNS = 35  # Linux: the kernel's own arrival time, which a busy test process cannot delay


class Packet:
    """One RTP packet: when it arrived (monotonic seconds), from where, and its sound."""

    __slots__ = ("at", "source", "kind", "sequence", "timestamp", "ssrc", "payload", "samples", "level", "_hz")

    def __init__(self, at, source, kind, sequence, timestamp, ssrc, payload):
        self.at, self.source, self.kind, self.sequence, self.timestamp, self.ssrc, self.payload = at, source, kind, sequence, timestamp, ssrc, payload
        self.samples = decode(kind, payload) if kind in (0, 8) else None
        self.level = rms(self.samples) if self.samples is not None else 0.0
        self._hz = None

    @property
    def hz(self):
        """The strongest frequency of this packet alone, good to about 10 Hz for a pure tone."""
        if self._hz is None:
            spectrum = np.abs(np.fft.rfft(self.samples * np.hanning(len(self.samples)), 2048))
            self._hz = float(np.argmax(spectrum) * RATE / 2048)
        return self._hz


class RtpPeer:
    """A UDP socket that receives RTP with arrival times, and can send audio at 20 ms pace."""

    #: What a frame adds to the time stamp.
    step = FRAME

    def __init__(self, host="127.0.0.1", payload_type=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0.05)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.host, self.port = self.socket.getsockname()
        self.payload_type = payload_type
        self.packets = []
        self.rtcp = []  # (monotonic seconds, packet)
        self.remote = None
        self._outgoing = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.sent = []  # (monotonic seconds, label) of the first loud packet of each stretch
        self.frames_sent = []  # (monotonic seconds, level) of every packet
        self.send_silence = True
        self.paused = False
        self._threads = [threading.Thread(target=self._receive, daemon=True), threading.Thread(target=self._send, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _receive(self):
        # Kernel time stamps are of the wall clock.
        wall = time.time() - time.monotonic()
        while not self._stop.is_set():
            try:
                data, ancillary, _, source = self.socket.recvmsg(2048, 64)
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                return
            arrived = time.monotonic()
            for level, kind, stamp in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("qq", stamp[:16])
                    arrived = seconds + nanoseconds / 1e9 - wall
            if len(data) < 12 or data[0] >> 6 != 2:
                continue
            if 200 <= data[1] <= 204:
                self.rtcp.append((arrived, data))
                continue
            data = self.opened(data)
            if not data:
                continue
            sequence, timestamp, ssrc = struct.unpack("!HII", data[2:12])
            header = 12 + 4 * (data[0] & 15)
            packet = Packet(arrived, source, data[1] & 0x7F, sequence, timestamp, ssrc, data[header:])
            with self._lock:
                self.packets.append(packet)
                self.remote = self.remote or source
                self.take(packet)

    def _send(self):
        sequence, timestamp, ssrc = 1000, 5000, 0x0A110000 + self.port
        quiet = {0: ulaw_encode(silence(20)), 8: alaw_encode(silence(20))}
        deadline = time.monotonic()
        while not self._stop.is_set():
            deadline += 0.02
            delay = deadline - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            with self._lock:
                remote = self.remote
                if remote and self.waits():
                    continue
                frame, label, level = self._outgoing.pop(0) if self._outgoing and remote else (None, None, 0)
                frame = self.mixed(frame) if remote else frame
            sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + self.step) & 0xFFFFFFFF
            if remote is None or self.paused or (frame is None and not self.send_silence):
                continue
            packet = struct.pack("!BBHII", 0x80, self.payload_type, sequence, timestamp, ssrc) + (frame or quiet[self.payload_type])
            now = time.monotonic()
            try:
                self.socket.sendto(self.sealed(packet), remote)
            except OSError:
                return
            self.frames_sent.append((now, level))
            if label is not None:
                self.sent.append((now, label))

    def take(self, packet):
        """What a peer does with what it hears, beside keeping it."""

    def opened(self, packet):
        """An RTP packet as it was before it was encrypted; None drops it."""
        return packet

    def sealed(self, packet):
        """An RTP packet as it is sent."""
        return packet

    def waits(self):
        """Whether there is nothing to send yet: time stamps do not go on meanwhile."""
        return False

    def mixed(self, frame):
        """What is really sent in the place of a frame; None: silence."""
        return frame

    def say(self, samples, label="say"):
        encode = {0: ulaw_encode, 8: alaw_encode}[self.payload_type]
        samples = np.concatenate([samples, silence(20)])[: (len(samples) + FRAME - 1) // FRAME * FRAME]
        frames, marked = [], False
        for i in range(0, len(samples), FRAME):
            level = rms(samples[i : i + FRAME])
            first = level > 600 and not marked
            marked = marked or first
            frames.append((encode(samples[i : i + FRAME]), label if first else None, level))
        with self._lock:
            self._outgoing += frames

    def press(self, digit, ms=160, payload_type=101):
        """A key by RFC 4733: event packets each 20 ms, the last three times."""
        event = "0123456789*#ABCD".index(digit)
        timestamp = int(time.monotonic() * RATE) & 0xFFFFFFFF
        durations = [160 * (i + 1) for i in range(ms // 20)]
        for index, duration in enumerate([*durations, durations[-1], durations[-1], durations[-1]]):
            end = 0x80 if index >= len(durations) else 0
            head = struct.pack("!BBHII", 0x80, payload_type | (0x80 if index == 0 else 0), 30000 + index, timestamp, 0x0A110000 + self.port)
            self.socket.sendto(head + struct.pack("!BBH", event, end | 10, duration), self.remote)
            time.sleep(0.02)

    def saying(self):
        with self._lock:
            return bool(self._outgoing)

    def said_at(self, label="say", timeout=5.0):
        """The monotonic time at which the first loud packet of the stretch left."""
        from .allo import wait_for

        return wait_for(f"{label!r} to be said", lambda: [at for at, name in self.sent if name == label], timeout)[-1]

    def audio(self):
        with self._lock:
            return [p for p in self.packets if p.samples is not None]

    def heard(self):
        """(samples, start): everything received so far, placed by RTP time stamp; start is the monotonic time of sample 0."""
        packets = self.audio()
        if not packets:
            return np.zeros(0, dtype=np.int16), time.monotonic()
        start, first = packets[0].at, packets[0].timestamp
        pieces = [((p.timestamp - first) & 0xFFFFFFFF, p.samples) for p in packets]
        pieces = [(offset, piece) for offset, piece in pieces if offset < RATE * 3600]
        samples = np.zeros(max(o + len(p) for o, p in pieces), dtype=np.int16)
        for offset, piece in pieces:
            samples[offset : offset + len(piece)] = piece
        return samples, start

    def words(self):
        """The samples of every packet, one after the other: what was said, whatever holes a stalled machine left between the packets."""
        packets = self.audio()
        return np.concatenate([p.samples for p in packets]) if packets else np.zeros(0, dtype=np.int16)

    def stretches(self, threshold=600, gap_ms=200):
        """Loud stretches as lists of packets; what is quiet for longer than gap_ms separates them."""
        found = []
        for packet in self.audio():
            if packet.level <= threshold:
                continue
            if found and (packet.timestamp - found[-1][-1].timestamp) & 0xFFFFFFFF <= gap_ms * 8 + FRAME:
                found[-1].append(packet)
            else:
                found.append([packet])
        return found

    def tones(self, threshold=600):
        """(hz, ms, packets) of each loud stretch that has ended or goes on; tones that follow each other without a pause are told apart."""
        found = []
        for stretch in self.stretches(threshold):
            current = [stretch[0]]
            for packet, following in zip(stretch[1:], [*stretch[2:], None]):
                other = abs(packet.hz - current[len(current) // 2].hz) > 25
                if other and following is not None and abs(packet.hz - following.hz) < 25 and len(current) > 5:
                    found.append(describe(current))
                    current = []
                current.append(packet)
            found.append(describe(current))
        return found

    def wait_tone(self, hz, ms=0, timeout=15.0, ended=False, after=0.0):
        """Waits until a stretch of this frequency has lasted ms (and, with ended, has been followed by 300 ms of quiet)."""
        from .allo import wait_for

        def there():
            packets = self.audio()
            for found_hz, found_ms, stretch in self.tones():
                over = packets[-1].at - stretch[-1].at > 0.3
                if abs(found_hz - hz) < 8 and found_ms >= ms and stretch[0].at > after and (over or not ended):
                    return found_hz, found_ms, stretch
            return None

        try:
            return wait_for(f"a tone of {hz} Hz for {ms} ms", there, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {[(round(h), m) for h, m, _ in self.tones()]}") from None

    def longest_quiet_ms(self, start, end, threshold=8.0):
        """The longest time between two audible packets in [start, end] (monotonic seconds). No packet at all is quiet too."""
        times = [p.at for p in self.audio() if start <= p.at <= end and p.level > threshold]
        times = [start, *times, end]
        return max((b - a) * 1000 for a, b in zip(times, times[1:]))

    def close(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(1)
        self.socket.close()


class EchoingPeer(RtpPeer):
    """A peer that sends back what it hears, quieter and some frames late, beside what it says itself."""

    def __init__(self, loss_db, frames, **options):
        self.echoes = [silence(20)] * frames
        self.echo_factor = 10 ** (-loss_db / 20)
        super().__init__(**options)

    def take(self, packet):
        if packet.samples is not None and len(packet.samples) == FRAME:
            self.echoes.append((packet.samples * self.echo_factor).astype(np.int16))

    def waits(self):
        # A stall of the other side makes no hole in its echo: both are starved alike on a busy machine.
        return not self.echoes

    def mixed(self, frame):
        echo = self.echoes.pop(0)
        if frame is None:
            return ulaw_encode(echo)
        return ulaw_encode(np.clip(decode(0, frame).astype(np.int32) + echo, -32000, 32000).astype(np.int16))


def describe(stretch):
    samples = np.concatenate([p.samples for p in stretch])
    inner = samples[320:-320] if len(samples) > 1600 else samples
    hz, _ = dominant_hz(inner)
    span = ((stretch[-1].timestamp - stretch[0].timestamp) & 0xFFFFFFFF) + len(stretch[-1].samples)
    return hz, span // 8, stretch


def speak(text, voice="en-us+f3", words_per_minute=150, pitch=60, level=3000):
    """The caller's voice of a scenario, spoken by espeak-ng and brought to 8 kHz by sox: independent of the product's own rendering."""
    import subprocess

    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", text], capture_output=True, check=True
    ).stdout
    raw = subprocess.run(
        ["sox", "-t", "wav", "--ignore-length", "-", "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer", "-L", "-"],
        input=spoken, capture_output=True, check=True,
    ).stdout
    samples = np.frombuffer(raw, dtype="<i2").astype(np.float64)
    return np.clip(samples * level / max(rms(samples), 1), -32000, 32000).astype(np.int16)


def read_wav(path):
    """(left, right) samples of a stereo WAV."""
    import wave

    with wave.open(str(path)) as file:
        assert file.getnchannels() == 2 and file.getframerate() == RATE and file.getsampwidth() == 2
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return data[0::2], data[1::2]
