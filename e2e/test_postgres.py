"""The database server goes away and comes back while a call goes on."""

import os
import pathlib
import subprocess

import pytest

from lib.allo import ROOT, wait_for
from lib.audio import speak
from lib.sipp import Script

STORY = "Please tell me a very long story."
PROGRAM = ROOT / "scripts" / "postgres"

needed = pytest.mark.skipif("ALLO_TEST_POSTGRES" not in os.environ, reason="no PostgreSQL (scripts/test starts one)")


@pytest.fixture
def database():
    url, directory = subprocess.run([PROGRAM, "start"], check=True, capture_output=True, text=True).stdout.split()
    yield url, pathlib.Path(directory)
    subprocess.run([PROGRAM, "stop", directory], check=True)


@needed
@pytest.mark.allowed_log("terminating connection due to", "log_journal_late", "log_outbox_store", "log_directory")
def test_the_database_restarts_in_mid_call(folder, standin, server, sipp, peer, database):
    """No farewell from the server: the caller hears nothing of it, and the record is whole afterwards."""
    url, directory = database
    engine = standin()
    allo = server(engine.url, server_data_dir=folder / "data", server_database=url)
    phone = sipp(Script("restart").call().pause(60000), allo, peer)
    peer.wait_tone(440, 1900, ended=True)
    subprocess.run([PROGRAM, "restart", directory], check=True)
    peer.say(speak(STORY))
    peer.wait_tone(700, 3000)
    call_id = allo.calls()[0]["id"]
    wait_for("the whole transcript", lambda: len(allo.call(call_id)["transcript"]) == 3, 30)
    status, _ = allo.request(f"/api/calls/{call_id}/hangup", "POST")
    assert status in (200, 202, 204)
    call = allo.ended_call()
    assert call["id"] == call_id and call["endedBy"] != "system", call
    phone.kill()
    events = allo.events(call_id)
    assert [event["seq"] for event in events] == list(range(len(events))), "no hole in the journal"
