"""Which of two states in the changelog counts: a worker that was frozen cannot undo what its heir has kept.

Kafka does not fence it: what was on a worker's socket when it froze may reach the broker minutes later, behind the
states of the worker that took over, and recovery would take the last one. The records themselves tell: a heir begins
with what was kept, and reads on. So a state that was decided no later than the one before it on the topic, and has seen
no more of any input, is from before it.

What cannot be compared (both have seen something that the other has not) is taken as it comes.

Documents, and the null values of a location that was forgotten, are not fenced. Each is written once, in the round
after it was read, so a late one does harm only where a worker froze in the milliseconds of that write *and* the same
location was put anew while it was frozen. The older document may then count from the next rebalance on, until the
location is put once more. To know it from the changelog, documents would need offsets, and states those of their
documents; and compaction may have taken the right one by then, so `topology.locations` would have to be read anew.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from pipeline.kept import DOCUMENT, VERSION


class _Progress(Struct, array_like=True, gc=False):
    """How far a state has come: what `pipeline.kept.Envelope` says of it, the state itself not read."""

    version: int
    state: Raw
    unsent: Raw
    decided_ms: int = -1
    offsets: dict[str, int] = field(default_factory=dict)


_KEPT = msgspec.msgpack.Decoder(_Progress)


def is_outdated(key: bytes, value: bytes, before: bytes | None) -> bool:
    """Whether a value of the changelog must not replace the one that was read before it."""
    if before is None or key.endswith(DOCUMENT):
        return False
    new, old = _progress(value), _progress(before)
    if new is None or old is None or new.decided_ms > old.decided_ms:
        return False
    unread = [old.offsets.get(topic, -1) - new.offsets.get(topic, -1) for topic in new.offsets.keys() | old.offsets]
    has_seen_less = any(unread) or new.decided_ms < old.decided_ms
    return has_seen_less and all(records >= 0 for records in unread)


def _progress(value: bytes) -> _Progress | None:
    """None where it is not said."""
    try:
        progress = _KEPT.decode(value)
        return progress if progress.version <= VERSION and progress.offsets else None
    except msgspec.MsgspecError:
        return None
