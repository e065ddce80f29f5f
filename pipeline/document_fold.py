"""Folding a document of `topology.locations`: a location that is new, changes, or goes.

It is kept as it was accepted: the topic may meanwhile hold a newer one that was refused. What changes counts with the
next decision, and no reservation is forgotten (`pipeline.winding_down`).
"""

from __future__ import annotations

from pipeline.emission import Incoming
from pipeline.owned import Owned
from pipeline.partition import Partition
from pipeline.records import LOCATIONS
from pipeline.state import mark_applied, new_state
from pipeline.winding_down import changed_tree, remove
from topology.read import LocationRefused, read_location_json

WRONG_KEY = "invalid: the key is not the location"


def fold_document(into: Partition, record: Incoming, now_ms: int) -> str | None:
    """Why a document is a dead letter; None where it is folded. Without a value it removes its location."""
    name = (record.key or b"").decode(errors="replace")
    owned = into.find(name)
    if owned is not None and not mark_applied(owned.state, LOCATIONS, into.number, record.offset):
        return None
    if record.value is None:
        if owned is not None:
            remove(owned.tree, owned.state)
            owned.last = None
            _plan_change(into, name, owned, now_ms)
        return None
    try:
        location = read_location_json(record.value).location
    except LocationRefused as refusal:
        return ("unreadable: " if "not JSON" in str(refusal) else "invalid: ") + str(refusal)
    if location.location != name:
        return WRONG_KEY
    state = owned.state if owned is not None else new_state()
    mark_applied(state, LOCATIONS, into.number, record.offset)
    new = into.own(name, location, changed_tree(location, state, owned.tree if owned is not None else None), state)
    if owned is not None:
        new.decided_ms, new.unconfirmed = owned.decided_ms, owned.unconfirmed
    into.outbox.keep_document(new, record.value)
    _plan_change(into, name, new, now_ms)
    return None


def _plan_change(into: Partition, name: str, owned: Owned, now_ms: int) -> None:
    into.outbox.keep(name)
    into.agenda.plan(name, max(now_ms, owned.decided_ms + owned.interval_ms))
