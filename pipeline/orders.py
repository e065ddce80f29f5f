"""Which limits a car may have obeyed between two of its reports, or since its last: for what it drew then
(`pipeline.draws`).

A charger may take its time, so an order counts until the next one is surely taken: for 30 s, or until a report shows
that the car has left it. It has when it was seen to obey an order that its charger had accepted, and draws more later.
"""

from __future__ import annotations

from itertools import pairwise

from pipeline.reservations import OBEYS_MS, SEEN_A, accepted
from pipeline.state import KEPT_TOLD, ConnectorState, Reading

TAKES_MS = 30_000
"""How long a charger may obey an order when a newer one is on its way. Less: a car that was paused between two reports
counts as one that was not; more: a fall of the building is credited later."""


def note_told(state: ConnectorState, limit_a: float, now_ms: int) -> None:
    """A setpoint goes out; a renewal is no new order."""
    if not state.told or state.told[-1][1] != limit_a:
        state.told = [*state.told[1 - KEPT_TOLD :], (now_ms, limit_a)]


def note_lapse(
    state: ConnectorState, fallback_a: float, seq: int, accepted_ms: int, limit_a: float, skew_ms: int
) -> None:
    """A limit is accepted when the lease before it has run out, or may have: the car may have been at its fallback."""
    taken = accepted(state)
    if taken is None or taken.until_ms is None or seq <= taken.seq:  # a repetition is no news
        return
    if taken.until_ms - skew_ms <= accepted_ms:
        note_told(state, fallback_a, taken.until_ms - skew_ms)
        note_told(state, limit_a, accepted_ms)


def note_report(state: ConnectorState, reading: Reading) -> None:
    """What a report shows: that the order it was seen to obey is over, and which it obeys now.

    To be called for a new report, and again for those that are kept when an acceptance comes in after them.
    """
    if reading.current_a is None:
        return
    if state.obeys is not None:
        since_ms, limit_a, seen_ms = state.obeys
        if reading.at_ms > seen_ms and reading.draw_a > limit_a + SEEN_A:
            state.left, state.obeys = (since_ms, reading.at_ms), None
    taken = accepted(state)
    if taken is None or reading.at_ms < taken.at_ms or reading.draw_a > taken.limit_a + SEEN_A:
        return
    given_ms = next((at_ms for at_ms, limit_a in reversed(state.told) if limit_a == taken.limit_a), None)
    if given_ms is not None:
        state.obeys = (given_ms, taken.limit_a, reading.at_ms)


def least_told_a(state: ConnectorState, from_ms: int, to_ms: int) -> float:
    """The lowest limit that a car may have obeyed between two reports, in amperes; infinite where there is none."""
    told, least_a = state.told, float("inf")
    over_ms = state.left[0] if state.left is not None and from_ms >= state.left[1] else -1
    for i, (at_ms, limit_a) in enumerate(told):
        replaced_ms = told[i + 1][0] + TAKES_MS if i + 1 < len(told) else to_ms
        if over_ms < at_ms <= to_ms and replaced_ms >= from_ms:
            least_a = min(least_a, limit_a)
    return least_a


def most_obeyed_a(state: ConnectorState, at_ms: int) -> tuple[float, int] | None:
    """The most that a car may draw at a moment, and since when, where it must have come down to an accepted order.

    What others may count on is another matter: a decrease that was not seen is none (`pipeline.reservations`).
    """
    old = [g for g in state.grants if g.state in ("accepted", "unseen") and g.at_ms + OBEYS_MS <= at_ms]
    if not old:
        return None
    newest = max(old, key=lambda grant: grant.seq)
    return max(g.limit_a for g in state.grants if g.seq >= newest.seq), newest.at_ms + OBEYS_MS


def obeyed_from_ms(state: ConnectorState) -> list[int]:
    """From when on `most_obeyed_a` says something else."""
    return [g.at_ms + OBEYS_MS for g in state.grants if g.state in ("accepted", "unseen")]


def most_told_a(state: ConnectorState, before_ms: int, fallback_a: float) -> float:
    """The highest limit that a car may have obeyed at a moment: what it falls to by itself, the order given last before
    that, and those that it may not have left yet; infinite where they are not kept any more."""
    given = [order for order in state.told if order[0] < before_ms]
    if not given:
        return float("inf") if len(state.told) == KEPT_TOLD else fallback_a
    most_a = max(fallback_a, given[-1][1])
    for (_, limit_a), (replaced_ms, _) in pairwise(given):
        if replaced_ms + TAKES_MS >= before_ms:
            most_a = max(most_a, limit_a)
    return most_a
