"""Chargers and cars as they behave: a charger obeys the newest setpoint it took, then its fallback; a car ramps."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

RISE_A_PER_S = 2.0
FALL_A_PER_S = 6.0


@dataclass(slots=True)
class Socket:
    """One connector with its car. Times are whole seconds of the world."""

    key: str
    phases: int
    min_a: float
    fallback_a: float
    clock_s: int
    """How much its clock is off: its lease ends this much later (or sooner)."""
    limit_a: float = 0.0
    lease_until_s: float = -1.0
    seq: int = -1
    plugged: bool = False
    car_max_a: float = 32.0
    current_a: float = 0.0
    offline_until_s: int = -1
    transaction: int = 0

    def online(self, now_s: int) -> bool:
        """Whether it can be reached."""
        return now_s >= self.offline_until_s

    def allowed_a(self, now_s: int) -> float:
        """What it lets its car draw now; less than the minimum is nothing."""
        limit_a = self.limit_a if now_s < self.lease_until_s + self.clock_s else self.fallback_a
        return limit_a if limit_a >= self.min_a else 0.0

    def flow(self, now_s: int) -> None:
        """One second: the car follows, quickly down and slowly up."""
        goal_a = min(self.allowed_a(now_s), self.car_max_a) if self.plugged else 0.0
        if goal_a < self.current_a:
            self.current_a = max(goal_a, self.current_a - FALL_A_PER_S)
        else:
            self.current_a = min(goal_a, self.current_a + RISE_A_PER_S)

    def status(self, now_s: int) -> str:
        """What it reports."""
        if not self.plugged:
            return "Available"
        return "Charging" if self.allowed_a(now_s) > 0 else "SuspendedEVSE"

    def come_or_go(self, chance: random.Random) -> None:
        """Somebody plugs in or leaves."""
        self.plugged = not self.plugged
        if self.plugged:
            self.transaction += 1
            self.car_max_a = chance.choice([10.0, 16.0, 32.0, 32.0])

    def take(self, setpoint: dict[str, Any], now_s: int, rejects: bool) -> str:
        """A setpoint arrives: the terminal state that its dispatcher would answer."""
        if setpoint["seq"] <= self.seq:
            return "superseded"
        self.seq = setpoint["seq"]
        if now_s >= setpoint["valid_until_s"]:
            return "expired"
        if rejects:
            return "rejected"
        self.limit_a, self.lease_until_s = setpoint["limit_a"], setpoint["valid_until_s"]
        return "accepted"
