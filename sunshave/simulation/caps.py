"""What each group may carry at a moment, computed a second time from the file: the judge asks no decision."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from pipeline.records import Limit, encode
from sunshave.simulation.plan import Shared
from sunshave.simulation.read import Task, moment_of
from sunshave.simulation.visits import days, second_of
from topology.location import Control
from topology.tree import Tree

RAMP_S = 15
"""For so long a rise of the meter may be a car's ramp, which the charger's next reading tells (design §9)."""
FOLLOW_S = 6
"""From a setpoint to the current that follows it: the charger's and the car's own time."""


_NONE: dict[int, float] = {}


class Caps:
    """Fuses less their margins, plain caps, and limits from outside: amperes per phase, watts over the phases."""

    def __init__(self, task: Task, tree: Tree) -> None:
        self._task = task
        self._plain = [
            [min(a, group.peak_shaving.limit_a) if group.peak_shaving else a for a in node.limit_a]
            for node in tree.nodes
            for group in [node.group]
        ]
        zone = ZoneInfo(tree.location.timezone)
        self._limits = [
            (
                tree.root if limit.group is None else tree.node_of[limit.group],
                limit,
                second_of(task, zone, day, from_s),
                second_of(task, zone, day, until_s),
            )
            for limit in task.site.limits
            for from_s, until_s in [(limit.from_, limit.until if limit.until > limit.from_ else limit.until + 86_400)]
            for day in days(task, zone)
        ]
        self._in_watts = [limit for limit in self._limits if limit[1].limit_w is not None]
        self._running: tuple[tuple[int, float | None], ...] = ()
        self._lowered = self._plain
        """The caps under the limits that ran when they were last worked out."""
        self._groups = [node.group.id for node in tree.nodes]

    def caps_a(self, now_s: int) -> list[list[float]]:
        """For each group, per phase."""
        if not self._limits:
            return self._plain
        running = tuple(
            (node, limit.limit_a) for node, limit, from_s, until_s in self._limits if from_s <= now_s < until_s
        )
        if not running:
            return self._plain
        if running == self._running:
            return self._lowered
        caps = [list(cap) for cap in self._plain]
        for node, limit_a in running:
            if limit_a is not None:
                caps[node] = [min(a, limit_a) for a in caps[node]]
        self._running, self._lowered = running, caps
        return caps

    def limits_w(self, now_s: int) -> dict[int, float]:
        """Group -> watts, where there is such a limit."""
        if not self._in_watts:
            return _NONE
        found: dict[int, float] = {}
        for node, limit, from_s, until_s in self._in_watts:
            if from_s <= now_s < until_s and limit.limit_w is not None:
                found[node] = min(limit.limit_w, found.get(node, limit.limit_w))
        return found

    def records(self, location: str) -> Iterator[bytes]:
        """The limits from outside as records of `topology.limits`: each day's plan, sent at once."""
        for node, limit, from_s, until_s in self._limits:
            yield encode(
                Limit(
                    location=location,
                    group=self._groups[node],
                    source=limit.source,
                    from_=moment_of(self._task, from_s),
                    until=moment_of(self._task, until_s) - timedelta(0),
                    limit_a=limit.limit_a,
                    limit_w=limit.limit_w,
                )
            )


def reaction_s(site: Shared, control: Control) -> int:
    """How long after a rise of the house's load an overload is not the controller's fault.

    Until the meter and then the chargers have reported, a ramp is no excuse any more, the setpoint has arrived and the
    car has followed; where answers may be missing, also until that is noticed and the others make up for it.
    """
    if site.reaction_s is not None:
        return site.reaction_s
    faults = site.faults
    once_s = site.meter_every_s + max(RAMP_S, site.charger_every_s) + round(control.interval_s) + FOLLOW_S
    late_s = 3 * faults.delay_s
    unsure = faults.loss or faults.reject or faults.timeout or faults.ignore or faults.offline_per_hour
    return once_s + late_s + (round(control.ack_s) + 2 * faults.delay_s if unsure else 0)
