"""The production core with a topic log in front of it: one worker that owns one location, and may die.

It is the worker's own engine (`pipeline.engine`), so it decides when the worker would: when something changed, at most
every `interval_s`, at once on a violation, and when a timer asks. What Kafka keeps for a worker is kept here: the log
of the records since the state was last written, and that state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pipeline.emission import Batch, Emission
from pipeline.engine import Engine
from pipeline.moments import rfc3339
from pipeline.records import DECISIONS, LOCATIONS, SETPOINTS, WINDOWS, Alarm, ClosedWindow, Setpoint, WindowView, decode

PARTITION = 0
WORKER = "simulated"


class Record(NamedTuple):
    """A record of a topic, as Kafka's client would give it. `timestamp` is in ms."""

    key: bytes
    value: bytes
    offset: int
    timestamp: int


class GroupSeen(msgspec.Struct, gc=False):
    """What is looked at of a group in a decision."""

    group: str
    limit_a: list[float]
    window: WindowView | None


class DecisionSeen(msgspec.Struct, gc=False):
    """What is looked at of a decision."""

    groups: list[GroupSeen]
    alarms: list[Alarm]


_SEEN = msgspec.json.Decoder(DecisionSeen)
Export = Callable[[bytes], object]
"""Told each line of the run in the form that `sunshave decide` and `sunshave replay` read."""


class Controller:
    """One location's worker."""

    def __init__(self, name: str, document: bytes, now_ms: int, export: Export | None = None) -> None:
        self.decided = 0
        """Decisions that were written."""
        self.newest: DecisionSeen | None = None
        self.windows: list[ClosedWindow] = []
        self.alarms: dict[str, int] = {}
        """How often an alarm of each kind began."""
        self._key = name.encode()
        self._export = export
        self._offsets: dict[str, int] = {}
        self._kept: dict[bytes, bytes] = {}
        self._since: list[tuple[str, Record]] = []
        """Records since the state was last kept: a worker that takes over reads them again."""
        self._engine: Engine | None = Engine(PARTITION, WORKER, {}, now_ms)
        self._alarmed: frozenset[tuple[str, str | None, str | None, int | None]] = frozenset()
        self.hear(LOCATIONS, document, now_ms)

    @property
    def away(self) -> bool:
        """Whether nobody decides just now."""
        return self._engine is None

    def hear(self, topic: str, value: bytes, now_ms: int) -> None:
        """A record is on its topic."""
        offset = self._offsets.get(topic, -1) + 1
        self._offsets[topic] = offset
        record = Record(self._key, value, offset, now_ms)
        if self._export is not None:
            place = b'"key":"%s","partition":%d,"offset":%d,"timestamp":%d' % (self._key, PARTITION, offset, now_ms)
            self._export(b'{"topic":"%s","value":%s,%s}' % (topic.encode(), value, place))
        self._since.append((topic, record))
        if self._engine is not None:
            self._fold(self._engine, topic, record, now_ms)

    def decide(self, now_ms: int) -> list[Setpoint]:
        """Decide if it is time to; the setpoints that go out."""
        engine = self._engine
        if engine is None or engine.wake_ms(now_ms) > now_ms:
            return []
        engine.decide(now_ms)
        return self._emitted(engine.take(), now_ms)

    def die(self) -> None:
        """All that was not kept is lost."""
        self._engine = None

    def take_over(self, now_ms: int) -> None:
        """Another worker begins with what was kept, and reads the log from there."""
        self._engine = Engine(PARTITION, WORKER, self._kept, now_ms)
        for topic, record in self._since:
            self._fold(self._engine, topic, record, now_ms)

    @staticmethod
    def _fold(engine: Engine, topic: str, record: Record, now_ms: int) -> None:
        engine.fold(Batch(topic, PARTITION, [record], record.offset + 1), now_ms)

    def _emitted(self, out: Emission, now_ms: int) -> list[Setpoint]:
        assert not out.failures, out.failures[0]
        assert not out.letters, out.letters[0].reason
        if out.kept:
            self._kept |= {key: value for key, value in out.kept if value is not None}
            self._since.clear()
        setpoints = [decode(SETPOINTS, value) for topic, _, value in (*out.first, *out.last) if topic == SETPOINTS]
        self.windows += [decode(WINDOWS, value) for topic, _, value in out.first if topic == WINDOWS]
        for topic, _, value in out.last:
            if topic == DECISIONS and value is not None:
                self._note(value, now_ms)
        return setpoints

    def _note(self, decision: bytes, now_ms: int) -> None:
        self.decided += 1
        if self._export is not None:
            self._export(b'{"now":"%s","decisions":[%s]}' % (rfc3339(now_ms).encode(), decision))
        self.newest = seen = _SEEN.decode(decision)
        alarmed = frozenset((a.kind, a.group, a.charger, a.connector) for a in seen.alarms)
        for kind, *_ in sorted(alarmed - self._alarmed, key=str):
            self.alarms[kind] = self.alarms.get(kind, 0) + 1
        self._alarmed = alarmed
