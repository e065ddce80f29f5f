"""The source topics of one partition, read side by side, each only as far as somebody has asked."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.emission import Incoming
from pipeline.records import LOCATIONS
from sunshave.reading import Reader
from sunshave.replay_steps import FOLD_ORDER

NEVER_MS = 1 << 62
FOLDED_MS = 60_000
"""After so long a worker has folded what was written. Less: one that was behind seems to have seen what it had not;
more: the history begins later."""


class Gone(Exception):  # noqa: N818 -- an answer about a decision, not a failure of ours
    """Why a decision cannot be made again: the topics do not have what it saw any more."""


class Sources:
    """What was read and not yet asked for waits, by location and topic."""

    def __init__(self, reader: Reader, partition: int, only: str | None) -> None:
        self._partition = partition
        self._only = None if only is None else only.encode()
        self._unread = {topic: reader.read(topic, partition) for topic in FOLD_ORDER}
        self._reached = dict.fromkeys(FOLD_ORDER, -1)
        self._waiting: defaultdict[bytes, dict[str, deque[Any]]] = defaultdict(
            lambda: {topic: deque() for topic in FOLD_ORDER}
        )
        begins = {topic: reader.ends(topic, partition)[0] for topic in FOLD_ORDER if topic != LOCATIONS}
        self._cut = {t: (begin, self._read(t) or NEVER_MS) for t, begin in begins.items() if begin > 0}
        """Topics that have lost their beginning: from which offset and moment on they are whole. LOCATIONS is
        compacted: there, each document that a decision names is looked for."""

    def up_to(self, location: str, inputs: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, Incoming]]:
        """The records of a location that were not yet asked for, in the order in which they are folded."""
        for topic in FOLD_ORDER:
            _, offset = inputs.get(topic, (0, -1))
            while self._reached[topic] < offset and self._read(topic) is not None:
                pass
            yield from self._pop(location, topic, offset)

    def forget(self, location: str, inputs: Mapping[str, tuple[int, int]]) -> None:
        """These are not asked for any more."""
        for topic, (_, offset) in inputs.items():
            deque(self._pop(location, topic, offset), maxlen=0)

    def require_since(self, moment_ms: int) -> None:
        """Raise Gone unless everything from this moment on is there."""
        for topic, (_, since_ms) in self._cut.items():
            if since_ms > moment_ms:
                raise Gone(f"the oldest records of {topic}/{self._partition} are gone")

    def follow(self, inputs: Mapping[str, tuple[int, int]], kept_ms: int) -> bool:
        """Whether everything is there that came after a state with these inputs, which was kept at that moment."""
        return all(
            inputs.get(topic, (0, -1))[1] >= begin - 1 or kept_ms >= since_ms + FOLDED_MS
            for topic, (begin, since_ms) in self._cut.items()
        )

    def _pop(self, location: str, topic: str, offset: int) -> Iterator[tuple[str, Incoming]]:
        waiting = self._waiting[location.encode()].get(topic)
        while waiting and waiting[0].offset <= offset:
            yield topic, waiting.popleft()

    def _read(self, topic: str) -> int | None:
        """Read one record more; gives the moment at which it was written."""
        record = next(self._unread[topic], None)
        if record is None:
            return None
        self._reached[topic] = record.offset
        if self._only in (None, record.key):
            self._waiting[record.key or b""][topic].append(record)
        return int(record.timestamp)
