"""What a solar roof gives, per phase: the height of the sun over the day and the year, and clouds that come and go.

Pure: the same seed and moment give the same amperes. The sun's height is the usual one (Cooper's declination, hour
angle), good to a few minutes; clouds are drawn per ten minutes and pass smoothly from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import cos, pi, radians, sin
from random import Random

CLOUD_S = 600
"""How long a cloud stays."""
CLEAR = 0.45
"""The share of ten-minute spells without a cloud, where nothing else is said."""
DARKEST = 0.15
"""What the thickest cloud lets through."""


@dataclass(frozen=True, slots=True)
class Sun:
    """One roof. `peak_w` is its power with the sun in the zenith; `phases` are the ones its inverter feeds (1, 2,
    3)."""

    seed: int
    peak_w: float = 6000.0
    phases: tuple[int, ...] = (1, 2, 3)
    latitude_deg: float = 51.2
    longitude_deg: float = 3.2
    voltage_v: float = 230.0
    clear: float = CLEAR

    def power_w(self, at: datetime) -> float:
        """Watts given at an aware moment, all phases together."""
        return self.peak_w * self._height(at) * self._clearness(at)

    def currents_a(self, at: datetime) -> tuple[float, float, float]:
        """Amperes given on L1, L2 and L3, not negative: what they take off the house's draw."""
        each_a = self.power_w(at) / self.voltage_v / len(self.phases)
        l1, l2, l3 = (each_a if phase in self.phases else 0.0 for phase in (1, 2, 3))
        return l1, l2, l3

    def _height(self, at: datetime) -> float:
        """The sine of the sun's elevation, 0 at night."""
        moment = at.astimezone(UTC)
        day = moment.timetuple().tm_yday
        solar_h = moment.hour + moment.minute / 60 + moment.second / 3600 + self.longitude_deg / 15
        declination = radians(23.45) * sin(2 * pi * (284 + day) / 365)
        hour_angle = radians(15 * (solar_h - 12))
        latitude = radians(self.latitude_deg)
        sine = sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle)
        return max(0.0, sine)

    def _clearness(self, at: datetime) -> float:
        """Between two spells' clouds, in proportion to the time since the first."""
        spell, into_s = divmod(at.timestamp(), CLOUD_S)
        before, after = (_cloud(self.seed, int(spell) + k, self.clear) for k in (0, 1))
        return before + (after - before) * into_s / CLOUD_S


@lru_cache(maxsize=1024)
def _cloud(seed: int, spell: int, clear: float) -> float:
    """What the clouds of a spell let through."""
    chance = Random(f"{seed} {spell}")  # noqa: S311 -- seeded
    return 1.0 if chance.random() < clear else chance.uniform(DARKEST, 1.0)
