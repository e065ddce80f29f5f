"""What goes into the engine of a partition, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.records import DeadLetter

Out = tuple[str, bytes | None, bytes | None]
"""A record to emit: topic, key, value."""


class Incoming(Protocol):
    """A record as Kafka's client gives it; `timestamp` is in ms."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What was polled from one partition, at least one record. `end` is one past the newest that the broker has."""

    topic: str
    partition: int
    records: Sequence[Incoming]
    end: int


@dataclass(slots=True)
class Emission:
    """What must reach the broker, in this order: `letters` and `first`, then `kept`, then `last`.

    Windows and dead letters before the state that says they were published; setpoints after the state that counts them
    as sent. `failures` are our own mistakes, for the log.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    first: list[Out] = field(default_factory=list)
    kept: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    last: list[Out] = field(default_factory=list)
    decisions: int = 0
    failures: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.letters or self.first or self.kept or self.last or self.failures)
