"""What the others will draw on average for the rest of the billed window (design §6.2).

The highest of the last three ten-second means of the unmanaged load; their last value as long as there are none, and
where that is higher in the last minute. The energy that is used comes back exactly, so an error early in the window is
made up for later; what counts is not to follow every noise. Near the end a rise cannot be made up for any more.

Measured in a closed loop (92 quarters; one car; kettle, oven, heat pump or random steps, 60 W of noise, caps of 4 to
6.5 kW): the last value held the worst quarter at 1.000 of the cap and used 0.992 to 0.997 of it, for 57 to 112
setpoints an hour; this holds it at 0.999 and uses 0.990 to 0.996, for 36 to 53. A memory of a minute or two reserves
for a kettle that is over (0.95 used), the hungriest stretch of half an hour more so, and costs more setpoints (137).
"""

from __future__ import annotations

from pipeline.state import Past

BUCKET_MS = 10_000
"""Means over so long. Shorter: noise is followed; longer: a rise is seen late."""
KEPT = 3
"""Means that are kept. Fewer: noise is followed; more: what is over stays reserved, and energy unused."""
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
    return past is not None and len(past.means) >= KEPT and at_ms - past.at_ms <= GAP_MS


def forecast_w(past: Past | None, at_ms: int, last_w: float, left_s: float) -> float:
    """Signed, for the `left_s` that are left of the window. `last_w` was read at `at_ms`."""
    if past is None or not has_history(past, at_ms):
        return last_w
    usual_w = float(max(past.means))
    return usual_w if left_s > LAST_S else max(last_w, usual_w)
