"""What a report shows of a location: series in columns, small enough to hand from one process to another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.simulated.registers import QUARTER_S
from pipeline.tariffs import tariff_of
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
class Averages:
    """The averages of a group's meter over windows of one length: quarters, or what its tariff bills instead."""

    group: str
    length_s: int
    ends: list[datetime]
    watts: list[float]
    cap_w: list[float | None]
    """The cap in force then, where one is billed."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A location over time."""

    location: str
    at: list[datetime]
    groups: list[GroupTrace]
    connectors: list[str]
    drawn_a: list[list[float]]
    """Per connector."""
    offered_a: list[list[float]]
    averages: list[Averages]


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
        [_averages(world, node) for node in sorted(world.tally.quarters)],
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


def _averages(world: World, node: int) -> Averages:
    group = world.tree.nodes[node].group
    billed = {w.end: w for w in world.controller.windows if w.group == group.id}  # the newest revision of each
    length_s = QUARTER_S if group.capacity is None else tariff_of(group.capacity).window_s
    if length_s != QUARTER_S:
        ends = sorted(billed)
        return Averages(
            group.id, length_s, ends, [round(billed[e].demand_w) for e in ends], [billed[e].cap_w for e in ends]
        )
    quarters = world.tally.quarters[node]
    ends = [moment_of(world.task, end_s - world.task.start_s) for end_s, _ in quarters]
    caps = [billed[end].cap_w if end in billed else None for end in ends]
    return Averages(group.id, length_s, ends, [round(w) for _, w in quarters], caps)
