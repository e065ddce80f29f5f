"""What a report shows of a location: series in columns, small enough to hand from one process to another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sunshave.simulation.read import moment_of
from sunshave.simulation.world import World


@dataclass(frozen=True, slots=True)
class GroupTrace:
    """A group over time. Lists of amperes have one list per phase; `limit_a` is the smallest over the phases."""

    group: str
    metered: bool
    flow_a: list[list[float]]
    house_a: list[list[float]]
    limit_a: list[float | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """A location over time. Quarters: (group, their ends, watts, and the cap in force then where one is billed)."""

    location: str
    at: list[datetime]
    groups: list[GroupTrace]
    connectors: list[str]
    drawn_a: list[list[float]]
    """Per connector."""
    offered_a: list[list[float]]
    quarters: list[tuple[str, list[datetime], list[float], list[float | None]]]


def trace_of(world: World) -> Trace:
    """The columns of a world's samples."""
    samples = world.tally.samples
    sockets = range(len(world.outlets))
    return Trace(
        world.task.name,
        [moment_of(world.task, sample.at_s) for sample in samples],
        [_group(world, node.index) for node in world.tree.nodes],
        [outlet.key for outlet in world.outlets],
        [[round(sample.drawn_a[i], 1) for sample in samples] for i in sockets],
        [[sample.offered_a[i] for sample in samples] for i in sockets],
        [_quarters(world, node) for node in sorted(world.tally.quarters)],
    )


def _group(world: World, node: int) -> GroupTrace:
    samples, phases = world.tally.samples, range(world.tree.phases)
    return GroupTrace(
        world.tree.nodes[node].group.id,
        world.tree.nodes[node].meter is not None,
        [[round(sample.flows_a[node][p], 1) for sample in samples] for p in phases],
        [[round(sample.house_a[node][p], 1) for sample in samples] for p in phases],
        [None if sample.limits_a is None else round(min(sample.limits_a[node]), 1) for sample in samples],
    )


def _quarters(world: World, node: int) -> tuple[str, list[datetime], list[float], list[float | None]]:
    group = world.tree.nodes[node].group.id
    caps = {w.end.timestamp(): w.cap_w for w in world.controller.windows if w.group == group}
    quarters = world.tally.quarters[node]
    ends = [moment_of(world.task, end_s - world.task.start_s) for end_s, _ in quarters]
    return group, ends, [round(w) for _, w in quarters], [caps.get(end_s) for end_s, _ in quarters]
