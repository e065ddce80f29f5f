"""Records that the broker never takes because they are too large: each becomes a dead letter, and the stream goes on.

A dead letter of ours names the topic that the record was for, with the offset -1: it never was on it. One that is
itself too large comes again without its value, and says so.
"""

from __future__ import annotations

from pipeline.records import DEADLETTERS, DeadLetter, decode, encode

NOWHERE = -1
"""The offset of what never was on a topic, and its partition where nobody chose one."""

Placed = tuple[str, bytes | None, bytes | None, int | None]
"""A record to write: topic, key, value, partition (None: as the key says)."""


class Oversize:
    """Which records were too large: one of a key is said once, until one of that key fits again."""

    def __init__(self) -> None:
        self._said: set[tuple[str, bytes | None]] = set()

    def fits(self, topic: str, key: bytes | None) -> None:
        """A record is on the broker."""
        if self._said and topic != DEADLETTERS:
            self._said.discard((topic, key))

    def instead(self, record: Placed) -> Placed | None:
        """What to write in place of a record that is too large; None when nothing is left to say."""
        topic, key, value, partition = record
        if value is None:
            return None
        if topic == DEADLETTERS:
            return _shortened(decode(DEADLETTERS, value))
        if (topic, key) in self._said:
            return None
        self._said.add((topic, key))
        reason = (
            f"invalid: {len(value)} bytes of key {(key or b'').decode(errors='replace')!r} are too large for the broker"
        )
        place = NOWHERE if partition is None else partition
        return _placed(DeadLetter(topic=topic, partition=place, offset=NOWHERE, reason=reason, value=value))


def _shortened(letter: DeadLetter) -> Placed | None:
    if letter.value is None:
        return None
    reason = f"{letter.reason}; its {len(letter.value)} bytes are left out, they are too large for the broker"
    return _placed(
        DeadLetter(topic=letter.topic, partition=letter.partition, offset=letter.offset, reason=reason, value=None)
    )


def _placed(letter: DeadLetter) -> Placed:
    return DEADLETTERS, None, encode(letter), None
