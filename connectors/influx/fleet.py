"""`fleet` and `pipeline_worker`: what a partition's locations and workers do, every ten seconds, from the decisions.

A fleet's panels read these few lines: grouping 25,000 locations by name would take seconds. A location is counted from
its first decision on, so the first minute of a partition is not told: the numbers would grow from nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.influx import schema
from connectors.influx.lines import Value
from connectors.influx.locations import Known, Locations
from connectors.influx.points import Point, over_limit, used_pct
from connectors.influx.thinning import Slots
from pipeline.moments import to_ms
from pipeline.records import Decision, GroupView

EVERY_S = 10
"""Seconds between two points of a partition. Less costs writes, more makes the fleet's picture lag."""
LEARN_SLOTS = 6
"""Slots until every location has decided (`record_every_s` is 10 s). Fewer tell half a fleet, more leave a gap."""
STALE_MS = 30_000
"""A meter without a reading for so long is counted as stale: the default of `stale_s`."""
STATES = ("charging", "waiting", "available", "offline", "faulted")
BANDS = ((50.0, "use_0_50"), (80.0, "use_50_80"), (95.0, "use_80_95"))
"""How full a group's fullest phase is: below so many percent of its limit."""


@dataclass(slots=True)
class _Worker:
    """What a worker wrote in the slot that runs."""

    decisions: int = 0
    setpoints: int = 0
    locations: set[str] = field(default_factory=set)


class Fleet:
    """Sums up what `locations` knows, partition by partition."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        self._slots = Slots(EVERY_S)
        self._workers: dict[int, dict[str, _Worker]] = {}

    def decided(self, decision: Decision, partition: int) -> Iterator[Point]:
        """The points of the slot that this decision ends, if it ends one."""
        at_ms = to_ms(decision.at)
        over = self._slots.over(partition, at_ms)
        if over is not None:
            slot_ms, before = over
            workers = self._workers.pop(partition, {})
            if before >= LEARN_SLOTS:
                yield _fleet(partition, self._locations.decided_in(partition), slot_ms, at_ms)
            if before > 0:
                yield from (_worker(name, partition, did, slot_ms) for name, did in workers.items())
        if decision.worker is not None:
            did = self._workers.setdefault(partition, {}).setdefault(decision.worker, _Worker())
            did.decisions += 1
            did.setpoints += len(decision.setpoints)
            did.locations.add(decision.location)

    def forget(self, partition: int) -> None:
        """Somebody else reads it now."""
        self._slots.forget(partition)
        self._workers.pop(partition, None)


def _fleet(partition: int, locations: list[Known], slot_ms: int, now_ms: int) -> Point:
    decisions = [known.decision for known in locations if known.decision is not None]
    states = Counter(connector.state for decision in decisions for connector in decision.connectors)
    groups = [group for decision in decisions for group in decision.groups]
    bands = Counter(_band(group) for group in groups)
    ages_ms = [now_ms - read_ms for known in locations for read_ms in known.meters_ms.values()]
    fields: dict[str, Value] = {
        "ev_power_w": sum(sum(known.powers_w.values()) for known in locations),
        "locations": len(decisions),
        **{state: states[state] for state in STATES},
        "over_limit": bands["use_over"],
        "stale_meters": sum(age_ms > STALE_MS for age_ms in ages_ms),
        **{name: bands[name] for name in (*(name for _, name in BANDS), "use_95_100", "use_over")},
    }
    return Point(schema.FLEET, (str(partition),), fields, slot_ms)


def _band(group: GroupView) -> str:
    if over_limit(group):
        return "use_over"
    used = used_pct(group) or 0.0
    return next((name for below, name in BANDS if used < below), "use_95_100")


def _worker(name: str, partition: int, did: _Worker, slot_ms: int) -> Point:
    fields: dict[str, Value] = {
        "decisions": did.decisions,
        "setpoints": did.setpoints,
        "locations": len(did.locations),
    }
    return Point(schema.PIPELINE_WORKER, (name, str(partition)), fields, slot_ms)
