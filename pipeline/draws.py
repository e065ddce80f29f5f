"""What the cars below a meter drew at its readings: as they last reported, and between which bounds (`pipeline.ramps`).

All in the site frame, per phase. A car whose rotation is not known is counted on every phase only as far as every
rotation that fits the meter allows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import sub

from msgspec import Struct

from pipeline.facts import Fact
from pipeline.orders import TAKES_MS, least_told_a, most_obeyed_a, most_told_a, obeyed_from_ms
from pipeline.state import MeterPoint, Reading
from topology.phases import Wiring
from topology.tree import Tree

FITS_A = 0.5
"""A rotation fits the meter when the phase carries the car's current but for this: the noise of two devices."""

WHOLE_SECOND_MS = 999
"""How long a reading with a time in whole seconds may have been measured after it."""

Vector = tuple[float, ...]


class Draw(Struct, frozen=True, gc=False):
    """A car's draw at a meter reading: as it last reported, and between which bounds it was on each phase."""

    car: Fact
    reading: Reading | None
    exact: bool
    taken_off: Vector
    surely_a: Sequence[float]
    """As it last reported; where its next report is in, what it drew at least in between."""
    least_a: Sequence[float]
    """At least, whatever it did since; what its next report says is known already where that is in."""
    most_a: Sequence[float]
    """At most, had it not risen above what it reported."""
    risen_a: Sequence[float]
    """At most."""
    total_a: float
    power_per_volt: float


class Bounds(Struct, frozen=True, gc=False):
    """Between which bounds all cars together were at a meter reading, per phase (`Draw`)."""

    least_a: Sequence[float]
    most_a: Sequence[float]
    risen_a: Sequence[float]


def draws_at(tree: Tree, point: MeterPoint, cars: list[Fact]) -> list[Draw]:
    """What each car drew at the meter's moment, known rotations first: they narrow where the unknown ones may be."""
    known = [_draw(tree, point, car, point.current_a) for car in cars if len(car.socket.ways) == 1]
    left = [point.current_a[p] - sum(d.taken_off[p] for d in known if d.exact) for p in range(len(point.current_a))]
    exports = min(point.current_a) < 0
    unknown = [_draw(tree, point, car, None if exports else tuple(left)) for car in cars if len(car.socket.ways) > 1]
    return sorted(known + unknown, key=lambda d: d.car.socket.name)


def measured_until_ms(point: MeterPoint) -> int:
    """The last moment at which a reading may have been measured: a time in whole seconds is a second long.

    P1 telegrams and most devices say whole seconds, chargers' reports are stamped by our clock. Taken for a point, the
    second is enough to book the fall of a car that was unplugged in it on the building.
    """
    return point.at_ms + WHOLE_SECOND_MS if point.at_ms % 1000 == 0 else point.at_ms


def _around(reports: list[Reading], point: MeterPoint) -> tuple[int, int]:
    """The places of the newest report that is not newer than a meter reading, and of the newest that may not be."""
    last = len(reports) - 1
    until_ms = measured_until_ms(point)
    while last >= 0 and reports[last].at_ms > until_ms:
        last -= 1
    first = last
    while first >= 0 and reports[first].at_ms > point.at_ms:
        first -= 1
    return first, last


def _draw(tree: Tree, point: MeterPoint, car: Fact, left: Vector | None) -> Draw:
    phases = tree.phases
    reports = _reports(car)
    first, last = _around(reports, point)
    reading = reports[first] if first >= 0 else None
    taken_off = _taken_off(phases, car, reading, left)
    if reading is None or taken_off is None:
        nothing = (0.0,) * phases
        return Draw(car, reading, False, *(nothing,) * 5, 0.0, 0.0)
    assert reading.current_a is not None
    around = reports[first : last + 2]
    loads = [_taken_off(phases, car, each, left) for each in around]
    closed = last + 1 < len(reports) and loads[-1] is not None
    least_a, most_a, risen_a = _between(car, point, loads, around, closed)
    return Draw(
        car=car,
        reading=reading,
        exact=reading.at_ms == point.at_ms,
        taken_off=taken_off,
        surely_a=least_a if closed else taken_off,
        least_a=least_a,
        most_a=most_a,
        risen_a=risen_a,
        total_a=sum(_site_load(phases, car.socket.ways[0], reading.current_a)),
        power_per_volt=_power_per_volt(tree, reading.current_a),
    )


def _taken_off(phases: int, car: Fact, reading: Reading | None, left: Vector | None) -> Vector | None:
    """A reported draw on the building's phases, as far as every rotation allows that fits the meter.

    `left`: what the meter shows besides the cars whose place is known; None where that tells nothing.
    """
    loads = _loads(phases, car, reading)
    if loads is None:
        return None
    if len(loads) == 1:
        return tuple(loads[0])
    fitting = loads
    if left is not None:
        fitting = [x for x in loads if all(x[p] <= 0 or x[p] <= left[p] + FITS_A for p in range(phases))] or loads
    return tuple(min(x[p] for x in fitting) for p in range(phases))


def _loads(phases: int, car: Fact, reading: Reading | None) -> list[list[float]] | None:
    """A reported draw on the building's phases under each wiring that it may have; None where nothing was said."""
    ways = car.socket.ways
    if reading is None or reading.current_a is None or len(reading.current_a) != len(ways[0]):
        return None
    if len(ways) == 1:
        return [_site_load(phases, ways[0], reading.current_a)]
    return [_site_load(phases, way, reading.current_a) for way in ways]


def _site_load(phases: int, way: Wiring, current_a: Vector) -> list[float]:
    """A car's currents on the building's phases under one wiring."""
    load = [0.0] * phases
    for places, amperes in zip(way, current_a, strict=True):
        for place in places:
            load[place] += amperes
    return load


def _power_per_volt(tree: Tree, current_a: Vector) -> float:
    """Watts per volt of a car's currents: their sum on a star; √3 times their mean on the three lines of a delta."""
    delta = tree.location.grid.type == "IT" and len(current_a) == 3
    return sum(current_a) / 3**0.5 if delta else sum(current_a)


def bounds_at(tree: Tree, points: list[MeterPoint], cars: list[Fact], last: list[Draw]) -> list[Bounds]:
    """Between which bounds the cars were at each meter reading. `last`: their draws at the last one."""
    if len(points) == 1:
        return [sum_of(tree, last)]
    if any(len(car.socket.ways) > 1 for car in cars):  # where such a car may be depends on the reading
        return [*(sum_of(tree, draws_at(tree, point, cars)) for point in points[:-1]), sum_of(tree, last)]
    return between_reports(tree.phases, points, cars)


def sum_of(tree: Tree, draws: list[Draw]) -> Bounds:
    """The bounds of all cars together, from those of each."""
    phases = range(tree.phases)
    return Bounds(
        least_a=[sum([d.least_a[p] for d in draws]) for p in phases],
        most_a=[sum([d.most_a[p] for d in draws]) for p in phases],
        risen_a=[sum([d.risen_a[p] for d in draws]) for p in phases],
    )


def between_reports(phases: int, points: list[MeterPoint], cars: list[Fact]) -> list[Bounds]:
    """The same for cars of known rotations, each walked through once: only where it reported something changes."""
    steps: dict[int, list[Vector]] = {}
    begins_ms = [point.at_ms for point in points]
    ends_ms = [measured_until_ms(point) for point in points]
    for car in cars:
        before: Vector = (0.0,) * (3 * phases)
        reports = _reports(car)
        for i in _changes(car, reports, begins_ms, ends_ms):
            first, last = _around(reports, points[i])
            if first < 0:
                continue
            now = _span(phases, car, points[i], reports, first, last)
            steps.setdefault(i, []).append(tuple(map(sub, now, before)))
            before = now
    total = (0.0,) * (3 * phases)
    found: list[Bounds] = []
    for i in range(len(points)):
        if i in steps or not found:
            total = tuple(map(sum, zip(total, *steps.get(i, ()), strict=True)))
            found.append(Bounds(total[:phases], total[phases : 2 * phases], total[2 * phases :]))
        else:
            found.append(found[-1])
    return found


def _changes(car: Fact, reports: list[Reading], begins_ms: list[int], ends_ms: list[int]) -> list[int]:
    """The readings from which on other reports of a car are around them, or another order is obeyed, in order."""
    places = {0}
    for report in reports:
        places.add(bisect_left(begins_ms, report.at_ms))
        places.add(bisect_right(begins_ms, report.at_ms))
        places.add(bisect_left(ends_ms, report.at_ms))
    for obeyed_ms in obeyed_from_ms(car.state):
        places.add(bisect_left(begins_ms, obeyed_ms))
    told = car.state.told
    if told and told[-1][0] >= begins_ms[0]:
        for told_ms, _ in told:
            places |= {bisect_right(begins_ms, told_ms), bisect_right(begins_ms, told_ms + TAKES_MS)}
    places.discard(len(begins_ms))
    return sorted(places)


def _reports(car: Fact) -> list[Reading]:
    """What is kept of a car's reports, oldest first; none of one that is silent: what it drew is too long ago."""
    newest, recent = car.state.reading, car.state.recent
    if car.silent or newest is None:
        return []
    if recent and recent[-1].at_ms == newest.at_ms:
        return recent
    return [*recent, newest]


def _span(phases: int, car: Fact, point: MeterPoint, reports: list[Reading], first: int, last: int) -> Vector:
    """The bounds of one car at a reading (`_around`): least, most and risen, one after the other."""
    around = reports[first : last + 2]
    loads = [found[0] if found else None for found in [_loads(phases, car, each) for each in around]]
    if loads[0] is None:
        return (0.0,) * (3 * phases)
    closed = last + 1 < len(reports) and loads[-1] is not None
    least_a, most_a, risen_a = _between(car, point, loads, around, closed)
    return (*least_a, *most_a, *risen_a)


def _between(
    car: Fact, point: MeterPoint, loads: Sequence[Sequence[float] | None], around: list[Reading], closed: bool
) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Least, most and risen of one car from its reports around a meter reading.

    `loads`: what they said, the first is known. `closed`: whether the last of them is certainly newer than the meter's,
    and said something.
    """
    assert loads[0] is not None
    if around[0].at_ms == point.at_ms:
        return loads[0], loads[0], loads[0]
    said = [load for load in loads if load is not None]
    most_a = said[0] if len(said) == 1 else [max(phase) for phase in zip(*said, strict=True)]
    if closed:
        told_a = least_told_a(car.state, around[0].at_ms, around[-1].at_ms)
        return [min(*phase, told_a) for phase in zip(*said, strict=True)], most_a, most_a
    risen_a = _risen_a(car, most_a, point.at_ms)
    obeyed = most_obeyed_a(car.state, point.at_ms)
    if obeyed is not None and not car.reservation.lapsing:  # else it may have gone to its fallback
        cap_a = [obeyed[0] * on for on in car.use.on]
        if around[-1].at_ms < obeyed[1]:
            most_a = list(map(min, most_a, cap_a))
        risen_a = tuple(map(max, most_a, map(min, risen_a, cap_a)))
    return (0.0,) * len(most_a), most_a, risen_a


def _risen_a(car: Fact, load_a: Sequence[float], at_ms: int) -> Vector:
    """What a car may have risen to since it reported, at a meter reading. What it was told at that moment or later it
    cannot have obeyed yet: else a raise would explain away the very load that it was made beside."""
    held_a = car.reservation.held_a
    told = car.state.told
    if told and told[-1][0] >= at_ms:
        held_a = min(held_a, most_told_a(car.state, at_ms, car.socket.fallback_a))
    return tuple([max(a, held_a * on) for a, on in zip(load_a, car.use.on, strict=True)])
