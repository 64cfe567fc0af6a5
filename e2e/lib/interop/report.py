"""docs/interop.md: what came of every cell, with the reason where it was not seen."""

import re

from . import cells
from .telephones import DRIVERS

MARKS = {"in": "i", "out": "o", "hold": "h", "blind": "b", "attended": "a"}
#: An attended transfer that the server joins.
JOINED = "j"
HEAD = """# Interoperability

Written by `make interop` ({date}, commit {commit}); the next run writes it anew. Each cell is a real call, and both directions of its audio were
judged by frequency: what the telephone says in the server's recording, what the agent says at the telephone (`e2e/lib/interop`). What was agreed
(codec, SRTP suite) is read from the call's journal. `make test` makes {few} of these {calls} calls, in which each possible pair of values meets.
G.729 and AMR-WB have a test of their own (`e2e/test_codecs.py`).

The letters of a cell: **i** a call of the telephone, **o** a call to it, **h** hold and resumption, then audio both ways again, **b** blind transfer
(REFER; the call that the telephone makes is judged like the first), **a** attended transfer to a second telephone of the same kind: asked by a REFER with
Replaces, the first takes the server's place, both legs leave the server, and each telephone hears the other. **j** is the same where one telephone cannot take
a call of the other over by what it says of itself or by where it is: nothing is asked, and the server joins the two legs. Each telephone hears the other, and
the recording has both.
`{seen}` of {tried} tried cells were seen working{again}; a number names the reason why one was not.
"""


def page(outcomes, versions, date, commit, again):
    """`outcomes` says of each (row, direction) that was tried None, where it was seen, or why not; `again` calls were made a second time."""
    reasons = []

    def number(reason):
        if reason not in reasons:
            reasons.append(reason)
        return reasons.index(reason) + 1

    def cell(row):
        marks, failed = "", {}
        letters_of = MARKS | ({} if cells.takes_over(row) else {"attended": JOINED})
        for direction in cells.DIRECTIONS:
            why = cells.REASONS.get(cells.obstacle(row, direction)) or outcomes.get((row, direction), "not tried")
            if why is None:
                marks += letters_of[direction]
            else:
                failed.setdefault(number(why), []).append(letters_of[direction])
        if len(failed) == 1 and not marks:
            return f"({next(iter(failed))})"
        return " ".join(([f"**{marks}**"] if marks else []) + [f"{''.join(letters)}({key})" for key, letters in failed.items()])

    tables = []
    for peer in cells.PEERS:
        note = [DRIVERS[peer].NOTE, ""] if DRIVERS[peer].NOTE else []
        lines = [f"## {DRIVERS[peer].TITLE}", "", *note, "| | " + " | ".join(cells.CODECS) + " |", "|---" * (1 + len(cells.CODECS)) + "|"]
        for transport in cells.TRANSPORTS:
            for security in cells.SECURITIES:
                rows = [cells.Row(peer, transport, security, codec) for codec in cells.CODECS]
                lines.append(f"| {transport.upper()}, {security} | " + " | ".join(cell(row) for row in rows) + " |")
        tables.append("\n".join(lines))
    seen = sum(why is None for why in outcomes.values())
    every = sum(len(cells.calls(row)) for row in cells.ROWS)
    second = f" ({again} of the calls at a second try)" if again else ""
    head = HEAD.format(again=second, date=date, commit=commit, few=len(cells.chosen()), calls=every, seen=seen, tried=len(outcomes))
    why = "\n".join(f"{index}. {text}" for index, text in enumerate(reasons, 1))
    peers = "\n".join(f"- {name}: {version}" for name, version in versions.items())
    return "\n\n".join([head.strip(), *tables, f"## Why not\n\n{why}", f"## Versions\n\n{peers}"]) + "\n"


def told(error):
    """An error as a reason of the page: one line, nothing of this machine."""
    text = re.sub(r"\d+\.\d+\.\d+\.\d+(:\d+)?|/\S*/", "…", " ".join(str(error).split("; heard")[0].split()))
    return f"failed: {text[:160]}"
