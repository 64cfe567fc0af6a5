"""The dimensions of the table, what cannot be tried and why, and the few calls that `make test` makes: enough that each feasible pair of
values meets in one of them.
"""

from itertools import combinations, product
from typing import NamedTuple

PEERS = ("baresip", "linphone", "sipp", "aiosipua", "kamailio", "nat")
TRANSPORTS = ("udp", "tcp", "tls")
SECURITIES = ("none", "sdes", "dtls")
CODECS = ("PCMU", "PCMA", "G722", "opus")
#: What is tried: a call of the telephone, a call to it, hold and resumption, a transfer by REFER, one by REFER with Replaces.
DIRECTIONS = ("in", "out", "hold", "blind", "attended")

#: Why a cell is not tried. A value of `NOT_YET` is one that no driver of the table was seen to do: take the line out when one was.
REASONS = {
    "sipp-tls": "the peer: Debian's sipp is built without TLS",
    "sipp-dtls": "the peer: sipp has no SRTP of its own, and the sound that the tests give it (libsrtp) no DTLS",
    "aiosipua-tls": "the peer: aiosipua has no TLS",
    "aiosipua-sdes": "the peer: aiosipua and aiortp have no SRTP",
    "aiosipua-dtls": "the peer: aiosipua and aiortp have no SRTP",
    "attended": "not yet in this table: no telephone of it is somebody else's target; `e2e/test_attended.py` and `test_transfer_matrix.py` try it with linphone and sipp",
}
NOT_YET = {"attended"}

#: Telephones that are handed over in a call to them, and why not in one of theirs.
WHEN_CALLED = {"aiosipua": "it numbers the NOTIFYs of a call that it made from 1 again (CSeq), which RFC 3261 section 12.2.2 has refused"}


class Row(NamedTuple):
    """What one call has: a telephone, how it signals, how its audio is protected, and its codec."""

    peer: str
    transport: str
    security: str
    codec: str


ROWS = [Row(*values) for values in product(PEERS, TRANSPORTS, SECURITIES, CODECS)]


def obstacle(row, direction):
    """The key of `REASONS` where this cell cannot be tried, else None."""
    named = [f"{row.peer}-{value}" for value in row[1:]]
    named += [value for value in (row.security, direction) if value in NOT_YET]
    return next((reason for reason in named if reason in REASONS), None)


def feasible(row, directions=DIRECTIONS):
    return [direction for direction in directions if not obstacle(row, direction)]


def pairs(row, directions):
    """Every two values that meet in a call in which these directions are tried."""
    named = [*zip(Row._fields, row)]
    fixed = {frozenset(two) for two in combinations(named, 2)}
    return fixed | {frozenset((value, ("direction", direction))) for value in named for direction in directions}


def calls(row):
    """The calls by which the cells of a row are tried, each as the directions that it tries."""
    going = ("out", "blind", "attended") if row.peer in WHEN_CALLED else ("out",)
    kinds = ([value for value in DIRECTIONS if value not in going], going)
    return [tuple(tried) for kind in kinds if (tried := feasible(row, kind))]


def chosen():
    """[(row, directions)]: calls in which each feasible pair of values meets, found greedily and always the same. A PyPI package
    (`allpairspy`) makes rows of one value each; here one call tries several directions, and which ones depends on the row."""
    options = []
    for row in ROWS:
        for kind in calls(row):
            # A call that only holds, or only hands over, is shorter than one that does everything.
            parts = {kind[:1], *((kind[0], more) for more in kind[1:]), kind}
            options += [(row, part) for part in sorted(parts)]
    covered = {option: pairs(*option) for option in options}
    missing = set().union(*covered.values())
    selection = []
    while missing:
        # What a call adds for the time that it takes; the first of equals.
        best = max(options, key=lambda option: len(covered[option] & missing) / (2 + len(option[1])))
        selection.append(best)
        missing -= covered[best]
    return selection
