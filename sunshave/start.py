"""Where `sunshave` begins: from its first line on, Ctrl-C and SIGTERM are an end and no stack trace.

While nothing is open yet (imports, a first question to a broker) a command just leaves, with status 130 or 143. Those
that have something to put away (child processes, sockets, offsets) take the signals over when they begin.

So it is with the standard streams: one that is closed is an empty one, and an answer that cannot be written (a full
disk) is a sentence, and the end.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STOPS = (signal.SIGINT, signal.SIGTERM)


def run() -> None:
    """The command, as it is installed."""
    _leave_when_told()
    _open_streams()
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


class _Output(io.FileIO):
    """Standard output. When whoever reads it leaves, that is a quiet end; when it fails otherwise, that is said."""

    _failed = False

    def write(self, data: ReadableBuffer, /) -> int | None:
        """As a file does. What is written after it failed is lost, as was what came before."""
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._failed = True
            raise SystemExit(128 + signal.SIGPIPE) from None
        except OSError as problem:
            self._failed = True
            print(f"Error: cannot write the answer: {problem.strerror}", file=sys.stderr)
            raise SystemExit(1) from None


def _open_streams() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    output = io.BufferedWriter(_Output(1, "w", closefd=False))
    encoding, errors = ("utf-8", None) if sys.stdout is None else (sys.stdout.encoding, sys.stdout.errors)
    sys.stdout = io.TextIOWrapper(output, encoding=encoding, errors=errors, line_buffering=os.isatty(1))
