"""Folding what meter readings say about energy: what is kept for the billed windows, whatever is lost, late, doubled or
reordered (design §6.2, §9 Windows). What was used in a window is read from it by `pipeline.used`.

The meter nets the phases, and export never pays back import. A run of readings gives the same as one by one: it is
split where a window begins, since what its readings push out of memory is put away before (`pipeline.finished`), and
at a late reading.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pipeline.finished import finish
from pipeline.records import MeterReading
from pipeline.registers import KEPT_WINDOWS, Counted, keep, newest_register, note_registers
from pipeline.state import MeterPoint, MeterState
from pipeline.tariffs import local_day, month_of, tariff_of, window_start_ms
from pipeline.used import HELD_MS, QUARTER_S, TIGHT_MS, register_tells
from topology.location import Capacity

LATE_MS = 30_000
"""Without a register, readings up to this late still count (design §9). More would delay the running integral."""
SKEW_S = 10
"""How far the meter's clock may be behind. Less: the end of a quarter is taken for the beginning of the next, and the
cars stop for a moment; more: nothing, but that nobody looks."""


def note_energy(
    meter: MeterState,
    capacity: Capacity,
    timezone: str,
    most_w: float,
    readings: Sequence[MeterReading],
    points: Sequence[MeterPoint],
) -> None:
    """Fold what readings say about energy; also late, also out of order. `most_w`: what can be drawn there; `points`:
    the same readings."""
    window_s = tariff_of(capacity).window_s
    if meter.slot_s != window_s:
        _keep_by(meter, window_s)
    registers: list[Counted] = []
    folded = 0
    newest_ms = meter.powers[-1][0] if meter.powers else -1
    for here, (reading, point) in enumerate(zip(readings, points, strict=True)):
        at_ms = point.at_ms
        start_ms = window_start_ms(at_ms, window_s)
        if at_ms <= newest_ms or start_ms > newest_ms:
            meter.changes += 1
            if newest_ms >= 0:
                _note_all(meter, window_s, most_w, registers, points[folded:here])
                registers, folded = [], here
            if start_ms > newest_ms >= 0:
                finish(meter, window_s, timezone, newest_ms, start_ms)
        newest_ms = max(newest_ms, at_ms)
        if reading.import_wh is not None:
            registers.append((at_ms, reading.import_wh))
        if reading.demand_w is not None and window_s == QUARTER_S:
            _note_demand(meter, start_ms, point, reading.demand_w)
        if reading.month_peak_w is not None:
            _note_month_peak(meter, timezone, start_ms, (at_ms, reading.month_peak_w))
    _note_all(meter, window_s, most_w, registers, points[folded:] if folded else points)
    if meter.marks:
        _forget_marks(meter)


def _note_all(
    meter: MeterState, window_s: int, most_w: float, registers: list[Counted], points: Sequence[MeterPoint]
) -> None:
    if points:
        note_registers(meter, window_s, most_w, registers)
        _note_powers(meter, window_s, points)


def _keep_by(meter: MeterState, window_s: int) -> None:
    """The tariff has other windows from now on: what was kept by the old ones is kept by the new ones."""
    old_s, meter.slot_s = meter.slot_s, window_s
    if old_s == 0:
        return
    registers, meter.registers = meter.registers, {}
    for _, (first_ms, first_wh, last_ms, last_wh) in sorted(registers.items()):
        keep(meter, window_s, first_ms, first_wh)
        keep(meter, window_s, last_ms, last_wh)
    integrals, meter.integrals = meter.integrals, {}
    meter.demands.clear()
    meter.marks.clear()
    meter.finished.clear()  # a window of another length is not published any more
    meter.breaks = sorted({window_start_ms(start_ms, window_s) for start_ms in meter.breaks})
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
    stamps its readings: more than could be used since the boundary, and not less than the last one of the quarter
    before, is the end of that (with none of it known only at the boundary itself); one that falls is believed in the
    first half of a quarter only, in the second it is the beginning of the next one."""
    since_s = (point.at_ms - start_ms) / 1000
    if since_s <= SKEW_S and demand_w * QUARTER_S > 2 * max(0.0, point.power_w) * since_s + QUARTER_S:
        ending = meter.demands.get(start_ms - QUARTER_S * 1000)
        if since_s == 0 if ending is None else ending[1] <= demand_w:
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


def _note_month_peak(meter: MeterState, timezone: str, start_ms: int, said: tuple[int, float]) -> None:
    """The newest counts, and the last word of the month before, which may come late, or with nobody deciding since."""
    newest, before = meter.month_peak, meter.month_peak_before
    if newest is None or start_ms <= newest[0] < said[0]:
        meter.month_peak = said
        return
    older, newer = sorted((newest, said))
    meter.month_peak = newer
    if before is not None and older[0] <= before[0]:
        return
    if month_of(local_day(older[0], timezone)) < month_of(local_day(newer[0], timezone)):
        meter.month_peak_before = older


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
            _note_late(meter, sample)
    _integrate_settled(meter, window_s)


def _note_late(meter: MeterState, sample: tuple[int, int]) -> None:
    powers = meter.powers
    if sample[0] < powers[0][0] and (meter.integrals or sample[0] < powers[-1][0] - LATE_MS):
        return  # what it could say is integrated already
    if all(at_ms != sample[0] for at_ms, _ in powers):
        insort(powers, sample)


def _integrate_settled(meter: MeterState, window_s: int) -> None:
    """Integrate what nothing can come before any more. Most powers lie in the window of the one before."""
    powers = meter.powers
    settled_ms = powers[-1][0] - LATE_MS
    wanted = _to_mark(meter, settled_ms) if settled_ms >= powers[0][0] else ()
    settled = start_ms = end_ms = total = 0
    for (at_ms, milliwatts), (until_ms, _) in pairwise(powers):
        if until_ms > settled_ms:
            break
        settled += 1
        if start_ms <= at_ms and until_ms <= end_ms and until_ms - at_ms <= TIGHT_MS and until_ms not in wanted:
            total += milliwatts * (until_ms - at_ms)
            continue
        _add(meter.integrals, start_ms, total)
        _integrate(meter, window_s, (at_ms, milliwatts), until_ms)
        if until_ms in wanted:
            marked_ms = window_start_ms(until_ms, window_s)
            meter.marks[until_ms] = marked_ms, meter.integrals.get(marked_ms, (until_ms, 0))[1]
        start_ms, total = window_start_ms(until_ms - 1, window_s), 0
        end_ms = start_ms + window_s * 1000 if start_ms in meter.integrals else 0
    _add(meter.integrals, start_ms, total)
    del powers[:settled]


def _to_mark(meter: MeterState, settled_ms: int) -> Sequence[int]:
    """The newest readings of energy, where powers went on without one: what is integrated up to there is kept."""
    first_ms = meter.powers[0][0]
    register = newest_register(meter)
    moments = [register[0]] if register is not None and first_ms < register[0] <= settled_ms else []
    for start_ms, (at_ms, _) in meter.demands.items():
        if first_ms < at_ms <= settled_ms and not register_tells(meter, start_ms):
            moments.append(at_ms)
    return moments


def _forget_marks(meter: MeterState) -> None:
    """Those after which a newer reading says what was used."""
    register = newest_register(meter)
    register_ms = -1 if register is None else register[0]
    for at_ms, (start_ms, _) in list(meter.marks.items()):
        demand = meter.demands.get(start_ms)
        averaged = demand is not None and demand[0] == at_ms and not register_tells(meter, start_ms)
        if at_ms != register_ms and not averaged:
            del meter.marks[at_ms]


def _add(integrals: dict[int, tuple[int, int]], start_ms: int, total: int) -> None:
    if total:
        since_ms, known = integrals[start_ms]
        integrals[start_ms] = (since_ms, known + total)


def _integrate(meter: MeterState, window_s: int, sample: tuple[int, int], until_ms: int) -> None:
    at_ms, milliwatts = sample
    gap = until_ms - at_ms > TIGHT_MS
    if until_ms - at_ms > HELD_MS:  # what was drawn in the windows that begin in it is not known
        until_ms = min(until_ms, window_start_ms(at_ms, window_s) + window_s * 1000)
    while at_ms < until_ms:
        start_ms = window_start_ms(at_ms, window_s)
        end_ms = min(until_ms, start_ms + window_s * 1000)
        since_ms, total = meter.integrals.get(start_ms, (at_ms, 0))
        meter.integrals[start_ms] = (min(since_ms, at_ms), total + milliwatts * (end_ms - at_ms))
        if gap and start_ms not in meter.gaps:
            meter.gaps = [*meter.gaps, start_ms][-KEPT_WINDOWS:]
        at_ms = end_ms
    _keep_newest(meter.integrals)
