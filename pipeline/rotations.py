"""What several cars of unknown rotation draw together, on each phase, at least (design §6.3, §9 Unmanaged load).

One car of 12 A beside a meter that shows 13, 13 and 1 A may be on L1 or on L2, so nothing of it is certain on either.
Two such cars are certain: one is on L1, the other on L2, whichever that is. So all rotations that fit the meter
together are looked at, and of each phase the least that any of them puts there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add

Amounts = tuple[int, ...]
"""Whole numbers: the same cars in another order have the same sum, to the bit."""

KEPT = 100
"""Sums that are looked at beside each other: four cars of one phase have 81. Fewer: less is known of many cars; more:
the decision takes longer."""


def least_together(cars: Iterable[Sequence[tuple[Amounts, Amounts]]], room: Amounts) -> Amounts | None:
    """The least of each sum over all choices of one way per car that fit; None where none fits, or too many do.

    `cars`: for each way that a car may be wired what it needs of the room, per phase, none below 0; and what is summed.
    """
    sums: set[tuple[Amounts, Amounts]] | None = None
    for ways in cars:
        if sums is None:
            sums = {way for way in ways if _fits(way[0], room)}
        else:
            sums = {
                (needed, _sum(amounts, more))
                for need, amounts in sums
                for needs, more in ways
                if _fits(needed := _sum(need, needs), room)
            }
        if not sums or len(sums) > KEPT:
            return None
    return None if sums is None else tuple(map(min, zip(*(amounts for _, amounts in sums), strict=True)))


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(add, one, other))


def _fits(needed: Amounts, room: Amounts) -> bool:
    return all(a <= 0 or a <= b for a, b in zip(needed, room, strict=True))
