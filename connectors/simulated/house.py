"""What a house draws besides its chargers: a base load, and appliances that step in and out, per phase.

Pure: the same seed and moment give the same amperes, in any order of asking. Days are the house's own local days, so
that breakfast stays at breakfast time when the clocks change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from random import Random
from zoneinfo import ZoneInfo

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Appliance:
    """Something that is switched on some times a day, within some hours of it, for a while."""

    name: str
    current_a: tuple[float, float, float]
    times_a_day: int
    from_h: float
    until_h: float
    shortest_s: int
    longest_s: int


KETTLE = Appliance("kettle", (8.7, 0, 0), 5, 6.5, 22, 120, 240)
OVEN = Appliance("oven", (0, 10.4, 0), 1, 17, 19.5, 1800, 4500)
HOB = Appliance("hob", (0, 6.1, 6.1), 2, 11.5, 20, 600, 1800)
WASHING = Appliance("washing machine", (0, 0, 9.1), 1, 8, 20, 900, 1500)
HEAT_PUMP = Appliance("heat pump", (4.3, 4.3, 4.3), 18, 0, 24, 600, 2400)
LIFT = Appliance("lift", (12, 12, 12), 150, 6.5, 23, 15, 40)
HOUSEHOLD = (KETTLE, OVEN, HOB, WASHING, HEAT_PUMP)

BASE_A = (0.9, 0.5, 0.7)
"""Fridge, router, standby, light: never nothing."""
FLICKER_S = 10
FLICKER_A = 0.3
"""How much the base load wanders from one ten seconds to the next."""


@dataclass(frozen=True, slots=True)
class House:
    """One house. The seed draws when its people cook."""

    seed: int
    zone: str = "Europe/Brussels"
    appliances: tuple[Appliance, ...] = HOUSEHOLD
    scale: float = 1.0
    base_a: tuple[float, float, float] = BASE_A
    flicker_a: float = FLICKER_A

    def currents_a(self, at: datetime) -> tuple[float, float, float]:
        """Amperes drawn on L1, L2 and L3 at an aware moment."""
        local = at.astimezone(ZoneInfo(self.zone))
        second = local.hour * 3600 + local.minute * 60 + local.second
        running = [use.current_a for use in _uses(self.seed, self.appliances, local.date()) if use.covers(second)]
        flicker_a = self.flicker_a * Random(f"{self.seed} {int(at.timestamp()) // FLICKER_S}").random()  # noqa: S311 -- seeded
        l1, l2, l3 = (
            self.scale * (base_a + flicker_a + sum(current_a[phase] for current_a in running))
            for phase, base_a in enumerate(self.base_a)
        )
        return l1, l2, l3

    def switches(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The moments at which an appliance steps in or out; between them only the base load wanders."""
        zone = ZoneInfo(self.zone)
        day, last = since.astimezone(zone).date(), until.astimezone(zone).date()
        while day <= last:
            for use in _uses(self.seed, self.appliances, day):
                for second in (use.from_s, use.until_s):
                    moment = datetime.combine(day, time(), zone) + timedelta(seconds=second)
                    if since <= moment < until:
                        yield moment
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Use:
    """An appliance, on from one second of the local day until another."""

    current_a: tuple[float, float, float]
    from_s: int
    until_s: int

    def covers(self, second: int) -> bool:
        return self.from_s <= second < self.until_s


@lru_cache(maxsize=4096)
def _uses(seed: int, appliances: tuple[Appliance, ...], day: date) -> tuple[_Use, ...]:
    """All that runs on a day. What would run past midnight ends there."""
    uses: list[_Use] = []
    for appliance in appliances:
        uses += _uses_of(appliance, Random(f"{seed} {day} {appliance.name}"))  # noqa: S311 -- seeded
    return tuple(uses)


def _uses_of(appliance: Appliance, chance: Random) -> list[_Use]:
    """Spread over its hours, one in each equal part of them, so that it never runs twice at once for long."""
    part_s = (appliance.until_h - appliance.from_h) * 3600 / appliance.times_a_day
    uses = []
    for number in range(appliance.times_a_day):
        length_s = min(chance.randint(appliance.shortest_s, appliance.longest_s), int(part_s))
        begins_s = int(appliance.from_h * 3600 + number * part_s + chance.random() * (part_s - length_s))
        uses.append(_Use(appliance.current_a, begins_s, min(begins_s + length_s, DAY_S)))
    return uses
