"""See scripts/heard."""

import itertools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pesq

BINARY, SENTENCES, SEEDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
SPOKEN = [
    ("fr+m3", "Bonjour, je voudrais commander deux pizzas reine et une salade, pour vingt heures, au nom de Martin."),
    ("fr+f2", "Nous serons quatre personnes samedi soir, et il nous faudrait une chaise haute, s'il vous plaît."),
    ("en-us+m2", "Good evening, I would like to book a table for two on Friday at half past seven."),
    ("en-us+f3", "My number is zero six, twelve, thirty four, fifty six, seventy eight, and please ring twice."),
]
#: codec, rate of its samples, and which PESQ fits it
CODECS = [("PCMU", 8000, "nb"), ("PCMA", 8000, "nb"), ("G722", 16000, "wb"), ("opus", 16000, "wb"), ("opus+fec", 16000, "wb")]
#: per mille lost, mean length of a loss, jitter ms
WEATHERS = [(0, 1, 0), (10, 1, 0), (30, 1, 0), (50, 1, 0), (50, 3, 0), (100, 1, 0), (100, 3, 0), (200, 1, 0), (200, 5, 0), (0, 1, 60), (0, 1, 120), (0, 1, 200), (50, 3, 60)]


def spoken(voice, text, rate):
    wav = subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "--stdout", text], capture_output=True, check=True).stdout
    raw = subprocess.run(
        ["sox", "-t", "wav", "--ignore-length", "-", "-t", "raw", "-r", str(rate), "-c", "1", "-b", "16", "-e", "signed-integer", "-L", "-"],
        input=wav, capture_output=True, check=True,
    ).stdout  # fmt: skip
    samples = np.frombuffer(raw, dtype="<i2").astype(np.float64)
    samples *= 3000 / np.sqrt(np.mean(samples**2))
    quiet = np.zeros(rate // 2)
    return np.clip(np.concatenate([quiet, samples, quiet]), -32000, 32000).astype("<i2")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        said = {}
        for (number, (voice, text)), rate in itertools.product(enumerate(SPOKEN[:SENTENCES]), (8000, 16000)):
            said[number, rate] = spoken(voice, text, rate)
            (folder / f"{number}-{rate}").write_bytes(said[number, rate].tobytes())
        print("| lost %, mean length, jitter ms | " + " | ".join(codec for codec, *_ in CODECS) + " | lost %, made up %, gap p99/max ms (PCMU) |")
        print("|---|" + "---|" * (len(CODECS) + 1))
        for weather in WEATHERS:
            cells, figures = [], None
            for codec, rate, kind in CODECS:
                scores = {"yes": [], "no": []}
                for number, conceal, seed in itertools.product(range(min(SENTENCES, len(SPOKEN))), scores, range(SEEDS if any(weather) and weather != (0, 1, 0) else 1)):
                    told = subprocess.run(
                        [BINARY, folder / f"{number}-{rate}", folder / "out", codec, *map(str, weather), conceal, str(seed + 1)], capture_output=True, check=True, text=True
                    ).stdout.split()
                    heard = np.frombuffer((folder / "out").read_bytes(), dtype="<i2")
                    scores[conceal].append(pesq.pesq(rate, said[number, rate], heard, kind))
                    if codec == "PCMU" and conceal == "yes":
                        figures = [*(figures or []), [int(word) for word in told]]
                cells.append(f"{np.mean(scores['yes']):.2f} / {np.mean(scores['no']):.2f}")
            lost, made, p99, most = np.array(figures).T
            loss, burst, jitter = weather
            print(f"| {loss / 10:g}, {burst}, {jitter} | " + " | ".join(cells) + f" | {lost.mean() / 10:.1f}, {made.mean() / 10:.1f}, {int(p99.max())}/{int(most.max())} |", flush=True)


main()
