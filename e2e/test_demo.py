"""`allo demo --once`: the whole way with the product's own scripted caller, which judges transcript, recording and explanation."""

import json
import re
import subprocess

import pytest

from lib.allo import BINARY, clean_environment
from lib.audio import loud_spans, read_wav


@pytest.mark.parametrize("language", ["fr", "en"])
def test_once_is_right(folder, language):
    data = folder / "demo"
    run = subprocess.run(
        [BINARY, "demo", "--once", "--language", language, "--data-dir", data], env=clean_environment(), cwd=folder,
        capture_output=True, text=True, timeout=110,
    )
    (folder / "demo.out").write_text(run.stdout + run.stderr)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not re.search(r"\b(WARN|ERROR)\b", run.stderr), run.stderr
    # Judged here once more, from the outside: the files, not what the program says of itself.
    recordings = list(data.glob("recordings/*.wav"))
    assert len(recordings) == 1
    caller, agent = read_wav(recordings[0])
    caller_spans, agent_spans = loud_spans(caller, gap_frames=25), loud_spans(agent, gap_frames=25)
    assert len(caller_spans) >= 4 and len(agent_spans) >= 5, (caller_spans, agent_spans)
    assert agent_spans[0][0] < caller_spans[0][0], "the agent greets first"
    assert agent_spans[-1][1] > caller_spans[-1][1], "the agent speaks last"
    # Both voices together only where the caller interrupts: a fraction of a second.
    overlap = sum(max(0, min(a[1], c[1]) - max(a[0], c[0])) for a in agent_spans for c in caller_spans)
    assert overlap < 1500, f"the voices overlap for {overlap} ms"
    text = recordings[0].with_suffix(".txt").read_text()
    assert ("L'agent a raccroché" if language == "fr" else "The agent hung up") in text
    explained = subprocess.run(
        [BINARY, "call", "explain", "last", "--json"], cwd=folder, capture_output=True, text=True, timeout=20,
        env=clean_environment(ALLO_SERVER_DATA_DIR=data),
    )
    assert explained.returncode == 0, explained.stderr
    assert "agent" in json.dumps(json.loads(explained.stdout))


def test_a_missing_synthesiser_is_named(folder):
    run = subprocess.run(
        [BINARY, "demo", "--once", "--data-dir", folder / "demo"], env=clean_environment(PATH=str(folder)), cwd=folder,
        capture_output=True, text=True, timeout=30,
    )
    assert run.returncode != 0
    assert "espeak-ng" in run.stderr and "apt install espeak-ng" in run.stderr
