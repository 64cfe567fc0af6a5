"""Ports for programs that cannot be told to take any and say which: baresip's console, a registrar that is started again, an address where nobody listens."""

import contextlib
import os
import random
import socket

# Below those that the system gives to whoever asks for any, so that nobody else gets one between the choice and its use.
FIRST, LAST = 21_000, 32_000
RTP_FIRST, RELAY_LAST = 10_000, 32_760
# Each worker of the tests takes from a share of its own.
SHARES = 8
_share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0) % SHARES
_size = (LAST - FIRST) // SHARES
# Who is alone has all of them: the whole interop table needs some two thousand.
_walk = list(range(FIRST + _share * _size, FIRST + (_share + 1) * _size) if "PYTEST_XDIST_WORKER" in os.environ else range(FIRST, LAST))
random.Random(os.getpid()).shuffle(_walk)


def rtp_ports():
    """The audio ports of this worker's servers, as the setting has them. A telephone of another worker that still sends to a call that is over
    would be taken for the caller of the next one on that port."""
    size = (FIRST - RTP_FIRST) // SHARES // 2 * 2
    first = RTP_FIRST + _share * size
    return f"{first}-{first + size - 1}"


def relay_ports():
    """First and last audio port of this worker's media relay."""
    size = (RELAY_LAST - LAST) // SHARES
    return LAST + _share * size, LAST + (_share + 1) * size - 1


def is_free(port, kind=socket.SOCK_STREAM, host="127.0.0.1"):
    """Whether nobody holds this port. One that has just come free may be given to another worker for a moment: ask with `wait_for`."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(kind=socket.SOCK_STREAM):
    """One that is free on every address of the machine, and was given to nobody before in this process."""
    while _walk:
        port = _walk.pop()
        with socket.socket(socket.AF_INET, kind) as taken:
            try:
                taken.bind(("", port))
                return port
            except OSError:
                continue
    raise AssertionError(f"this worker's share of the ports {FIRST} to {LAST} is used up")


def free_pair():
    """The first of two in a row, for programs that take the next one as well (RTP and RTCP, SIP and SIP over TLS): both free for TCP and UDP."""
    while _walk:
        port = _walk.pop()
        with contextlib.ExitStack() as held:
            try:
                # Nobody else gets the second one: first it is taken from the list, then looked at.
                _walk.remove(port + 1)
                for number in (port, port + 1):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", number))
                return port
            except (OSError, ValueError):
                continue
    raise AssertionError(f"this worker's share of the ports {FIRST} to {LAST} is used up")
