"""schemathesis over the document: whatever it sends, the answer is never a fault of ours. More with ALLO_PROVE=1 (scripts/prove)."""

import os
import subprocess
import sys

import pytest
from lib.allo import TOKEN
from lib.tenancy import Platform

EXAMPLES = "200" if os.environ.get("ALLO_PROVE") else "3"
TIMEOUT_S = 3_000 if os.environ.get("ALLO_PROVE") else 600


# Nobody serves the engine of these agents: their manager says so.
@pytest.mark.allowed_log("log_agent_failed")
@pytest.mark.timeout(TIMEOUT_S + 30)
@pytest.mark.parametrize("who", ["owner of the node", "admin of an account"])
def test_no_request_is_answered_with_a_fault(server, database, folder, who):
    platform = Platform(server("ws://127.0.0.1:9/v1/realtime", platform_rate_per_s=10_000, server_database=database))
    credential = f"Authorization: Bearer {TOKEN}"
    if who == "admin of an account":
        credential = f"Authorization: Bearer {platform.tenant('fuzzed')['keys']['admin']}"
    # It would make itself a user and log in: it has a credential already.
    (folder / "schemathesis.toml").write_text("[auth]\nauto-signup = false\n")
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", folder / "schemathesis.toml", "run", f"{platform.base}/api/openapi.json", "--header", credential,
        "--checks", "not_a_server_error,content_type_conformance,status_code_conformance", "--max-examples", EXAMPLES,
        "--exclude-path", "/api/events", "--phases", "examples,fuzzing", "--generation-deterministic", "--no-color",
        "--workers", "2", "--request-timeout", "20",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, cwd=folder)
    report = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    (folder / "schemathesis.txt").write_text(report)
    assert done.returncode == 0, report[-6000:]
