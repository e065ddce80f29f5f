"""A charger's connector as it behaves: it obeys the newest setpoint that it took, then its fallback. Pure.

Times are whole seconds of the simulated world. What the car in it does is `connectors.simulated.battery`.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.simulated.battery import Charge

FREE = "Available"
"""The status of a connector without a car."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a setpoint tells a charger."""

    seq: int
    limit_a: float
    valid_until_s: float
    phases: int = 3


@dataclass(slots=True)
class Outlet:
    """One connector. `fallback_a` is what it lets flow without a lease."""

    key: str
    min_a: float
    max_a: float
    fallback_a: float
    clock_s: int = 0
    """How much its clock is off: its lease ends this much later (or sooner)."""
    voltage_v: float = 230.0
    """What one ampere on one of its phases means in watts."""
    limit_a: float = 0.0
    limit_phases: int = 3
    lease_until_s: float = -1.0
    seq: int = -1
    answer: str = "superseded"
    """To the setpoint of that number."""
    offline_until_s: int = -1
    charge: Charge | None = None
    transaction: int = 0
    meter_wh: float = 0.0

    @property
    def current_a(self) -> float:
        """What flows on each phase in use."""
        return self.charge.amperes if self.charge is not None else 0.0

    def online(self, now_s: int) -> bool:
        """Whether it can be reached."""
        return now_s >= self.offline_until_s

    def allowed_a(self, now_s: int) -> float:
        """What it lets its car draw now; less than the minimum is nothing."""
        limit_a = self.limit_a if now_s < self.lease_until_s + self.clock_s else self.fallback_a
        return min(limit_a, self.max_a) if limit_a >= self.min_a else 0.0

    def allowed_phases(self, now_s: int) -> int:
        """On how many of its phases."""
        return self.limit_phases if now_s < self.lease_until_s + self.clock_s else 3

    def flow(self, now_s: int) -> float:
        """One second: the car follows. Gives the energy that it took, in Wh."""
        if self.charge is None:
            return 0.0
        taken_wh = self.charge.step(self.allowed_a(now_s), 1.0, 1.0, self.voltage_v, self.allowed_phases(now_s))
        self.meter_wh += taken_wh
        return taken_wh

    def status(self, now_s: int) -> str:
        """What it reports."""
        if self.charge is None:
            return FREE
        if self.allowed_a(now_s) <= 0:
            return "SuspendedEVSE"
        return "SuspendedEV" if self.charge.full else "Charging"

    def plug_in(self, charge: Charge | None) -> None:
        """A car comes, or (None) leaves."""
        self.charge = charge
        self.transaction += charge is not None

    def take(self, order: Order, now_s: int, *, rejects: bool = False, ignores: bool = False) -> str:
        """A setpoint arrives: the terminal state that its dispatcher answers. One that is ignored is accepted, too; one
        that comes again is a repetition and gets the same answer (design §9)."""
        if order.seq < self.seq:
            return "superseded"
        if order.seq > self.seq:
            self.seq = order.seq
            self.answer = self._answer(order, now_s, rejects, ignores)
        return self.answer

    def _answer(self, order: Order, now_s: int, rejects: bool, ignores: bool) -> str:
        if now_s >= order.valid_until_s:
            return "expired"
        if rejects:
            return "rejected"
        if not ignores:
            self.limit_a, self.limit_phases, self.lease_until_s = order.limit_a, order.phases, order.valid_until_s
        return "accepted"
