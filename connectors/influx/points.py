"""Records to points: what of each record is stored, under which name, and when. One function per measurement.

All are pure; what depends on earlier records (thinning, round trips, roll-ups) is in `recorder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.influx import schema
from connectors.influx.lines import Value, per_phase
from connectors.influx.schema import Measurement
from pipeline.moments import to_ms
from pipeline.records import (
    MODELS,
    ChargerReading,
    ClosedWindow,
    ConnectorView,
    DeadLetter,
    Decision,
    Feedback,
    GroupView,
    MeterReading,
    Setpoint,
    WindowView,
)

ABOVE_A = 0.05
"""From here on a group counts as above its limit. Less would count roundings, more hides steps of 0.1 A."""
QUARTER_MS = 900_000
"""The window of a decision that does not say its end."""
MONTH_HOUR = 12
"""A month's point lies at noon UTC of its first day: the right month in every viewer's time zone."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point, before it is a line."""

    measurement: Measurement
    tags: tuple[str, ...]
    fields: Mapping[str, Value]
    at_ms: int
    code: int = 0

    @property
    def series(self) -> tuple[str, ...]:
        """What identifies the series."""
        return (self.measurement.name, *self.tags)


def meter(reading: MeterReading, arrived_ms: int) -> Point:
    """A meter reading; signs: + is import."""
    at_ms = to_ms(reading.at)
    fields: dict[str, Value] = {
        **per_phase("current_l{p}_a", reading.current_a),
        **per_phase("power_l{p}_w", reading.power_w),
        **per_phase("voltage_l{p}_v", reading.voltage_v),
        "power_w": None if reading.power_w is None else sum(reading.power_w),
        "import_wh": reading.import_wh,
        "export_wh": reading.export_wh,
        "demand_w": reading.demand_w,
        "month_peak_w": reading.month_peak_w,
        "delay_s": (arrived_ms - at_ms) / 1000,
    }
    return Point(schema.METER, (reading.location, reading.meter), fields, at_ms)


def charger(reading: ChargerReading, arrived_ms: int) -> Point:
    """A connector's reading, in the charger's own frame."""
    at_ms = to_ms(reading.at)
    fields: dict[str, Value] = {
        **per_phase("current_p{p}_a", reading.current_a),
        "power_w": reading.power_w,
        "energy_wh": reading.energy_wh,
        "offered_a": reading.offered_a,
        "soc_pct": reading.soc_pct,
        "delay_s": (arrived_ms - at_ms) / 1000,
        "online": reading.online,
        "status_code": schema.STATUS_CODES[reading.status],
        "status": reading.status,
        "transaction": reading.transaction,
    }
    return Point(schema.CHARGER, _connector(reading), fields, at_ms)


def setpoint(record: Setpoint) -> Point:
    """A setpoint, at the moment of its issue."""
    at_ms = to_ms(record.issued_at)
    fields: dict[str, Value] = {
        "limit_a": record.limit_a,
        "fallback_a": record.fallback_a,
        "lease_s": (to_ms(record.valid_until) - at_ms) / 1000,
        "phases": record.phases,
        "seq": record.seq,
        "reason": record.reason,
        "decision": record.decision,
    }
    return Point(schema.SETPOINT, _connector(record), fields, at_ms)


def feedback(record: Feedback, latency_s: float | None) -> Point:
    """What became of a setpoint. The code keeps two states of the same millisecond apart."""
    code = schema.FEEDBACK_CODES[record.state]
    fields: dict[str, Value] = {
        "limit_a": record.limit_a,
        "latency_s": latency_s,
        "seq": record.seq,
        "state_code": code,
        "state": record.state,
        "error": record.error,
    }
    return Point(schema.FEEDBACK, _connector(record), fields, to_ms(record.at), code)


def decision_group(decision: Decision, group: GroupView) -> Point:
    """How a group stood in a decision."""
    window = group.window
    fields: dict[str, Value] = {
        **per_phase("limit_l{p}_a", group.limit_a),
        **per_phase("unmanaged_l{p}_a", group.unmanaged_a),
        **per_phase("reserved_l{p}_a", group.reserved_a),
        **per_phase("headroom_l{p}_a", group.headroom_a),
        "excess_a": group.excess_a,
        "budget_a": group.budget_a,
        "used_pct": used_pct(group),
        "window_used_wh": window.used_wh if window else None,
        "window_demand_w": demand_w(window) if window else None,
        "window_allowed_w": window.allowed_w if window else None,
        "cap_w": window.cap_w if window else None,
        "over_limit": over_limit(group),
        "limited_by": ", ".join(dict.fromkeys(group.limited_by)),
        "decision": decision.decision,
    }
    return Point(schema.DECISION_GROUP, (decision.location, group.group), fields, to_ms(decision.at))


def demand_w(window: WindowView) -> float:
    """What the running window is billed as if nothing more is used in it: its energy so far over all of its length."""
    length_ms = QUARTER_MS if window.end is None else to_ms(window.end) - to_ms(window.start)
    return window.used_wh * 3_600_000 / length_ms


def over_limit(group: GroupView) -> bool:
    """Whether building and cars may draw more than the group's limit, on any phase."""
    phases = zip(group.unmanaged_a, group.reserved_a, group.limit_a, strict=False)
    return any(unmanaged + reserved > limit + ABOVE_A for unmanaged, reserved, limit in phases)


def used_pct(group: GroupView) -> float | None:
    """The fullest phase in percent of its limit. None where a limit of 0 leaves nothing to divide by."""
    phases = zip(group.unmanaged_a, group.reserved_a, group.limit_a, strict=False)
    return max(
        (100 * (unmanaged + reserved) / limit for unmanaged, reserved, limit in phases if limit > 0), default=None
    )


def decision_connector(decision: Decision, connector: ConnectorView) -> Point:
    """What a connector wanted, its fair share, what it was allowed, and what bound it."""
    fields: dict[str, Value] = {
        "wanted_a": connector.wanted_a,
        "budget_a": connector.target_a,
        "limit_a": connector.limit_a,
        "state_code": schema.CONNECTOR_CODES[connector.state],
        "binding": connector.binding,
        "state": connector.state,
        "decision": decision.decision,
    }
    tags = (decision.location, connector.charger, str(connector.connector))
    return Point(schema.DECISION_CONNECTOR, tags, fields, to_ms(decision.at))


def quarter(window: ClosedWindow) -> Point:
    """A closed window, at its start. A later revision has the same key, so the newest value wins."""
    fields: dict[str, Value] = {
        "used_wh": window.import_wh,
        "demand_w": window.demand_w,
        "cap_w": window.cap_w,
        "month_peak_w": window.month_peak_w,
        "complete": window.complete,
    }
    return Point(schema.QUARTER, (window.location, window.group), fields, to_ms(window.start))


def month(window: ClosedWindow) -> Point | None:
    """The month that a closed window belongs to: InfluxQL has no calendar months, so months are points."""
    try:
        year, number = (int(part) for part in window.month.split("-"))
        first = datetime(year, number, 1, MONTH_HOUR, tzinfo=UTC)
    except ValueError:
        return None
    fields: dict[str, Value] = {
        "peak_w": window.month_peak_w,
        "mean12_w": window.mean12_w,
        "cost_eur": window.cost_eur,
        "month": window.month,
    }
    return Point(schema.MONTH, (window.location, window.group), fields, to_ms(first))


def dead_letter(letter: DeadLetter, arrived_ms: int, offset: int) -> Point:
    """A record that was not folded. Its own offset keeps those of one millisecond apart."""
    kind = letter.reason.partition(":")[0]
    tags = (
        letter.topic if letter.topic in MODELS or letter.topic == "topology.locations" else "other",
        kind if kind in schema.DEADLETTER_REASONS else "other",
    )
    return Point(schema.DEADLETTER, tags, {"count": 1, "error": letter.reason}, arrived_ms, offset % 1_000_000)


def historian(name: str, at_ms: int, oldest_unsaved_s: float, counts: Mapping[str, int]) -> Point:
    """How a historian does; `counts` (points, retries, refused) are those of the time since its last point."""
    fields: dict[str, Value] = {"oldest_unsaved_s": oldest_unsaved_s, "points": 0, "retries": 0, "refused": 0, **counts}
    return Point(schema.HISTORIAN, (name,), fields, at_ms)


def lag(topic: str, partition: int, at_ms: int, records: int) -> Point:
    """How many records the historian has not read yet."""
    return Point(schema.PIPELINE_LAG, ("historian", topic, str(partition)), {"lag": records}, at_ms)


def _connector(record: ChargerReading | Setpoint | Feedback) -> tuple[str, str, str]:
    return record.location, record.charger, str(record.connector)
