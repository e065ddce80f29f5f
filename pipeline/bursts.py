"""Bursts (`capacity.bursts: true`): a car whose minimum is above what the billed window allows as an average.

Three phases at 6 A are 4,140 W. Where the cap leaves 2 kW to the cars, such a car can run for half of each window. It
runs in its last part: what the others may still draw is certain only when it has been drawn, and a car that ran first
would have used up what the kettle needs afterwards; so it starts when what is left carries it to the end. Once started
it goes on at its minimum as long as the energy left lasts, whatever the allowance says from second to second, and still
carries to the end what the others drew at most in the last half-hour: else a kettle that comes back after the burst
breaks the cap, with no car left to stop. At most one start per window, and none for less than `WORTH_S`: contactors and
cars wear out by starts. One that the cap carries as an average needs no burst; it is only not started at the end, where
it may have been stopped a moment ago. For the same reason nobody is lent energy beside one that starts now, at a turn,
say.

Measured in a closed loop (144 quarters, caps of 2.5 to 4 kW, loads of 1.5 to 3 kW at random moments): the worst quarter
was 0.990 of the cap (1.011 without what is kept for a kettle), 0.94 of it was used (0.95). Keeping the cap itself for
the house, whatever it drew, costs more: 0.90 instead of 0.94 under 3.2 kW.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.allocation import EPS_A, Uses

WORTH_S = 60
"""A start so shortly before the end of the window waits for the next one. Less: a start for nothing; more: energy that
was there is unused."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What the cars below a group may draw on average until its window ends, and in one that begins (watts)."""

    start_ms: int
    room_w: float
    steady_w: float
    kept_w: float
    """What the others may come to draw besides what they are expected to: what they drew lately, up to the cap."""
    left_s: float
    reaction_s: float

    def may_start(self, power_w: float, started_ms: int | None) -> bool:
        """Whether a car may be started. `power_w`: all minimums with it; `started_ms`: the window of its last start."""
        if self.left_s < max(WORTH_S, self.reaction_s):
            return False
        return power_w <= self.steady_w + EPS_A or started_ms != self.start_ms

    def goes_on(self, power_w: float, started_ms: int | None) -> bool:
        """Whether a car that was started in this window runs on: until it can be stopped the energy left lasts, and
        then the house may still draw to the end what it drew lately."""
        if started_ms != self.start_ms:
            return False
        soon_s = min(self.reaction_s, self.left_s)
        return self.room_w * self.left_s >= power_w * soon_s + self.kept_w * (self.left_s - soon_s)


def may_start(
    bursts: dict[int, Burst], taken: dict[int, float], uses: Uses, more_a: float, started_ms: int | None
) -> bool:
    """Whether no window forbids a start for which there is room. `taken`: watts that are used of each row already."""
    return all(bursts[row].may_start(taken[row] + unit * more_a, started_ms) for row, unit in uses if row in bursts)


def loans(
    bursts: dict[int, Burst],
    taken: dict[int, float],
    left: list[float],
    uses: Uses,
    more_a: float,
    started_ms: int | None,
) -> list[tuple[int, float]]:
    """What windows are lent for a running car's minimum (row, watts); empty where anything else blocks it, too."""
    lacking = [(row, unit * more_a) for row, unit in uses if left[row] < unit * more_a - EPS_A]
    for row, watts in lacking:
        if row not in bursts or not bursts[row].goes_on(taken[row] + watts, started_ms):
            return []
    return [(row, watts - left[row]) for row, watts in lacking]
