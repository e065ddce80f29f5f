"""`location_state`: one line per location and minute, rolled up from what the historian reads anyway.

Roll-ups are written by us and not by the database: continuous queries exist in InfluxDB 1.8 only, tasks are Flux.
A location's records come to one historian, because their topics are partitioned alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.influx import schema
from connectors.influx.lines import Value
from connectors.influx.points import Point, demand_w, used_pct
from pipeline.moments import to_ms
from pipeline.records import ChargerReading, Decision, GroupView, MeterReading

EVERY_S = 60
"""Seconds between two points of a location. Less makes the fleet's tables dear, more lets them lag behind."""
FORGET_S = 3600
"""Seconds after which a location without decisions is dropped. Less hides a silent one, more keeps removed ones."""
MOST_LOCATIONS = 200_000
"""Locations remembered. When there are more, all are forgotten and learnt anew: a minute without ages."""


@dataclass(slots=True)
class Known:
    """The newest of a location."""

    meters_ms: dict[str, int]
    powers_w: dict[tuple[str, int], float]
    decision: Decision | None = None
    written_ms: int = 0
    alarms: frozenset[tuple[str, str | None, str | None]] = frozenset()


class Locations:
    """Folds meters, chargers and decisions; gives a point every minute, and at once when the alarms change."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._names: dict[int, set[str]] = {}

    def note_meter(self, reading: MeterReading) -> None:
        """Remember when the meter was read last."""
        meters = self._of(reading.location).meters_ms
        meters[reading.meter] = max(meters.get(reading.meter, 0), to_ms(reading.at))

    def note_charger(self, reading: ChargerReading) -> None:
        """Remember what the car draws."""
        if reading.power_w is not None:
            self._of(reading.location).powers_w[reading.charger, reading.connector] = reading.power_w

    def decided(self, decision: Decision, partition: int) -> Point | None:
        """The location's point, when it is due."""
        known = self._of(decision.location)
        known.decision = decision
        self._names.setdefault(partition, set()).add(decision.location)
        at_ms = to_ms(decision.at)
        alarms = frozenset((alarm.kind, alarm.group, alarm.charger) for alarm in decision.alarms)
        if alarms == known.alarms and known.written_ms <= at_ms < known.written_ms + EVERY_S * 1000:
            return None
        known.written_ms, known.alarms = at_ms, alarms
        return Point(schema.LOCATION_STATE, (decision.location,), _state(known, decision), at_ms)

    def silent(self, now_ms: int) -> list[Point]:
        """Points of the locations that decide no more: their ages go on. Only for who has read all there is."""
        points = []
        for location, known in list(self._known.items()):
            if known.decision is None:
                continue
            decided_ms = to_ms(known.decision.at)
            if now_ms - decided_ms > FORGET_S * 1000:
                del self._known[location]
            elif now_ms >= known.written_ms + EVERY_S * 1000:
                known.written_ms = now_ms
                points.append(Point(schema.LOCATION_STATE, (location,), _ages(known, decided_ms, now_ms), now_ms))
        return points

    def decided_in(self, partition: int) -> list[Known]:
        """The locations of a partition of which a decision is known."""
        found = [self._known.get(name) for name in self._names.get(partition, ())]
        return [known for known in found if known is not None and known.decision is not None]

    def forget(self, partition: int) -> None:
        """Somebody else reads it now."""
        for name in self._names.pop(partition, ()):
            self._known.pop(name, None)

    def _of(self, location: str) -> Known:
        if location not in self._known and len(self._known) >= MOST_LOCATIONS:
            self._known.clear()
            self._names.clear()
        return self._known.setdefault(location, Known({}, {}))


def _state(known: Known, decision: Decision) -> dict[str, Value]:
    at_ms = to_ms(decision.at)
    states = [connector.state for connector in decision.connectors]
    return {
        **_fullest(decision.groups),
        **_ages(known, at_ms, at_ms),
        "ev_power_w": sum(known.powers_w.values()) if known.powers_w else None,
        "charging": states.count("charging"),
        "waiting": states.count("waiting"),
        "offline": states.count("offline"),
        "alarms": len(decision.alarms),
    }


def _ages(known: Known, decided_ms: int, now_ms: int) -> dict[str, Value]:
    """The oldest of the location's meters counts: it is the one that holds the cars back."""
    oldest_ms = min(known.meters_ms.values(), default=None)
    return {
        "meter_age_s": None if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000),
        "decision_age_s": max(0.0, (now_ms - decided_ms) / 1000),
    }


def _fullest(groups: list[GroupView]) -> dict[str, Value]:
    """The fullest group, and the billed window that is nearest to its cap."""
    fields: dict[str, Value] = {
        "used_pct": max((pct for group in groups if (pct := used_pct(group)) is not None), default=None)
    }
    windows = [group.window for group in groups if group.window]
    if windows:
        worst = max(windows, key=lambda window: window.forecast_w - window.cap_w)
        fields.update(cap_w=worst.cap_w, month_peak_w=worst.month_peak_w, demand_w=demand_w(worst))
    return fields
