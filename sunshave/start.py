"""Where `sunshave` begins: from its first line on, Ctrl-C and SIGTERM are an end and no stack trace.

While nothing is open yet (imports, a first question to a broker) a command just leaves, with status 130 or 143. Those
that have something to put away (child processes, sockets, offsets) take the signals over when they begin.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)


def run() -> None:
    """The command, as it is installed."""
    _leave_when_told()
    from sunshave.cli import main  # only now: an import can be interrupted too

    try:
        main(prog_name="sunshave")
    finally:
        _leave_when_told()  # an event loop puts Python's own handlers back, which would trace the interpreter's end


def _leave_when_told() -> None:
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, or a shell's background job
            signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    """At once: an exception could be swallowed by whatever is being imported."""
    os._exit(128 + number)
