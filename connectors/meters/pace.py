"""How often a source gives readings on, and how long it waits before it dials again."""

from __future__ import annotations

import random
import time

FIRST_S = 1.0
"""The first pause before dialling again. Smaller: a port that refuses is hammered. Larger: a blip costs more
readings."""

LONGEST_S = 30.0
"""Smaller: a building without power is dialled too often. Larger: after a long outage the first reading comes late."""

EARLY = 0.9
"""A reading may come this part of `every_s` after the last one: meters are not exact, and 9.98 s must count as 10."""


class Pace:
    """Lets one reading through per `every_s`, and none twice."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last_s = float("-inf")

    def is_due(self) -> bool:
        """Whether a reading that is here now would be let through."""
        return time.monotonic() - self._last_s >= self._every_s * EARLY

    def passed(self) -> None:
        """One was let through now."""
        self._last_s = time.monotonic()


class Backoff:
    """Pauses that double from one failure to the next, each shortened by chance: a fleet must not dial in step."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def pause_s(self) -> float:
        """How long to wait now."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 -- spreading, no secret

    def reset(self) -> None:
        """It worked again."""
        self._next_s = FIRST_S
