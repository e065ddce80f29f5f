"""Write on change: which points are not worth a write.

A fleet of 25,000 locations would make 14,000 points/s, more than two cores of InfluxDB take; nobody looks at a picture
that a thinned series does not draw the same. Both rules give the same answer when the same records come again, so a
replay rewrites the points that are there.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

MOST_SERIES = 1_000_000
"""Series remembered, about 300 bytes each. When there are more, all are forgotten: that costs a point each."""


class OncePerSlot:
    """Keeps the first point of each clock slot: at most one in `every_s` seconds, and of each slot that has any."""

    def __init__(self, every_s: float, most: int = MOST_SERIES) -> None:
        self._every_ms = round(every_s * 1000)
        self._most = most
        self._slots: dict[Hashable, int] = {}

    def keeps(self, series: Hashable, at_ms: int) -> bool:
        """Is this point written?"""
        slot = at_ms // self._every_ms
        if self._slots.get(series) == slot:
            return False
        _make_room(self._slots, self._most)
        self._slots[series] = slot
        return True


class Slots:
    """Tells when a clock slot of a series is over, for what is counted or summed up in it."""

    def __init__(self, every_s: float) -> None:
        self._every_ms = round(every_s * 1000)
        self._running: dict[Hashable, tuple[int, int]] = {}

    def over(self, series: Hashable, at_ms: int) -> tuple[int, int] | None:
        """The start of the slot that ended before this moment (milliseconds), and how many had ended before it; None
        while it runs. The first one was met half over: its counts are no counts."""
        slot = at_ms // self._every_ms
        running, ended = self._running.setdefault(series, (slot, 0))
        if slot <= running:
            return None
        self._running[series] = (slot, ended + 1)
        return running * self._every_ms, ended

    def forget(self, series: Hashable) -> None:
        """Begin anew."""
        self._running.pop(series, None)


class OnChange:
    """Keeps a point that says something new, and one in `refresh_s` seconds that does not."""

    def __init__(self, refresh_s: float, most: int = MOST_SERIES) -> None:
        self._refresh_ms = round(refresh_s * 1000)
        self._most = most
        self._last: dict[Hashable, tuple[int, Hashable]] = {}

    def keeps(self, series: Hashable, at_ms: int, content: Hashable) -> bool:
        """Is this point written? One that is older than the last written is late, and kept."""
        last = self._last.get(series)
        if last is not None and last[1] == content and last[0] <= at_ms < last[0] + self._refresh_ms:
            return False
        _make_room(self._last, self._most)
        self._last[series] = (at_ms, content)
        return True


def _make_room(known: dict[Any, Any], most: int) -> None:
    if len(known) >= most:
        known.clear()
