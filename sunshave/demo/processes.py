"""The demo's child processes: the real commands, each with its log file, all of them gone when the demo ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the demo: a closed terminal is an end like any other."""
STOP_S = 12.0
"""For a process to end by itself. Shorter: a worker is killed in the middle of its hand-over; longer: Ctrl-C seems to
do nothing."""


class Failed(Exception):  # noqa: N818 -- told to the user as it is
    """A part of the demo that did not start or went away; the text says which, and where its log is."""


@dataclass(slots=True)
class Processes:
    """Started children, in order."""

    folder: Path
    running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, name: str, command: list[str], **environment: str) -> None:
        """Start a command that goes on, in a group of its own: Ctrl-C is ours to pass on."""
        with (self.folder / f"{name}.log").open("wb") as log, undisturbed():
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
            self.running.append((name, child))

    def sunshave(self, name: str, *arguments: str, **environment: str) -> None:
        """Start one of our own commands."""
        self.start(name, [sys.executable, "-m", "sunshave", *arguments], **environment)

    def run(self, *arguments: str, timeout_s: float = 60.0) -> None:
        """Run one of our own commands to its end. Raises Failed with what it said."""
        command = [sys.executable, "-m", "sunshave", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        if done.returncode:
            raise Failed(
                f"`sunshave {' '.join(arguments)}` failed: {done.stderr.decode(errors='replace').strip()[-500:]}"
            )

    def check(self) -> None:
        """Raises Failed when one of them has ended."""
        for name, child in self.running:
            if child.poll() is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()[-3:]
                raise Failed(f"the {name} ended with status {child.returncode}: {' | '.join(tail)}")

    def stop(self) -> None:
        """Stop all, the last one first; what does not end in time is killed."""
        for _, child in reversed(self.running):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for _, child in reversed(self.running):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Children that are gone when the block ends, whatever ends it."""
    folder.mkdir(parents=True, exist_ok=True)
    children = Processes(folder)
    try:
        yield children
    finally:
        with undisturbed():
            children.stop()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the block ends: in the middle of it, a child would be started or stopped by half."""
    held: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: held.append(number)) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt
