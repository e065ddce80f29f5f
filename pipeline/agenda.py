"""When each location of a partition is decided next: a heap of moments, so that a million idle ones cost nothing.

A location that is planned anew leaves its old entry in the heap; it is passed over when its moment comes.
"""

from __future__ import annotations

import heapq

NEVER_MS = 1 << 62
AT_ONCE_MS = -2 * NEVER_MS
"""Before everything that is due: an overloaded worker is late with all that can wait first."""


class Agenda:
    """A moment (ms) for each name."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._planned_ms: dict[str, int] = {}

    def plan(self, name: str, due_ms: int) -> None:
        """At that moment, whatever was planned before."""
        self._planned_ms[name] = due_ms
        heapq.heappush(self._heap, (due_ms, name))

    def plan_sooner(self, name: str, due_ms: int) -> None:
        """At that moment, unless an earlier one is planned."""
        if due_ms < self._planned_ms.get(name, NEVER_MS):
            self.plan(name, due_ms)

    def forget(self, name: str) -> None:
        self._planned_ms.pop(name, None)

    def next_ms(self) -> int:
        """The earliest moment of all; `NEVER_MS` where nothing is planned."""
        while self._heap and self._planned_ms.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER_MS

    def pop(self, now_ms: int) -> str | None:
        """One whose moment has come: it is planned no longer."""
        if self.next_ms() > now_ms:
            return None
        _, name = heapq.heappop(self._heap)
        del self._planned_ms[name]
        return name
