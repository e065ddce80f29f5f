"""What the loads besides the cars have been, and since when a controller knew of them: the judges' memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from connectors.simulated.installation import Loads

REMEMBERED = 2000
"""Changes of the house's loads that are kept, some hours. Fewer: after a long outage too much counts as avoidable."""


class Past:
    """The loads of a building. `reaction_s`: how long a controller needs from a reading to what it does about it."""

    def __init__(self, reaction_s: int) -> None:
        self._house: deque[tuple[int, Loads]] = deque(maxlen=REMEMBERED)
        self._known: deque[Sequence[float]] = deque(maxlen=reaction_s + 1)

    def note(self, now_s: int, house: Loads, known_s: Sequence[float]) -> None:
        """One second. `known_s`: for each group the moment of the newest reading of it that the controller has."""
        if not self._house or self._house[-1][1] is not house:
            self._house.append((now_s, house))
        self._known.append(known_s)

    def risen(self, node: int, value: Callable[[list[float]], float]) -> float:
        """How much a value of a group's load has risen since the reading on which the controller could have acted."""
        since_s = self._known[0][node]
        now = lowest = value(self._house[-1][1][node])
        for at_s, loads in reversed(self._house):
            lowest = min(lowest, value(loads[node]))
            if at_s <= since_s:
                break
        return now - lowest
