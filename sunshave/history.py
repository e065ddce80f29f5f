"""What happened at one location, as a person wants to see it: the newest values, and series for charts.

Fed with records in the order in which they come; both the live picture of the demo and the reports read from it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.records import (
    CHARGERS,
    DECISIONS,
    FEEDBACK,
    METERS,
    SETPOINTS,
    ChargerReading,
    Decision,
    Feedback,
    MeterReading,
    NotARecord,
    Setpoint,
    decode,
)

KEPT = 50_000
"""Records kept per kind. Fewer: a long run's report begins late; more: a browser is slow to draw it."""

TOPICS = (METERS, CHARGERS, SETPOINTS, FEEDBACK, DECISIONS)


@dataclass(slots=True)
class History:
    """One location's records, oldest first."""

    location: str
    meters: deque[MeterReading] = field(default_factory=lambda: deque(maxlen=KEPT))
    chargers: deque[ChargerReading] = field(default_factory=lambda: deque(maxlen=KEPT))
    setpoints: deque[Setpoint] = field(default_factory=lambda: deque(maxlen=KEPT))
    feedback: deque[Feedback] = field(default_factory=lambda: deque(maxlen=KEPT))
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=KEPT))
    newest_reading: dict[tuple[str, int], ChargerReading] = field(default_factory=dict)
    newest_meter: dict[str, MeterReading] = field(default_factory=dict)

    def hear(
        self, topic: str, value: bytes | None
    ) -> MeterReading | ChargerReading | Setpoint | Feedback | Decision | None:
        """Take in a record of a topic; gives it back when it is one of this location."""
        try:
            record = decode(topic, value)
        except NotARecord:
            return None  # its dead letter is the worker's business
        return self.add(record) if record.location == self.location else None

    def add(
        self, record: MeterReading | ChargerReading | Setpoint | Feedback | Decision
    ) -> MeterReading | ChargerReading | Setpoint | Feedback | Decision:
        """Take in a record."""
        match record:
            case MeterReading():
                self.meters.append(record)
                self.newest_meter[record.meter] = record
            case ChargerReading():
                self.chargers.append(record)
                self.newest_reading[(record.charger, record.connector)] = record
            case Setpoint():
                self.setpoints.append(record)
            case Feedback():
                self.feedback.append(record)
            case Decision():
                self.decisions.append(record)
        return record
