"""Where lines go: the interface that InfluxDB and the file have in common, and the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connectors.influx.recorder import Line


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that will never be taken, and why."""

    line: Line
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: how many lines are saved, were too old to be kept, or are refused for good."""

    saved: int = 0
    expired: int = 0
    refused: tuple[Refused, ...] = ()

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.saved + other.saved, self.expired + other.expired, self.refused + other.refused)


class Away(Exception):  # noqa: N818 -- a state of the outside world
    """Nothing can be saved now: write the same batch again later (writing a line twice changes nothing)."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Unusable(Exception):  # noqa: N818 -- a state of the outside world
    """Nothing can ever be saved as things are set up: stop and say so (a wrong token, no such database)."""


class Sink(Protocol):
    """Saves lines. What it has answered is durable."""

    def write(self, lines: Sequence[Line]) -> Outcome:
        """Save a batch. Raises Away or Unusable."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class FileSink:
    """A file of line protocol, appended to: for the demo, and for whoever loads it with `influx write`."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab")
        except OSError as problem:
            raise Unusable(f"{path} cannot be written: {problem.strerror}") from problem

    def write(self, lines: Sequence[Line]) -> Outcome:
        """Append, and return when it is on the disk."""
        try:
            self._file.write("".join(f"{line.text}\n" for line in lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as problem:
            raise Unusable(f"{self._file.name} cannot be written: {problem.strerror}") from problem
        return Outcome(saved=len(lines))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
