"""The energy imported in a billed window, exact whatever is lost, late, doubled or reordered (design §6.2, §9 Windows).

Three sources, the best that there is: differences of the import register (interpolated at the window's start), the
meter's own running average (P1 1-0:1.4.0: energy so far ÷ 15 min), or our integral of max(0, power summed over the
phases); the meter nets the phases, and export never pays back import. What was used before the first reading of a
window, where no register tells, is not known; `used` says since when it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.records import MeterReading
from pipeline.state import MeterPoint, MeterState
from pipeline.tariffs import TARIFFS, window_start_ms
from topology.location import Capacity

KEPT_WINDOWS = 16
"""Windows per meter that late readings can still correct (four hours of quarters). Fewer: a gateway that was away
for longer and sends in disorder is not heard; more: the state grows by 100 bytes for each."""
LATE_MS = 30_000
"""Without a register, readings up to this late still count (design §9). More would delay the running integral."""
TIGHT_MS = 60_000
"""Readings around a boundary further apart than this leave open in which window the energy was used: not complete."""
QUARTER_S = 900
"""The window of the P1 port's running average."""

WH_PER_WS = 1 / 3600


@dataclass(frozen=True, slots=True)
class Used:
    """Import energy of a window up to a moment, and since when it is known (the window's start, if all of it is)."""

    wh: float
    known_from_ms: int
    source: str
    complete: bool


def note_energy(meter: MeterState, capacity: Capacity | None, record: MeterReading, point: MeterPoint) -> None:
    """Fold what a reading says about energy; also late, also out of order."""
    assert capacity is not None
    window_s = TARIFFS[capacity.tariff].window_s
    start_ms = window_start_ms(point.at_ms, window_s)
    if record.import_wh is not None:
        _note_register(meter, start_ms, point.at_ms, record.import_wh)
    if record.demand_w is not None and window_s == QUARTER_S:
        known = meter.demands.get(start_ms)
        if known is None or point.at_ms > known[0]:
            meter.demands[start_ms] = (point.at_ms, record.demand_w)
            _keep_newest(meter.demands)
    if record.month_peak_w is not None and (meter.month_peak is None or point.at_ms > meter.month_peak[0]):
        meter.month_peak = (point.at_ms, record.month_peak_w)
    _note_power(meter, window_s, point)


def _keep_newest(windows: dict[int, Any]) -> None:
    while len(windows) > KEPT_WINDOWS:
        del windows[min(windows)]


def _note_register(meter: MeterState, start_ms: int, at_ms: int, wh: float) -> None:
    known = meter.registers.get(start_ms)
    if known is None:
        meter.registers[start_ms] = (at_ms, wh, at_ms, wh)
        _keep_newest(meter.registers)
        return
    first_ms, first_wh, last_ms, last_wh = known
    if at_ms < first_ms:
        first_ms, first_wh = at_ms, wh
    if at_ms > last_ms:
        last_ms, last_wh = at_ms, wh
    meter.registers[start_ms] = (first_ms, first_wh, last_ms, last_wh)


def _note_power(meter: MeterState, window_s: int, point: MeterPoint) -> None:
    """Keep import powers for `LATE_MS`, then integrate them: each holds until the next one."""
    sample = (point.at_ms, max(0, round(point.power_w * 1000)))
    powers = meter.powers
    if powers and sample[0] < powers[0][0]:
        return  # later than LATE_MS: what it could say is integrated already
    if any(at_ms == sample[0] for at_ms, _ in powers[-4:]) or sample in powers:
        return
    powers.append(sample)
    if len(powers) > 1 and powers[-2][0] > sample[0]:
        powers.sort()
    while len(powers) > 1 and powers[1][0] <= powers[-1][0] - LATE_MS:
        _integrate(meter, window_s, powers[0], powers[1][0])
        del powers[0]


def _integrate(meter: MeterState, window_s: int, sample: tuple[int, int], until_ms: int) -> None:
    at_ms, milliwatts = sample
    at_ms = max(at_ms, until_ms - KEPT_WINDOWS * window_s * 1000)  # a gap of a year must not be walked through
    while at_ms < until_ms:
        start_ms = window_start_ms(at_ms, window_s)
        end_ms = min(until_ms, start_ms + window_s * 1000)
        since_ms, total = meter.integrals.get(start_ms, (at_ms, 0))
        meter.integrals[start_ms] = (min(since_ms, at_ms), total + milliwatts * (end_ms - at_ms))
        at_ms = end_ms
    _keep_newest(meter.integrals)


def used(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    """The import of the window that starts at `start_ms`, up to `until_ms`. None when nothing tells anything of it."""
    found = _from_registers(meter, start_ms, window_s, until_ms)
    if found is None:
        found = _from_demand(meter, start_ms, window_s, until_ms)
    return found if found is not None else _from_powers(meter, start_ms, window_s, until_ms)


def _since(meter: MeterState, from_ms: int, until_ms: int) -> float:
    """What is put down to the time since the newest reading: the last power goes on (Wh)."""
    if meter.newest is None or until_ms <= from_ms:
        return 0.0
    return max(0.0, meter.newest.power_w) * (until_ms - from_ms) / 1000 * WH_PER_WS


def _register_at(meter: MeterState, at_ms: int) -> tuple[float, int] | None:
    """The register at a moment between two readings, and how far they are apart (ms). None when it lies outside."""
    before: tuple[int, float] | None = None
    after: tuple[int, float] | None = None
    for first_ms, first_wh, last_ms, last_wh in meter.registers.values():
        for reading_ms, wh in ((first_ms, first_wh), (last_ms, last_wh)):
            if reading_ms <= at_ms and (before is None or reading_ms > before[0]):
                before = (reading_ms, wh)
            if reading_ms >= at_ms and (after is None or reading_ms < after[0]):
                after = (reading_ms, wh)
    if before is None or after is None:
        return None
    apart_ms = after[0] - before[0]
    share = (at_ms - before[0]) / apart_ms if apart_ms else 0.0
    return before[1] + share * (after[1] - before[1]), apart_ms


def _from_registers(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    end_ms = start_ms + window_s * 1000
    if not any(start_ms <= last_ms for _, _, last_ms, _ in meter.registers.values()):
        return None
    at_start = _register_at(meter, start_ms)
    known_from_ms = start_ms
    if at_start is None:
        first = min(r[0] for r in meter.registers.values())
        if first >= end_ms:
            return None
        known_from_ms, at_start = first, _register_at(meter, first)
        assert at_start is not None
    to_ms = min(until_ms, end_ms)
    at_end = _register_at(meter, to_ms)
    if at_end is not None:
        complete = known_from_ms == start_ms and at_start[1] <= TIGHT_MS and at_end[1] <= TIGHT_MS
        return Used(max(0.0, at_end[0] - at_start[0]), known_from_ms, "register", complete)
    last_ms, last_wh = max((r[2], r[3]) for r in meter.registers.values())
    wh = max(0.0, last_wh - at_start[0]) + _since(meter, last_ms, to_ms)
    return Used(wh, known_from_ms, "register", complete=False)


def _from_demand(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    known = meter.demands.get(start_ms)
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
    known_from_ms, total = meter.integrals.get(start_ms, (None, 0))
    widest_ms = 0
    for i, (at_ms, milliwatts) in enumerate(meter.powers):
        next_ms = meter.powers[i + 1][0] if i + 1 < len(meter.powers) else until_ms
        from_ms, to_ms = max(at_ms, start_ms), min(next_ms, end_ms)
        if to_ms > from_ms or from_ms == at_ms == end_ms:
            known_from_ms = from_ms if known_from_ms is None else min(known_from_ms, from_ms)
            total += milliwatts * max(0, to_ms - from_ms)
            widest_ms = max(widest_ms, next_ms - at_ms)
    if known_from_ms is None:
        return None
    complete = known_from_ms == start_ms and widest_ms <= TIGHT_MS
    return Used(total / 1_000_000 * WH_PER_WS, known_from_ms, "integrated", complete)
