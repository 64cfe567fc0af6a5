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
    if language == "fr":
        caller_is_forgotten(folder, data, recordings[0])


def caller_is_forgotten(folder, data, recording):
    """The caller's number in another spelling: everything is told, then everything is gone, and the call's cost stays."""

    def privacy(command):
        run = subprocess.run([BINARY, "privacy", command, "01 23 45 67 89"], cwd=folder, capture_output=True, text=True, timeout=20,
                             env=clean_environment(ALLO_SERVER_DATA_DIR=data))
        assert run.returncode == 0, run.stderr
        return run.stdout

    calls = [call for account in json.loads(privacy("export"))["accounts"].values() for call in account["calls"]]
    assert len(calls) == 1 and len(calls[0]["transcript"]) > 4 and calls[0]["journal"], calls
    assert calls[0]["call"]["from"].count("123456789") == 1
    privacy("erase")
    assert not recording.exists() and not recording.with_suffix(".txt").exists()
    after = privacy("export")
    assert not any(account["calls"] for account in json.loads(after)["accounts"].values()), after
    left = b"".join(path.read_bytes() for path in data.glob("allo.db*") if path.is_file())
    assert b"33123456789" not in left, "the number is still in the database's file"


def test_a_missing_synthesiser_is_named(folder):
    run = subprocess.run(
        [BINARY, "demo", "--once", "--data-dir", folder / "demo"], env=clean_environment(PATH=str(folder)), cwd=folder,
        capture_output=True, text=True, timeout=30,
    )
    assert run.returncode != 0
    assert "espeak-ng" in run.stderr and "apt install espeak-ng" in run.stderr
