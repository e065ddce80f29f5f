"""Records to lines: decode, thin, remember what a later record needs, encode. No Kafka, no InfluxDB, no clock.

Given the same records it gives the same lines, so reading a topic again rewrites the points that are there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from connectors.influx import points
from connectors.influx.fleet import Fleet
from connectors.influx.flow import Flow
from connectors.influx.lines import NoPoint, line
from connectors.influx.locations import Locations
from connectors.influx.points import Point
from connectors.influx.schema import Database
from connectors.influx.thinning import OncePerSlot, OnChange
from pipeline.moments import to_ms
from pipeline.records import (
    CHARGERS,
    DEADLETTERS,
    DECISIONS,
    FEEDBACK,
    METERS,
    SETPOINTS,
    WINDOWS,
    ChargerReading,
    ClosedWindow,
    DeadLetter,
    Decision,
    Feedback,
    MeterReading,
    NotARecord,
    Setpoint,
    decode,
)

TOPICS = (METERS, CHARGERS, SETPOINTS, FEEDBACK, DECISIONS, WINDOWS, DEADLETTERS)
"""What the historian reads."""
METER_EVERY_S = 10
"""Seconds between two points of a meter. Less: InfluxDB cannot follow a large fleet; more: short peaks are not seen."""
DECISION_REFRESH_S = 300
"""Seconds between two points that say the same. Less costs writes, more leaves short ranges without a point."""
AHEAD_MS = 10_000
"""A reading further in the future is refused, as the workers do: in InfluxDB it would open a shard of its own."""
OPEN_SETPOINTS = 200_000
"""Setpoints that wait for an answer. Less loses round-trip times in a large fleet, more keeps those that never end."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record was read: topic, partition and offset identify it. `arrived_ms` is Kafka's time of it."""

    topic: str
    partition: int
    offset: int
    arrived_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Line:
    """A line, the database that it goes to, and the record that it was made of (None: a roll-up)."""

    text: str
    database: Database
    source: Source | None


class Recorder:
    """Turns records into lines. `skipped` counts what became none, by topic."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._meters = OncePerSlot(METER_EVERY_S)
        self._decisions = OnChange(DECISION_REFRESH_S)
        self._locations = Locations()
        self._fleet = Fleet(self._locations)
        self._flow = Flow()
        self._sent_ms: dict[tuple[str, int, int], int] = {}
        self._by_topic: dict[str, Callable[[Any, Source], Iterable[Point]]] = {
            METERS: self._meter,
            CHARGERS: self._charger,
            SETPOINTS: self._setpoint,
            FEEDBACK: self._feedback,
            DECISIONS: self._decision,
            WINDOWS: self._window,
            DEADLETTERS: self._dead_letter,
        }

    def lines(self, source: Source) -> list[Line]:
        """The lines of one record; none when it is no record (its dead letter is the worker's business)."""
        if source.value is None and source.topic == SETPOINTS:
            return []  # a tombstone: the connector is gone
        try:
            record = decode(source.topic, source.value)
        except NotARecord:
            self.skipped[source.topic] += 1
            record = None
        counted = self._encode(self._flow.heard(source.topic, source.partition, source.arrived_ms, record), None)
        return (
            counted
            if record is None
            else [*counted, *self._encode(self._by_topic[source.topic](record, source), source)]
        )

    def forget(self, topic: str, partition: int) -> None:
        """Somebody else reads this partition now."""
        self._flow.forget(topic, partition)
        if topic == DECISIONS:
            self._locations.forget(partition)
            self._fleet.forget(partition)

    def own(self, found: Iterable[Point]) -> list[Line]:
        """The lines of points that are made of no record."""
        return self._encode(found, None)

    def silent(self, now_ms: int) -> list[Line]:
        """The lines of locations that decide no more; to be asked for when there is nothing left to read."""
        return self._encode(self._locations.silent(now_ms), None)

    def _encode(self, found: Iterable[Point], source: Source | None) -> list[Line]:
        lines = []
        for point in found:
            try:
                text = line(point.measurement, point.tags, point.fields, point.at_ms, code=point.code)
            except NoPoint:
                self.skipped[source.topic if source else point.measurement.name] += 1
            else:
                lines.append(Line(text, point.measurement.database, source))
        return lines

    def _meter(self, reading: MeterReading, source: Source) -> Iterable[Point]:
        if self._is_ahead(to_ms(reading.at), source):
            return
        self._locations.note_meter(reading)
        if self._meters.keeps((reading.location, reading.meter), to_ms(reading.at)):
            yield points.meter(reading, source.arrived_ms)

    def _charger(self, reading: ChargerReading, source: Source) -> Iterable[Point]:
        if self._is_ahead(to_ms(reading.at), source):
            return
        self._locations.note_charger(reading)
        yield points.charger(reading, source.arrived_ms)

    def _setpoint(self, record: Setpoint, _source: Source) -> Iterable[Point]:
        yield points.setpoint(record)

    def _feedback(self, record: Feedback, _source: Source) -> Iterable[Point]:
        key = (record.charger, record.connector, record.seq)
        at_ms = to_ms(record.at)
        if record.state == "sent":
            if len(self._sent_ms) >= OPEN_SETPOINTS:
                self._sent_ms.clear()
            self._sent_ms[key] = at_ms
            sent_ms = None
        else:
            sent_ms = self._sent_ms.pop(key, None)
        yield points.feedback(record, None if sent_ms is None else (at_ms - sent_ms) / 1000)

    def _decision(self, decision: Decision, source: Source) -> Iterable[Point]:
        yield from self._fleet.decided(decision, source.partition)
        for group in decision.groups:
            yield from self._changed(points.decision_group(decision, group))
        for connector in decision.connectors:
            yield from self._changed(points.decision_connector(decision, connector))
        if state := self._locations.decided(decision, source.partition):
            yield state

    def _changed(self, point: Point) -> Iterable[Point]:
        """The point, unless it says what the last one said (the name of the decision does not count)."""
        content = tuple(value for name, value in point.fields.items() if name != "decision")
        if self._decisions.keeps(point.series, point.at_ms, content):
            yield point

    def _window(self, window: ClosedWindow, _source: Source) -> Iterable[Point]:
        yield points.quarter(window)
        month = points.month(window)
        if month is None:
            self.skipped[WINDOWS] += 1
        else:
            yield month

    def _dead_letter(self, letter: DeadLetter, source: Source) -> Iterable[Point]:
        yield points.dead_letter(letter, source.arrived_ms, source.offset)

    def _is_ahead(self, at_ms: int, source: Source) -> bool:
        ahead = at_ms > source.arrived_ms + AHEAD_MS
        self.skipped[source.topic] += ahead
        return ahead
