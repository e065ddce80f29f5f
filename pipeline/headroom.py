"""Unmanaged load: what flows into a group besides its chargers (design §6.3, §9 Unmanaged load).

`meter − Σ charger currents below it`, in the site frame, per phase, signed. Readings of one moment give the exact
difference. When the meter is newer than a charger's reading, its change may be that car's own ramp: `pipeline.ramps`
says whose. A charger's newer reading never changes the difference at an older meter reading.

A car of unknown rotation is subtracted only as far as every rotation that fits the meter allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.facts import Fact
from pipeline.ramps import Account, Draw, Vector, book_unexplained, kept_blame, put_down_to_cars
from pipeline.state import Blame, MeterPoint, MeterState, Reading, Wander
from pipeline.wander import noted
from topology.phases import Wiring
from topology.tree import Node, Tree

FITS_A = 0.5
"""A rotation fits the meter when the phase carries the car's current but for this: the noise of two devices."""


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
    wander: Wander | None = None


def difference(tree: Tree, node: Node, meter: MeterState, cars: Sequence[Fact], now_ms: int) -> Difference | None:
    """The difference at the meter's newest reading, walked through the readings since the last written decision.

    None when the meter was never heard of. `cars`: those below it, sorted by key; none of them is taken off a meter
    that does not include the chargers.
    """
    phases = tree.phases
    if meter.newest is None or len(meter.newest.current_a) != phases:  # the location had other phases then
        return None
    points = [p for p in meter.recent if p.at_ms > meter.settled_ms and len(p.current_a) == phases]
    base, blames = meter.unmanaged_a, meter.blames
    if base is not None and len(base) != phases:
        base, blames = None, {}
    assert node.meter is not None
    below = list(cars) if node.meter.includes_chargers else []
    wander = meter.wander
    new = bool(points)
    if not new:  # the newest reading again, with what the chargers have said since
        points = [meter.newest]
    result = None
    for i, point in enumerate(points):
        at_ms = now_ms if i == len(points) - 1 else point.at_ms
        result = _settle(tree, node, point, below, base, blames, at_ms)
        base, blames = result.unmanaged_a, result.blames
        if new:
            wander = noted(wander, result.unmanaged_a, point.current_a)
    assert result is not None
    result.wander = wander
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
    account = Account(draws, blames, at_ms)
    if base is not None:
        base = book_unexplained(base, account)
    raw = [point.current_a[p] - sum(d.taken_off[p] for d in draws) for p in range(phases)]
    new_blames = {d.car.socket.name: kept_blame(d, blames) for d in draws if d.reading is not None}
    account.blames = new_blames
    put_down = put_down_to_cars(raw, base, account, point.at_ms) if base is not None else {}
    unmanaged = [raw[p] - sum(part[p] for part in put_down.values()) for p in range(phases)]
    solar = [
        d.total_a + _ramp_a(d, put_down.get(d.car.socket.name)) for d in draws if d.car.socket.solar_node == node.index
    ]
    return Difference(
        unmanaged_a=tuple(unmanaged),
        power_w=point.power_w - sum(_power_w(tree, d, put_down.get(d.car.socket.name)) for d in draws),
        excess_a=-sum(point.current_a) + sum(solar),
        settled_ms=point.at_ms,
        blames=new_blames,
    )


def _draws(tree: Tree, point: MeterPoint, cars: list[Fact]) -> list[Draw]:
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


def _draw(tree: Tree, point: MeterPoint, car: Fact, left: Vector | None) -> Draw:
    phases = tree.phases
    reading = _reading_at(car, point.at_ms)
    if reading is None or reading.current_a is None or len(reading.current_a) != len(car.socket.ways[0]):
        return Draw(car, reading, False, (0.0,) * phases, 0.0, 0.0)
    loads = [_site_load(phases, way, reading.current_a) for way in car.socket.ways]
    fitting = loads
    if len(loads) > 1 and left is not None:
        fitting = [x for x in loads if all(x[p] <= 0 or x[p] <= left[p] + FITS_A for p in range(phases))] or loads
    return Draw(
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


def _ramp_a(draw: Draw, put_down: Vector | None) -> float:
    """What is put down to a car besides its reading, as a sum. Of a car whose phases are not known, a part of the
    reading was not taken off any phase: the meter shows that part again, and it must not count twice."""
    ramp = sum(put_down) if put_down else 0.0
    return ramp if ramp <= 0 else max(0.0, ramp - (draw.total_a - sum(draw.taken_off)))


def _power_w(tree: Tree, draw: Draw, put_down: Vector | None) -> float:
    volts = tree.location.grid.voltage_v
    delta = tree.location.grid.type == "IT" and tree.phases == 3
    ramp = _ramp_a(draw, put_down)
    return volts * draw.power_per_volt + ramp * (volts / 3**0.5 if delta else volts)
