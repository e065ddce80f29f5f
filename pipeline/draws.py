"""What the cars below a meter drew at its readings: as they last reported, and between which bounds (`pipeline.ramps`).

All in the site frame, per phase. A car whose rotation is not known is counted on every phase only as far as every
rotation that fits the meter allows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add, sub

from msgspec import Struct, structs

from pipeline.facts import Fact
from pipeline.orders import TAKES_MS, least_told_a, most_obeyed_a, most_told_a, obeyed_from_ms
from pipeline.rotations import least_together
from pipeline.state import MeterPoint, Reading
from topology.phases import Wiring
from topology.tree import Tree

FITS_A = 0.5
"""A rotation fits the meter when the phase carries the car's current but for this: the noise of two devices."""

WHOLE_SECOND_MS = 999
"""How long a reading with a time in whole seconds may have been measured after it."""

KEPT_SPANS = 32
"""Readings for which a car's bounds are kept; there are fewer open ones (`pipeline.headroom`)."""

PER_A = 10**12
"""Sums of bounds are in picoamperes: whole numbers, so that a part can be replaced in a sum without a trace."""

Vector = tuple[float, ...]
"""Amperes per phase. Where a rotation of the location is not known, their sum is one more entry, and then comes each
phase once more, as if all cars that may be there were there (`with_more`)."""
Span = tuple[int, ...]
"""Bounds in picoamperes, one after the other: least, most and risen."""


def with_more(tree: Tree, load_a: Vector) -> Vector:
    """A load per phase with what comes after that where a car's place is not known: in all it is known nevertheless."""
    return load_a if tree.rotations_known else (*load_a, sum(load_a), *load_a)


def entries(tree: Tree) -> int:
    """How long the vectors of a location are."""
    return tree.phases if tree.rotations_known else 2 * tree.phases + 1


class Draw(Struct, frozen=True, gc=False):
    """A car's draw at a meter reading: as it last reported, and between which bounds it was on each phase."""

    car: Fact
    reading: Reading | None
    exact: bool
    taken_off: Vector
    surely_a: Vector
    """As it last reported; where its next report is in, what it drew at least in between."""
    bounds: Bounds
    total_a: float
    power_per_volt: float
    unplaced_a: Vector = ()
    """Of a car of unknown rotation what may be on each phase and was not taken off there. Where the meter shows that it
    is on another phase, too: that is known while it draws enough for it, and its limit must not depend on that."""


class Bounds(Struct, frozen=True, gc=False):
    """Between which bounds a car, or all together, were at a meter reading, per phase."""

    least_a: Vector
    """At least, whatever they did since; what their next reports say is known already where those are in."""
    most_a: Vector
    """At most, had none risen above what it reported."""
    risen_a: Vector
    """At most."""


class Course:
    """The draw of a car of known rotation at any reading of its meters, from what is known of it now.

    It is the same for all readings between two moments at which another report is around them, or another order may be
    obeyed: it is worked out once for each such stretch.
    """

    __slots__ = ("_found", "_turns_ms", "_whole_turns_ms", "car", "spans")

    def __init__(self, car: Fact) -> None:
        self.car = car
        self._turns_ms = _turns_ms(car)
        self._whole_turns_ms = sorted([*self._turns_ms, *(r.at_ms - WHOLE_SECOND_MS for r in _reports(car))])
        self._found: dict[tuple[int, bool], tuple[Draw, Span]] = {}
        self.spans: dict[int, Span] = {}
        """Reading (ms) -> `span` at it, where that was asked for."""

    def span(self, tree: Tree, point: MeterPoint) -> Span:
        """Its bounds at a reading."""
        if len(self.spans) >= KEPT_SPANS:
            self.spans.clear()
        found = self.spans[point.at_ms] = self._stretch(tree, point)[1]
        return found

    def at(self, tree: Tree, point: MeterPoint) -> Draw:
        """Its draw at a reading."""
        return self._stretch(tree, point)[0]

    def _stretch(self, tree: Tree, point: MeterPoint) -> tuple[Draw, Span]:
        whole = point.at_ms % 1000 == 0
        stretch = bisect_right(self._whole_turns_ms if whole else self._turns_ms, point.at_ms), whole
        found = self._found.get(stretch)
        if found is None:
            draw = _draw(tree, point, self.car, self.car.socket.ways[0])
            found = self._found[stretch] = draw, _span(draw.bounds)
        return found


def _turns_ms(car: Fact) -> list[int]:
    """The moments from which on a reading may show another draw of a car than one before, but for those that are a
    second long."""
    turns = set(obeyed_from_ms(car.state))
    for report in _reports(car):
        turns |= {report.at_ms, report.at_ms + 1}
    for told_ms, _ in car.state.told:
        turns |= {told_ms + 1, told_ms + TAKES_MS + 1}
    return sorted(turns)


def _span(bounds: Bounds) -> Span:
    return _whole((*bounds.least_a, *bounds.most_a, *bounds.risen_a))


def _whole(amperes: Iterable[float]) -> Span:
    return tuple([round(a * PER_A) for a in amperes])


@dataclass(frozen=True, slots=True)
class Total:
    """The bounds of all cars together at a reading."""

    span: Span
    bounds: Bounds


def total_at(tree: Tree, point: MeterPoint, cars: list[Course]) -> Total:
    """Between which bounds all cars together were at a reading."""
    if all_placed(cars):
        spans = [each.spans.get(point.at_ms) or each.span(tree, point) for each in cars]
    else:
        spans = [_span(draw.bounds) for draw in draws_at(tree, point, cars)]
    return _total(tree, tuple(map(sum, zip(*spans, strict=True))) if spans else (0,) * (3 * entries(tree)))


def total_with(tree: Tree, before: Total, point: MeterPoint, changed: list[tuple[Course, Course]]) -> Total:
    """The same after some courses were replaced by newer ones (old, new)."""
    if not changed:
        return before
    span = before.span
    for old, new in changed:
        more = new.spans.get(point.at_ms) or new.span(tree, point)
        less = old.spans.get(point.at_ms) or old.span(tree, point)
        if more != less:
            span = tuple(map(add, span, map(sub, more, less)))
    return before if span == before.span else _total(tree, span)


def _total(tree: Tree, span: Span) -> Total:
    long, amperes = entries(tree), tuple([a / PER_A for a in span])
    return Total(span, Bounds(amperes[:long], amperes[long : 2 * long], amperes[2 * long :]))


def all_placed(cars: list[Course]) -> bool:
    """Whether the rotation of each is known: where another one may be depends on the reading."""
    return not any(len(each.car.socket.ways) > 1 for each in cars)


def draws_at(tree: Tree, point: MeterPoint, cars: list[Course]) -> list[Draw]:
    """What each car drew at the meter's moment, known rotations first: they narrow where the unknown ones may be."""
    known = [each.at(tree, point) for each in cars if len(each.car.socket.ways) == 1]
    if len(known) == len(cars):
        return known
    left = [point.current_a[p] - sum(d.taken_off[p] for d in known if d.exact) for p in range(len(point.current_a))]
    shown = None if min(point.current_a) < -FITS_A else tuple(left)
    unknown = [_possible(tree, point, each.car, shown) for each in cars if len(each.car.socket.ways) > 1]
    return sorted(known + _certain(unknown, shown), key=lambda d: d.car.socket.name)


def _possible(tree: Tree, point: MeterPoint, car: Fact, left: Vector | None) -> list[Draw]:
    """The draws of a car under every rotation that fits the meter, or under all where none does.

    `left`: what the meter shows besides the cars whose place is known; None where that tells nothing.
    """
    draws = {(d.taken_off, d.bounds): d for d in [_placed(_draw(tree, point, car, way)) for way in car.socket.ways]}
    every = list(draws.values())
    if left is None:
        return every
    return [d for d in every if all(a <= 0 or a <= b + FITS_A for a, b in zip(d.surely_a, left, strict=False))] or every


def _placed(draw: Draw) -> Draw:
    """A car that draws rises on no phase that is not its own, if it is wired that way."""
    if draw.total_a == 0:
        return draw
    phases = len(draw.taken_off) // 2
    risen_a = [
        most if k < phases and own == 0 else risen
        for k, (own, most, risen) in enumerate(
            zip(draw.taken_off, draw.bounds.most_a, draw.bounds.risen_a, strict=True)
        )
    ]
    return structs.replace(draw, bounds=structs.replace(draw.bounds, risen_a=tuple(risen_a)))


def _certain(possible: list[list[Draw]], left: Vector | None) -> list[Draw]:
    """What is certain of each car's draw, whatever its rotation; and of what is certain of all together only, shares
    that they can have. On a phase with such shares it is not known whose draw is left in the unmanaged load."""
    lowest = [_lowest(draws) for draws in possible]
    if left is None or len(possible) < 2 or all(len(draws) == 1 for draws in possible):
        return lowest
    together = least_together([[(_needs(d, left), _sides(d)) for d in draws] for draws in possible], _whole(left))
    if together is None:
        return lowest
    certain = []
    more = tuple(map(sub, together, map(sum, zip(*map(_sides, lowest), strict=True))))
    phases = len(left)
    alone = [not any(more[phase :: 2 * phases + 1]) for phase in range(phases)]
    for draw, draws in zip(lowest, possible, strict=True):
        own = _sides(draw)
        room = map(sub, map(max, zip(*map(_sides, draws), strict=True)), own)
        part = tuple(map(min, room, more))
        more = tuple(map(sub, more, part))
        unplaced_a = tuple([a if each else 0.0 for a, each in zip(draw.unplaced_a, alone, strict=True)])
        certain.append(structs.replace(_with_sides(draw, tuple(map(add, own, part))), unplaced_a=unplaced_a))
    return certain


def _needs(draw: Draw, left: Vector) -> Span:
    """What must be left on each phase for a draw to be there."""
    return _whole([max(0.0, a - FITS_A) for a in draw.surely_a[: len(left)]])


def _lowest(draws: list[Draw]) -> Draw:
    """A car's draw as far as each of them has it."""
    if len(draws) == 1:
        return structs.replace(draws[0], unplaced_a=_not_taken_off(draws[0].taken_off))

    def least(vectors: Iterable[Vector]) -> Vector:
        return tuple(map(min, zip(*vectors, strict=True)))

    bounds = Bounds(
        least(d.bounds.least_a for d in draws),
        least(d.bounds.most_a for d in draws),
        least(d.bounds.risen_a for d in draws),
    )
    taken_off, surely_a = least(d.taken_off for d in draws), least(d.surely_a for d in draws)
    unplaced_a = _not_taken_off(taken_off)
    return structs.replace(draws[0], taken_off=taken_off, surely_a=surely_a, bounds=bounds, unplaced_a=unplaced_a)


def _not_taken_off(taken_off: Vector) -> Vector:
    """What a car draws, on each phase that it may be on and is taken off less."""
    phases = len(taken_off) // 2
    return tuple(map(sub, taken_off[phases + 1 :], taken_off[:phases]))


def _sides(draw: Draw) -> Span:
    """What of a draw is summed over the cars, one after the other."""
    return _whole((*draw.taken_off, *draw.surely_a, *draw.bounds.least_a, *draw.bounds.most_a))


def _with_sides(draw: Draw, sides: Span) -> Draw:
    long, amperes = len(draw.taken_off), [a / PER_A for a in sides]
    taken_off, surely_a, least_a, most_a = (tuple(amperes[i * long : (i + 1) * long]) for i in range(4))
    bounds = Bounds(least_a, most_a, tuple(map(max, draw.bounds.risen_a, most_a)))
    return structs.replace(draw, taken_off=taken_off, surely_a=surely_a, bounds=bounds)


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


def _draw(tree: Tree, point: MeterPoint, car: Fact, way: Wiring) -> Draw:
    """A car's draw at a meter reading if it is wired that way."""
    reports = _reports(car)
    first, last = _around(reports, point)
    reading = reports[first] if first >= 0 else None
    taken_off = _load(tree, car, way, reading)
    if reading is None or taken_off is None:
        nothing = (0.0,) * entries(tree)
        return Draw(car, reading, False, nothing, nothing, Bounds(nothing, nothing, nothing), 0.0, 0.0)
    assert reading.current_a is not None
    around = reports[first : last + 2]
    loads = [_load(tree, car, way, each) for each in around]
    closed = last + 1 < len(reports) and loads[-1] is not None
    bounds = _between(car, point, loads, around, _on(tree, car), closed)
    return Draw(
        car=car,
        reading=reading,
        exact=reading.at_ms == point.at_ms,
        taken_off=taken_off,
        surely_a=bounds.least_a if closed else taken_off,
        bounds=bounds,
        total_a=sum(taken_off[: tree.phases]),
        power_per_volt=_power_per_volt(tree, reading.current_a),
    )


def _on(tree: Tree, car: Fact) -> Vector:
    """What one ampere of a car is at most, on each phase and in all."""
    return car.use.on if tree.rotations_known else (*car.use.on, car.use.total, *car.use.on)


def _load(tree: Tree, car: Fact, way: Wiring, reading: Reading | None) -> Vector | None:
    """A reported draw on the building's phases under one wiring; None where nothing was said."""
    if reading is None or reading.current_a is None or len(reading.current_a) != len(way):
        return None
    load_a = _site_load(tree.phases, way, reading.current_a)
    if len(car.socket.ways) == 1:
        return with_more(tree, load_a)
    anywhere_a = [_site_load(tree.phases, each, reading.current_a) for each in car.socket.ways]
    return (*load_a, sum(load_a), *map(max, *anywhere_a))


@lru_cache(maxsize=8192)
def _site_load(phases: int, way: Wiring, current_a: Vector) -> Vector:
    """A car's currents on the building's phases under one wiring."""
    load = [0.0] * phases
    for places, amperes in zip(way, current_a, strict=True):
        for place in places:
            load[place] += amperes
    return tuple(load)


def _power_per_volt(tree: Tree, current_a: Vector) -> float:
    """Watts per volt of a car's currents: their sum on a star; √3 times their mean on the three lines of a delta."""
    delta = tree.location.grid.type == "IT" and len(current_a) == 3
    return sum(current_a) / 3**0.5 if delta else sum(current_a)


def _reports(car: Fact) -> list[Reading]:
    """What is kept of a car's reports, oldest first; none of one that is silent: what it drew is too long ago."""
    newest, recent = car.state.reading, car.state.recent
    if car.silent or newest is None:
        return []
    if recent and recent[-1].at_ms == newest.at_ms:
        return recent
    return [*recent, newest]


def _between(
    car: Fact, point: MeterPoint, loads: Sequence[Vector | None], around: list[Reading], on: Vector, closed: bool
) -> Bounds:
    """The bounds of one car from its reports around a meter reading.

    `loads`: what they said, the first is known. `on`: what one ampere of it is at most. `closed`: whether the last of
    them is certainly newer than the meter's, and said something.
    """
    assert loads[0] is not None
    if around[0].at_ms == point.at_ms:
        return Bounds(loads[0], loads[0], loads[0])
    said = [load for load in loads if load is not None]
    most_a = said[0] if len(said) == 1 else tuple(map(max, *said))
    if closed:
        told_a = least_told_a(car.state, around[0].at_ms, around[-1].at_ms) if _one_car(around) else 0.0
        least_a = map(min, *said, [told_a * max(1.0, each) for each in on])
        most_a = _told_at_most_a(car, loads[0], most_a, on, point.at_ms)
        return Bounds(tuple(least_a), most_a, most_a)
    risen_a = _risen_a(car, most_a, on, point.at_ms)
    obeyed = most_obeyed_a(car.state, point.at_ms)
    if obeyed is not None and not car.reservation.lapsing:  # else it may have gone to its fallback
        cap_a = [obeyed[0] * each for each in on]
        if around[-1].at_ms < obeyed[1]:
            most_a = tuple(map(min, most_a, cap_a))
        risen_a = tuple(map(max, most_a, map(min, risen_a, cap_a)))
    return Bounds((0.0,) * len(most_a), most_a, risen_a)


def _one_car(reports: list[Reading]) -> bool:
    """Whether nobody left in between, as far as the reports tell."""
    return len({report.transaction for report in reports}) == 1


def _risen_a(car: Fact, load_a: Vector, on: Vector, at_ms: int) -> Vector:
    """What a car may have risen to since it reported, at a meter reading."""
    held_a = car.reservation.held_a
    risen_a = tuple([max(a, held_a * each) for a, each in zip(load_a, on, strict=True)])
    return _told_at_most_a(car, load_a, risen_a, on, at_ms)


def _told_at_most_a(car: Fact, load_a: Vector, most_a: Vector, on: Vector, at_ms: int) -> Vector:
    """What a car that drew `load_a` may have risen to at a meter reading: what it was told at that moment or later it
    cannot have obeyed yet, else a raise would explain away the very load that it was made beside."""
    told = car.state.told
    if not told or told[-1][0] < at_ms:
        return most_a
    told_a = most_told_a(car.state, at_ms, car.socket.fallback_a)
    return tuple([max(a, min(most, told_a * each)) for a, most, each in zip(load_a, most_a, on, strict=True)])
