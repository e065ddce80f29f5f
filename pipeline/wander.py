"""How much the unmanaged load wanders by itself, so that a raise is not taken back a second later.

A limit that follows every dip of a noisy house up is pulled down by every rise that follows: hundreds of setpoints an
hour, each of which may be a write into a charger's flash. So a *raise* leaves free what the load is likely to reach
again: its level since the last step plus three times its spread. Decreases and fair shares know nothing of this; the
fuse is not protected by statistics.

The spread is the median of successive differences of the meter (the unmanaged load itself moves only when that is
certain, `pipeline.ramps`), followed in small steps: a kettle's step or a car's ramp hardly counts as noise, however
large it is. It is used only once there are enough readings to call it one.
"""

from __future__ import annotations

from pipeline.state import Wander

ENOUGH = 20
"""Readings before a spread is believed. Fewer: two steps of a quiet house look like noise; more: a noisy one is noticed
late."""
LEVEL_SHARE = 0.05
"""Of a new reading in the level, once there are enough since the last step. Larger: limits follow the noise; smaller: a
slow drift is noticed late."""
STEP_A, STEP_SHARE = 0.02, 0.05
"""How far the median moves with each difference, and how much of itself more. Larger: it jumps with each car that
ramps; smaller: a noise of 1 A is believed after more than half a minute."""
SIGMA_PER_MEDIAN = 1.048
"""The median difference of two draws from a normal distribution is 0.954 σ."""
SIGMAS = 3.0
"""How far above its level the load is expected to come again. Less: more setpoints; more: less energy. In a closed loop
of 45 minutes with a step every five and a noise of 0.5, 1 and 2 A each second (means of three seeds): one car 19, 31
and 26 setpoints an hour, four cars 11, 15 and 25 each, two that draw less than they might 15, 27 and 31. With 2.0 it
was 24, 35, 40; 15, 16, 24; 20, 30, 49 for 1 % more energy."""
QUIET_A = 0.1
"""Less than this is no noise worth leaving free: it would cost everybody a step for a kettle of minutes ago."""
FAR_A, FAR_SPREADS = 0.5, 4.0
"""Further from its level than this the load has made a step, and has a new one."""


def noted(before: Wander | None, load_a: tuple[float, ...], meter_a: tuple[float, ...]) -> Wander:
    """The wander after one more reading: of the meter, and of what of it is not the chargers'."""
    phases = len(load_a)
    if before is None or len(before.load_a) != phases or len(before.steady) != phases:
        return Wander(0, load_a, meter_a, load_a, (0.0,) * phases, (1,) * phases)
    level, spread, steady = [], [], []
    for p, old_spread in enumerate(before.spread_a):
        step = STEP_A + STEP_SHARE * old_spread
        rises = abs(meter_a[p] - before.meter_a[p]) > old_spread
        spread.append(old_spread + step if rises else max(0.0, old_spread - step))
        away = load_a[p] - before.level_a[p]
        readings = 1 if abs(away) > FAR_A + FAR_SPREADS * old_spread else before.steady[p] + 1
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
    reach_a = SIGMAS * SIGMA_PER_MEDIAN * (1 + 1 / readings) ** 0.5 * spread_a
    return max(0.0, level_a + reach_a - last_a) if reach_a >= QUIET_A else 0.0
