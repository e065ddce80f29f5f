"""What was imported in a billed window, from the best source that tells (design §6.2, §9 Windows).

Three sources: differences of the import register (interpolated at the window's start), the meter's own running average
(P1 1-0:1.4.0: energy so far ÷ 15 min), or our integral of max(0, power summed over the phases). A source that knows the
whole window goes before one that begins later. What was used before the first reading of a window, where nothing
tells, is not known; `used` says since when it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.registers import newest_register, oldest_register, register_at
from pipeline.state import MeterState

TIGHT_MS = 60_000
"""Readings around a boundary further apart than this leave open in which window the energy was used: not complete."""
HELD_MS = 2 * TIGHT_MS
"""How long a power may be put down to windows that began after it. Longer, and it is not known what they used; shorter:
the windows of a meter that speaks once a minute begin unknown."""
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


def used(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    """The import of the window that starts at `start_ms`, up to `until_ms`. None when nothing tells anything of it."""
    if start_ms in meter.breaks:
        return _around_a_break(meter, start_ms, window_s, until_ms)
    best: Used | None = None
    for source in (_from_registers, _from_demand, _from_powers):
        found = source(meter, start_ms, window_s, until_ms)
        if found is not None and (best is None or found.known_from_ms < best.known_from_ms):
            best = found
            if found.known_from_ms <= start_ms:
                break
    return best


def _around_a_break(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    """In a window in which the meter was replaced: a complete integral, else the register or the running average, of
    which each may have missed something."""
    integral = _from_powers(meter, start_ms, window_s, until_ms)
    if integral is not None and integral.complete:
        return integral
    register = _from_registers(meter, start_ms, window_s, until_ms)
    demand = _from_demand(meter, start_ms, window_s, until_ms)
    counted = [replace(found, complete=False) for found in (register, demand) if found is not None]
    found = [*counted, integral] if integral is not None and not counted else counted
    return min(found, key=lambda f: (f.known_from_ms, -f.wh), default=None)


def _since(meter: MeterState, start_ms: int, window_s: int, from_ms: int, to_ms: int) -> float:
    """What was used in a window since the newest reading of its energy (Wh): by the powers since then."""
    if not meter.powers or to_ms <= from_ms:
        return 0.0
    more = _of_powers(meter, from_ms, to_ms, to_ms)[1]
    known_from_ms, settled = _integral(meter, start_ms, window_s)
    settled_ms = min(meter.powers[0][0], to_ms)
    total: float = more
    if from_ms < settled_ms:
        if known_from_ms is None or from_ms <= known_from_ms:
            total += settled
        elif from_ms in meter.marks:
            total += settled - meter.marks[from_ms][1]
        else:  # it came too late for its power: the mean of the window
            total += settled * (settled_ms - from_ms) / (settled_ms - known_from_ms)
    return total / 1_000_000 * WH_PER_WS


def register_tells(meter: MeterState, start_ms: int) -> bool:
    """Whether the register tells all of a window, so that its running average does not count (without a break)."""
    return register_at(meter, start_ms) is not None


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
    wh = max(0.0, newest[1] - at_start[0]) + _since(meter, start_ms, window_s, newest[0], to_ms)
    return Used(wh, known_from_ms, "register", complete=False)


def _from_demand(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    known = meter.demands.get(start_ms) if window_s == QUARTER_S else None
    if known is None:
        return None
    at_ms, demand_w = known
    end_ms = start_ms + window_s * 1000
    wh = demand_w * window_s * WH_PER_WS
    return Used(
        wh + _since(meter, start_ms, window_s, at_ms, min(until_ms, end_ms)),
        start_ms,
        "demand",
        complete=end_ms - at_ms <= TIGHT_MS,
    )


def _from_powers(meter: MeterState, start_ms: int, window_s: int, until_ms: int) -> Used | None:
    end_ms = min(until_ms, start_ms + window_s * 1000)
    known_from_ms, total = _integral(meter, start_ms, window_s)
    from_ms, more, widest_ms = _of_powers(meter, start_ms, end_ms, until_ms)
    if from_ms is not None:
        known_from_ms = from_ms if known_from_ms is None else min(known_from_ms, from_ms)
    if known_from_ms is None:
        return None
    complete = known_from_ms == start_ms and widest_ms <= TIGHT_MS and start_ms not in meter.gaps
    return Used((total + more) / 1_000_000 * WH_PER_WS, known_from_ms, "integrated", complete)


def _of_powers(meter: MeterState, start_ms: int, end_ms: int, until_ms: int) -> tuple[int | None, int, int]:
    """Of a part of a window what is not integrated yet, at `until_ms`: since when, how much, and the widest gap."""
    known_from_ms, total, widest_ms = None, 0, 0
    powers = meter.powers if meter.powers and meter.powers[0][0] <= end_ms else []
    for i, (at_ms, milliwatts) in enumerate(powers):
        next_ms = powers[i + 1][0] if i + 1 < len(powers) else until_ms
        from_ms, to_ms = max(at_ms, start_ms), min(next_ms, end_ms)
        if at_ms < start_ms and next_ms - at_ms > HELD_MS:
            continue
        if to_ms > from_ms or from_ms == at_ms == end_ms:
            known_from_ms = from_ms if known_from_ms is None else known_from_ms
            total += milliwatts * max(0, to_ms - from_ms)
            widest_ms = max(widest_ms, next_ms - at_ms)
    return known_from_ms, total, widest_ms


def _integral(meter: MeterState, start_ms: int, window_s: int) -> tuple[int | None, int]:
    """Since when, and how much is integrated already. Windows of a new length hold whole ones of the old length."""
    if meter.slot_s in (0, window_s):
        return meter.integrals.get(start_ms, (None, 0))
    slot_ms, end_ms = meter.slot_s * 1000, start_ms + window_s * 1000
    inside = [v for slot, v in meter.integrals.items() if start_ms <= slot and slot + slot_ms <= end_ms]
    return min((since_ms for since_ms, _ in inside), default=None), sum(total for _, total in inside)
