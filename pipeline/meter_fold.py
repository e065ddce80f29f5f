"""Folding meter readings: most of what comes in, so a run of them at once, at a tenth of the cost of one by one.

A run gives the same state as its readings one by one (replay folds them so), whatever their order. What does not
depend on the reading is looked up once per meter; what a later reading of the run replaces is not kept in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.energy import note_energy
from pipeline.moments import EPOCH, to_ms
from pipeline.records import MeterReading
from pipeline.registers import MOST_OF_FUSE
from pipeline.state import LocationState, MeterPoint, MeterState
from topology.location import Capacity
from topology.phases import grid_power_w
from topology.tree import Node, Tree

FUTURE_MS = 10_000
"""A record further ahead than this is a dead letter. Less: a clock that runs fast loses its readings; more: a wrong
clock holds a reading "newest" for longer than anybody can wait."""
FIRST_MS = to_ms(EPOCH.replace(year=EPOCH.year + 1))
"""No reading of ours is older: such a moment is a device's before anybody told it the time."""
KEPT_POINTS = 32
"""Readings kept per meter between two written decisions (at 1 Hz half a minute; a decision is written every ten
seconds). Fewer: a rise may be put down to the wrong moment; more: the first decision after a backlog takes longer."""


@dataclass(slots=True)
class _Run:
    """The readings of one meter, and their points."""

    meter: MeterState
    capacity: Capacity | None
    readings: list[MeterReading] = field(default_factory=list)
    points: list[MeterPoint] = field(default_factory=list)


def fold_meters(tree: Tree, state: LocationState, run: Sequence[tuple[MeterReading, int]]) -> dict[int, str]:
    """Fold readings with the moments (ms) at which they were received, in this order.

    Gives the reasons of those that are dead letters, by their place in the run.
    """
    phases = tree.phases
    runs: dict[str, _Run] = {}
    refused: dict[int, str] = {}
    for place, (reading, received_ms) in enumerate(run):
        own = runs.get(reading.meter)
        if own is None and reading.meter not in tree.meter_ids:
            refused[place] = f"unknown: meter {reading.meter}"
            continue
        at_ms = to_ms(reading.at)
        current_a, power_w, voltage_v = reading.current_a, reading.power_w, reading.voltage_v
        if (
            (current_a is not None and len(current_a) != phases)
            or (power_w is not None and len(power_w) != phases)
            or (voltage_v is not None and len(voltage_v) != phases)
        ):
            refused[place] = _wrong_length(reading, phases)
        elif not is_timely(at_ms, received_ms):
            refused[place] = untimely(at_ms, received_ms)
        else:
            if own is None:
                own = runs[reading.meter] = _begin(tree, state, reading.meter)
            own.readings.append(reading)
            if current_a is not None and power_w is not None:
                own.points.append(MeterPoint(at_ms, tuple(current_a), sum(power_w)))
            else:
                own.points.append(_derived(tree, reading, at_ms))
    for name, own in runs.items():
        state.meters[name] = own.meter
        _note_newest(own.meter, own.points)
        if own.capacity is not None:
            most_w = _most_w(tree, tree.nodes[tree.meter_node[name]])
            note_energy(own.meter, own.capacity, tree.location.timezone, most_w, own.readings, own.points)
    return refused


def is_timely(at_ms: int, received_ms: int) -> bool:
    """Whether a record may be of that moment."""
    return FIRST_MS <= at_ms <= received_ms + FUTURE_MS


def untimely(at_ms: int, received_ms: int) -> str:
    """Why it is a dead letter, where it may not."""
    if at_ms < FIRST_MS:
        return f"invalid: at lies before {EPOCH.year + 1}, as of a clock that was never set"
    return f"future: {(at_ms - received_ms) / 1000:.1f} s ahead"


def _begin(tree: Tree, state: LocationState, name: str) -> _Run:
    node = tree.meter_node.get(name)
    return _Run(state.meters.get(name) or MeterState(), None if node is None else tree.nodes[node].group.capacity)


def _most_w(tree: Tree, node: Node) -> float:
    grid = tree.location.grid
    return MOST_OF_FUSE * grid_power_w(grid.type, grid.voltage_v, node.rating_a)


def _wrong_length(reading: MeterReading, phases: int) -> str:
    arrays = {"current_a": reading.current_a, "power_w": reading.power_w, "voltage_v": reading.voltage_v}
    name, length = next((n, len(v)) for n, v in arrays.items() if v is not None and len(v) != phases)
    return f"invalid: {name} has {length} value(s) for {phases} phase(s)"


def _derived(tree: Tree, reading: MeterReading, at_ms: int) -> MeterPoint:
    """Currents and powers, the one derived from the other where it is missing (measured voltage, else nominal)."""
    grid, current_a, power_w = tree.location.grid, reading.current_a, reading.power_w
    lines = grid.type == "IT" and grid.phases == 3
    if current_a is not None and reading.voltage_v is None:
        return MeterPoint(at_ms, tuple(current_a), grid_power_w(grid.type, grid.voltage_v, tuple(current_a)), lines)
    measured = reading.voltage_v or [grid.voltage_v] * len(power_w or ())
    volts = [
        v if v > grid.voltage_v / 2 else grid.voltage_v for v in measured
    ]  # a dead phase has no voltage to divide by
    if lines:
        volts = [v / 3**0.5 for v in volts]
    if current_a is not None:
        return MeterPoint(at_ms, tuple(current_a), sum([v * a for v, a in zip(volts, current_a, strict=True)]), lines)
    assert power_w is not None
    return MeterPoint(at_ms, tuple(w / v for w, v in zip(power_w, volts, strict=True)), sum(power_w))


def _note_newest(meter: MeterState, points: list[MeterPoint]) -> None:
    """Readings newer than all before them; a later one that is older is no news."""
    newest_ms = -1 if meter.newest is None else meter.newest.at_ms
    news = meter.recent
    for point in points:
        if point.at_ms > newest_ms:
            newest_ms = point.at_ms
            news.append(point)
            meter.newest = point
    if len(news) > KEPT_POINTS:
        del news[:-KEPT_POINTS]
