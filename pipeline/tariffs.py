"""Tariffs as data: over which window the average is billed, what it costs, and from where on (facts: DSOs and law).

`be-vlaanderen-lv`: the Flemish capaciteitstarief on low voltage (VREG, since 1 January 2023): the highest clock
quarter of each month, the mean of the last twelve month peaks, each month counted as at least 2.5 kW.
`be-vlaanderen-hv`: the month peak above low voltage (Fluvius, grootverbruiksmeting); access power comes from outside.
`no-kapasitetsledd`: the mean of the three highest hours on three different days of the month (Norwegian grid rental).
`de-rlm`: the highest quarter of the year (registrierende Leistungsmessung). `plain`: a quarter without a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

MONTHS_BILLED = 12
EARLIEST_MS = 86_400_000
"""A clock that says less is not set; the first year of our era has no local time west of Greenwich."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """`window_s`: the clock-aligned window; `floor_w`: below this a month costs no less."""

    window_s: int
    floor_w: float


TARIFFS: dict[str, Tariff] = {
    "be-vlaanderen-lv": Tariff(window_s=900, floor_w=2500.0),
    "be-vlaanderen-hv": Tariff(window_s=900, floor_w=0.0),
    "no-kapasitetsledd": Tariff(window_s=3600, floor_w=0.0),
    "de-rlm": Tariff(window_s=900, floor_w=0.0),
    "plain": Tariff(window_s=900, floor_w=0.0),
}


def window_start_ms(at_ms: int, window_s: int) -> int:
    """The UTC start of the clock window that a moment lies in (every zone is a multiple of 15 minutes off UTC)."""
    return at_ms - at_ms % (window_s * 1000)


@lru_cache(maxsize=4096)
def local_month(start_ms: int, timezone: str) -> str:
    """`2026-11`: the local month that a window belongs to. The one that ends at midnight belongs to the old month."""
    local = datetime.fromtimestamp(max(start_ms, EARLIEST_MS) / 1000, UTC).astimezone(ZoneInfo(timezone))
    return f"{local.year:04}-{local.month:02}"


def mean_of_months(peaks_w: dict[str, float], month: str, floor_w: float) -> float | None:
    """The mean of the peaks of the last twelve months that are known up to `month`, each at least the floor."""
    known = sorted(m for m in peaks_w if m <= month)[-MONTHS_BILLED:]
    if not known:
        return None
    return sum(max(peaks_w[m], floor_w) for m in known) / len(known)


def month_cost_eur(peak_w: float, floor_w: float, eur_per_kw_year: float) -> float:
    """What a month's peak adds over the twelve bills that it stays in: one twelfth of the yearly price per kW."""
    return max(peak_w, floor_w) / 1000 * eur_per_kw_year / MONTHS_BILLED


def cost_of_1kw_eur(eur_per_kw_year: float) -> float:
    """What one more kilowatt of this month's peak costs over the twelve bills that it stays in."""
    return eur_per_kw_year / MONTHS_BILLED
