"""A car on a cable: when it comes, what it can take, and how its current follows the offer."""

from __future__ import annotations

from dataclasses import dataclass

WAKE_S = 3.0
"""From an offer to the first current: cars close their contactor 2 to 5 s after it."""
RISE_A_PER_S = 3.0
FALL_A_PER_S = 15.0
"""A lower offer must be obeyed within 5 s (IEC 61851-1); cars do it in one or two."""
TAPER_FROM = 0.9
"""The share of the wanted energy from which on less is taken."""


@dataclass(frozen=True, slots=True)
class Car:
    """A car that comes to a connector. Times are seconds of its life (real ones × `speed`)."""

    charger_id: str
    connector: int = 1
    arrives_s: float = 0.0
    leaves_s: float = float("inf")
    max_a: float = 16.0
    phases: int = 3
    energy_wh: float = 20_000.0
    min_a: float = 6.0
    delay_s: float = WAKE_S
    ramp_a_per_s: float = RISE_A_PER_S
    taper_from: float = TAPER_FROM


class Charge:
    """A car while it is plugged in."""

    __slots__ = ("_offered_for_s", "amperes", "car", "phases", "taken_wh")

    def __init__(self, car: Car) -> None:
        self.car = car
        self.taken_wh = 0.0
        self.amperes = 0.0
        """What it draws on each of its phases in use."""
        self.phases = car.phases
        """How many it uses, the first ones of the charger."""
        self._offered_for_s = 0.0

    @property
    def full(self) -> bool:
        """It has what it wants."""
        return self.taken_wh >= self.car.energy_wh

    @property
    def soc_pct(self) -> float:
        """From 20 % at arrival to 80 % when it has what it wants."""
        return 20 + 60 * min(1.0, self.taken_wh / self.car.energy_wh) if self.car.energy_wh else 80.0

    @property
    def current_a(self) -> tuple[float, float, float]:
        """Amperes on the charger's phases; a car with fewer uses the first ones."""
        a = self.amperes
        return a, a if self.phases > 1 else 0.0, a if self.phases > 2 else 0.0

    def step(self, offered_a: float, step_s: float, speed: float, voltage_v: float, phases: int = 3) -> float:
        """Follow the offer for a while, on so many phases at most. Gives the energy taken, in Wh."""
        wanted_a = self.wanted_a(offered_a)
        self.phases = min(self.car.phases, phases)
        self._offered_for_s = self._offered_for_s + step_s if wanted_a > 0 else 0.0
        if wanted_a < self.amperes:
            self.amperes = max(wanted_a, self.amperes - FALL_A_PER_S * step_s)
        elif wanted_a > self.amperes and self._offered_for_s >= self.car.delay_s:
            self.amperes = min(wanted_a, self.amperes + self.car.ramp_a_per_s * step_s)
        taken_wh = self.amperes * self.phases * voltage_v * step_s * speed / 3600
        self.taken_wh += taken_wh
        return taken_wh

    def wanted_a(self, offered_a: float) -> float:
        """What it would take of an offer: nothing below its minimum or when full, less at the end."""
        car = self.car
        if offered_a < car.min_a or self.taken_wh >= car.energy_wh:
            return 0.0
        share = self.taken_wh / car.energy_wh
        if share < car.taper_from:
            return min(offered_a, car.max_a)
        left = 1 - 0.5 * (share - car.taper_from) / (1 - car.taper_from)
        return min(offered_a, max(car.min_a, car.max_a * left))
