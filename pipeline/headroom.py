"""Unmanaged load: what flows into a group besides its chargers (design §6.3, §9 Unmanaged load).

`meter − Σ charger currents below it`, in the site frame, per phase, signed. Readings of one moment give the exact
difference. When the meter is newer than a charger's reading, a change of the meter may be that car's own ramp: a rise
up to what it may still take, and a fall down to nothing, are put down to it until its next reading, 15 s at most,
counted from the first meter reading that shows the change. When that next reading comes, what it does not explain is
booked after all. A charger's newer reading never changes the difference at an older meter reading.

A car of unknown rotation is subtracted only as far as every rotation that fits the meter allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.facts import Fact
from pipeline.state import Blame, MeterPoint, MeterState, Reading
from topology.phases import Wiring
from topology.tree import Node, Tree

BLAME_MS = 15_000
"""How long a change of the meter is put down to a car that has not reported since (design §9). Shorter: a car that
ramps within its own setpoint gets itself cut; longer: a kettle is overlooked for that long."""
FITS_A = 0.5
"""A rotation fits the meter when the phase carries the car's current but for this: the noise of two devices."""

Vector = tuple[float, ...]


@dataclass(slots=True)
class Difference:
    """What a meter shows besides the cars below it, at its newest reading; and the memory that led there."""

    unmanaged_a: Vector
    power_w: float
    """Signed active power of everything but the cars, summed over the phases."""
    excess_a: float
    """−Σ phases (meter − the draw of the solar cars), the solar cars' own ramps left out."""
    settled_ms: int
    blames: dict[str, Blame] = field(default_factory=dict)


def difference(tree: Tree, node: Node, meter: MeterState, cars: Sequence[Fact], now_ms: int) -> Difference | None:
    """The difference at the meter's newest reading, walked through the readings since the last written decision.

    None when the meter was never heard of. `cars`: those below it, sorted by key; none of them is taken off a meter
    that does not include the chargers.
    """
    if meter.newest is None:
        return None
    points = [p for p in meter.recent if p.at_ms > meter.settled_ms]
    base, blames = meter.unmanaged_a, meter.blames
    assert node.meter is not None
    below = list(cars) if node.meter.includes_chargers else []
    if not points:  # nothing new: the newest reading again, with what the chargers have said since
        points = [meter.newest]
    result = None
    for i, point in enumerate(points):
        at_ms = now_ms if i == len(points) - 1 else point.at_ms
        result = _settle(tree, node, point, below, base, blames, at_ms)
        base, blames = result.unmanaged_a, result.blames
    return result


def _settle(
    tree: Tree,
    node: Node,
    point: MeterPoint,
    cars: list[Fact],
    base: Vector | None,
    blames: dict[str, Blame],
    at_ms: int,
) -> Difference:
    """The difference at one meter reading. `base`: the difference before it, `blames`: what was put down to whom."""
    phases = len(point.current_a)
    draws = _draws(tree, point, cars)
    if base is not None:
        base = _book_unexplained(base, draws, blames)
    raw = [point.current_a[p] - sum(d.taken_off[p] for d in draws) for p in range(phases)]
    new_blames = {d.car.socket.name: _kept_blame(d, blames) for d in draws if d.reading is not None}
    put_down = _put_down(raw, base, draws, new_blames, point.at_ms, at_ms) if base is not None else {}
    unmanaged = [raw[p] - sum(part[p] for part in put_down.values()) for p in range(phases)]
    for key, part in put_down.items():
        new_blames[key].rise_a = part
    return Difference(
        unmanaged_a=tuple(unmanaged),
        power_w=point.power_w - sum(_power_w(tree, d, put_down.get(d.car.socket.name)) for d in draws),
        excess_a=-sum(point.current_a)
        + sum(
            d.total_a + sum(put_down.get(d.car.socket.name, ())) for d in draws if d.car.socket.solar_node == node.index
        ),
        settled_ms=point.at_ms,
        blames=new_blames,
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    """A car's draw as it is taken off a meter reading."""

    car: Fact
    reading: Reading | None
    exact: bool
    taken_off: Vector
    total_a: float
    power_per_volt: float


def _draws(tree: Tree, point: MeterPoint, cars: list[Fact]) -> list[_Draw]:
    """What each car drew at the meter's moment, known rotations first: they narrow where the unknown ones may be."""
    known = [_draw(tree, point, car, point.current_a) for car in cars if len(car.socket.ways) == 1]
    left = [point.current_a[p] - sum(d.taken_off[p] for d in known if d.exact) for p in range(len(point.current_a))]
    exports = min(point.current_a) < 0
    unknown = [_draw(tree, point, car, None if exports else tuple(left)) for car in cars if len(car.socket.ways) > 1]
    return sorted(known + unknown, key=lambda d: d.car.socket.name)


def _reading_at(car: Fact, at_ms: int) -> Reading | None:
    """The newest reading that is not newer than the meter's; None where none is, or it says no current."""
    if car.silent:
        return None  # what it drew is too long ago to be taken off
    newest = car.state.reading
    if newest is None:
        return None
    if newest.at_ms <= at_ms:
        return newest
    return next((r for r in reversed(car.state.recent) if r.at_ms <= at_ms), None)


def _draw(tree: Tree, point: MeterPoint, car: Fact, left: Vector | None) -> _Draw:
    phases = tree.phases
    reading = _reading_at(car, point.at_ms)
    if reading is None or reading.current_a is None:
        return _Draw(car, reading, False, (0.0,) * phases, 0.0, 0.0)
    loads = [_site_load(phases, way, reading.current_a) for way in car.socket.ways]
    fitting = loads
    if len(loads) > 1 and left is not None:
        fitting = [x for x in loads if all(x[p] <= 0 or x[p] <= left[p] + FITS_A for p in range(phases))] or loads
    return _Draw(
        car=car,
        reading=reading,
        exact=reading.at_ms == point.at_ms,
        taken_off=tuple(min(x[p] for x in fitting) for p in range(phases)),
        total_a=sum(loads[0]),
        power_per_volt=_power_per_volt(tree, reading.current_a),
    )


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


def _power_w(tree: Tree, draw: _Draw, put_down: Vector | None) -> float:
    volts = tree.location.grid.voltage_v
    delta = tree.location.grid.type == "IT" and tree.phases == 3
    ramp = sum(put_down) if put_down else 0.0
    return volts * draw.power_per_volt + ramp * (volts / 3**0.5 if delta else volts)


def _book_unexplained(base: Vector, draws: list[_Draw], blames: dict[str, Blame]) -> Vector:
    """A car has reported since: the part of the change put down to it that its reading does not show is the others'."""
    booked = list(base)
    for draw in draws:
        blame = blames.get(draw.car.socket.name)
        if blame is None or not blame.rise_a or draw.reading is None or draw.reading.at_ms == blame.reading_ms:
            continue
        for p, part in enumerate(blame.rise_a):
            moved = draw.taken_off[p] - blame.draw_a[p]
            explained = min(max(moved, 0.0), part) if part > 0 else max(min(moved, 0.0), part)
            booked[p] += part - explained
    return tuple(booked)


def _kept_blame(draw: _Draw, blames: dict[str, Blame]) -> Blame:
    """The clock of a car runs on until it reports again."""
    assert draw.reading is not None
    before = blames.get(draw.car.socket.name)
    since_ms = before.since_ms if before is not None and before.reading_ms == draw.reading.at_ms else None
    return Blame(draw.reading.at_ms, draw.taken_off, since_ms)


def _put_down(
    raw: list[float], base: Vector, draws: list[_Draw], blames: dict[str, Blame], seen_ms: int, at_ms: int
) -> dict[str, Vector]:
    """The change against `base` that the cars may have caused themselves, per car and phase, signed."""
    parts: dict[str, list[float]] = {}
    for p, value in enumerate(raw):
        change = value - base[p]
        for draw in draws:
            if abs(change) < 1e-9:
                break
            if draw.reading is None or draw.exact or not _may_be(blames[draw.car.socket.name], at_ms):
                continue
            may_rise = max(0.0, draw.car.reservation.held_a * draw.car.use.on[p] - draw.taken_off[p])
            part = min(change, may_rise) if change > 0 else max(change, -draw.taken_off[p])
            if part:
                parts.setdefault(draw.car.socket.name, [0.0] * len(raw))[p] = part
                change -= part
    for key in parts:
        if blames[key].since_ms is None:
            blames[key].since_ms = seen_ms
    return {key: tuple(part) for key, part in parts.items()}


def _may_be(blame: Blame, at_ms: int) -> bool:
    return blame.since_ms is None or at_ms - blame.since_ms <= BLAME_MS
