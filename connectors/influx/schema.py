"""What is in InfluxDB: measurement → tags → field → type.

The encoder obeys this table, and the dashboards are tested against it.

Types are fixed for ever by the first point (`0i`, and every later `0.5` is refused): each measured quantity is a float,
also when it is whole; counts, codes and flags are integers; there are no booleans (they cannot be averaged).
Tags are only what is grouped by and bounded: an id that grows without end (decision, transaction, seq) is a field.

Two databases, not two retention policies: a database with its default policy means the same in InfluxDB 1.8
(database), 2.x (bucket with a mapping) and 3 (database), so no query names a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """The type of a field."""

    FLOAT = "f"
    INTEGER = "i"
    STRING = "s"


class Database(Enum):
    """`DETAIL` is kept for weeks, `HISTORY` (quarters, months) for ever. The value is what is appended to the name."""

    DETAIL = ""
    HISTORY = "_history"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One kind of point."""

    name: str
    tags: tuple[str, ...]
    fields: Mapping[str, Kind]
    database: Database = Database.DETAIL


def _fields(*, f: str = "", i: str = "", s: str = "") -> dict[str, Kind]:
    """Fields from lists of names; `{p}` stands for 1, 2 and 3."""
    kinds = {Kind.FLOAT: f, Kind.INTEGER: i, Kind.STRING: s}
    return {
        name.replace("{p}", phase): kind
        for kind, names in kinds.items()
        for name in names.split()
        for phase in ("123" if "{p}" in name else "1")
    }


METER = Measurement(
    "meter",
    ("location", "meter"),
    _fields(
        f="current_l{p}_a power_w power_l{p}_w voltage_l{p}_v import_wh export_wh demand_w month_peak_w delay_s",
    ),
)
CHARGER = Measurement(
    "charger",
    ("location", "charger", "connector"),
    # p, not l: the charger's own frame
    _fields(
        f="current_p{p}_a power_w energy_wh offered_a soc_pct delay_s", i="online status_code", s="status transaction"
    ),
)
SETPOINT = Measurement(
    "setpoint",
    ("location", "charger", "connector"),
    _fields(f="limit_a fallback_a lease_s", i="phases seq", s="reason decision"),
)
FEEDBACK = Measurement(
    "feedback",
    ("location", "charger", "connector"),
    _fields(f="limit_a latency_s", i="seq state_code", s="state error"),
)
DECISION_GROUP = Measurement(
    "decision_group",
    ("location", "group"),
    _fields(
        f="limit_l{p}_a unmanaged_l{p}_a reserved_l{p}_a headroom_l{p}_a excess_a budget_a used_pct"
        " window_used_wh window_demand_w window_allowed_w cap_w",
        i="over_limit",
        s="limited_by decision",
    ),
)
DECISION_CONNECTOR = Measurement(
    "decision_connector",
    ("location", "charger", "connector"),
    _fields(f="wanted_a budget_a limit_a", i="state_code", s="binding state decision"),
)
LOCATION_STATE = Measurement(
    "location_state",
    ("location",),
    _fields(
        f="ev_power_w used_pct demand_w cap_w month_peak_w meter_age_s decision_age_s",
        i="charging waiting offline alarms",
    ),
)
FLEET = Measurement(
    "fleet",
    ("partition",),  # not by worker: the connectors of a dead one would be counted again with the next one's
    _fields(
        f="ev_power_w",
        i="locations charging waiting available offline faulted over_limit stale_meters"
        " use_0_50 use_50_80 use_80_95 use_95_100 use_over",
    ),
)
OUTCOME = Measurement("outcome", ("partition", "state"), _fields(i="count"))
FLOW = Measurement("flow", ("topic", "partition"), _fields(f="delay_p95_s", i="records"))
PIPELINE_WORKER = Measurement("pipeline_worker", ("worker", "partition"), _fields(i="decisions setpoints locations"))
PIPELINE_LAG = Measurement("pipeline_lag", ("consumer", "topic", "partition"), _fields(i="lag"))
HISTORIAN = Measurement("historian", ("worker",), _fields(f="oldest_unsaved_s", i="points retries refused"))
DEADLETTER = Measurement("deadletter", ("topic", "reason"), _fields(i="count", s="error"))
QUARTER = Measurement(
    "quarter",
    ("location", "group"),
    _fields(f="used_wh demand_w cap_w month_peak_w", i="complete"),
    Database.HISTORY,
)
MONTH = Measurement(
    "month",
    ("location", "group"),
    _fields(f="peak_w mean12_w cost_eur", s="month"),
    Database.HISTORY,
)

MEASUREMENTS: Mapping[str, Measurement] = {
    m.name: m
    for m in (
        METER,
        CHARGER,
        SETPOINT,
        FEEDBACK,
        DECISION_GROUP,
        DECISION_CONNECTOR,
        LOCATION_STATE,
        FLEET,
        OUTCOME,
        FLOW,
        PIPELINE_WORKER,
        PIPELINE_LAG,
        HISTORIAN,
        DEADLETTER,
        QUARTER,
        MONTH,
    )
}
"""Every measurement that the historian writes, by name."""

# Codes are stored for years: append, never renumber. They lie in the last digits of a timestamp, so below 1000.
STATUS_CODES: Mapping[str, int] = {
    "Available": 0,
    "Preparing": 1,
    "Charging": 2,
    "SuspendedEV": 3,
    "SuspendedEVSE": 4,
    "Finishing": 5,
    "Reserved": 6,
    "Unavailable": 7,
    "Faulted": 8,
}
FEEDBACK_CODES: Mapping[str, int] = {
    "sent": 0,
    "accepted": 1,
    "rejected": 2,
    "unsupported": 3,
    "timeout": 4,
    "offline": 5,
    "superseded": 6,
    "expired": 7,
    "confirmed": 8,
    "violating": 9,
}
CONNECTOR_CODES: Mapping[str, int] = {
    "available": 0,
    "charging": 1,
    "waiting": 2,
    "offline": 3,
    "faulted": 4,
    "unknown": 5,
}
DEADLETTER_REASONS = ("unreadable", "invalid", "unknown", "future", "other")
"""The short fixed list of the tag `reason`: what stands before the colon of a dead letter's reason."""
