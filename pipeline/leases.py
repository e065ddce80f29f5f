"""Leases: when a setpoint goes out, and what it says (design §6.10, §9 Reservations).

A setpoint expires after `lease_s` and is renewed at half its life; it is sent when the limit changed, again after
`ack_s` without an acceptance, and at once to a connector that has none. Nobody who was never heard of is told anything:
after a loss of state that would pause every car before its first reading is in.
"""

from __future__ import annotations

from pipeline.allocation import EPS_A
from pipeline.facts import Fact
from pipeline.moments import to_moment
from pipeline.orders import note_told
from pipeline.records import Setpoint
from pipeline.reservations import forget_expired
from pipeline.state import ConnectorState, Grant
from topology.location import Control, Location

UNANSWERED_KEPT = 16
"""Setpoints without an answer that are kept one by one: a lease of 900 s holds 30 repetitions of 30 s. Fewer: some hold
room for longer than they could be acted on; more: the state of a charger that never answers grows."""


def due(fact: Fact, limit_a: float, one_phase: bool, control: Control, now_ms: int) -> bool:
    """Whether a setpoint must go out."""
    if not fact.heard:
        return False
    sent = fact.state.sent
    if fact.leaving is not None:  # told once that it is over
        return sent is None or sent.seq <= fact.leaving.after_seq
    if sent is None or abs(limit_a - sent.limit_a) > EPS_A:
        return True
    if limit_a > 0 and one_phase != sent.one_phase:
        return True
    if now_ms - sent.at_ms >= control.lease_s * 500:
        return True
    again = fact.state.unanswered_since_ms is not None or (fact.state.failed and fact.online)
    return again and now_ms - sent.at_ms >= control.ack_s * 1000


def setpoint(
    decision: str, fact: Fact, limit_a: float, one_phase: bool, reason: str, location: Location, now_ms: int
) -> Setpoint:
    """The setpoint of one connector. Sequence numbers grow and tell the time: the newest one counts everywhere."""
    connector = fact.socket.connector
    return Setpoint(
        location=location.location,
        charger=fact.socket.charger.id,
        connector=connector.id,
        seq=max(fact.state.seq + 1, now_ms),
        decision=decision,
        issued_at=to_moment(now_ms),
        valid_until=to_moment(now_ms + round(location.control.lease_s * 1000)),
        limit_a=limit_a,
        phases=1 if one_phase else connector.phases,
        fallback_a=fact.socket.charger.fallback_a,
        reason=reason,
    )


def note_sent(
    state: ConnectorState,
    seq: int,
    limit_a: float,
    one_phase: bool,
    before_a: float,
    control: Control,
    now_ms: int,
) -> None:
    """The setpoint counts as sent: it may be acted on until it expires or is answered. `before_a`: what it acted on."""
    grant = Grant(seq, limit_a, now_ms, now_ms + round(control.lease_s * 1000), "sent", one_phase)
    forget_expired(state, control, now_ms)
    state.grants = _bounded([*state.grants, grant])
    state.sent = grant
    state.seq = seq
    note_told(state, limit_a, now_ms)
    if state.unanswered_since_ms is None:
        state.unanswered_since_ms = now_ms
    if limit_a > before_a + EPS_A:
        state.last_increase_ms = now_ms


def _bounded(grants: list[Grant]) -> list[Grant]:
    """The two oldest without an answer become one that no answer ends, where there are too many: what allows as much as
    both for as long as either. None is dropped because a newer one says the same: that one may yet be refused."""
    waiting = [g for g in grants if g.state in ("sent", "timeout")]
    if len(waiting) <= UNANSWERED_KEPT:
        return grants
    first, second = waiting[:2]
    both = Grant(
        seq=-1,
        limit_a=max(first.limit_a, second.limit_a),
        at_ms=second.at_ms,
        until_ms=max(first.until_ms or 0, second.until_ms or 0),
        state="timeout",
        one_phase=first.one_phase and second.one_phase,
    )
    return [both if g is second else g for g in grants if g is not first]
