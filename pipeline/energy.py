"""The energy imported in a billed window, exact whatever is lost, late, doubled or reordered (design §6.2, §9 Windows).

Three sources, the best that there is: differences of the import register (interpolated at the window's start), the
meter's own running average (P1 1-0:1.4.0: energy so far ÷ 15 min), or our integral of max(0, power summed over the
phases); the meter nets the phases, and export never pays back import. A source that knows the whole window goes before
one that begins later. What was used before the first reading of a window, where nothing tells, is not known; `used`
says since when it is.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.records import MeterReading
from pipeline.registers import (
    KEPT_WINDOWS,
    Counted,
    newest_register,
    note_register,
    note_registers,
    oldest_register,
    register_at,
)
from pipeline.state import MeterPoint, MeterState
from pipeline.tariffs import tariff_of, window_start_ms
from topology.location import Capacity

LATE_MS = 30_000
"""Without a register, readings up to this late still count (design §9). More would delay the running integral."""
TIGHT_MS = 60_000
"""Readings around a boundary further apart than this leave open in which window the energy was used: not complete."""
QUARTER_S = 900
"""The window of the P1 port's running average."""
SKEW_S = 10
"""How far the meter's clock may be behind. Less: the end of a quarter is taken for the beginning of the next, and the
cars stop for a moment; more: nothing, but that nobody looks."""

WH_PER_WS = 1 / 3600


@dataclass(frozen=True, slots=True)
class Used:
    """Import energy of a window up to a moment, and since when it is known (the window's start, if all of it is)."""

    wh: float
    known_from_ms: int
    source: str
    complete: bool


def note_energy(
    meter: MeterState, capacity: Capacity, readings: Sequence[MeterReading], points: Sequence[MeterPoint]
) -> None:
    """Fold what readings say about energy; also late, also out of order. `points`: the same readings."""
    window_s = tariff_of(capacity).window_s
    if meter.slot_s != window_s:
        _keep_by(meter, window_s)
    registers: list[Counted] = []
    newest_ms = meter.powers[-1][0] if meter.powers else -1
    for reading, point in zip(readings, points, strict=True):
        at_ms = point.at_ms
        start_ms = window_start_ms(at_ms, window_s)
        if at_ms <= newest_ms or start_ms > newest_ms:
            meter.changes += 1
        newest_ms = max(newest_ms, at_ms)
        if reading.import_wh is not None:
            registers.append((at_ms, reading.import_wh))
        if reading.demand_w is not None and window_s == QUARTER_S:
            _note_demand(meter, start_ms, point, reading.demand_w)
        if reading.month_peak_w is not None and (meter.month_peak is None or at_ms > meter.month_peak[0]):
            meter.month_peak = (at_ms, reading.month_peak_w)
    note_registers(meter, window_s, registers)
    _note_powers(meter, window_s, points)


def _keep_by(meter: MeterState, window_s: int) -> None:
    """The tariff has other windows from now on: what was kept by the old ones is kept by the new ones."""
    old_s, meter.slot_s = meter.slot_s, window_s
    if old_s == 0:
        return
    registers, meter.registers = meter.registers, {}
    for _, (first_ms, first_wh, last_ms, last_wh) in sorted(registers.items()):
        note_register(meter, window_s, first_ms, first_wh)
        note_register(meter, window_s, last_ms, last_wh)
    integrals, meter.integrals = meter.integrals, {}
    meter.demands.clear()
    if window_s % old_s:
        return  # an hour does not tell how much of it was used in its quarters
    meter.gaps = sorted({window_start_ms(start_ms, window_s) for start_ms in meter.gaps})
    for slot_ms, (since_ms, total) in integrals.items():
        start_ms = window_start_ms(slot_ms, window_s)
        known_since_ms, known = meter.integrals.get(start_ms, (since_ms, 0))
        meter.integrals[start_ms] = (min(known_since_ms, since_ms), known + total)


def _keep_newest(windows: dict[int, Any]) -> None:
    while len(windows) > KEPT_WINDOWS:
        del windows[min(windows)]


def _note_demand(meter: MeterState, start_ms: int, point: MeterPoint, demand_w: float) -> None:
    """The running average begins at 0 and only grows within a quarter. The meter's clock need not be quite the one that
    stamps its readings: more than could be used since the boundary is the end of the quarter before; one that falls is
    believed in the first half of a quarter only, in the second it is the beginning of the next one."""
    since_s = (point.at_ms - start_ms) / 1000
    if since_s <= SKEW_S and demand_w * QUARTER_S > 2 * max(0.0, point.power_w) * since_s + QUARTER_S:
        start_ms -= QUARTER_S * 1000
    known = meter.demands.get(start_ms)
    half_ms = start_ms + QUARTER_S * 500
    if known is not None:
        older, newer = sorted(((point.at_ms, demand_w), known))
        newest = newer if newer[0] < half_ms or newer[1] >= older[1] else older
        if newest == known:
            return
    meter.demands[start_ms] = (point.at_ms, demand_w)
    _keep_newest(meter.demands)


def _note_powers(meter: MeterState, window_s: int, points: Sequence[MeterPoint]) -> None:
    """Keep import powers for `LATE_MS`, then integrate them: each holds until the next one."""
    powers = meter.powers
    newest_ms = powers[-1][0] if powers else -1
    for point in points:
        at_ms, power_w = point.at_ms, point.power_w
        sample = (at_ms, round(power_w * 1000) if power_w > 0 else 0)
        if at_ms > newest_ms:
            newest_ms = at_ms
            powers.append(sample)
        else:
            _integrate_settled(meter, window_s)
            _note_late(powers, sample)
    _integrate_settled(meter, window_s)


def _note_late(powers: list[tuple[int, int]], sample: tuple[int, int]) -> None:
    if sample[0] < powers[0][0]:
        return  # later than LATE_MS: what it could say is integrated already
    if all(at_ms != sample[0] for at_ms, _ in powers):
        insort(powers, sample)


def _integrate_settled(meter: MeterState, window_s: int) -> None:
    """Integrate what nothing can come before any more. Most powers lie in the window of the one before."""
    powers = meter.powers
    settled_ms = powers[-1][0] - LATE_MS
    settled = start_ms = end_ms = total = 0
    for (at_ms, milliwatts), (until_ms, _) in pairwise(powers):
        if until_ms > settled_ms:
            break
        settled += 1
        if start_ms <= at_ms and until_ms <= end_ms and until_ms - at_ms <= TIGHT_MS:
            total += milliwatts * (until_ms - at_ms)
            continue
        _add(meter.integrals, start_ms, total)
        _integrate(meter, window_s, (at_ms, milliwatts), until_ms)
        start_ms = window_start_ms(until_ms - 1, window_s)
        end_ms, total = start_ms + window_s * 1000, 0
    _add(meter.integrals, start_ms, total)
    del powers[:settled]


def _add(integrals: dict[int, tuple[int, int]], start_ms: int, total: int) -> None:
    if total:
        since_ms, known = integrals[start_ms]
        integrals[start_ms] = (since_ms, known + total)


def _integrate(meter: MeterState, window_s: int, sample: tuple[int, int], until_ms: int) -> None:
    at_ms, milliwatts = sample
    gap = until_ms - at_ms > TIGHT_MS
    at_ms = max(at_ms, until_ms - KEPT_WINDOWS * window_s * 1000)  # a gap of a year must not be walked through
    while at_ms < until_ms:
        start_ms = window_start_ms(at_ms, window_s)
        end_ms = min(until_ms, start_ms + window_s * 1000)
        since_ms, total = meter.integrals.get(start_ms, (at_ms, 0))
        meter.integrals[start_ms] = (min(since_ms, at_ms), total + milliwatts * (end_ms - at_ms))
        if gap and start_ms not in meter.gaps:
            meter.gaps = [*meter.gaps, start_ms][-KEPT_WINDOWS:]
        at_ms = end_ms
    _keep_newest(meter.integrals)


def used(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    """The import of the window that starts at `start_ms`, up to `until_ms`. None when nothing tells anything of it."""
    best: Used | None = None
    for source in (_from_registers, _from_demand, _from_powers):
        found = source(meter, start_ms, window_s, until_ms)
        if found is not None and (best is None or found.known_from_ms < best.known_from_ms):
            best = found
            if found.known_from_ms <= start_ms:
                break
    return best


def _since(meter: MeterState, from_ms: int, until_ms: int) -> float:
    """What is put down to the time since the newest reading: the last power goes on (Wh)."""
    if meter.newest is None or until_ms <= from_ms:
        return 0.0
    return max(0.0, meter.newest.power_w) * (until_ms - from_ms) / 1000 * WH_PER_WS


def _from_registers(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    newest, oldest = newest_register(meter), oldest_register(meter)
    if newest is None or oldest is None or newest[0] < start_ms:
        return None
    end_ms = start_ms + window_s * 1000
    at_start = register_at(meter, start_ms)
    known_from_ms = start_ms
    if at_start is None:
        if oldest[0] >= end_ms:
            return None
        known_from_ms, at_start = oldest[0], (oldest[1], 0)
    to_ms = min(until_ms, end_ms)
    if to_ms <= newest[0]:
        at_end = register_at(meter, max(to_ms, known_from_ms))
        assert at_end is not None
        complete = known_from_ms == start_ms and at_start[1] <= TIGHT_MS and at_end[1] <= TIGHT_MS
        return Used(max(0.0, at_end[0] - at_start[0]), known_from_ms, "register", complete)
    wh = max(0.0, newest[1] - at_start[0]) + _since(meter, newest[0], to_ms)
    return Used(wh, known_from_ms, "register", complete=False)


def _from_demand(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    known = meter.demands.get(start_ms) if window_s == QUARTER_S else None
    if known is None:
        return None
    at_ms, demand_w = known
    end_ms = start_ms + window_s * 1000
    wh = demand_w * window_s * WH_PER_WS
    return Used(
        wh + _since(meter, at_ms, min(until_ms, end_ms)), start_ms, "demand", complete=end_ms - at_ms <= TIGHT_MS
    )


def _from_powers(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    end_ms = min(until_ms, start_ms + window_s * 1000)
    known_from_ms, total = _integral(meter, start_ms, window_s)
    widest_ms = TIGHT_MS + 1 if start_ms in meter.gaps else 0
    powers = meter.powers if meter.powers and meter.powers[0][0] <= end_ms else []
    for i, (at_ms, milliwatts) in enumerate(powers):
        next_ms = powers[i + 1][0] if i + 1 < len(powers) else until_ms
        from_ms, to_ms = max(at_ms, start_ms), min(next_ms, end_ms)
        if to_ms > from_ms or from_ms == at_ms == end_ms:
            known_from_ms = from_ms if known_from_ms is None else min(known_from_ms, from_ms)
            total += milliwatts * max(0, to_ms - from_ms)
            widest_ms = max(widest_ms, next_ms - at_ms)
    if known_from_ms is None:
        return None
    complete = known_from_ms == start_ms and widest_ms <= TIGHT_MS
    return Used(total / 1_000_000 * WH_PER_WS, known_from_ms, "integrated", complete)


def _integral(meter: MeterState, start_ms: int, window_s: int) -> tuple[int | None, int]:
    """Since when, and how much is integrated already. Windows of a new length hold whole ones of the old length."""
    if meter.slot_s in (0, window_s):
        return meter.integrals.get(start_ms, (None, 0))
    slot_ms, end_ms = meter.slot_s * 1000, start_ms + window_s * 1000
    inside = [v for slot, v in meter.integrals.items() if start_ms <= slot and slot + slot_ms <= end_ms]
    return min((since_ms for since_ms, _ in inside), default=None), sum(total for _, total in inside)
