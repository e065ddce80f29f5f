"""Tariffs as data: over which window the average is billed, which of them count, and what they cost.

Sources, as the grid operators and regulators explain them to customers (no price of theirs stands here: prices come
from the location, 40.4 EUR per kW and year is the Flemish mean of 2023):

`be-vlaanderen-lv`: capaciteitstarief on low voltage (VREG, since 1 January 2023): the highest clock quarter of each
month, billed as the mean of the last twelve, each month counted as at least 2.5 kW.
`be-vlaanderen-hv`: above low voltage (Fluvius, grootverbruiksmeting): half on the month's highest quarter, half on the
*access power* (toegangsvermogen) that the customer chose; what a month peak exceeds it by costs 1.5 times as much for
twelve months.
`no-kapasitetsledd`: the mean of the three highest hours on three different days of the month, which falls into a step
of the operator's price list (Telemark Nett, Norgesnett, Klive). Norway's local hours are hours of UTC.
`de-rlm`: registrierende Leistungsmessung: the highest quarter of the local calendar year times the yearly price, also
for the months before it (Jahreshöchstleistung).
`plain`: window, statistic, period, floor and steps as the location gives them; a quarter, the highest of the month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from topology.location import Capacity

MONTHS_BILLED = 12
DAYS_COUNTED = 3
EARLIEST_MS = 86_400_000
"""A clock that says less is not set; the first year of our era has no local time west of Greenwich."""
STEP_MARGIN = 0.98
"""How much of a price step is used: a decrease that takes a moment must not cost the next step. More: it sometimes
does; less: current that was paid for stays unused."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """`window_s`: the clock-aligned window. `floor_w`: a period never counts as less."""

    window_s: int = 900
    statistic: Literal["max", "mean_of_3_days"] = "max"
    period: Literal["month", "year"] = "month"
    floor_w: float = 0.0
    months: int = 1
    """Months of which the mean is billed: so many bills does a month's peak stay in."""
    access: bool = False
    """Whether what exceeds the access power costs more."""


TARIFFS: dict[str, Tariff] = {
    "be-vlaanderen-lv": Tariff(floor_w=2500.0, months=MONTHS_BILLED),
    "be-vlaanderen-hv": Tariff(access=True),
    "no-kapasitetsledd": Tariff(window_s=3600, statistic="mean_of_3_days"),
    "de-rlm": Tariff(period="year"),
    "plain": Tariff(),
}


@lru_cache(maxsize=1024)
def tariff_of(capacity: Capacity) -> Tariff:
    """The tariff of a group; `plain` with what its location says of it."""
    known = TARIFFS[capacity.tariff]
    if capacity.tariff != "plain":
        return known
    return replace(
        known,
        window_s=capacity.window_s,
        statistic=capacity.statistic,
        period=capacity.period,
        floor_w=capacity.floor_kw * 1000,
    )


def window_start_ms(at_ms: int, window_s: int) -> int:
    """The UTC start of the clock window that a moment lies in (every zone is a multiple of 15 minutes off UTC)."""
    return at_ms - at_ms % (window_s * 1000)


@lru_cache(maxsize=4096)
def local_day(start_ms: int, timezone: str) -> str:
    """`2026-11-24`: the local day that a window belongs to. One that ends at midnight belongs to the day before."""
    local = datetime.fromtimestamp(max(start_ms, EARLIEST_MS) / 1000, UTC).astimezone(ZoneInfo(timezone))
    return f"{local.year:04}-{local.month:02}-{local.day:02}"


def month_of(day: str) -> str:
    """`2026-11`: the month of a day."""
    return day[:7]


def period_of(tariff: Tariff, day: str) -> str:
    """The month or the year that a day is billed with; days and months of it begin with this text."""
    return day[:7] if tariff.period == "month" else day[:4]


def billed_w(tariff: Tariff, highs_w: Mapping[str, float]) -> float | None:
    """The statistic over a period: the highest average, or the mean of those of the three highest days. None without
    any. `highs_w`: local day (or month, where only the highest counts) -> its highest average."""
    if not highs_w:
        return None
    if tariff.statistic == "max":
        return max(highs_w.values())
    highest = sorted(highs_w.values(), reverse=True)[:DAYS_COUNTED]
    return sum(highest) / len(highest)


def threshold_w(tariff: Tariff, capacity: Capacity, highs_w: Mapping[str, float], day: str) -> float:
    """From which average on one more kilowatt of a window on that day costs something.

    Of three days: the third highest of the others, or what the day has reached already. With steps a window is free as
    long as the mean stays within the step that is paid for anyway.
    """
    if tariff.statistic == "max":
        others: list[float] = []
        reached_w = max(highs_w.values(), default=0.0)
    else:
        others = sorted((w for other, w in highs_w.items() if other != day), reverse=True)
        reached_w = max([highs_w.get(day, 0.0), *others[DAYS_COUNTED - 1 : DAYS_COUNTED]])
    reached_w = max(reached_w, tariff.floor_w)
    end_w = _step_end_w(capacity, max(billed_w(tariff, highs_w) or 0.0, tariff.floor_w))
    if end_w is None:
        return reached_w
    counted = others[: DAYS_COUNTED - 1]
    return max(reached_w, STEP_MARGIN * end_w * (len(counted) + 1) - sum(counted))


def _step_end_w(capacity: Capacity, peak_w: float) -> float | None:
    """Where the price step of a peak ends; None without steps, and for the last one."""
    return next((from_kw * 1000 for from_kw, _ in capacity.steps if from_kw * 1000 > peak_w), None)


def mean_of_months(peaks_w: Mapping[str, float], month: str, floor_w: float) -> float | None:
    """The mean of the peaks that are known of the twelve months up to and with `month`, each at least the floor."""
    known = [max(peak_w, floor_w) for m, peak_w in peaks_w.items() if year_before(month) < m <= month]
    return sum(known) / len(known) if known else None


def year_before(month: str) -> str:
    """`2025-11`: the same month of the year before; the twelve months up to and with `month` come after it."""
    return f"{int(month[:4]) - 1:04}{month[4:]}"


def cost_eur(capacity: Capacity, peak_w: float, highest_w: float) -> float:
    """What the peak of a period so far costs: its bill, or on Flemish low voltage its share in the twelve bills that
    it stays in. `highest_w`: the highest peak of the last twelve months, which the excess over the access power is
    measured by."""
    tariff = tariff_of(capacity)
    counted_kw = max(peak_w, tariff.floor_w) / 1000
    if capacity.steps:
        return next((price for from_kw, price in reversed(capacity.steps) if from_kw <= counted_kw), 0.0)
    bills = 1 if tariff.period == "year" else MONTHS_BILLED
    cost = counted_kw * capacity.eur_per_kw_year / bills
    if tariff.access and capacity.access_kw is not None:
        excess_kw = max(0.0, max(peak_w, highest_w) / 1000 - capacity.access_kw)
        counted = capacity.access_kw + capacity.overshoot_factor * excess_kw
        cost += counted * _access_price(capacity) / MONTHS_BILLED
    return cost


def cost_of_1kw_eur(capacity: Capacity, peak_w: float, highest_w: float) -> float:
    """What one more kilowatt of the peak costs in all bills that it stays in, from the threshold on. Where steps are
    billed: what the next step costs more."""
    tariff = tariff_of(capacity)
    if capacity.steps:
        end_w = _step_end_w(capacity, max(peak_w, tariff.floor_w))
        return 0.0 if end_w is None else cost_eur(capacity, end_w, 0.0) - cost_eur(capacity, peak_w, 0.0)
    price = capacity.eur_per_kw_year / (1 if tariff.period == "year" else MONTHS_BILLED)
    if tariff.access and capacity.access_kw is not None and peak_w >= max(capacity.access_kw * 1000, highest_w):
        price += capacity.overshoot_factor * _access_price(capacity)
    return price


def _access_price(capacity: Capacity) -> float:
    price = capacity.access_eur_per_kw_year
    return capacity.eur_per_kw_year if price is None else price
