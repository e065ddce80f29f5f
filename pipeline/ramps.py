"""Whose ramp was it: what of a meter's change is put down to the cars below it (design §6.3, §9 Unmanaged load).

When a meter is newer than a car's reading, its change may be that car's own: a rise up to what the car may still take,
for 15 s from the first meter reading that shows it, and a fall down to nothing. Who has not reported for longest is
blamed first. A car's next reading says what of its part, as the meter had shown it by then, was its own; the rest is
looked for at the other cars that have not reported since, and only what none of them can have caused is booked as not
the cars'. So a fall is credited to the building only when it is certain, and a car is not cut by another one's ramp.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.facts import Fact
from pipeline.state import Blame, Reading

BLAME_MS = 15_000
"""How long a change of the meter is put down to a car that has not reported since (design §9). Shorter: a car that
ramps within its own setpoint gets itself cut; longer: a kettle is overlooked for that long."""
KEPT_PARTS = 16
"""Meter readings between two reports of a car for which its part is kept. Fewer: a report from before them says
nothing; more: the state of every ramping car grows."""

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """A car's draw as it is taken off a meter reading."""

    car: Fact
    reading: Reading | None
    exact: bool
    taken_off: Vector
    total_a: float
    power_per_volt: float


def _tells(blame: Blame, reading: Reading) -> bool:
    """Whether a reading says anything of a change: one from before the change, that came late, does not."""
    return reading.at_ms != blame.reading_ms and (blame.since_ms is None or reading.at_ms >= blame.since_ms)


def kept_blame(draw: Draw, blames: dict[str, Blame]) -> Blame:
    """The clock of a car runs on until it reports again."""
    assert draw.reading is not None
    before = blames.get(draw.car.socket.name)
    if before is None or _tells(before, draw.reading):
        return Blame(draw.reading.at_ms, draw.taken_off)
    return Blame(draw.reading.at_ms, draw.taken_off, before.since_ms, seen=before.seen)


def _seen_by(blame: Blame, at_ms: int) -> Vector:
    """What was put down to a car by the meter readings up to a moment."""
    return next((part for seen_ms, part in reversed(blame.seen) if seen_ms <= at_ms), ())


def _first_seen_ms(blame: Blame, phase: int, part: float) -> int:
    """Since when the meter has shown a change of this direction that was put down to this car."""
    first_ms = blame.seen[-1][0]
    for seen_ms, parts in reversed(blame.seen):
        if parts[phase] * part <= 0:
            break
        first_ms = seen_ms
    return first_ms


def _note_part(blame: Blame, part: Vector, passed_since_ms: int | None, seen_ms: int) -> None:
    """The part that a meter reading puts down to a car. One that was passed on to it is as old as it ever was."""
    if blame.since_ms is None:
        blame.since_ms = seen_ms if passed_since_ms is None else passed_since_ms
        blame.seen = [(blame.since_ms, part)]
    blame.rise_a = part
    blame.seen = [*(s for s in blame.seen if s[0] != seen_ms), (seen_ms, part)][-KEPT_PARTS:]


@dataclass(slots=True)
class Account:
    """What the cars may still be blamed for at one meter reading, and since when an old change is looked for."""

    draws: list[Draw]
    blames: dict[str, Blame]
    at_ms: int
    since_ms: int | None = None

    def room_a(self, draw: Draw, phase: int, change: float) -> float:
        """How much of a change on a phase a car may have caused since its reading: signed like the change.

        A fall has no time limit: to credit one that may be the car's own is never certain until it reports.
        """
        if draw.reading is None or draw.exact:
            return 0.0
        if change < 0:
            return -max(0.0, draw.taken_off[phase])
        blame = self.blames.get(draw.car.socket.name)
        if blame is not None and blame.since_ms is not None and self.at_ms - blame.since_ms > BLAME_MS:
            return 0.0
        return max(0.0, draw.car.reservation.held_a * draw.car.use.on[phase] - draw.taken_off[phase])


def book_unexplained(base: Vector, account: Account) -> Vector:
    """A car has reported: what of the change put down to it its reading does not show is another car's, else booked.

    Another one only if it has not reported since the change, either; so the search ends with the last report.
    """
    booked = list(base)
    passed: dict[tuple[str, int], float] = {}
    for draw in account.draws:
        blame = account.blames.get(draw.car.socket.name)
        if blame is None or not blame.rise_a or draw.reading is None or not _tells(blame, draw.reading):
            continue
        for p, part in enumerate(_seen_by(blame, draw.reading.at_ms)):
            moved = draw.taken_off[p] - blame.draw_a[p]
            explained = min(max(moved, 0.0), part) if part > 0 else max(min(moved, 0.0), part)
            booked[p] += _pass_on(part - explained, p, _first_seen_ms(blame, p, part), account, passed)
    return tuple(booked)


def _pass_on(left: float, phase: int, since_ms: int, account: Account, passed: dict[tuple[str, int], float]) -> float:
    """What of a refuted change no other car can have caused."""
    for draw in account.draws:
        if abs(left) < 1e-9:
            return left
        if draw.reading is None or draw.reading.at_ms >= since_ms:
            continue
        name = draw.car.socket.name
        blame = account.blames.get(name)
        own = blame.rise_a[phase] if blame is not None and blame.rise_a and not _tells(blame, draw.reading) else 0.0
        room = account.room_a(draw, phase, left) - own - passed.get((name, phase), 0.0)
        part = max(0.0, min(left, room)) if left > 0 else min(0.0, max(left, room))
        if part:
            passed[name, phase] = passed.get((name, phase), 0.0) + part
            account.since_ms = min(account.since_ms or since_ms, since_ms)
            left -= part
    return left


def put_down_to_cars(raw: list[float], base: Vector, account: Account, seen_ms: int) -> dict[str, Vector]:
    """The change against `base` that the cars may have caused themselves, per car and phase, signed.

    Who has not reported for longest is the first to be blamed.
    """
    parts: dict[str, list[float]] = {}
    oldest_first = sorted((d for d in account.draws if d.reading is not None), key=_reported)
    for p, value in enumerate(raw):
        change = value - base[p]
        for draw in oldest_first:
            if abs(change) < 1e-9:
                break
            room = account.room_a(draw, p, change)
            part = min(change, room) if change > 0 else max(change, room)
            if part:
                parts.setdefault(draw.car.socket.name, [0.0] * len(raw))[p] = part
                change -= part
    put_down = {name: tuple(amperes) for name, amperes in parts.items()}
    for name, amperes in put_down.items():
        _note_part(account.blames[name], amperes, account.since_ms, seen_ms)
    return put_down


def _reported(draw: Draw) -> tuple[int, str]:
    assert draw.reading is not None
    return draw.reading.at_ms, draw.car.socket.name
