"""Reservations: what a connector may draw without asking again (design §6.4, §9 Reservations).

A command is not what keeps a fuse safe; what may still be acted on is. A connector's reservation is the highest of
its accepted limit while that lease lives, every unexpired setpoint that was sent and not answered, the old value of a
decrease that was not yet seen in the measured current, and the measured current itself. Without a living accepted
limit it holds its fallback (`max_a` where that is not known).
"""

from __future__ import annotations

from msgspec import Struct

from pipeline.state import ConnectorState, Grant, Reading
from topology.location import Control

SEEN_A = 0.5
"""A decrease is seen when no phase is more than this above it (design §9)."""
OVER_DRAW_A = 1.0
"""More than this above everything it was allowed is a violation (design §9)."""
IN_USE_A = 1.0
"""More than this is a phase in use (design §9); less is a meter's noise or a car's electronics."""

OBEYS_MS = 6_000
"""How long a car may take to come down to an order that its charger has accepted: a car follows the pilot signal within
5 s (IEC 61851-1, annex A). Less: a car that still comes down is taken for a rise of the building, or for deaf; more:
such a rise is taken for the car, and the fuse carries both for as long."""

NOT_TAKEN = frozenset({"rejected", "unsupported", "offline", "superseded", "expired"})


class Reservation(Struct, frozen=True, gc=False):
    """What a connector holds (amperes per phase in use), and why others may not count on it moving."""

    held_a: float
    all_a: float
    """What of it may flow on all phases of a connector that can switch; else the same as `held_a`."""
    allowed_a: float
    """The most that it was ever allowed and may still act on, the measured current left out."""
    over_draw: bool
    stuck: bool
    """A decrease that did not get through, or was accepted and is not obeyed: for the others, all that it holds is load
    that cannot be moved."""
    lapsing: bool
    """Its lease runs out or has run out: for the others, its fallback is load that cannot be moved."""


def accepted(state: ConnectorState) -> Grant | None:
    """The newest accepted limit, its lease alive or not."""
    for grant in state.grants:
        if grant.state == "accepted":
            return grant
    return None


def reservation(
    state: ConnectorState, fallback_a: float, max_a: float, switches: bool, control: Control, now_ms: int
) -> Reservation:
    """What a connector holds at `now_ms`.

    `fallback_a`: what it falls to without us, on all of its phases; its rating where that is not known. `max_a`: its
    rating. `switches`: whether it can be told to use one phase alone.
    """
    skew_ms = round(control.lease_skew_s * 1000)
    taken = accepted(state)
    living = taken is not None and taken.until_ms is not None and now_ms < taken.until_ms + skew_ms
    allowed_a = 0.0 if living else fallback_a
    for grant in state.grants:
        if grant.limit_a > allowed_a and _counts(grant, skew_ms, now_ms):
            allowed_a = grant.limit_a
    runs_out = _runs_out(taken, control, now_ms)
    if runs_out:
        allowed_a = max(allowed_a, fallback_a)
    measured_a = 0.0
    lapsed_ms = 0 if living or taken is None or taken.until_ms is None else taken.until_ms + skew_ms
    if state.reading is not None and state.reading.at_ms >= lapsed_ms:
        measured_a = state.reading.draw_a  # one from before a lease ran out says nothing of what came after
    held_a = max(allowed_a, measured_a)
    above = measured_a > allowed_a + OVER_DRAW_A
    all_a = held_a
    if switches:
        others_a = beyond_first_a(state.reading) if measured_a > 0 else 0.0
        allowed_all_a = max(
            fallback_a if runs_out or not living else 0.0,
            *(g.limit_a for g in state.grants if not g.one_phase and _counts(g, skew_ms, now_ms)),
            0.0,
        )
        all_a = max(allowed_all_a, measured_a if others_a > 0 else 0.0)
        above = above or others_a > allowed_all_a + OVER_DRAW_A
    failed = _decrease_failed(state, held_a, all_a, control, now_ms)
    return Reservation(
        held_a=held_a,
        all_a=all_a,
        allowed_a=allowed_a,
        # before it has accepted anything there is nothing to obey but its rating
        over_draw=above and (taken is not None or failed or measured_a > max_a + OVER_DRAW_A),
        stuck=failed or _deaf(state, taken),
        lapsing=runs_out,
    )


def _counts(grant: Grant, skew_ms: int, now_ms: int) -> bool:
    return grant.until_ms is None or now_ms < grant.until_ms + skew_ms


def beyond_first_a(reading: Reading | None) -> float:
    """The highest current on other phases than the first; what is no more than a meter's noise is none."""
    if reading is None or reading.current_a is None:
        return 0.0
    most_a = max(reading.current_a[1:], default=0.0)
    return most_a if most_a > IN_USE_A else 0.0


def _runs_out(taken: Grant | None, control: Control, now_ms: int) -> bool:
    """From `ack_s` before a lease can end, until a renewal is accepted (which replaces `taken`)."""
    return taken is not None and taken.until_ms is not None and now_ms >= taken.until_ms - control.ack_s * 1000


def _decrease_failed(state: ConnectorState, held_a: float, all_a: float, control: Control, now_ms: int) -> bool:
    """Whether its newest setpoint is a decrease that was refused, or that has not been answered for `ack_s`."""

    def lowers(grant: Grant) -> bool:
        return grant.limit_a < held_a - 1e-9 or (grant.one_phase and all_a > 0)

    if state.sent is None or not lowers(state.sent):
        return False
    since_ms = state.sent.at_ms
    for grant in reversed(state.grants):  # it may have been repeated since
        if grant.state != "sent" or not lowers(grant):
            break
        since_ms = min(since_ms, grant.at_ms)
    unanswered = state.unanswered_since_ms is not None and now_ms - since_ms >= control.ack_s * 1000
    return state.failed or unanswered


def _deaf(state: ConnectorState, taken: Grant | None) -> bool:
    """Whether it accepted a decrease, and a report shows that it goes on as before when it must have come down."""
    reading = state.reading
    if taken is None or reading is None or all(g.state != "unseen" for g in state.grants):
        return False
    return reading.at_ms >= taken.at_ms + OBEYS_MS and not _within(taken, reading)


def _within(taken: Grant, reading: Reading) -> bool:
    """Whether a reading shows no phase above an accepted limit, and no other phase than it allows."""
    if reading.draw_a > taken.limit_a + SEEN_A:
        return False
    return not taken.one_phase or reading.current_a is None or max(reading.current_a[1:], default=0.0) <= SEEN_A


def apply_answer(
    state: ConnectorState, seq: int, answer: str, at_ms: int, limit_a: float, until_ms: int, before_a: float
) -> None:
    """Fold an answer of the dispatcher into a connector's grants.

    `limit_a`, `until_ms`: of an acceptance. `before_a`: what it held without any accepted limit. A lower sequence
    number never replaces a higher one, and nothing undoes a terminal state.
    """
    taken = accepted(state)
    if taken is not None and seq <= taken.seq:
        if answer == "confirmed" and seq == taken.seq:
            state.grants = [g for g in state.grants if g.state != "unseen"]
        return
    if answer == "accepted":
        one_phase = any(g.one_phase for g in state.grants if g.seq == seq)
        _accept(state, taken, Grant(seq, limit_a, at_ms, until_ms, "accepted", one_phase), before_a)
    elif answer == "timeout":
        state.grants = [
            Grant(g.seq, g.limit_a, g.at_ms, g.until_ms, "timeout", g.one_phase)
            if g.seq == seq and g.state == "sent"
            else g
            for g in state.grants
        ]
        _not_taken(state, seq)
    elif answer in NOT_TAKEN:
        state.grants = [g for g in state.grants if g.seq != seq or g.state not in ("sent", "timeout")]
        _not_taken(state, seq)
    state.seq = max(state.seq, seq)


def _not_taken(state: ConnectorState, seq: int) -> None:
    if state.sent is None or seq >= state.sent.seq:
        state.failed = True
        state.unanswered_since_ms = None


def _accept(state: ConnectorState, taken: Grant | None, new: Grant, before_a: float) -> None:
    """The new limit counts; every higher one before it counts on until it is seen that the car has come down."""
    older = [g for g in state.grants if g.seq < new.seq and _allows_more(g, new)]
    lapsed = taken is None or (taken.until_ms is not None and taken.until_ms <= new.at_ms)
    if lapsed and before_a > new.limit_a + 1e-9:
        older.append(Grant(-1, before_a, new.at_ms, None, "accepted"))
    unseen = [Grant(g.seq, g.limit_a, g.at_ms, g.until_ms, "unseen", g.one_phase) for g in older]
    state.grants = [new, *unseen, *(g for g in state.grants if g.seq > new.seq)]
    if state.sent is None or new.seq >= state.sent.seq:
        state.failed = False
        state.unanswered_since_ms = None
    for reading in state.recent:
        see(state, reading)


def _allows_more(old: Grant, new: Grant) -> bool:
    """Whether an older grant lets a car draw what the new one does not: more amperes, or on more phases."""
    return old.limit_a > new.limit_a + 1e-9 or (new.one_phase and not old.one_phase and old.limit_a > 0)


def see(state: ConnectorState, reading: Reading) -> None:
    """A reading after the acceptance that shows no phase above the new limit ends what is unseen."""
    if reading.current_a is None or len(state.grants) < 2:
        return
    taken = accepted(state)
    if taken is not None and reading.at_ms > taken.at_ms and _within(taken, reading):
        state.grants = [g for g in state.grants if g.state != "unseen"]


def forget_expired(state: ConnectorState, control: Control, now_ms: int) -> None:
    """Drop grants that nobody can act on any more; the newest accepted one is kept, its end is still news."""
    skew_ms = round(control.lease_skew_s * 1000)
    state.grants = [
        g for g in state.grants if g.state == "accepted" or g.until_ms is None or now_ms < g.until_ms + skew_ms
    ]
