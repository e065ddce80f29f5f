"""Folding what was polled from a partition into the states of its locations.

What is no record, or names what is not there, becomes a dead letter. A record that was applied before changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pipeline.document_fold import WRONG_KEY, fold_document
from pipeline.emission import Batch, Incoming
from pipeline.fold import fold
from pipeline.meter_fold import fold_meters
from pipeline.partition import Partition
from pipeline.records import FEEDBACK, LOCATIONS, METERS, NotARecord, decode
from pipeline.runs import Run, by_key, read_run
from pipeline.state import mark_applied, newest_applied


def fold_batch(into: Partition, batch: Batch, now_ms: int) -> None:
    """Fold every record of a batch."""
    if batch.topic == METERS:
        for key, records in by_key(batch.records).items():
            _fold_meters(into, key, records)
    elif batch.topic == LOCATIONS:
        for record in batch.records:
            _try(into, LOCATIONS, record, partial(fold_document, into, record, now_ms))
    else:
        for record in batch.records:
            _fold_one(into, batch.topic, record)


def _fold_meters(into: Partition, key: bytes | None, records: list[Incoming]) -> None:
    """Fold readings with the same key: those of a location as one run, all others one by one."""
    name = (key or b"").decode(errors="replace")
    owned = into.find(name)
    if owned is None or owned.key != key or owned.state.removed:
        run = Run(strays=records)
    else:
        run = read_run(name, records, newest_applied(owned.state, METERS, into.number))
    for record in run.strays:
        _fold_one(into, METERS, record)
    if owned is None or not run.records:
        return
    mark_applied(owned.state, METERS, into.number, run.records[-1].offset, run.records[0].offset)
    into.outbox.note_change(name)
    try:
        refused = fold_meters(owned.tree, owned.state, run.readings)
    except Exception:  # noqa: BLE001 -- ours: which it was is found one by one, and the others count
        for record, (reading, received_ms) in zip(run.records, run.readings, strict=True):
            _try(into, METERS, record, partial(fold, owned.tree, owned.state, reading, received_ms))
    else:
        for place, reason in refused.items():
            into.outbox.refuse(METERS, into.number, run.records[place], reason)
    into.touch(name, owned, violation=owned.is_new_violation(run.newest))


def _fold_one(into: Partition, topic: str, record: Incoming) -> None:
    _try(into, topic, record, partial(_fold, into, topic, record))


def _try(into: Partition, topic: str, record: Incoming, folding: Callable[[], str | None]) -> None:
    try:
        reason = folding()
    except Exception as mistake:  # noqa: BLE001 -- ours; one record must not stop the locations of a partition
        reason = f"invalid: it cannot be folded ({type(mistake).__name__})"
        into.outbox.failed(f"folding {topic}/{into.number}@{record.offset}")
    if reason is not None:
        into.outbox.refuse(topic, into.number, record, reason)


def _fold(into: Partition, topic: str, record: Incoming) -> str | None:
    """Why a record is a dead letter; None where it is folded."""
    try:
        found = decode(topic, record.value)
    except NotARecord as problem:
        return str(problem)
    name = found.location
    owned = into.find(name)
    if owned is None or record.key != owned.key:
        return WRONG_KEY if record.key != name.encode() else f"unknown: location {name}"
    if not mark_applied(owned.state, topic, into.number, record.offset):
        return None
    into.outbox.note_change(name)
    if owned.state.removed and topic != FEEDBACK:
        return f"unknown: location {name}"
    reason = fold(owned.tree, owned.state, found, record.timestamp)
    if reason is None:
        into.touch(name, owned)
    return reason
