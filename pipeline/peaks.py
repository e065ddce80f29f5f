"""The peak of a month or year so far, from the windows that closed and from the meter's own word (design §9 Windows).

What was published is in the group's book; what closed since, or changed since by late data, is worked out anew and goes
before it. The official month peak counts beside them where the tariff bills quarters, in the local month of its `at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.state import MeterState, WindowBook
from pipeline.tariffs import (
    DAYS_COUNTED,
    MONTHS_BILLED,
    Tariff,
    billed_w,
    local_day,
    month_of,
    period_of,
    threshold_w,
    year_before,
)
from pipeline.used import QUARTER_S
from topology.location import Capacity


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a group's windows came to, and by which rules they are billed. `fresh_w`: start (ms) of a window that closed
    or changed since the last written decision -> its average."""

    capacity: Capacity
    tariff: Tariff
    timezone: str
    meter: MeterState
    book: WindowBook
    fresh_w: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts at the beginning of a window: the period's peak so far, from which average on a kilowatt costs, and
    the highest of the last twelve months (where the tariff asks)."""

    peak_w: float | None
    threshold_w: float
    highest_w: float


def standing(peaks: Peaks, start_ms: int, before_ms: int) -> Standing:
    """As seen by the window that starts at `start_ms`, from those that start before `before_ms`."""
    day = local_day(start_ms, peaks.timezone)
    highs_w = _highs_w(peaks, period_of(peaks.tariff, day), before_ms)
    return Standing(
        peak_w=billed_w(peaks.tariff, highs_w),
        threshold_w=threshold_w(peaks.tariff, peaks.capacity, highs_w, day),
        highest_w=_highest_of_year_w(peaks, day, before_ms) if peaks.tariff.access else 0.0,
    )


def months_w(peaks: Peaks, before_ms: int) -> dict[str, float]:
    """The highest window of every month that is known."""
    return _highs_w(peaks, "", before_ms, by_day=False)


def _highest_of_year_w(peaks: Peaks, day: str, before_ms: int) -> float:
    month = month_of(day)
    return max((w for m, w in months_w(peaks, before_ms).items() if year_before(month) < m <= month), default=0.0)


def _highs_w(peaks: Peaks, period: str, before_ms: int, by_day: bool | None = None) -> dict[str, float]:
    """Local day, or month where only the highest counts -> its highest average, within a period."""
    book, timezone = peaks.book, peaks.timezone
    if by_day is None:
        by_day = peaks.tariff.statistic != "max"
    stored = book.days if by_day else book.month_peaks
    highs = {key: w for key, w in stored.items() if key.startswith(period)}
    closed_before_ms = before_ms if book.window_s in (0, peaks.tariff.window_s) else book.settled_ms
    windows = [
        (start_ms, month, demand_w)
        for start_ms, (_, demand_w, month, _, _) in book.closed.items()
        if start_ms < closed_before_ms and month.startswith(period) and start_ms not in peaks.fresh_w
    ]
    for start_ms, demand_w in peaks.fresh_w.items():
        month = month_of(local_day(start_ms, timezone))
        if start_ms < before_ms and month.startswith(period):
            windows.append((start_ms, month, demand_w))
    for start_ms, month, demand_w in windows:
        key = local_day(start_ms, timezone) if by_day else month
        if demand_w > highs.get(key, -1.0):
            highs[key] = demand_w
    if not by_day:
        for month, w in _officials_w(peaks).items():
            if month.startswith(period):
                highs[month] = max(highs.get(month, 0.0), w)
    return highs


def _officials_w(peaks: Peaks) -> dict[str, float]:
    if peaks.tariff.window_s != QUARTER_S:
        return {}
    return peaks.book.officials | said_peaks_w(peaks.meter, peaks.timezone)


def said_peaks_w(meter: MeterState, timezone: str) -> dict[str, float]:
    """Local month -> the meter's own peak as last said in it: of the newest month, and of the one before."""
    said = [peak for peak in (meter.month_peak_before, meter.month_peak) if peak is not None]
    return {month_of(local_day(at_ms, timezone)): peak_w for at_ms, peak_w in said}


def retire(book: WindowBook, tariff: Tariff, timezone: str, start_ms: int) -> None:
    """Of a window that late data cannot reach any more only the peaks are kept."""
    demand_w = book.closed.pop(start_ms)[1]
    day = local_day(start_ms, timezone)
    month = month_of(day)
    book.month_peaks[month] = max(book.month_peaks.get(month, 0.0), demand_w)
    keep_newest_months(book.month_peaks)
    book.days[day] = max(book.days.get(day, 0.0), demand_w)
    period = period_of(tariff, day)
    same = sorted((d for d in book.days if d.startswith(period)), key=lambda d: (book.days[d], d), reverse=True)
    for other in [*same[DAYS_COUNTED:], *(d for d in book.days if d < period)]:
        del book.days[other]


def keep_newest_months(months: dict[str, float]) -> None:
    """A year and a month is all that any tariff looks back."""
    while len(months) > MONTHS_BILLED + 1:
        del months[min(months)]
