"""The realtime messages of allo against the types of the official `openai` package, both ways.

What is judged and how strictly: crates/wire/tests/judge_openai.py.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
JUDGE = ROOT / "crates" / "wire" / "tests" / "judge_openai.py"


def cargo_example(name, stdin=subprocess.DEVNULL):
    """The output of an example of `wire`. CARGO_TARGET_DIR is respected, as cargo itself does."""
    path = os.pathsep.join([str(pathlib.Path.home() / ".cargo" / "bin"), os.environ.get("PATH", "")])
    cargo = shutil.which("cargo", path=path)
    assert cargo, "cargo is not installed"
    run = subprocess.run(
        [cargo, "run", "--quiet", "--locked", "-p", "wire", "--example", name],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdin=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def judge(*arguments, stdin=None):
    run = subprocess.run(
        [sys.executable, str(JUDGE), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.mark.timeout(600)
def test_every_client_event_is_accepted_without_an_unknown_field():
    code, verdict = judge("client", stdin=cargo_example("client_events"))
    assert code == 0, verdict


@pytest.mark.timeout(600)
def test_every_server_event_that_the_package_can_produce_is_understood(tmp_path):
    code, generated = judge("generate")
    assert code == 0, generated
    assert len(generated.splitlines()) > 500
    events = tmp_path / "generated.jsonl"
    events.write_text(generated, encoding="utf-8")
    with events.open(encoding="utf-8") as stdin:
        outcomes = tmp_path / "outcomes.jsonl"
        outcomes.write_text(cargo_example("server_events", stdin=stdin), encoding="utf-8")
    code, verdict = judge("server", events, outcomes)
    assert code == 0, verdict
