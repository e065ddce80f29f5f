"""A history as a file for somebody else: lines of the `sunshave decide` format, and what was decided at each `now`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.moments import rfc3339
from sunshave.replay_steps import Step


def export_lines(step: Step) -> Iterator[bytes]:
    """The lines of one step. `sunshave decide` reads of them what it knows; `sunshave replay FILE` all.

    Offsets that nobody named are left out: `inputs` would have to agree with what was counted instead.
    """
    if step.was is None or step.skip is not None:
        return
    for topic, record in step.records:
        value = _json(record.value)
        if value is None:
            continue  # it was a dead letter: no line can hold it
        line: dict[str, Any] = {"topic": topic, "value": value, "key": step.location, "partition": step.partition}
        if step.offsets:
            line["offset"] = record.offset
        yield msgspec.json.encode(line | {"timestamp": record.timestamp})
    yield msgspec.json.encode({"now": rfc3339(step.at_ms), "decisions": [step.was]})


def _json(value: bytes | None) -> msgspec.Raw | None:
    """The value as it is, on one line; None where it is no JSON."""
    if value is None:
        return msgspec.Raw(b"null")
    try:
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(value.replace(b"\n", b" ").replace(b"\r", b" "))
