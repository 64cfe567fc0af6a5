"""Wideband calls: baresip with G.722 and Opus. What is above 4 kHz cannot pass a telephone of 8 kHz, so a tone there proves both ways."""

import wave

import numpy as np
import pytest

from lib.allo import wait_for
from lib.softphone import Baresip, read_growing_wav

AGENT_HZ, CALLER_HZ = 5500, 6000


def tone_of(rate, hz, ms):
    return (9000 * np.sin(2 * np.pi * hz * np.arange(rate * ms // 1000) / rate)).astype(np.int16)


def strongest(samples, rate):
    """The strongest frequency, and its share of the energy within 40 Hz."""
    if len(samples) < rate // 10:
        return 0.0, 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    peak = frequencies[int(np.argmax(spectrum))]
    return float(peak), float(spectrum[np.abs(frequencies - peak) < 40].sum() / max(spectrum.sum(), 1e-9))


def sounding(samples, rate, hz):
    """Whether half a second of this tone lies somewhere in it."""
    step = rate // 4
    for start in range(0, len(samples) - 2 * step, step):
        part = samples[start : start + 2 * step].astype(np.float64)
        found, share = strongest(part, rate)
        if abs(found - hz) < 15 and share > 0.8 and np.sqrt(np.mean(part**2)) > 1000:
            return True
    return False


def source(path, rate):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        # Silent until the greeting has been heard: a sound would interrupt it.
        file.writeframes(np.zeros(6 * rate, "<i2").tobytes() + np.tile(tone_of(rate, CALLER_HZ, 1000), 60).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(("codec", "media", "rate"), [("G722", None, 16000), ("opus", "srtp", 48000)])
def test_what_is_above_4_khz_passes_both_ways(folder, standin, server, codec, media, rate):
    channels = 2 if codec == "opus" else 1
    engine = standin("tone", replace=[("hz = 440, ms = 2000", f"hz = {AGENT_HZ}, ms = 3000")])
    allo = server(engine.url, recording_enabled="true", recording_announce="false")
    telephone = Baresip(
        folder, source=source(folder / "caller.wav", rate), rate=rate, modules=("g722.so", "opus.so"),
        account=f"<sip:tester@127.0.0.1>;regint=0;audio_codecs={codec}/{rate}/{channels}" + (f";mediaenc={media}" if media else ""),
    )
    try:
        address = f"sip:allo@127.0.0.1:{allo.tls};transport=tls" if media else f"sip:allo@127.0.0.1:{allo.udp}"
        telephone.dial(address).event("CALL_ESTABLISHED")
        wait_for(f"{AGENT_HZ} Hz at the telephone", lambda: sounding(telephone.samples()[::channels], rate, AGENT_HZ), 20)
        call = allo.calls()[0]
        recording = next((allo.data / "recordings").glob("*.wav"))
        with open(recording, "rb") as file:
            assert int.from_bytes(file.read(28)[24:28], "little") == 16000
        wait_for(f"{CALLER_HZ} Hz in the recording", lambda: sounding(read_growing_wav(recording)[0::2], 16000, CALLER_HZ), 15)
        agreed = [event["event"] for event in allo.events(call["id"]) if event["event"]["type"] == "sdp_decision"][0]
        assert (agreed["codec"], bool(agreed["srtp"])) == (codec, bool(media))
    finally:
        telephone.stop()
    assert allo.ended_call()["endedBy"] == "caller"
