"""What the others will draw on average for the rest of the billed window (design §6.2).

The highest of the last three ten-second means of the unmanaged load; their last value as long as there are none, and
where that is higher in the last minute by more than their noise. The energy that is used comes back exactly, so an
error early in the window is made up for later; what counts is not to follow every noise.

A raise counts with more: the highest of the means of the last minutes, so far as those are noise and no step that is
over. Noise is told by how far one mean usually is from the next. The shorter the rest of the window, the less far back
it looks: what was left free is used in time.

Measured in closed loops (one car on three phases below 10 kW, noise of 0.3 to 1 A per phase, white, held for ten
seconds or drifting with time constants of 20 to 300 s): 9 to 38 setpoints an hour, 0.986 to 0.994 of the cap used, at
most 0.997 in the worst quarter; without the minutes, and with what a car may have fallen by booked on the building, 16
to 79 for as much. With kettle, oven, heat pump or random steps, caps of 4 to 8 kW: 14 to 71 setpoints instead of
16 to 73, 0.987 to 0.995 used instead of 0.986 to 0.994. A memory that keeps steps reserves for an oven that is off
(0.963 used).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from pipeline.state import Past

BUCKET_MS = 10_000
"""Means over so long. Shorter: noise is followed; longer: a rise is seen late."""
RECENT = 3
"""Means of which the highest is expected. Fewer: noise is followed; more: what is over stays reserved."""
KEPT = 24
"""Means that are kept, for raises. Fewer: noise comes back more often than it is remembered; more: small steps stay
reserved."""
REST_PER_MEAN_S = 25.0
"""So much is left of the window for each mean that a raise looks back. Less: unused at the end; more: setpoints."""
NOISES = 10.0
"""How many times the usual move from mean to mean above the forecast may be noise. Fewer: a drifting load is followed;
more: a step that is over stays reserved."""
MORE_NOISES = 1.0
"""How much more is left free: a new highest is soon there."""
AVERAGED = 0.5
"""What counts in the average of how far the last value comes back, where no means are known."""
HIGHS_MS, HIGHS = 900_000, 4
"""The highest means are kept of so many quarter-hours. Fewer: a kettle is forgotten that comes back in half an hour;
more: what is over stays reserved for bursts (`pipeline.bursts`)."""
GAP_MS = 30_000
"""Readings further apart are no history: the last value is all there is."""
LAST_S = 60.0
"""So long before the end a rise counts at once. Longer: more setpoints; shorter: a kettle at the end breaks the cap."""


def noted(past: Past | None, at_ms: int, power_w: float) -> Past:
    """The history after one more value of the unmanaged load, each of which holds until the next."""
    start_ms = at_ms - at_ms % BUCKET_MS
    if past is None or not 0 <= at_ms - past.at_ms <= GAP_MS:
        return Past(at_ms, power_w, at_ms, 0.0, [])
    if start_ms <= past.since_ms:
        return Past(
            at_ms, power_w, past.since_ms, past.used + past.power_w * (at_ms - past.at_ms), past.means, past.highs
        )
    means, highs, since_ms, from_ms, used = past.means, past.highs, past.since_ms, past.at_ms, past.used
    while since_ms < start_ms:
        end_ms = since_ms - since_ms % BUCKET_MS + BUCKET_MS
        used += past.power_w * (end_ms - from_ms)
        mean_w = round(used / (end_ms - since_ms))
        means = [*means, mean_w][-KEPT:]
        began = not highs or since_ms % HIGHS_MS < BUCKET_MS
        highs = [*highs, mean_w][-HIGHS:] if began else [*highs[:-1], max(highs[-1], mean_w)]
        since_ms, from_ms, used = end_ms, end_ms, 0.0
    return Past(at_ms, power_w, since_ms, past.power_w * (at_ms - from_ms), means, highs)


def highest_w(past: Past | None, at_ms: int) -> float | None:
    """The most that the others drew for ten seconds lately; None where they were not watched."""
    if past is None or not past.highs or at_ms - past.at_ms > GAP_MS:
        return None
    return float(max(past.highs))


def has_history(past: Past | None, at_ms: int) -> bool:
    """Whether something better than the last value is known."""
    return past is not None and len(past.means) >= RECENT and at_ms - past.at_ms <= GAP_MS


class Forecast(NamedTuple):
    """What the others are expected to draw on average, signed watts."""

    rest_w: float
    """Until the window ends."""
    next_w: float
    """In the window after it."""
    back_w: float
    """What a raise counts with: how high they come back until the window ends."""


def forecast(past: Past | None, at_ms: int, last_w: float, left_s: float, wander: tuple[float, float]) -> Forecast:
    """For the `left_s` that are left of the window. `last_w` was read at `at_ms`; `wander`: how far it comes back by
    itself, and how far it usually moves in some seconds (`pipeline.wander`, watts)."""
    comes_back_w, moves_w = wander
    if past is None or not has_history(past, at_ms):
        return Forecast(last_w, last_w, last_w + AVERAGED * comes_back_w)
    usual_w = float(max(past.means[-RECENT:]))
    rose = left_s <= LAST_S and last_w > usual_w + moves_w
    return Forecast(last_w if rose else usual_w, usual_w, _back_w(past.means, usual_w, left_s))


def _back_w(means: list[int], usual_w: float, left_s: float) -> float:
    lately = means[-max(RECENT, min(KEPT, int(left_s / REST_PER_MEAN_S))) :]
    moves = sorted(abs(after - before) for before, after in pairwise(lately))
    noise_w = moves[len(moves) // 2]
    return max(mean_w for mean_w in lately if mean_w <= usual_w + NOISES * noise_w) + MORE_NOISES * noise_w
