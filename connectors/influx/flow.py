"""`flow` and `outcome`: how many records a topic brings, how late they are, and what became of setpoints.

Counted in slots of ten seconds by the time at which Kafka got the records, each partition of each topic for itself: so
a historian that lags, or reads again, counts the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.influx import schema
from connectors.influx.lines import Value
from connectors.influx.points import Point
from connectors.influx.thinning import Slots
from pipeline.moments import to_ms
from pipeline.records import ChargerReading, Decision, Feedback, MeterReading

EVERY_S = 10
"""Seconds between two points of a partition. Less costs writes, more hides bursts."""
MOST_DELAYS = 10_000
"""Delays remembered of a slot. Fewer make the percentile coarse, more are memory in a backlog."""


@dataclass(slots=True)
class _Slot:
    """What came in the slot that runs."""

    records: int = 0
    delays_s: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)


class Flow:
    """Counts every record that is read."""

    def __init__(self) -> None:
        self._slots = Slots(EVERY_S)
        self._running: dict[tuple[str, int], _Slot] = {}

    def heard(self, topic: str, partition: int, arrived_ms: int, record: object) -> Iterator[Point]:
        """The points of the slot that this record ends, if it ends one. `record` None: it could not be read."""
        key = (topic, partition)
        over = self._slots.over(key, arrived_ms)
        if over is not None:
            slot_ms, before = over
            ended = self._running.pop(key)
            if before > 0:
                yield from _points(topic, partition, ended, slot_ms)
        slot = self._running.setdefault(key, _Slot())
        slot.records += 1
        if isinstance(record, Feedback):
            slot.states[record.state] += 1
        elif isinstance(record, MeterReading | ChargerReading | Decision) and len(slot.delays_s) < MOST_DELAYS:
            slot.delays_s.append((arrived_ms - to_ms(record.at)) / 1000)

    def forget(self, topic: str, partition: int) -> None:
        """Somebody else reads it now."""
        self._slots.forget((topic, partition))
        self._running.pop((topic, partition), None)


def _points(topic: str, partition: int, slot: _Slot, slot_ms: int) -> Iterator[Point]:
    delays_s = sorted(slot.delays_s)
    p95_s = delays_s[int(0.95 * (len(delays_s) - 1))] if delays_s else None
    fields: dict[str, Value] = {"records": slot.records, "delay_p95_s": p95_s}
    yield Point(schema.FLOW, (topic, str(partition)), fields, slot_ms)
    for state, count in sorted(slot.states.items()):
        yield Point(schema.OUTCOME, (str(partition), state), {"count": count}, slot_ms)
