"""Which decisions are written (design §9 The stream): those that differ from the last one in more than the weather.

A decision that differs in nothing but its time, inputs and measured values within the dead band need not be written;
at least one is every `record_every_s` while records come in. One that is not written is not committed either, so that
the written ones alone give the same state again.
"""

from __future__ import annotations

from pipeline.decide import Outcome
from pipeline.moments import to_ms
from pipeline.records import ConnectorView, Decision, GroupView

DEAD_BAND_A = 0.5
"""Measured amperes closer than this are the same. Smaller: every reading of a noisy house is a record; larger: the
history shows less than a dashboard's line width."""


def worth_writing(last: Decision | None, outcome: Outcome) -> bool:
    """Whether this decision must be committed and emitted."""
    new = outcome.decision
    if last is None or new.setpoints or outcome.windows or outcome.shares.turns.moved or outcome.endings:
        return True
    control = outcome.tree.location.control
    if to_ms(new.at) - to_ms(last.at) >= control.record_every_s * 1000:
        return True
    return _alarms(last) != _alarms(new) or _differs(last, new) or _timers_move(outcome)


def _alarms(decision: Decision) -> list[tuple[str, str | None, str | None, int | None]]:
    return [(a.kind, a.group, a.charger, a.connector) for a in decision.alarms]


def _differs(last: Decision, new: Decision) -> bool:
    if len(last.connectors) != len(new.connectors) or len(last.groups) != len(new.groups):
        return True
    if any(_connector_differs(a, b) for a, b in zip(last.connectors, new.connectors, strict=True)):
        return True
    return any(_group_differs(a, b) for a, b in zip(last.groups, new.groups, strict=True))


def _connector_differs(last: ConnectorView, new: ConnectorView) -> bool:
    return (
        (last.charger, last.connector, last.state, last.binding, last.limit_a)
        != (new.charger, new.connector, new.state, new.binding, new.limit_a)
        or abs(last.target_a - new.target_a) > DEAD_BAND_A
        or abs(last.reserved_a - new.reserved_a) > DEAD_BAND_A
    )


def _group_differs(last: GroupView, new: GroupView) -> bool:
    return (
        (last.group, last.limit_a, last.limited_by, last.meter_state)
        != (new.group, new.limit_a, new.limited_by, new.meter_state)
        or _apart(last.unmanaged_a, new.unmanaged_a)
        or _apart(last.overload_a, new.overload_a)
        or _apart([last.excess_a or 0.0], [new.excess_a or 0.0])
    )


def _apart(last: list[float], new: list[float]) -> bool:
    return len(last) != len(new) or any(abs(a - b) > DEAD_BAND_A for a, b in zip(last, new, strict=True))


def _timers_move(outcome: Outcome) -> bool:
    """A timer that starts or stops now must start or stop in every replay, too."""
    shares = outcome.shares
    for fact in outcome.facts:
        own, learnt = fact.state, fact.learnt
        if (learnt.under_draw, learnt.phases) != (own.under_draw, own.learnt_phases):
            return True
        clock = shares.timers.get(fact.socket.index)
        new = (clock.covered_since_ms, clock.uncovered_since_ms) if clock is not None else (None, None)
        if new != (own.covered_since_ms, own.uncovered_since_ms):
            return True
        phases = shares.phases.get(fact.socket.index)
        if (phases.since_ms if phases is not None else None) != own.switch_since_ms:
            return True
    return False
