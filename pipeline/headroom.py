"""Unmanaged load: what flows into a group besides its chargers (design §6.3, §9 Unmanaged load).

`meter − Σ charger currents below it`, in the site frame, per phase, signed. Readings of one moment give the exact
difference. When the meter is newer than a charger's reading, its change may be that car's own ramp: `pipeline.ramps`
says what is certain. A charger's newer reading never changes the difference at an older meter reading, but where that
was put down to a ramp that the charger does not confirm.

A car of unknown rotation is subtracted only as far as every rotation that fits the meter allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add, sub

from msgspec import Struct

from pipeline.draws import (
    Course,
    Draw,
    Total,
    Vector,
    all_placed,
    draws_at,
    entries,
    measured_until_ms,
    total_at,
    total_with,
    with_more,
)
from pipeline.facts import Fact
from pipeline.memo import Memo
from pipeline.ramps import Load, first_load, next_load, put_down_to_cars
from pipeline.state import MeterPoint, MeterState, Wander
from pipeline.wander import lowest_total_a, noted, noted_late
from topology.tree import Node, Tree

OPEN_READINGS = 32
"""Meter readings that later reports may still explain. Fewer: a charger that reports every minute is not waited for;
more: all of them are walked through for every decision."""


class Difference(Struct, gc=False):
    """What a meter shows besides the cars below it, at its newest reading; and the memory that led there."""

    unmanaged_a: Vector
    power_w: float
    """Signed active power of everything but the cars, summed over the phases."""
    likely_w: float
    """The same where a fall of the meter that may be a car's is the building's as far as that was so low lately."""
    excess_a: float
    """−Σ phases (meter − the draw of the solar cars), the solar cars' own ramps left out."""
    settled_ms: int
    """The newest meter reading that no report can explain any more; -1: none."""
    settled: Load | None
    """What was unmanaged at that."""
    newest_ms: int
    wander: Wander | None
    unplaced_a: dict[int, Vector]
    """Connector -> what of the unmanaged load may be its own draw, as it is not known on which phase it is."""


def difference(
    tree: Tree, node: Node, meter: MeterState, cars: Sequence[Fact], now_ms: int, memo: Memo
) -> Difference | None:
    """The difference at the meter's newest reading, walked through the readings that are not settled yet.

    None when the meter was never heard of. `cars`: those below it, sorted by key; none of them is taken off a meter
    that does not include the chargers.
    """
    phases = tree.phases
    if meter.newest is None or len(meter.newest.current_a) != phases:  # the location had other phases then
        return None
    assert node.meter is not None
    below = list(cars) if node.meter.includes_chargers else []
    load = _remembered(tree, meter)
    wander, settled, settled_ms = meter.wander, load, meter.settled_ms
    points = [p for p in meter.recent if p.at_ms > settled_ms and len(p.current_a) == phases] or [meter.newest]
    reported_ms = _reported_ms(below, now_ms)
    courses = [memo.course(car) for car in below]
    too_old_ms = points[-OPEN_READINGS].at_ms if len(points) > OPEN_READINGS else -1
    if load is None:
        first = draws_at(tree, points[0], courses)
        load = first_load(_less(tree, points[0], [d.surely_a for d in first]))
    for i, (point, total) in enumerate(zip(points, _totals(tree, node, points, courses, memo), strict=True)):
        at_ms = now_ms if i == len(points) - 1 else point.at_ms
        load = next_load(load, with_more(tree, point.current_a), total.bounds, point.at_ms, at_ms)
        if point.at_ms > meter.walked_ms:
            wander = noted(wander, point.at_ms, load.load_a[:phases])
        if measured_until_ms(point) <= reported_ms or point.at_ms <= too_old_ms:
            settled, settled_ms = load, point.at_ms
            wander = noted_late(wander, load.load_a[:phases])
    draws = draws_at(tree, points[-1], courses)
    power_w, fall_a, excess_a = _powers(tree, node, points[-1], draws, load)
    if not node.meter.includes_chargers:
        excess_a -= _unseen_a(tree, node, points[-1], cars, memo)
    total_a = sum(load.load_a[:phases])
    likely_w = power_w - _watts_per_a(tree) * min(fall_a, max(0.0, total_a - lowest_total_a(wander, total_a)))
    unmanaged_a, unplaced_a = _beside_unplaced(tree, draws, load.load_a)
    newest_ms = points[-1].at_ms
    return Difference(unmanaged_a, power_w, likely_w, excess_a, settled_ms, settled, newest_ms, wander, unplaced_a)


def _beside_unplaced(tree: Tree, draws: list[Draw], load_a: Vector) -> tuple[Vector, dict[int, Vector]]:
    """The unmanaged load beside cars that may be on one phase or on another; and of each of them what of that is
    certainly its own draw, if it is on that phase.

    What is taken off on no phase is all that there can be beside the load with all of them on it. Who of them fell
    since its report is not known.
    """
    if tree.rotations_known:
        return load_a, {}
    phases = tree.phases
    with_all_a = load_a[phases + 1 :]
    taken_off = (
        [sum(each) for each in zip(*[d.taken_off for d in draws], strict=True)] if draws else [0.0] * len(load_a)
    )
    open_a = map(sub, taken_off[phases + 1 :], taken_off)
    unmanaged_a = tuple(map(min, load_a, map(add, with_all_a, open_a)))
    parts_a = {d.car.socket.index: d.unplaced_a for d in draws if d.unplaced_a and d.car.one_use is None}
    return unmanaged_a, within(parts_a, tuple(map(sub, unmanaged_a, with_all_a)))


def within(parts_a: dict[int, Vector], there_a: Sequence[float]) -> dict[int, Vector]:
    """The parts of several cars, per phase, when there is so much of them in all; each may be the one that is less."""
    if not parts_a:
        return parts_a
    together_a = map(sum, zip(*parts_a.values(), strict=True))
    missing_a = [max(0.0, a - there) for a, there in zip(together_a, there_a, strict=True)]
    return {
        i: tuple([max(0.0, a - less) for a, less in zip(own, missing_a, strict=True)]) for i, own in parts_a.items()
    }


def _totals(tree: Tree, node: Node, points: list[MeterPoint], courses: list[Course], memo: Memo) -> Iterable[Total]:
    """Between which bounds the cars were at each reading; what is known from before is used where few of them have
    anything new to say."""
    before, known = memo.totals.get(node.index, ([], {}))
    changed = [pair for pair in zip(before, courses, strict=False) if pair[0] is not pair[1]]
    if len(before) != len(courses) or 2 * len(changed) > len(courses) or not (all_placed(courses) or not changed):
        known = {}
    found = {}
    for point in points:
        total = known.get(point.at_ms)
        if total is None:
            found[point.at_ms] = total_at(tree, point, courses)
        else:
            found[point.at_ms] = total_with(tree, total, point, changed)
    memo.totals[node.index] = courses, found
    return found.values()


def _remembered(tree: Tree, meter: MeterState) -> Load | None:
    """The load at the newest settled reading. What comes after its phases is not needed any more, or not yet there, in
    another version."""
    load_a = meter.unmanaged_a
    if load_a is None or len(load_a) not in (tree.phases, tree.phases + 1, entries(tree)):
        return None
    if len(load_a) != entries(tree):
        load_a = with_more(tree, load_a[: tree.phases])
    return Load(load_a, tuple(meter.rises_ms.get(p) for p in range(len(load_a))))


def _reported_ms(cars: list[Fact], now_ms: int) -> int:
    """Up to when every car has reported, so that nothing is left open. Silent ones are not waited for."""
    return min((c.state.reading.at_ms for c in cars if c.state.reading is not None and not c.silent), default=now_ms)


def _less(tree: Tree, point: MeterPoint, drawn: list[Vector]) -> Vector:
    """The meter less what the cars drew."""
    return tuple(a - sum([each[p] for each in drawn]) for p, a in enumerate(with_more(tree, point.current_a)))


def _powers(tree: Tree, node: Node, point: MeterPoint, draws: list[Draw], load: Load) -> tuple[float, float, float]:
    """The signed power of everything but the cars, what of it would be less had no car fallen (A), and the excess."""
    put_down = put_down_to_cars(_less(tree, point, [d.taken_off for d in draws]), load.load_a, draws)
    ramps = {name: sum(ramp_a) if tree.rotations_known else ramp_a[tree.phases] for name, ramp_a in put_down.items()}
    solar = [d.total_a + ramps.get(d.car.socket.name, 0.0) for d in draws if d.car.socket.solar_node == node.index]
    power_w = point.power_w - sum(_power_w(tree, point, d, ramps.get(d.car.socket.name, 0.0)) for d in draws)
    return power_w, sum(max(0.0, -ramp_a) for ramp_a in ramps.values()), -sum(point.current_a) + sum(solar)


def _unseen_a(tree: Tree, node: Node, point: MeterPoint, cars: Sequence[Fact], memo: Memo) -> float:
    """What cars that live on another sun, or none, draw of this one, where its meter does not show it (sum, A)."""
    others = [car for car in cars if car.socket.solar_node != node.index]
    held_a = sum(car.use.total * car.reservation.held_a for car in others if car.silent)
    return held_a + sum(memo.course(car).at(tree, point).total_a for car in others)


def _power_w(tree: Tree, point: MeterPoint, draw: Draw, ramp_a: float) -> float:
    """What a car is of the power that a meter shows: of the sum of the lines, where that is all that is known."""
    if point.of_lines:
        return (draw.total_a + ramp_a) * _watts_per_a(tree)
    return tree.location.grid.voltage_v * draw.power_per_volt + ramp_a * _watts_per_a(tree)


def _watts_per_a(tree: Tree) -> float:
    """Of a sum of currents."""
    grid = tree.location.grid
    return grid.voltage_v / 3**0.5 if grid.type == "IT" and tree.phases == 3 else grid.voltage_v
