"""Folding a record into the state of its location (design §6): duplicates and reordering change nothing.

Each source keeps its newest reading by `at`; an older one that comes later is no news (energy registers apart, which
still correct the window that they belong to). What only the location can judge about a record is judged here, and
answered with the reason of a dead letter instead of an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.meter_fold import fold_meters, is_timely, untimely
from pipeline.moments import to_ms
from pipeline.orders import note_lapse, note_report
from pipeline.records import WANTING, ChargerReading, Feedback, Folded, Limit, MeterReading
from pipeline.reservations import apply_answer, see
from pipeline.state import (
    RECENT_READINGS,
    ConnectorState,
    LimitEntry,
    LocationState,
    Reading,
    connector_key,
)
from topology.tree import Socket, Tree

KEPT_LIMITS = 192
"""Limits kept per group and source: two days of quarters. Fewer: the end of a day's plan that is sent at once is never
obeyed; more: a source that sends without end fills the state."""


def fold(tree: Tree, state: LocationState, record: Folded, received_ms: int) -> str | None:
    """Fold one record. None when it is folded (or no news), else the reason why it is a dead letter."""
    return _FOLDS[type(record)](tree, state, record, received_ms)


def _wrong_length(name: str, values: list[float] | None, phases: int) -> str | None:
    if values is not None and len(values) != phases:
        return f"invalid: {name} has {len(values)} value(s) for {phases} phase(s)"
    return None


def _fold_meter(tree: Tree, state: LocationState, record: MeterReading, received_ms: int) -> str | None:
    return fold_meters(tree, state, [(record, received_ms)]).get(0)


def _socket(tree: Tree, charger: str, connector: int) -> Socket | str:
    index = tree.socket_of.get((charger, connector))
    if index is not None:
        return tree.sockets[index]
    known = any(c.id == charger for c in tree.location.chargers)
    return f"unknown: connector {connector} of charger {charger}" if known else f"unknown: charger {charger}"


def _connector(state: LocationState, charger: str, connector: int) -> ConnectorState:
    key = connector_key(charger, connector)
    found = state.connectors.get(key)
    if found is None:
        found = state.connectors[key] = ConnectorState()
    return found


def _fold_charger(tree: Tree, state: LocationState, record: ChargerReading, received_ms: int) -> str | None:
    socket = _socket(tree, record.charger, record.connector)
    if isinstance(socket, str):
        return socket
    wrong = _wrong_length("current_a", record.current_a, socket.connector.phases)
    if wrong:
        return wrong
    at_ms = to_ms(record.at)
    if not is_timely(at_ms, received_ms):
        return untimely(at_ms, received_ms)
    connector = _connector(state, record.charger, record.connector)
    before = connector.reading
    if before is not None and at_ms <= before.at_ms:
        return None
    transaction = None if record.transaction is None else str(record.transaction)
    current_a = None if record.current_a is None else tuple(record.current_a)
    reading = Reading(at_ms, record.online, record.status, transaction, current_a)
    _note_wish(connector, before, reading)
    _note_sleep(connector, before, reading)
    connector.reading = reading
    connector.recent = [*connector.recent[1 - RECENT_READINGS :], reading]
    see(connector, reading)
    note_report(connector, reading)
    return None


def _note_wish(connector: ConnectorState, before: Reading | None, reading: Reading) -> None:
    """When it began to want: its arrival, by which minimums are served. Another transaction is another arrival."""
    if reading.status not in WANTING:
        connector.wants_since_ms = None
    elif connector.wants_since_ms is None or (
        before is not None
        and None not in (before.transaction, reading.transaction)
        and before.transaction != reading.transaction
    ):
        connector.wants_since_ms = reading.at_ms


def _note_sleep(connector: ConnectorState, before: Reading | None, reading: Reading) -> None:
    """A car that sleeps reports SuspendedEV only while it is offered something; paused, it looks like any other."""
    if reading.status == "SuspendedEV":
        connector.slept_ms = reading.at_ms
    elif reading.status != "SuspendedEVSE" or (before is not None and before.transaction != reading.transaction):
        connector.slept_ms = None


def _fold_feedback(tree: Tree, state: LocationState, record: Feedback, received_ms: int) -> str | None:
    socket = _socket(tree, record.charger, record.connector)
    if isinstance(socket, str):
        return socket
    at_ms = to_ms(record.at)
    if not is_timely(at_ms, received_ms):
        return untimely(at_ms, received_ms)
    connector = _connector(state, record.charger, record.connector)
    measured_a = connector.reading.draw_a if connector.reading is not None else 0.0
    limit_a = record.limit_a if record.limit_a is not None else 0.0
    if record.state == "accepted":
        skew_ms = round(tree.location.control.lease_skew_s * 1000)
        note_lapse(connector, socket.fallback_a, record.seq, at_ms, limit_a, skew_ms)
    apply_answer(
        connector,
        record.seq,
        record.state,
        at_ms,
        limit_a=limit_a,
        until_ms=to_ms(record.lease_until) if record.lease_until is not None else at_ms,
        before_a=max(socket.fallback_a, measured_a),
    )
    for reading in connector.recent:
        note_report(connector, reading)
    return None


def _fold_limit(tree: Tree, state: LocationState, record: Limit, received_ms: int) -> str | None:
    if record.group not in tree.node_of:
        return f"unknown: group {record.group}"
    entry = LimitEntry(
        to_ms(record.from_), None if record.until is None else to_ms(record.until), record.limit_a, record.limit_w
    )
    sources = state.limits.setdefault(record.group, {})
    entries = [e for e in sources.get(record.source, []) if e.from_ms != entry.from_ms]
    entries.append(entry)
    entries.sort(key=lambda e: e.from_ms)
    begun = [i for i, e in enumerate(entries) if e.from_ms <= received_ms]
    sources[record.source] = entries[begun[-1] if begun else 0 :][:KEPT_LIMITS]
    return None


_FOLDS: dict[type[Any], Callable[[Tree, LocationState, Any, int], str | None]] = {
    MeterReading: _fold_meter,
    ChargerReading: _fold_charger,
    Limit: _fold_limit,
    Feedback: _fold_feedback,
}
