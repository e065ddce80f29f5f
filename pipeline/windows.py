"""The billed window: what may still be drawn in it, and what closed ones add to the bill (design §6.2, §9 Windows).

`allowed = (cap·T − used) / (T − t)`, `cap = max(tariff floor, cap_kw, month peak so far if follow_month_peak)`. What
was used before the first reading of a window counts at the cap: unknown energy earns nothing. Near the end the
allowance explodes; in the last `reaction_s` it is the smaller of this window's and the next one's, because what is let
loose now spills over. It never lifts another limit: it is one more constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.energy import KEPT_WINDOWS, TIGHT_MS, WH_PER_WS, Used, used
from pipeline.moments import to_moment, to_ms
from pipeline.records import ClosedWindow, WindowView
from pipeline.state import LocationState, MeterState, WindowBook
from pipeline.tariffs import (
    MONTHS_BILLED,
    TARIFFS,
    cost_of_1kw_eur,
    local_month,
    mean_of_months,
    month_cost_eur,
    window_start_ms,
)
from topology.location import Capacity
from topology.tree import Node, Tree

REVISED_WINDOWS = KEPT_WINDOWS - 2
"""Closed windows that late data can still change. Two fewer than readings are kept for: a window needs what was read
before it, and must not be worked out anew from less than it was published with."""


@dataclass(frozen=True, slots=True)
class RunningWindow:
    """The running window of a group: the view for the decision, and what is not rounded in it."""

    allowed_w: float
    cap_w: float
    start_ms: int
    end_ms: int
    used_wh: float
    month_peak_w: float | None


def running_window(tree: Tree, state: LocationState, node: Node, now_ms: int) -> RunningWindow:
    """The window that `now_ms` lies in, and the power that it still allows as an average."""
    capacity, meter = _of(node, state)
    tariff = TARIFFS[capacity.tariff]
    start_ms = window_start_ms(now_ms, tariff.window_s)
    end_ms = start_ms + tariff.window_s * 1000
    peak_w = _month_peak_w(tree, state, node, local_month(start_ms, tree.location.timezone), start_ms)
    cap_w = cap_of(capacity, tariff.floor_w, peak_w)
    found = used(meter, start_ms, tariff.window_s, now_ms)
    known_from_ms = now_ms if found is None else min(found.known_from_ms, now_ms)
    used_wh = cap_w * (known_from_ms - start_ms) / 1000 * WH_PER_WS + (found.wh if found else 0.0)
    left_s = (end_ms - now_ms) / 1000
    allowed_w = (cap_w * tariff.window_s - used_wh * 3600) / left_s
    if left_s <= capacity.reaction_s:
        allowed_w = min(allowed_w, _next_cap_w(tree, state, node, end_ms, used_wh))
    return RunningWindow(allowed_w, cap_w, start_ms, end_ms, used_wh, peak_w)


def cap_of(capacity: Capacity, floor_w: float, peak_w: float | None) -> float:
    """The largest of the tariff's floor, the user's cap and, if he says so, the month's peak so far."""
    cap_w = max(floor_w, (capacity.cap_kw or 0.0) * 1000)
    return max(cap_w, peak_w) if capacity.follow_month_peak and peak_w is not None else cap_w


def _next_cap_w(tree: Tree, state: LocationState, node: Node, end_ms: int, used_wh: float) -> float:
    """The cap of the window after this one; a new month begins without a peak, this window may set a new one."""
    capacity = node.group.capacity
    assert capacity is not None
    tariff = TARIFFS[capacity.tariff]
    month = local_month(end_ms, tree.location.timezone)
    peak_w = _month_peak_w(tree, state, node, month, end_ms - tariff.window_s * 1000)
    if month == local_month(end_ms - 1, tree.location.timezone):
        peak_w = max(peak_w or 0.0, used_wh * 3600 / tariff.window_s)
    return cap_of(capacity, tariff.floor_w, peak_w)


def view(window: RunningWindow, capacity: Capacity, forecast_w: float) -> WindowView:
    """The window as a decision shows it."""
    return WindowView(
        start=to_moment(window.start_ms),
        used_wh=round(window.used_wh, 3),
        cap_w=round(window.cap_w, 3),
        allowed_w=round(window.allowed_w, 3),
        forecast_w=round(forecast_w, 3),
        month_peak_w=None if window.month_peak_w is None else round(window.month_peak_w, 3),
        cost_of_1kw_eur=round(cost_of_1kw_eur(capacity.eur_per_kw_year), 4),
    )


def closed_windows(tree: Tree, state: LocationState, node: Node, now_ms: int) -> list[ClosedWindow]:
    """The windows that closed since they were last published, and those that late data changed since."""
    capacity, meter = _of(node, state)
    tariff = TARIFFS[capacity.tariff]
    book = state.books.get(node.group.id) or WindowBook()
    found = []
    for start_ms, window in _closed(meter, tariff.window_s, now_ms):
        end_ms = start_ms + tariff.window_s * 1000
        waits = not window.complete and now_ms < end_ms + TIGHT_MS  # the reading after the end may be on its way
        before = book.closed.get(start_ms)
        if waits or (before is not None and abs(before[0] - window.wh) < 0.001 and before[3] == window.complete):
            continue
        month = local_month(start_ms, tree.location.timezone)
        peak_w = _month_peak_w(tree, state, node, month, end_ms) or 0.0
        earlier_w = _month_peak_w(tree, state, node, month, start_ms)
        mean_w = mean_of_months({**_all_peaks_w(book), month: peak_w}, month, tariff.floor_w)
        found.append(
            ClosedWindow(
                location=tree.location.location,
                group=node.group.id,
                start=to_moment(start_ms),
                end=to_moment(end_ms),
                import_wh=round(window.wh, 3),
                demand_w=round(window.wh * 3600 / tariff.window_s, 3),
                source=window.source,  # type: ignore[arg-type]
                complete=window.complete,
                revision=0 if before is None else before[4] + 1,
                cap_w=round(cap_of(capacity, tariff.floor_w, earlier_w), 3),
                month=month,
                month_peak_w=round(peak_w, 3),
                mean12_w=None if mean_w is None else round(mean_w, 3),
                cost_eur=round(month_cost_eur(peak_w, tariff.floor_w, capacity.eur_per_kw_year), 4),
            )
        )
    return found


def note_published(book: WindowBook, window: ClosedWindow) -> None:
    """The window was published: remember it, and of those that late data cannot reach any more only the peak."""
    book.closed[to_ms(window.start)] = (
        window.import_wh,
        window.demand_w,
        window.month,
        window.complete,
        window.revision,
    )
    while len(book.closed) > KEPT_WINDOWS:
        _, demand_w, month, _, _ = book.closed.pop(min(book.closed))
        book.month_peaks[month] = max(book.month_peaks.get(month, 0.0), demand_w)
    while len(book.month_peaks) > MONTHS_BILLED + 1:
        del book.month_peaks[min(book.month_peaks)]


def _all_peaks_w(book: WindowBook) -> dict[str, float]:
    """The peak of every month that the book knows."""
    peaks = dict(book.month_peaks)
    for _, demand_w, month, _, _ in book.closed.values():
        peaks[month] = max(peaks.get(month, 0.0), demand_w)
    return peaks


def _closed(meter: MeterState, window_s: int, now_ms: int) -> list[tuple[int, Used]]:
    """The windows that ended by `now_ms` of which anything is known, oldest first."""
    step_ms = window_s * 1000
    starts = {*meter.registers, *meter.demands, *meter.integrals}
    starts.update(window_start_ms(at_ms, window_s) for at_ms, _ in meter.powers)
    if not starts:
        return []
    newest = window_start_ms(now_ms, window_s) - step_ms
    oldest = max(min(starts), newest - (REVISED_WINDOWS - 1) * step_ms)
    windows = []
    for start_ms in range(oldest, newest + 1, step_ms):
        window = used(meter, start_ms, window_s, start_ms + step_ms)
        if window is not None:
            windows.append((start_ms, window))
    return windows


def _month_peak_w(tree: Tree, state: LocationState, node: Node, month: str, before_ms: int) -> float | None:
    """The highest average of the month's windows that start before `before_ms`: ours, or the meter's official one."""
    capacity, meter = _of(node, state)
    window_s = TARIFFS[capacity.tariff].window_s
    timezone = tree.location.timezone
    oldest_revised_ms = window_start_ms(before_ms, window_s) - REVISED_WINDOWS * window_s * 1000
    book = state.books.get(node.group.id)
    peaks = []
    if book is not None:
        peaks += [book.month_peaks[month]] if month in book.month_peaks else []
        peaks += [c[1] for start_ms, c in book.closed.items() if c[2] == month and start_ms < oldest_revised_ms]
    for start_ms, window in _closed(meter, window_s, before_ms):
        if local_month(start_ms, timezone) == month:
            peaks.append(window.wh * 3600 / window_s)
    official = meter.month_peak
    if official is not None and local_month(official[0], timezone) == month:
        peaks.append(official[1])
    return max(peaks, default=None)


def _of(node: Node, state: LocationState) -> tuple[Capacity, MeterState]:
    assert node.group.capacity is not None
    assert node.meter is not None
    return node.group.capacity, state.meters.get(node.meter.id) or MeterState()
