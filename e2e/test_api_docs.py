"""The examples of docs/api.md, run as they stand."""

import re
import shutil
import subprocess

import pytest
from lib.allo import ROOT, TOKEN, clean_environment
from lib.tenancy import Platform


@pytest.mark.allowed_log("engine_unreachable", "log_chat_failed", "log_agent_failed")
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the examples use curl and jq")
def test_the_examples_of_the_page_work(server):
    platform = Platform(server("ws://127.0.0.1:9/v1/realtime"))
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S)
    assert len(blocks) >= 6
    script = "set -euo pipefail\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-x", "-c", script], capture_output=True, timeout=60, env=clean_environment(ALLO=platform.base, TOKEN=TOKEN)
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:] + done.stdout.decode()[-3000:]
