"""Whether a partition is catching up: after an outage or a change of owner, it is folded and not decided.

What is in the backlog is newer than what is known, and a meter that only seems lost would send every car to its
fallback.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.emission import Batch

BEHIND_MS = 5_000
"""Records older than this, with more behind them, are a backlog. Less: a burst stops decisions; more: decisions are
made on what is about to be outdated, up to the `lost_s` of a meter."""
BEHIND_RECORDS = 20_000
"""More unread records than this are a backlog, however new. Fewer: a burst stops decisions; more: they are made again
and again on the way, on what is about to be outdated. They are read in a quarter of a second."""
SILENCE_MS = 10_000
"""A backlog of which nothing was heard for so long is none (the end that the broker named holds no record). Less:
decisions come too early while the broker is slow; more delays the first decision of a quiet partition."""


class Backlog:
    """The topics of a partition that are behind, and when each was last heard of."""

    def __init__(self, behind: Iterable[str], now_ms: int) -> None:
        self._heard_ms = dict.fromkeys(behind, now_ms)

    def note(self, batch: Batch, now_ms: int) -> None:
        """How far its topic is after this batch."""
        newest = batch.records[-1]
        unread = batch.end - newest.offset - 1
        if unread > BEHIND_RECORDS or (unread > 0 and newest.timestamp < now_ms - BEHIND_MS):
            self._heard_ms[batch.topic] = now_ms
        else:
            self._heard_ms.pop(batch.topic, None)

    def is_being_read(self, now_ms: int) -> bool:
        return any(now_ms - heard_ms < SILENCE_MS for heard_ms in self._heard_ms.values())
