"""How far the unmanaged load comes back by itself, so that a raise is not taken back a moment later.

A limit that follows every dip of a noisy house up is pulled down by every rise that follows: hundreds of setpoints an
hour, each of which may be a write into a charger's flash. So a *raise* leaves free what the load reached in the last
minutes. Decreases and fair shares know nothing of this; the fuse is not protected by statistics.

What is noise, and what a step that is over, is told by the median of the ranges that the load went through in each of
the last spans of twenty seconds: a kettle's step is in one of them, noise in all. What lay further above the load of
now than some of those ranges does not come back by itself. It makes no difference how fast the noise is: a meter that
repeats its value for ten seconds, a hob that cycles, and a load that drifts for half a minute are all found.

A span ends with the first reading of the next one. Else a load that is held for ten seconds, and changes just where two
spans meet, has less of a range than it moves by, and is followed up and down.

Measured in closed loops of an hour (one car on 17 A that are left, a reading each second, means of two seeds): noise of
0.5 and 1 A, white 9 and 11 setpoints, held for ten seconds each 19 to 26 and 24 to 35 (67 and 92, where they changed
with the spans, before these shared a reading), drifting with a time constant of 20 s 18 and 24. Slower noise is
followed: held for thirty seconds 62 and 80, drifting with 60 s 29 and 42.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub

from msgspec import structs

from pipeline.state import Wander
from topology.location import Control

SPAN_MS = 20_000
"""Shorter: a noise that is slower than that is taken for steps; longer: it takes longer until any is believed."""
SPANS = 12
"""How many are remembered. Fewer: noise comes back more often than it is remembered, and is followed down and up; more:
what was left free is used later."""
LEAST_READINGS = 3
"""In a span: of a meter that speaks every ten seconds, and of slower ones, whose spans are longer."""
LEAST_SPANS = 3
"""Spans before any is believed: with fewer, those in which a car came or a kettle boiled are the median."""
ENOUGH = 20
"""Readings before noise is believed. Fewer: some steps of a quiet house look like it; more: noise is noticed late."""
RANGES = 2.5
"""How many ranges above the load of now its highest is believed to come back. Fewer: setpoints; more: a step that is
over is taken for noise."""
MORE_RANGES = 0.2
"""How much more than its highest is left free: a new highest is soon there, and hardly higher."""
PER_A = 100
"""Amperes are kept as whole hundredths, which take a third of the bytes."""


def noted(before: Wander | None, at_ms: int, load_a: Sequence[float]) -> Wander:
    """The wander after one more reading of the load: per phase, and the sum of them."""
    now = _hundredths(load_a)
    if before is None or len(before.low) != len(now) or at_ms - before.since_ms > SPANS * SPAN_MS:
        return Wander(1, at_ms, 1, now, now)
    heard = before.heard + 1
    low, high = tuple(map(min, before.low, now)), tuple(map(max, before.high, now))
    if at_ms - before.since_ms < SPAN_MS or before.readings < LEAST_READINGS:
        return Wander(heard, before.since_ms, before.readings + 1, low, high, before.spans, before.ranges)
    spans = [*before.spans[1 - SPANS :], (low, high)]  # what moves where two of them meet is noise, too
    ranges = _median_ranges(spans) if len(spans) >= LEAST_SPANS else ()
    return Wander(heard, at_ms, 1, now, now, spans, ranges)


def noted_late(before: Wander | None, load_a: Sequence[float]) -> Wander | None:
    """The wander when it turned out what the load was at a reading before: more often less than it seemed."""
    if before is None or len(before.low) != len(load_a) + 1:
        return before
    then = _hundredths(load_a)
    low, high = tuple(map(min, before.low, then)), tuple(map(max, before.high, then))
    return structs.replace(before, low=low, high=high)


def _hundredths(load_a: Sequence[float]) -> tuple[int, ...]:
    return tuple([round(a * PER_A) for a in (*load_a, sum(load_a))])


def _median_ranges(spans: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[int, ...]:
    """The lower median: of four spans, that of two is not believed to be noise."""
    ranges = zip(*[map(sub, high, low) for low, high in spans], strict=True)
    return tuple([sorted(each)[(len(spans) - 1) // 2] for each in ranges])


def follows_all(control: Control) -> bool:
    """Whether every change is to be followed, however small and short: then a raise leaves nothing free."""
    return control.min_change_a == 0


def believed(wander: Wander | None, control: Control) -> Wander | None:
    """The wander that a raise takes heed of."""
    return None if follows_all(control) else wander


def kept_free_a(wander: Wander | None, load_a: Sequence[float]) -> list[float]:
    """Per phase what a raise leaves free above the load of now."""
    return [_free_a(wander, place, a) for place, a in enumerate(load_a)]


def kept_free_total_a(wander: Wander | None, load_a: Sequence[float]) -> float:
    """The same of the sum over the phases, whose noises are not one another's."""
    return _free_a(wander, len(load_a), sum(load_a))


def moves_total_a(wander: Wander | None) -> float:
    """How far the sum over the phases usually moves within a span; 0 while that is not known."""
    return wander.ranges[-1] / PER_A if wander is not None and wander.ranges else 0.0


def lowest_total_a(wander: Wander | None, total_a: float) -> float:
    """How low the sum over the phases was lately; `total_a` where that is not known."""
    if wander is None:
        return total_a
    return min(low[-1] for low, _ in [*wander.spans, (wander.low, wander.high)]) / PER_A


def _free_a(wander: Wander | None, place: int, load_a: float) -> float:
    if wander is None or wander.heard < ENOUGH or not wander.ranges or wander.ranges[place] == 0:
        return 0.0
    noise_a = wander.ranges[place] / PER_A
    most_a = load_a + RANGES * noise_a
    highs_a = [high[place] / PER_A for _, high in [*wander.spans, (wander.low, wander.high)]]
    comes_back_a = max([a for a in highs_a if a <= most_a], default=load_a)
    return max(0.0, comes_back_a - load_a) + MORE_RANGES * noise_a
