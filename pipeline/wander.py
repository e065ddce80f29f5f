"""How much the unmanaged load wanders by itself, so that a raise is not taken back a second later.

A limit that follows every dip of a noisy house up is pulled down by every rise that follows: hundreds of setpoints an
hour, each of which may be a write into a charger's flash. So a *raise* leaves free what the load is likely to reach
again: its level since the last step plus twice its spread. Decreases and fair shares know nothing of this; the fuse is
not protected by statistics.

The spread is taken from successive differences of the meter (the unmanaged load itself moves only when that is certain,
`pipeline.ramps`), clipped, so that a kettle's step or a car's ramp hardly counts as noise, and only once there are
enough readings to call it one.
"""

from __future__ import annotations

from pipeline.state import Wander

ENOUGH = 20
"""Readings before a spread is believed. Fewer: two steps of a quiet house look like noise; more: a noisy one is noticed
late."""
LEVEL_SHARE = 0.05
"""Of a new reading in the level, once there are enough since the last step. Larger: limits follow the noise; smaller: a
slow drift is noticed late."""
SPREAD_SHARE = 0.02
"""Of a new difference in the spread: it remembers the last hundred or so."""
SIGMA_PER_DIFFERENCE = 0.886
"""The mean difference of two draws from a normal distribution is 1.128 σ."""
SIGMAS = 2.0
"""How far above its level the load is expected to come again. In a closed loop of one car and of four, with a step
every five minutes and a noise of 1 A each second: 1 gives 60 and 26 setpoints an hour and car, 1.5 gives 28 and 26, 2
gives 24 and 18, for 0.93 to 0.98 of the energy that could be had."""
QUIET_A = 0.1
"""Less than this is no noise worth leaving free: it would cost everybody a step for a kettle of minutes ago."""
CLIP_A = 0.5
"""A difference counts at most this much above four spreads: what is larger is a step, not noise."""


def noted(before: Wander | None, load_a: tuple[float, ...], meter_a: tuple[float, ...]) -> Wander:
    """The wander after one more reading: of the meter, and of what of it is not the chargers'."""
    phases = len(load_a)
    if before is None or len(before.load_a) != phases or len(before.steady) != phases:
        return Wander(0, load_a, meter_a, load_a, (0.0,) * phases, (1,) * phases)
    share = max(SPREAD_SHARE, 1.0 / (before.readings + 1))
    level, spread, steady = [], [], []
    for p, old_spread in enumerate(before.spread_a):
        largest = 4 * old_spread + CLIP_A
        moved = min(abs(meter_a[p] - before.meter_a[p]), largest)
        spread.append(old_spread + share * (moved - old_spread))
        away = load_a[p] - before.level_a[p]
        readings = 1 if abs(away) > largest else before.steady[p] + 1
        level.append(before.level_a[p] + max(LEVEL_SHARE, 1.0 / readings) * away)
        steady.append(min(readings, 1000))
    return Wander(before.readings + 1, load_a, meter_a, tuple(level), tuple(spread), tuple(steady))


def kept_free_a(wander: Wander | None) -> tuple[float, ...]:
    """Per phase what a raise leaves free above the newest reading."""
    if wander is None:
        return ()
    if wander.readings < ENOUGH:
        return (0.0,) * len(wander.load_a)
    return tuple(
        _free_a(last, level, spread, readings)
        for last, level, spread, readings in zip(
            wander.load_a, wander.level_a, wander.spread_a, wander.steady, strict=True
        )
    )


def kept_free_total_a(wander: Wander | None) -> float:
    """The same for the sum over the phases, whose noises are not one another's."""
    if wander is None or wander.readings < ENOUGH:
        return 0.0
    spread = sum([s * s for s in wander.spread_a]) ** 0.5
    return _free_a(sum(wander.load_a), sum(wander.level_a), spread, min(wander.steady))


def _free_a(last_a: float, level_a: float, spread_a: float, readings: int) -> float:
    reach_a = SIGMAS * SIGMA_PER_DIFFERENCE * (1 + 1 / readings) ** 0.5 * spread_a
    return max(0.0, level_a + reach_a - last_a) if reach_a >= QUIET_A else 0.0
