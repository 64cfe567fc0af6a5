"""What the table needs of a telephone. Each has one call at a time, and another one when it is told to make it."""

import re
import subprocess

from .world import wait_sound

#: How long a tone must be heard; the agent's answers may be cut by what comes next.
HEARD_MS = 120


class Telephone:
    """What the table needs of a telephone."""

    #: How it is named on the page.
    TITLE = None
    #: What the page says of it.
    NOTE = ""
    #: The server's address, as this telephone reaches it.
    seen_from = "127.0.0.1"
    #: The port on which it is called by the transport of its row.
    listens = None
    #: The id of the device that it is registered as, where it is.
    device = None
    #: Who has its call where that is not the agent of the table.
    agent = None
    #: The telephone that it is handed to in an attended transfer.
    colleague = None
    #: It is called as a device that it registers as.
    registers = False

    def __init__(self, world, row, directions, first=None):
        """`first`: the telephone whose colleague it is."""
        self.first = first
        self.world, self.row, self.directions, self.number = world, row, directions, world.number()
        self.folder = world.folder / "-".join(row) / self.number
        self.folder.mkdir(parents=True)
        self.marked = 0
        #: What is tried now.
        self.direction = None

    @classmethod
    def version(cls):
        raise NotImplementedError

    def target(self):
        """The name of the agent's target that it is handed to."""
        return f"{self.seen_from}-{self.row.transport}"

    def agreed(self, decision):
        """What else must be true of what the server agreed to."""

    def begins_anew(self):
        """It was told to make another call."""

    def expects(self):
        """It is about to be called."""

    def address(self):
        """Where a leg of the server finds it."""
        return f"sip:{self.number}@127.0.0.1:{self.listens}" + ("" if self.row.transport == "udp" else f";transport={self.row.transport}")

    def has_colleague(self):
        """It is about to be called: another one of its kind waits for calls, and the agent knows where."""
        if not self.registers:
            self.agent = self.world.agent_who_knows(self.new_colleague().address())

    def colleague_waits(self):
        """It was called. A call to a device goes to the telephone that registered last: the other one registers as the same device now."""
        return self.colleague or self.new_colleague()

    def new_colleague(self):
        self.colleague = type(self)(self.world, self.row, (), self)
        self.colleague.direction = "attended"
        self.colleague.expects()
        return self.colleague

    def takes_over(self):
        """It was told to take the place of the server in the call with its colleague."""

    def dial(self, uri):
        raise NotImplementedError

    def say(self, samples):
        raise NotImplementedError

    def samples(self):
        """What it has heard so far, at 8 kHz."""
        raise NotImplementedError

    def mark(self, call):
        """What was heard before does not count any more."""
        self.marked = len(self.samples())

    def hears(self, hz, call):
        wait_sound(f"{hz} Hz at the telephone", lambda: self.samples()[self.marked :], hz, HEARD_MS)

    def hold(self):
        raise NotImplementedError

    def resume(self):
        raise NotImplementedError

    def judged_late(self):
        """Where what it heard is known only when its call is over: direction → error."""
        return {}

    def close(self):
        raise NotImplementedError

    def close_both(self):
        """Its colleague too. One that still sends when its call is over would be taken for the caller of the next one."""
        try:
            if self.colleague:
                self.colleague.close()
        finally:
            self.close()


def found_in(command, pattern):
    """What a program says of its version."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = re.search(pattern, said.stdout + said.stderr)
    return found.group(1) if found else "unknown"
