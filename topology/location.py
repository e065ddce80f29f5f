"""The location document (design §4): what a building has, as its owner writes it down.

These are the values that everything else reads. They hold what was written, with the defaults filled in; what the
numbers mean together (a tree that is a tree, fuses that the fallbacks cannot overload) is judged in `topology.checks`,
and a `Location` that did not pass is never handed out (`topology.read`).

Units: currents in amperes rms per phase, powers in watts, times in seconds. Phases are those of the building.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"
"""Ids become Kafka keys, InfluxDB tags and OCPP paths: nothing in them may need escaping anywhere."""

Id = Annotated[str, Field(pattern=ID_PATTERN)]
MOST_A = 1e6
"""No fuse is larger; sums of a thousand such numbers are still exact to far below a step."""
LONGEST_S = 10 * 366 * 86_400
"""Ten years: what is longer was meant in milliseconds, and lease ends must stay within the calendar."""
SMALLEST_STEP_A = 0.001
"""A hundredth of what OCPP can say. With smaller ones the rounding of numbers is larger than a step."""
SHORTEST_WINDOW_S = 60
"""A billed window is at least so long: a charger needs seconds to follow, a meter reports every few."""

Amperes = Annotated[float, Field(strict=True, ge=0, le=MOST_A, allow_inf_nan=False)]
PositiveAmperes = Annotated[float, Field(strict=True, gt=0, le=MOST_A, allow_inf_nan=False)]
PositiveKilowatts = Annotated[float, Field(strict=True, gt=0, le=MOST_A, allow_inf_nan=False)]
Kilowatts = Annotated[float, Field(strict=True, ge=0, le=MOST_A, allow_inf_nan=False)]
Price = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=LONGEST_S, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(strict=True, gt=0, le=LONGEST_S, allow_inf_nan=False)]
PerPhase = Annotated[
    tuple[PositiveAmperes, ...],
    BeforeValidator(lambda written: written if isinstance(written, list | tuple) else (written,), float | list[float]),
]
"""A number that counts for every phase (kept as one), or one for each."""
Mode = Literal["fast", "solar_only", "smart_solar"]

_VALUE = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True, config=_VALUE)
class Grid:
    """The kind of grid. TN and TT are stars (phase to neutral), IT is a delta without neutral (line to line)."""

    type: Literal["TN", "TT", "IT"] = "TN"
    phases: Annotated[int, Field(ge=1, le=3)] = 3
    voltage_v: Annotated[float, Field(strict=True, ge=50, le=1000, allow_inf_nan=False)] = 230.0
    max_unbalance_a: Amperes | None = None


@dataclass(frozen=True, slots=True, config=_VALUE)
class Solar:
    """How the solar modes use the excess. `backup_a` is a sum over the phases, `min_threshold_a` is per phase."""

    min_threshold_a: Amperes = 6.0
    backup_a: Amperes = 0.0
    backup_use: Literal["whenever", "to_start"] = "whenever"
    enable_s: Seconds = 60.0
    disable_s: Seconds = 180.0


@dataclass(frozen=True, slots=True, config=_VALUE)
class PeakShaving:
    """A plain lower cap on a group's current, per phase."""

    limit_a: Amperes


@dataclass(frozen=True, slots=True, config=_VALUE)
class Capacity:
    """The billed average: which tariff, and which cap to hold. `cap_kw` None means the tariff's floor, or the access
    power where that is larger.

    `access_kw`, `access_eur_per_kw_year` (None: as `eur_per_kw_year`) and `overshoot_factor` count for
    `be-vlaanderen-hv` only; `window_s`, `statistic`, `period` and `floor_kw` for `plain` only. `steps`: pairs of the
    kilowatts from which a step counts and its price per period, in place of `eur_per_kw_year`.
    """

    tariff: Literal["be-vlaanderen-lv", "be-vlaanderen-hv", "no-kapasitetsledd", "de-rlm", "plain"] = "be-vlaanderen-lv"
    cap_kw: Kilowatts | None = None
    follow_month_peak: bool = True
    reaction_s: Seconds = 15.0
    bursts: bool = False
    eur_per_kw_year: Price = 40.4
    access_kw: PositiveKilowatts | None = None
    access_eur_per_kw_year: Price | None = None
    overshoot_factor: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)] = 1.5
    window_s: Annotated[int, Field(ge=SHORTEST_WINDOW_S, le=86_400)] = 900
    statistic: Literal["max", "mean_of_3_days"] = "max"
    period: Literal["month", "year"] = "month"
    floor_kw: Kilowatts = 0.0
    steps: tuple[tuple[Kilowatts, Price], ...] = ()


@dataclass(frozen=True, slots=True, config=_VALUE)
class Group:
    """A fuse, what hangs below it, and the rules for it. Without `parent` it is the main fuse."""

    id: Id
    limit_a: PerPhase
    parent: Id | None = None
    margin_a: Amperes = 0.0
    meter: Id | None = None
    mode: Mode | None = None
    solar: Solar | None = None
    peak_shaving: PeakShaving | None = None
    capacity: Capacity | None = None
    credit_generation: bool = False


@dataclass(frozen=True, slots=True, config=_VALUE)
class Meter:
    """A meter. `includes_chargers` says whether the chargers of its group flow through it."""

    id: Id
    includes_chargers: bool = True
    stale_s: PositiveSeconds = 30.0
    lost_s: PositiveSeconds = 60.0


@dataclass(frozen=True, slots=True, config=_VALUE)
class Connector:
    """One socket or cable. `rotation`: the k-th letter is the building phase of charger phase k."""

    max_a: PositiveAmperes
    id: Annotated[int, Field(ge=1, le=1000)] = 1
    phases: Annotated[int, Field(ge=1, le=3)] = 3
    rotation: str | None = None
    min_a: PositiveAmperes = 6.0
    step_a: Annotated[float, Field(strict=True, ge=SMALLEST_STEP_A, le=MOST_A, allow_inf_nan=False)] = 0.1
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    weight: Annotated[float, Field(strict=True, ge=1e-6, le=1e6, allow_inf_nan=False)] = 1.0
    can_switch: bool = False

    @model_validator(mode="after")
    def _min_below_max(self) -> Self:
        """Judged here and not in `topology.checks`, so that it is said together with values that make no sense."""
        if self.min_a > self.max_a:
            raise ValueError(f"min_a {self.min_a:g} is above max_a {self.max_a:g}")
        return self


@dataclass(frozen=True, slots=True, config=_VALUE)
class Charger:
    """A charge point; its id is its OCPP identity. `fallback_a` None: what it does without us is not known."""

    id: Id
    group: Id
    connectors: tuple[Connector, ...]
    fallback_a: Amperes | None = 6.0


@dataclass(frozen=True, slots=True, config=_VALUE)
class Control:
    """How quickly and how often sunshave acts. Each of them can be set per location."""

    interval_s: PositiveSeconds = 1.0
    lease_s: PositiveSeconds = 900.0
    lease_skew_s: Seconds = 30.0
    ack_s: PositiveSeconds = 30.0
    idle_offer_a: Amperes = 0.0
    min_change_a: Amperes = 0.5
    increase_every_s: Seconds = 10.0
    settle_s: Seconds = 60.0
    under_draw_margin_a: Amperes = 1.0
    turn_s: PositiveSeconds = 900.0
    record_every_s: PositiveSeconds = 10.0
    silent_s: PositiveSeconds = 120.0
    switch_hold_s: Seconds = 600.0


@dataclass(frozen=True, slots=True, config=_VALUE)
class Location:
    """A building with a main fuse, and the chargers behind it."""

    location: Id
    groups: tuple[Group, ...]
    timezone: str = "Europe/Brussels"
    grid: Grid = Field(default_factory=Grid)
    meters: tuple[Meter, ...] = ()
    chargers: tuple[Charger, ...] = ()
    control: Control = Field(default_factory=Control)
