"""When a removed connector needs its socket no longer.

The planner tells it 0 A, then has `ocpp.setpoints` forget it (`pipeline.winding_down`), and gives its part to others
once a reading shows that it came down. A charger that is disconnected before that goes on until its lease runs out. So
it stays until it has taken the 0 A, the topic has forgotten it, and a reading said that nothing flows; or until every
lease that it may hold has surely run out.
"""

from __future__ import annotations

from connectors.ocpp.slots import Slot
from connectors.ocpp.telemetry import ConnectorState

NO_FLOW_A = 0.5
"""More than this on a phase is a flow (design §9: a decrease is seen within 0.5 A)."""


def has_left(slot: Slot, state: ConnectorState, lease_skew_s: float, seen_s: float, now_ms: int) -> bool:
    """Whether nothing more can be done for a connector that no location has."""
    if slot.waiting is not None or slot.in_flight is not None:
        return False
    if now_ms >= slot.held_until + round(lease_skew_s * 1000):
        return True
    if not slot.stopped() or not slot.forgotten:
        return False
    quiet = state.certain() if state.current_a is None else max(state.current_a) <= NO_FLOW_A
    seen = quiet and state.published_at > slot.applied_at
    return seen or now_ms >= slot.applied_at + round(seen_s * 1000)
