"""The interop table: telephones of others that call, are called, hold and are handed over, by each transport, security and codec, with audio
judged by frequency in both directions. Here a pairwise selection; the whole by `make interop`, which writes docs/interop.md."""

import os
import pathlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.allo import ROOT, only_expected_log_lines
from lib.interop import cells, report
from lib.interop.telephones import DRIVERS
from lib.interop.world import Attempt, World

#: Calls at the same time.
WORKERS = 4
#: Where the whole table is written; empty: no whole table.
PAGE = os.environ.get("ALLO_INTEROP", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("interop"))
    yield made
    made.close()
    unexpected = only_expected_log_lines(made.allo.log(), [])
    assert not unexpected, unexpected


def attempts(world, wanted):
    """Makes these calls, some at the same time: (row, direction) → None or the error."""

    def one(row, directions):
        try:
            telephone = DRIVERS[row.peer](world, row, directions)
        except Exception as error:  # noqa: BLE001 - a cell of the table
            return {(row, direction): error for direction in directions}
        try:
            outcomes = Attempt(world, telephone, row, directions).run()
        finally:
            telephone.close_both()
        return {(row, direction): outcome for direction, outcome in outcomes.items()}

    found = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for outcomes in pool.map(lambda call: one(*call), wanted):
            for (row, direction), error in outcomes.items():
                # Some are tried in two calls.
                found[row, direction] = found.get((row, direction)) or error
                if error:
                    print(f"{' '.join(row)} {direction}: {error}", flush=True)
    return found


def test_the_selection_meets_every_feasible_pair():
    """Of what can be tried, each two values meet in a call that `make test` makes; what cannot has a reason."""
    met = set().union(*(cells.pairs(row, directions) for row, directions in cells.chosen()))
    for row in cells.ROWS:
        for direction in cells.DIRECTIONS:
            if why := cells.obstacle(row, direction):
                assert cells.REASONS[why]
            else:
                assert cells.pairs(row, [direction]) <= met, (row, direction)


def test_a_pairwise_selection(world):
    wanted = [(row, directions) for row, directions in cells.chosen() if row.peer not in world.absent]
    failed = {cell: error for cell, error in attempts(world, wanted).items() if error}
    assert not failed, failed
    print("not here:", world.absent)
    world.allo.idle()


@pytest.mark.skipif(not PAGE, reason="the whole table: make interop")
@pytest.mark.timeout(3600)
def test_every_cell(world):
    wanted = [(row, kind) for row in cells.ROWS for kind in cells.calls(row) if row.peer not in world.absent]
    tried = attempts(world, wanted)
    # On a machine that is busy with something else a telephone is starved now and then: what failed is tried once more, and the page says so.
    again = [(row, kind) for row, kind in wanted if any(tried[row, direction] for direction in kind)]
    tried |= attempts(world, again)
    outcomes = {cell: error and report.told(error) for cell, error in tried.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    versions = {driver.TITLE: driver.version() for name, driver in DRIVERS.items() if name not in world.absent}
    absent = {(row, kind): world.absent[row.peer] for row in cells.ROWS for kind in cells.DIRECTIONS if row.peer in world.absent}
    text = report.page(outcomes | absent, versions, time.strftime("%Y-%m-%d", time.gmtime()), commit, len(again))
    pathlib.Path(PAGE).write_text(text)
    world.allo.idle()
    failed = {cell: why for cell, why in outcomes.items() if why}
    assert not failed, failed
