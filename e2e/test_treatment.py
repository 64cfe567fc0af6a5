"""What is done to the caller's audio by setting: a voice that hardly anybody would hear is in the recording as loud as others."""

import numpy as np

from lib.allo import wait_for
from lib.audio import rms, silence, speak
from lib.softphone import Baresip, read_growing_wav, write_wav


def loud(samples):
    """Level of the loudest tenth of the 20 ms frames."""
    levels = sorted(rms(samples[start : start + 160]) for start in range(0, len(samples) - 160, 160))
    return float(np.mean(levels[-max(1, len(levels) // 10) :])) if levels else 0.0


def test_a_quiet_caller_is_made_louder(folder, standin, server):
    words = speak("Good evening, I would like to know whether you have a table for four.")
    quiet = (words.astype(np.float64) * 900 / loud(words)).astype(np.int16)
    pieces = [silence(3000)]
    for _ in range(8):
        pieces += [quiet, silence(800)]
    source = write_wav(folder / "quiet.wav", *pieces)
    allo = server(
        standin("tone").url, recording_enabled="true", recording_announce="false", line_automatic_gain="true", line_noise_suppression="true",
    )
    telephone = Baresip(folder, source=source)
    try:
        telephone.dial(f"sip:allo@127.0.0.1:{allo.udp}").event("CALL_ESTABLISHED")
        recording = wait_for("the recording", lambda: next((allo.data / "recordings").glob("*.wav"), None))

        def raised():
            caller = read_growing_wav(recording)[0::2]
            return len(caller) > 12 * 8000 and loud(caller[-4 * 8000 :]) > 1800

        wait_for("twice the loudness", raised, 30, 0.2)
    finally:
        telephone.stop()
    assert allo.ended_call()["endedBy"] == "caller"
