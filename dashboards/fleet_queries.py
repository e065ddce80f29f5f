"""The queries over all locations, by name: of the boards Fleet and Pipeline health (the rules are those of `queries`).

They read the roll-ups of the historian, a line per partition; only the lists of the worst locations read a line per
location, with `top()` and a short range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboards.queries import INTERVAL, T, nested, select

STATES = ("charging", "waiting", "available", "offline", "faulted")
BANDS = {
    "use_0_50": "below 50 %",
    "use_50_80": "50-80 %",
    "use_80_95": "80-95 %",
    "use_95_100": "95-100 %",
    "use_over": "above",
}
WORST = 25
"""Rows of a list: more are not looked at."""


# --- Fleet


def cars_now() -> str:
    """How many charge, and how many wait."""
    return _newest({"charging": "charging", "waiting": "waiting"})


def car_power_now() -> str:
    """What all cars draw."""
    return _newest({"ev_power_w": "cars"})


def troubles_now() -> str:
    """What somebody should look at."""
    return _newest({"offline": "offline", "over_limit": "above limit", "stale_meters": "stale meters"})


def connectors_by_state() -> str:
    """How many connectors are in each state."""
    return _over_time({state: state for state in STATES})


def car_power() -> str:
    """What all cars draw, over time."""
    return _over_time({"ev_power_w": "cars"})


def fuse_use() -> str:
    """How many groups are how full."""
    return _over_time(BANDS)


def fullest_locations() -> str:
    """Where the least room is left."""
    return _top("used_pct", "ev_power_w", "demand_w", "cap_w", "waiting")


def locations_above_cap() -> str:
    """Where the running quarter has used more than its cap allows."""
    return _top("demand_w", "cap_w", "month_peak_w", where=('"demand_w" > "cap_w"',))


def waiting_cars() -> str:
    """Where most cars wait."""
    return _top("waiting", "charging", "used_pct", where=('"waiting" > 0',))


def silent_meters() -> str:
    """Where a meter has been silent for longest."""
    return _top("meter_age_s", where=('"meter_age_s" > 30',))


# --- Pipeline health


def oldest_decision() -> str:
    """How long ago the location that has waited longest was decided."""
    return select('max("decision_age_s") AS "oldest"', "location_state", T)


def workers() -> str:
    """How many workers decide."""
    each = select('sum("decisions") AS "d"', "pipeline_worker", T, by=('"worker"',))
    return nested('count("d") AS "workers"', each, T)


def lag() -> str:
    """Records that the historian has not read yet, by topic."""
    each = select('max("lag") AS "l"', "pipeline_lag", T, by=(INTERVAL, '"topic"', '"partition"'))
    return nested('sum("l") AS "lag"', each, T, by=(INTERVAL, '"topic"'))


def records_per_second() -> str:
    """What Kafka gets. A hole is a feed that stopped, so it is drawn as zero."""
    return select('sum("records") / 60 AS "records"', "flow", T, by=("time(1m)", '"topic"'), fill="0")


def decisions_per_second() -> str:
    """What each worker decides; zero when it has stopped."""
    return select('sum("decisions") / 60 AS "decisions"', "pipeline_worker", T, by=("time(1m)", '"worker"'), fill="0")


def lateness() -> str:
    """How old records are when Kafka gets them: 95 % are younger."""
    return select('max("delay_p95_s") AS "late"', "flow", T, by=(INTERVAL, '"topic"'))


def outcomes() -> str:
    """What became of setpoints."""
    return select('sum("count") AS "setpoints"', "outcome", T, by=(INTERVAL, '"state"'))


def dead_letters() -> str:
    """Records that were not folded, by reason."""
    return select('sum("count") AS "dead letters"', "deadletter", T, by=(INTERVAL, '"topic"', '"reason"'))


def newest_dead_letters() -> str:
    """The newest of them, with what was wrong."""
    return select('"topic", "reason", "error"', "deadletter", T, then="ORDER BY time DESC LIMIT 50")


def unsaved() -> str:
    """How old the oldest record is that a historian has read and not saved."""
    return select('max("oldest_unsaved_s") AS "oldest unsaved"', "historian", T, by=(INTERVAL,))


def refused_lines() -> str:
    """Lines that InfluxDB refused for good."""
    return select('sum("refused") AS "refused"', "historian", T)


def _newest(fields: Mapping[str, str]) -> str:
    """The newest of each partition, added up; field → its name in the panel."""
    columns = ", ".join(f'last("{name}") AS "n{i}"' for i, name in enumerate(fields))
    total = ", ".join(f'sum("n{i}") AS "{label}"' for i, label in enumerate(fields.values()))
    return nested(total, select(columns, "fleet", T, by=('"partition"',)), T)


def _over_time(fields: Mapping[str, str]) -> str:
    """The same for each interval."""
    columns = ", ".join(f'mean("{name}") AS "n{i}"' for i, name in enumerate(fields))
    total = ", ".join(f'sum("n{i}") AS "{label}"' for i, label in enumerate(fields.values()))
    return nested(total, select(columns, "fleet", T, by=(INTERVAL, '"partition"')), T, by=(INTERVAL,))


def _top(by: str, *beside: str, where: Sequence[str] = ()) -> str:
    columns = ", ".join(f'"{name}"' for name in beside)
    what = f'top("{by}", "location", {WORST}) AS "{by}"' + (f", {columns}" if columns else "")
    return select(what, "location_state", *where, T)
