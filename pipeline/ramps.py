"""What a meter shows besides its cars, when they did not report at the same moment (design §6.3, §9 Unmanaged load).

Between two reports a car drew something between the two. Since its last one it may have fallen to nothing, or, for 15 s
from the first meter reading that shows a rise, have risen to what it may still take. So a meter reading bounds the
unmanaged load: `meter − most that the cars can have drawn ≤ load ≤ meter − least`. As long as the load that was known
before lies within, it stays as it was: a fall is credited to the building only when it is certain, and a car is not cut
by its own ramp, nor by another one's. Later reports narrow the bounds of the readings that they bracket, so those are
walked through again until every car has reported since; what was put down to cars and was none of theirs is found then.
"""

from __future__ import annotations

from msgspec import Struct

from pipeline.draws import Bounds, Draw, Vector

RAMP_MS = 15_000
"""How long a rise of the meter is put down to cars that have not reported since (design §9). Shorter: a car that
ramps within its own setpoint gets itself cut; longer: a kettle is overlooked for that long."""


class Load(Struct, frozen=True, gc=False):
    """The unmanaged load at a meter reading, per phase; and since when a rise has been put down to cars (None: it is
    not)."""

    load_a: Vector
    since_ms: tuple[int | None, ...]


def first_load(raw_a: Vector) -> Load:
    """Of the first reading of a meter: as all have reported. It is found anew until all have reported since."""
    return Load(raw_a, (None,) * len(raw_a))


def next_load(before: Load, meter_a: Vector, bounds: Bounds, seen_ms: int, at_ms: int) -> Load:
    """The load at a reading seen at `seen_ms`, judged at `at_ms`, from that at the reading before it."""
    load_a, since_ms = [], []
    for p, amperes in enumerate(meter_a):
        load, since = before.load_a[p], before.since_ms[p]
        highest, reported = amperes - bounds.least_a[p], amperes - bounds.most_a[p]
        if load > highest:
            load = highest
        if load >= reported - 1e-9:
            since = None
        else:
            since = seen_ms if since is None else since
            lowest = amperes - bounds.risen_a[p] if at_ms - since <= RAMP_MS else reported
            load = max(load, lowest)
        load_a.append(load)
        since_ms.append(since)
    return Load(tuple(load_a), tuple(since_ms))


def put_down_to_cars(raw_a: Vector, load_a: Vector, draws: list[Draw]) -> dict[str, Vector]:
    """What of a reading is neither reported by cars nor unmanaged, per car and phase, signed: their ramps.

    Who has not reported for longest is the first to have ramped.
    """
    parts: dict[str, list[float]] = {}
    oldest_first = sorted((d for d in draws if d.reading is not None), key=_reported)
    for p, value in enumerate(raw_a):
        change = value - load_a[p]
        for draw in oldest_first:
            if abs(change) < 1e-9:
                break
            room = (draw.bounds.risen_a if change > 0 else draw.bounds.least_a)[p] - draw.taken_off[p]
            part = max(0.0, min(change, room)) if change > 0 else min(0.0, max(change, room))
            if part:
                parts.setdefault(draw.car.socket.name, [0.0] * len(raw_a))[p] = part
                change -= part
    return {name: tuple(amperes) for name, amperes in parts.items()}


def _reported(draw: Draw) -> tuple[int, str]:
    assert draw.reading is not None
    return draw.reading.at_ms, draw.car.socket.name
