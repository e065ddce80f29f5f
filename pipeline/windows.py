"""The billed window: what may still be drawn in it, and what closed ones add to the bill (design §6.2, §9 Windows).

`allowed = (cap·T − used) / (T − t)`, `cap = max(tariff floor, cap_kw, month peak so far if follow_month_peak)`, where
the peak so far is what a window may reach without costing more (`pipeline.tariffs`). What was used before the first
reading of a window counts at the cap: unknown energy earns nothing. Near the end the allowance explodes; in the last
`reaction_s` it is the smaller of this window's and the next one's, because what is let loose now spills over. It never
lifts another limit: it is one more constraint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from msgspec import structs

from pipeline.finished import REVISED_WINDOWS, windows_between
from pipeline.forecast import has_history
from pipeline.moments import to_moment, to_ms
from pipeline.peaks import Peaks, keep_newest_months, months_w, retire, said_peaks_w, standing
from pipeline.records import ClosedWindow, WindowView
from pipeline.registers import KEPT_WINDOWS, newest_register
from pipeline.state import LocationState, MeterState, WindowBook
from pipeline.tariffs import (
    Tariff,
    cost_eur,
    cost_of_1kw_eur,
    local_day,
    mean_of_months,
    month_of,
    tariff_of,
    window_start_ms,
)
from pipeline.used import TIGHT_MS, WH_PER_WS, Used, used
from topology.location import Capacity
from topology.tree import Node, Tree

WORTH = 0.001
"""So much of the window's energy a raise leaves. More: unused at the end; less: it is soon taken back."""
RAISE = 0.01
"""A raise brings at least this share of it until the end. More: unused there; less: a setpoint every few seconds."""


@dataclass(frozen=True, slots=True)
class RunningWindow:
    """The running window of a group: the view for the decision, and what is not rounded in it."""

    allowed_w: float
    cap_w: float
    start_ms: int
    end_ms: int
    used_wh: float
    month_peak_w: float | None
    threshold_w: float
    cost_of_1kw_eur: float
    worth_w: float
    """What a raise leaves free where the load is known to move: so much power until the end is not worth a setpoint."""
    raise_w: float
    """What a raise brings at least, where the load is known to move: less is not worth a setpoint, either."""
    holds_w: float
    """What this window alone still allows: above it, it ends above its cap."""
    next_cap_w: float | None
    """What the next one allows, so near the end of this one that it counts already."""


def running_window(tree: Tree, state: LocationState, node: Node, now_ms: int) -> RunningWindow:
    """The window that `now_ms` lies in, and the power that it still allows as an average."""
    peaks = _peaks(tree, state, node, now_ms)
    capacity, window_s = peaks.capacity, peaks.tariff.window_s
    start_ms = window_start_ms(now_ms, window_s)
    end_ms = start_ms + window_s * 1000
    now = standing(peaks, start_ms, start_ms)
    cap_w = cap_of(capacity, peaks.tariff, now.threshold_w)
    found = used(peaks.meter, start_ms, window_s, now_ms)
    known_from_ms = now_ms if found is None else min(found.known_from_ms, now_ms)
    used_wh = cap_w * (known_from_ms - start_ms) / 1000 * WH_PER_WS + (found.wh if found else 0.0)
    left_s = (end_ms - now_ms) / 1000
    allowed_w = holds_w = (cap_w * window_s - used_wh * 3600) / left_s
    next_cap_w: float | None = None
    whole_w = lasting_w = 0.0
    if left_s > capacity.reaction_s and has_history(peaks.meter.past, now_ms):
        whole_w, lasting_w = cap_w * window_s / left_s, cap_w * window_s / (left_s - capacity.reaction_s)
    if left_s <= capacity.reaction_s:
        next_cap_w = _next_cap_w(peaks, start_ms, end_ms, used_wh * 3600 / window_s)
        allowed_w = min(holds_w, next_cap_w)
    cost = cost_of_1kw_eur(capacity, now.peak_w or 0.0, now.highest_w)
    return RunningWindow(
        allowed_w,
        cap_w,
        start_ms,
        end_ms,
        used_wh,
        now.peak_w,
        now.threshold_w,
        cost,
        WORTH * whole_w,
        RAISE * lasting_w,
        holds_w,
        next_cap_w,
    )


def cap_of(capacity: Capacity, tariff: Tariff, threshold_w: float) -> float:
    """The largest of the tariff's floor, the user's cap and, if he says so, what costs nothing more this month."""
    wanted_kw = capacity.cap_kw
    if wanted_kw is None:
        wanted_kw = capacity.access_kw if tariff.access else None
    cap_w = max(tariff.floor_w, (wanted_kw or 0.0) * 1000)
    return max(cap_w, threshold_w) if capacity.follow_month_peak else cap_w


def _next_cap_w(peaks: Peaks, start_ms: int, end_ms: int, average_w: float) -> float:
    """The cap of the window after this one; a new month begins without a peak, this window may set a new one."""
    with_this = replace(peaks, fresh_w={**peaks.fresh_w, start_ms: average_w})
    return cap_of(peaks.capacity, peaks.tariff, standing(with_this, end_ms, end_ms).threshold_w)


def view(window: RunningWindow, capacity: Capacity, forecast_w: float) -> WindowView:
    """The window as a decision shows it."""
    return WindowView(
        start=to_moment(window.start_ms),
        used_wh=round(window.used_wh, 3),
        cap_w=round(window.cap_w, 3),
        allowed_w=round(window.allowed_w, 3),
        forecast_w=round(forecast_w, 3),
        month_peak_w=None if window.month_peak_w is None else round(window.month_peak_w, 3),
        cost_of_1kw_eur=round(window.cost_of_1kw_eur, 4),
        threshold_w=round(window.threshold_w, 3),
        end=to_moment(window.end_ms),
    )


def closed_windows(tree: Tree, state: LocationState, node: Node, now_ms: int) -> list[ClosedWindow]:
    """The windows that closed since they were last published, and those that late data changed since."""
    capacity, meter, book = _of(node, state)
    tariff, timezone = tariff_of(capacity), tree.location.timezone
    found = list(_unsettled(meter, book, tariff.window_s, now_ms))
    if all(waits for _, _, waits in found):
        return []
    scratch = _copy(book)  # each is judged by those before it, as if they were in the book already
    peaks = Peaks(capacity, tariff, timezone, meter, scratch, {})
    closed: list[ClosedWindow] = []
    for start_ms, window, waits in found:
        record = _closed(tree, node, peaks, start_ms, window)
        if not waits:
            closed.append(record)
        _enter(scratch, tariff, timezone, record)
    return closed


def _closed(tree: Tree, node: Node, peaks: Peaks, start_ms: int, window: Used) -> ClosedWindow:
    capacity, tariff = peaks.capacity, peaks.tariff
    end_ms = start_ms + tariff.window_s * 1000
    month = month_of(local_day(start_ms, peaks.timezone))
    demand_w = window.wh * 3600 / tariff.window_s
    with_this = replace(peaks, fresh_w={start_ms: demand_w})
    earlier, after = standing(peaks, start_ms, start_ms), standing(with_this, start_ms, end_ms)
    peak_w = after.peak_w or 0.0
    mean_w = None
    if tariff.statistic == "max" and tariff.period == "month":
        mean_w = mean_of_months({**months_w(with_this, end_ms), month: peak_w}, month, tariff.floor_w)
    before = peaks.book.closed.get(start_ms)
    return ClosedWindow(
        location=tree.location.location,
        group=node.group.id,
        start=to_moment(start_ms),
        end=to_moment(end_ms),
        import_wh=round(window.wh, 3),
        demand_w=round(demand_w, 3),
        source=window.source,  # type: ignore[arg-type]
        complete=window.complete,
        revision=0 if before is None else before[4] + 1,
        cap_w=round(cap_of(capacity, tariff, earlier.threshold_w), 3),
        month=month,
        month_peak_w=round(peak_w, 3),
        mean12_w=None if mean_w is None else round(mean_w, 3),
        cost_eur=round(cost_eur(capacity, peak_w, after.highest_w), 4),
        threshold_w=round(after.threshold_w, 3),
    )


def _unsettled(meter: MeterState, book: WindowBook, window_s: int, now_ms: int) -> Iterator[tuple[int, Used, bool]]:
    """The windows that closed or changed since the last written decision, and whether they still wait for the reading
    after their end. Nothing is worked out anew as long as no reading says anything of a window that closed."""
    step_ms = window_s * 1000
    end_ms = window_start_ms(now_ms, window_s)
    changed = book.changes != meter.changes
    if book.window_s not in (0, window_s) or not (changed or book.settled_ms < end_ms):
        return
    for start_ms in _candidates(meter, book, window_s, end_ms, changed):
        if start_ms in meter.finished:
            yield start_ms, _finished(meter, start_ms), False
            continue
        before = book.closed.get(start_ms)
        window = used(meter, start_ms, window_s, start_ms + step_ms)
        if window is None or window.known_from_ms >= start_ms + step_ms:
            continue
        if before is None or abs(before[0] - window.wh) >= 0.001 or before[3] != window.complete:
            waits = not window.complete and now_ms < start_ms + step_ms + TIGHT_MS
            yield start_ms, window, waits and not _ended(meter, window.source, start_ms + step_ms)


def _candidates(meter: MeterState, book: WindowBook, window_s: int, end_ms: int, changed: bool) -> list[int]:
    """The starts of windows that may have to be published, oldest first."""
    first_ms = max(book.from_ms, book.settled_ms)
    starts = {start_ms for start_ms in meter.finished if first_ms <= start_ms < end_ms}
    starts.update(windows_between(meter, window_s, max(first_ms, meter.finished_ms), end_ms))
    if changed:
        oldest_ms = end_ms - REVISED_WINDOWS * window_s * 1000
        starts.update(range(max(oldest_ms, book.from_ms, 0), end_ms, window_s * 1000))
    return sorted(starts)


def _finished(meter: MeterState, start_ms: int) -> Used:
    wh, source, complete = meter.finished[start_ms]
    return Used(wh, start_ms, source, complete)


def _ended(meter: MeterState, source: str, end_ms: int) -> bool:
    """Whether the reading after a window's end is there: what the window lacks, it lacks at its beginning."""
    if source == "register":
        newest = newest_register(meter)
        return newest is not None and newest[0] >= end_ms
    return source == "integrated" and bool(meter.powers) and meter.powers[-1][0] >= end_ms


def note_windows(tree: Tree, state: LocationState, windows: Iterable[ClosedWindow], now_ms: int) -> None:
    """The decision was written: remember what was published, and up to where nothing is left to publish."""
    for node in tree.nodes:
        if node.group.capacity is not None:
            state.books.setdefault(node.group.id, WindowBook())
            _note_group(tree, state, node, [w for w in windows if w.group == node.group.id], now_ms)


def _note_group(tree: Tree, state: LocationState, node: Node, windows: list[ClosedWindow], now_ms: int) -> None:
    capacity, meter, book = _of(node, state)
    tariff, timezone = tariff_of(capacity), tree.location.timezone
    waiting = [start_ms for start_ms, _, waits in _unsettled(meter, book, tariff.window_s, now_ms) if waits]
    book.settled_ms = min(waiting, default=window_start_ms(now_ms, tariff.window_s))
    if book.window_s not in (0, tariff.window_s):
        for start_ms in sorted(book.closed):
            retire(book, tariff, timezone, start_ms)
        book.from_ms = window_start_ms(now_ms, tariff.window_s)
    book.window_s, book.changes = tariff.window_s, meter.changes
    for window in windows:
        _enter(book, tariff, timezone, window)
    meter.finished = {start_ms: w for start_ms, w in meter.finished.items() if start_ms >= book.settled_ms}
    meter.finished_ms = book.settled_ms
    book.officials |= said_peaks_w(meter, timezone)
    keep_newest_months(book.officials)


def _enter(book: WindowBook, tariff: Tariff, timezone: str, window: ClosedWindow) -> None:
    fields = (window.import_wh, window.demand_w, window.month, window.complete, window.revision)
    book.closed[to_ms(window.start)] = fields
    while len(book.closed) > KEPT_WINDOWS:
        retire(book, tariff, timezone, min(book.closed))


def _copy(book: WindowBook) -> WindowBook:
    return structs.replace(
        book,
        closed=dict(book.closed),
        month_peaks=dict(book.month_peaks),
        days=dict(book.days),
        officials=dict(book.officials),
    )


def _peaks(tree: Tree, state: LocationState, node: Node, now_ms: int) -> Peaks:
    capacity, meter, book = _of(node, state)
    tariff = tariff_of(capacity)
    unsettled = _unsettled(meter, book, tariff.window_s, now_ms)
    fresh_w = {start_ms: w.wh * 3600 / tariff.window_s for start_ms, w, _ in unsettled}
    return Peaks(capacity, tariff, tree.location.timezone, meter, book, fresh_w)


def _of(node: Node, state: LocationState) -> tuple[Capacity, MeterState, WindowBook]:
    assert node.group.capacity is not None
    assert node.meter is not None
    meter = state.meters.get(node.meter.id) or MeterState()
    return node.group.capacity, meter, state.books.get(node.group.id) or WindowBook()
