"""A network that loses, delays, doubles and reorders; and what else goes wrong. One seed draws every fault."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often. Chances are per message, except those with a unit in their name."""

    loss: float = 0.0
    delay_s: int = 0
    """The longest delay; each message draws its own, so they overtake one another."""
    double: float = 0.0
    reject: float = 0.0
    timeout: float = 0.0
    """The charger took the setpoint, but its answer never came: the dispatcher says `timeout`."""
    ignore: float = 0.0
    """The charger says that it took the setpoint, and goes on as before."""
    offline_per_hour: float = 0.0
    offline_s: tuple[int, int] = (5, 300)
    """How long a charger cannot be reached, at least and at most."""
    meter_outages_per_hour: float = 0.0
    meter_outage_s: tuple[int, int] = (5, 180)
    restarts_per_hour: float = 0.0
    """A worker dies; another takes over from what was kept."""
    restart_s: tuple[int, int] = (1, 30)
    """How long nobody decides then."""


@dataclass(slots=True)
class Network:
    """Messages on their way, by the second in which they arrive. `tally` counts what was done to them."""

    chance: random.Random
    faults: Faults
    waiting: list[tuple[int, int, str, Any]] = field(default_factory=list)
    count: int = 0
    tally: Counter[str] = field(default_factory=Counter)

    def send(self, now_s: int, to: str, message: Any) -> None:
        """Send a message; it may arrive never, once, or twice."""
        copies = 0 if self.chance.random() < self.faults.loss else 1
        self.tally["lost"] += copies == 0
        if self.chance.random() < self.faults.double:
            copies += 1
            self.tally["doubled"] += 1
        for _ in range(copies):
            self.count += 1
            delay_s = self.chance.randint(0, self.faults.delay_s) if self.faults.delay_s else 0
            self.tally["late"] += delay_s > 0
            heapq.heappush(self.waiting, (now_s + delay_s, self.count, to, message))

    def arriving(self, now_s: int) -> list[tuple[str, Any]]:
        """What arrives now."""
        found = []
        while self.waiting and self.waiting[0][0] <= now_s:
            _, _, to, message = heapq.heappop(self.waiting)
            found.append((to, message))
        return found
