"""`allo demo --once`: the whole way with the product's own scripted caller, which judges transcript, recording and explanation."""

import json
import re
import sqlite3
import subprocess
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from lib.allo import BINARY, clean_environment
from lib.audio import loud_spans, read_wav


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["fr", "en"])
def test_once_is_right(folder, language):
    data = folder / "demo"
    run = subprocess.run(
        [BINARY, "demo", "--once", "--language", language, "--data-dir", data], env=clean_environment(ALLO_LINE_NOISE_INTERRUPTS="false"), cwd=folder,
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
    order_and_table_are_in_the_database(data, recordings[0].stem, run.stdout)
    if language == "fr":
        caller_is_forgotten(folder, data, recordings[0])
    else:
        # Once more with what the first one left: its addresses are others now.
        again = subprocess.run(
            [BINARY, "demo", "--once", "--language", language, "--data-dir", data], env=clean_environment(), cwd=folder,
            capture_output=True, text=True, timeout=110,
        )
        (folder / "again.out").write_text(again.stdout + again.stderr)
        assert again.returncode == 0 and not re.search(r"\b(WARN|ERROR)\b", again.stderr), again.stdout + again.stderr


def order_and_table_are_in_the_database(data, call, shown):
    """Prices, times and links, read from the database itself: what the caller wanted in the end, not what was said first."""
    database = sqlite3.connect(f"file:{data / 'allo.db'}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    orders = database.execute("SELECT * FROM restaurant_orders").fetchall()
    assert len(orders) == 1, [dict(order) for order in orders]
    order = orders[0]
    assert (order["call_id"], order["order_type"], order["customer_phone"]) == (call, "delivery", "+33639981234"), dict(order)
    assert (order["subtotal"], order["delivery_fee"], order["total"]) == (2550, 300, 2850), dict(order)
    lines = database.execute("SELECT * FROM restaurant_order_lines WHERE order_id = ? ORDER BY name", (order["id"],)).fetchall()
    assert [(row["name"], row["quantity"], row["unit_price"], row["total_price"]) for row in lines] == [
        ("Margherita", 1, 1100, 1100), ("Reine", 1, 1450, 1450),
    ]  # fmt: skip
    assert "Mozzarella" in lines[0]["selected_options"] and "Grande" in lines[1]["selected_options"]
    minutes = (order["estimated_ready_at"] - order["created_at"]) / 60e6
    assert 20 <= minutes <= 60, f"promised in {minutes} min: 20 of kitchen and the way"
    tables = database.execute("SELECT * FROM restaurant_reservations").fetchall()
    assert len(tables) == 1, [dict(table) for table in tables]
    table = tables[0]
    assert (table["call_id"], table["party_size"], table["customer_name"], table["status"]) == (call, 4, "Martin", "confirmed")
    at = datetime.fromtimestamp(table["reservation_time"] / 1e6, ZoneInfo("Europe/Paris"))
    assert (at.isoweekday(), at.hour, at.minute) == (6, 20, 0), at
    assert 0 < table["reservation_time"] - table["created_at"] < 8 * 86_400e6
    house = database.execute("SELECT agent_id FROM restaurants").fetchone()
    agent, cost = database.execute("SELECT agent_id, cost_micro FROM calls WHERE id = ?", (call,)).fetchone()
    assert agent == house["agent_id"] and cost > 0
    assert len(database.execute("SELECT id FROM tools WHERE agent_id = ?", (agent,)).fetchall()) == 12
    database.close()
    assert "28.50" in shown and f"{at:%Y-%m-%d} 20:00" in shown and "EUR" in shown, shown


def caller_is_forgotten(folder, data, recording):
    """The caller's number in another spelling: everything is told, then everything is gone, and the call's cost stays."""

    def privacy(command):
        run = subprocess.run([BINARY, "privacy", command, "06 39 98 12 34"], cwd=folder, capture_output=True, text=True, timeout=20,
                             env=clean_environment(ALLO_SERVER_DATA_DIR=data))
        assert run.returncode == 0, run.stderr
        return run.stdout

    calls = [call for account in json.loads(privacy("export"))["accounts"].values() for call in account["calls"]]
    assert len(calls) == 1 and len(calls[0]["transcript"]) > 4 and calls[0]["journal"], calls
    assert calls[0]["call"]["from"].count("639981234") == 1
    privacy("erase")
    assert not recording.exists() and not recording.with_suffix(".txt").exists()
    after = privacy("export")
    assert not any(account["calls"] for account in json.loads(after)["accounts"].values()), after
    left = b"".join(path.read_bytes() for path in data.glob("allo.db*") if path.is_file())
    assert b"33639981234" not in left, "the number is still in the database's file"


def test_a_missing_synthesiser_is_named(folder):
    run = subprocess.run(
        [BINARY, "demo", "--once", "--data-dir", folder / "demo"], env=clean_environment(PATH=str(folder)), cwd=folder,
        capture_output=True, text=True, timeout=30,
    )
    assert run.returncode != 0
    assert "espeak-ng" in run.stderr and "apt install espeak-ng" in run.stderr
