"""How much the unmanaged load wanders by itself, so that a raise is not taken back a second later.

A limit that follows every dip of a noisy house up is pulled down by every rise that follows: hundreds of setpoints an
hour, each of which may be a write into a charger's flash. So a *raise* leaves free what the load is likely to reach
again: its recent level plus twice its spread. Decreases and fair shares know nothing of this; the fuse is not
protected by statistics.

The spread is taken from successive differences, of the meter or of the unmanaged load, whichever moved less (a car's
ramp moves the one, its late report the other), clipped, so that a kettle's step does not count as noise, and only once
there are enough readings to call it one.
"""

from __future__ import annotations

from pipeline.state import Wander

ENOUGH = 20
"""Readings before a spread is believed. Fewer: two steps of a quiet house look like noise; more: a noisy one is noticed
late."""
LEVEL_SHARE = 0.2
"""Of a new reading in the level: it follows a step within some ten readings."""
SPREAD_SHARE = 0.02
"""Of a new difference in the spread: it remembers the last hundred or so."""
SIGMA_PER_DIFFERENCE = 0.886
"""The mean difference of two draws from a normal distribution is 1.128 σ."""
SIGMAS = 2.0
"""How far above its level the load is expected to come again. In a closed loop of four cars with a noise of 0.5 A and a
step every five minutes: 0 gives 0.96 of the energy that could be had for 115 setpoints an hour and car, 2 gives 0.93
for 22, 3 gives 0.92 for 20."""
CLIP_A = 0.5
"""A difference counts at most this much above four spreads: what is larger is a step, not noise."""


def noted(before: Wander | None, load_a: tuple[float, ...], meter_a: tuple[float, ...]) -> Wander:
    """The wander after one more reading: of the meter, and of what of it is not the chargers'."""
    if before is None or len(before.load_a) != len(load_a):
        return Wander(0, load_a, meter_a, load_a, (0.0,) * len(load_a))
    share = max(SPREAD_SHARE, 1.0 / (before.readings + 1))
    level, spread = [], []
    for p, old_spread in enumerate(before.spread_a):
        meter_moved, load_moved = abs(meter_a[p] - before.meter_a[p]), abs(load_a[p] - before.load_a[p])
        moved = min(meter_moved, load_moved, 4 * old_spread + CLIP_A)
        level.append(before.level_a[p] + LEVEL_SHARE * (load_a[p] - before.level_a[p]))
        spread.append(old_spread + share * (moved - old_spread))
    return Wander(before.readings + 1, load_a, meter_a, tuple(level), tuple(spread))


def kept_free_a(wander: Wander | None) -> tuple[float, ...]:
    """Per phase what a raise leaves free above the newest reading."""
    if wander is None:
        return ()
    if wander.readings < ENOUGH:
        return (0.0,) * len(wander.load_a)
    return tuple(
        max(0.0, level + SIGMAS * SIGMA_PER_DIFFERENCE * spread - last)
        for last, level, spread in zip(wander.load_a, wander.level_a, wander.spread_a, strict=True)
    )
