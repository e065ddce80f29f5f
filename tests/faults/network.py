"""A network that loses, delays, doubles and reorders. One seed draws every fault."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often. Chances are per message or, for spells and steps, per second."""

    loss: float = 0.0
    delay_s: int = 0
    """The longest delay; each message draws its own, so they overtake one another."""
    double: float = 0.0
    reject: float = 0.0
    timeout: float = 0.0
    """The charger took the setpoint, but its answer never came: the dispatcher says `timeout`."""
    offline: float = 0.0
    """A charger goes offline (for up to five minutes)."""
    blackout: float = 0.0
    """A meter falls silent (for up to three minutes)."""
    house_step: float = 0.0
    fallback_a: float = 0.0


@dataclass(slots=True)
class Network:
    """Messages on their way, by the second in which they arrive."""

    chance: random.Random
    faults: Faults
    waiting: list[tuple[int, int, str, Any]] = field(default_factory=list)
    count: int = 0

    def send(self, now_s: int, to: str, message: Any) -> None:
        """Send a message; it may arrive never, once, or twice."""
        copies = 0 if self.chance.random() < self.faults.loss else 1
        copies += self.chance.random() < self.faults.double
        for _ in range(copies):
            self.count += 1
            delay_s = self.chance.randint(0, self.faults.delay_s)
            heapq.heappush(self.waiting, (now_s + delay_s, self.count, to, message))

    def arriving(self, now_s: int) -> list[tuple[str, Any]]:
        """What arrives now."""
        found = []
        while self.waiting and self.waiting[0][0] <= now_s:
            _, _, to, message = heapq.heappop(self.waiting)
            found.append((to, message))
        return found
