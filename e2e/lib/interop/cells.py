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

#: Why a cell is not tried.
REASONS = {
    "sipp-tls": "the peer: Debian's sipp is built without TLS",
    "sipp-dtls": "the peer: sipp has no SRTP of its own, and the sound that the tests give it (libsrtp) no DTLS",
    "aiosipua-tls": "the peer: aiosipua has no TLS",
    "aiosipua-sdes": "the peer: aiosipua and aiortp have no SRTP",
    "aiosipua-dtls": "the peer: aiosipua and aiortp have no SRTP",
}

#: Telephones that are handed over in a call to them, and why not in one of theirs.
WHEN_CALLED = {"aiosipua": "it numbers the NOTIFYs of a call that it made from 1 again (CSeq), which RFC 3261 section 12.2.2 has refused"}


#: Telephones of which one takes the place of the server in the call of another (REFER with Replaces), by the transports by which one can
#: call the other. Of all others the server joins the two legs itself.
TAKES_OVER = {"linphone": ("udp", "tcp"), "sipp": TRANSPORTS}


class Row(NamedTuple):
    """What one call has: a telephone, how it signals, how its audio is protected, and its codec."""

    peer: str
    transport: str
    security: str
    codec: str


ROWS = [Row(*values) for values in product(PEERS, TRANSPORTS, SECURITIES, CODECS)]


def obstacle(row, direction):
    """The key of `REASONS` where this cell cannot be tried, else None."""
    named = [f"{row.peer}-{value}" for value in (*row[1:], direction)]
    return next((reason for reason in named if reason in REASONS), None)


def takes_over(row):
    return row.transport in TAKES_OVER.get(row.peer, ())


def feasible(row, directions=DIRECTIONS):
    return [direction for direction in directions if not obstacle(row, direction)]


def pairs(row, directions):
    """Every two values that meet in a call in which these directions are tried."""
    named = [*zip(Row._fields, row)]
    fixed = {frozenset(two) for two in combinations(named, 2)}
    return fixed | {frozenset((value, ("direction", direction))) for value in named for direction in directions}


def calls(row):
    """The calls by which the cells of a row are tried, each as the directions that it tries."""
    going = (("in", "hold"), ("out", "blind")) if row.peer in WHEN_CALLED else (("in", "hold", "blind"),)
    return [tuple(tried) for kind in (*going, ("out", "attended")) if (tried := feasible(row, kind))]


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
