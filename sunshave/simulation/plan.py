"""The simulation file: what a user writes down about cars, sun, house and faults (the location is `topology`'s).

Where a value differs from car to car it may be written as a number, as `{from: 10, to: 40}` (drawn evenly), or as
`{one_of: [16, 32]}`. Times of day are those of the location's time zone.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from topology.location import Id

MOST_HOURS = 24 * 366
HOURS = 24.0


class Part(BaseModel):
    """A part of the file: keys that mean nothing are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _second_of_day(written: Any) -> Any:
    """`"18:30"` as seconds after midnight. YAML 1.1 reads 18:30 without quotes as the number 1110: minutes."""
    if isinstance(written, bool):
        raise ValueError("a time of day is written HH:MM")
    if isinstance(written, int):
        return written * 60 if 0 <= written < 24 * 60 else written if written < 86_400 else -1
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", str(written).strip())
    if match is None:
        raise ValueError("a time of day is written HH:MM")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


TimeOfDay = Annotated[int, Field(ge=0, lt=86_400), BeforeValidator(_second_of_day)]
"""Seconds after local midnight."""
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Spell = tuple[Annotated[int, Field(ge=1, le=86_400)], Annotated[int, Field(ge=1, le=86_400)]]
PerPhase = Annotated[
    tuple[Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)], ...], Field(min_length=1, max_length=3)
]


class Range(Part):
    """A number between two."""

    from_: NotNegative = Field(alias="from")
    to: NotNegative

    def draw(self, chance: Random) -> float:
        return chance.uniform(self.from_, self.to)


class Choice(Part):
    """One of some numbers."""

    one_of: tuple[NotNegative, ...] = Field(min_length=1)

    def draw(self, chance: Random) -> float:
        return chance.choice(self.one_of)


class TimeRange(Part):
    """A time of day between two; one past midnight is on the next day."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay

    def draw(self, chance: Random) -> float:
        return chance.randint(self.from_, self.to if self.to >= self.from_ else self.to + 86_400)


_NUMBER: TypeAdapter[float] = TypeAdapter(NotNegative)


def _drawn(written: Any) -> Any:
    """Numbers and mappings go to their models by their looks, so that an error names one reason and not three."""
    if isinstance(written, dict):
        return (Choice if "one_of" in written else Range).model_validate(written)
    return _NUMBER.validate_python(written)


def _drawn_time(written: Any) -> Any:
    return TimeRange.model_validate(written) if isinstance(written, dict) else _second_of_day(written)


def _listed(written: Any) -> Any:
    return written if isinstance(written, list | tuple) else (written,)


Drawn = Annotated[float | Range | Choice, BeforeValidator(_drawn)]
DrawnTime = Annotated[int | TimeRange, BeforeValidator(_drawn_time)]


def draw(value: float | Range | Choice | TimeRange, chance: Random) -> float:
    """The number that a value stands for."""
    return value if isinstance(value, int | float) else value.draw(chance)


class Cars(Part):
    """Cars that come every day: to one connector, to each of a list of chargers, or to `all`."""

    charger: Annotated[tuple[Id, ...], BeforeValidator(_listed)] = ("all",)
    connector: int | None = None
    arrives: DrawnTime
    leaves: DrawnTime
    energy_kwh: Drawn
    max_a: Drawn = 16.0
    phases: Drawn = 3.0
    min_a: Drawn = 6.0
    ramp_a_per_s: Drawn = 3.0
    wake_s: Drawn = 3.0
    taper_from: Share = 0.9
    chance: Share = 1.0
    """That it comes at all, each day."""
    day: date | None = None
    """Only on this day."""


ApplianceName = Literal["kettle", "oven", "hob", "washing_machine", "heat_pump", "lift"]


class Step(Part):
    """A load that is on every day from one time until another."""

    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay
    current_a: PerPhase


class HouseLoad(Part):
    """What a group draws besides its cars. `households`: so many of the same kind, each with its own
    habits, on the phases in turn."""

    group: Id | None = None
    households: Annotated[int, Field(ge=1, le=1000)] = 1
    scale: NotNegative = 1.0
    base_a: PerPhase = (0.9, 0.5, 0.7)
    flicker_a: NotNegative = 0.3
    appliances: tuple[ApplianceName, ...] = ()
    steps: tuple[Step, ...] = ()


class SolarRoof(Part):
    """Solar panels behind a group's meter. `clear`: the share of time without clouds."""

    group: Id | None = None
    peak_kw: Positive
    phases: tuple[Annotated[int, Field(ge=1, le=3)], ...] = (1, 2, 3)
    clear: Share = 0.45
    latitude_deg: Annotated[float, Field(ge=-90, le=90)] = 51.2
    longitude_deg: Annotated[float, Field(ge=-180, le=180)] = 3.2


class OutsideLimit(Part):
    """A limit from outside, every day from one time until another (the records of `topology.limits`)."""

    group: Id | None = None
    source: Id = "dso"
    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay
    limit_a: NotNegative | None = None
    limit_w: NotNegative | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> OutsideLimit:
        if self.limit_a is None and self.limit_w is None:
            raise ValueError("neither limit_a nor limit_w")
        return self


class FaultPlan(Part):
    """What goes wrong, and how often. Chances are per message; spells are [shortest, longest] in seconds."""

    loss: Share = 0.0
    delay_s: Annotated[int, Field(ge=0, le=20)] = 0
    double: Share = 0.0
    reject: Share = 0.0
    timeout: Share = 0.0
    ignore: Share = 0.0
    offline_per_hour: Rate = 0.0
    offline_s: Spell = (5, 300)
    meter_outages_per_hour: Rate = 0.0
    meter_outage_s: Spell = (5, 180)
    restarts_per_hour: Rate = 0.0
    restart_s: Spell = (1, 30)


class Shared(Part):
    """What the file may say once for all its locations, or per location."""

    cars: tuple[Cars, ...] = ()
    house: tuple[HouseLoad, ...] = ()
    sun: tuple[SolarRoof, ...] = ()
    limits: tuple[OutsideLimit, ...] = ()
    faults: FaultPlan = FaultPlan()
    meter_every_s: Annotated[int, Field(ge=1, le=900)] = 10
    charger_every_s: Annotated[int, Field(ge=1, le=900)] = 10
    month_peak_kw: NotNegative = 0.0
    """The main meter's peak of the month so far, at the start."""
    reaction_s: Annotated[int, Field(ge=1, le=3600)] | None = None
    """How long after the house's own rise an overload is not the controller's fault; None: worked out."""


class Site(Shared):
    """One location, and what happens in it."""

    location: Any = None
    """Read by itself: it may be the name of a file."""
    copies: Annotated[int, Field(ge=1, le=1000)] = 1


class Run(Part):
    """What counts for the whole run."""

    start: datetime = datetime(2026, 11, 24, 0, 0)  # noqa: DTZ001 -- local time of each location
    hours: Annotated[float, Field(gt=0, le=MOST_HOURS)] = HOURS
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("start")
    @classmethod
    def _has_a_time_zone(cls, start: datetime) -> datetime:
        if not 1971 <= start.year < 9000:  # as everywhere (pipeline.moments): beyond, not every zone has a time
            raise ValueError("a year within 1971 and 8999 is needed")
        return start
