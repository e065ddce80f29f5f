"""The import register of a meter: first and last reading of each window, and what it said at a moment between two.

A register only goes up, and no faster than a fuse lets through. A reading that does not go on from the newest one is a
slip, or the first of another meter: the next reading says which. What another meter counted before is never subtracted:
it goes on from where the one before it ended, as nothing flows while no meter is there. In a window with such a break
another source may know more (`pipeline.used`).
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.state import MeterState
from pipeline.tariffs import window_start_ms

KEPT_WINDOWS = 16
"""Windows per meter that late readings can still correct (four hours of quarters). Fewer: a gateway that was away
for longer and sends in disorder is not heard; more: the state grows by 100 bytes for each."""
MOST_OF_FUSE = 2.0
"""Nothing draws more than so many times what its fuse is rated for. Less: where a fuse is larger than the document says
(any more), consumption is taken for another meter; more: another meter is taken for consumption."""
SLACK_WH = 1000.0
"""Registers that count whole kilowatt-hours go up by one at once."""
SLACK_MS = 30_000
"""Those of large meters go up by larger steps: by what can be drawn in such a time."""

Counted = tuple[int, float]
"""When, and how many watt-hours the register showed."""


def note_registers(meter: MeterState, window_s: int, most_w: float, readings: Iterable[Counted]) -> None:
    """Fold register readings; also late, also out of order. Between two of one window that go on from each other, the
    others change nothing. `most_w`: what can be drawn."""
    waiting: Counted | None = None
    end_ms = 0
    for at_ms, wh in readings:
        reading = (at_ms, wh + meter.offset_wh)
        if waiting is not None and waiting[0] < at_ms < end_ms and _follows(waiting, reading, most_w):
            waiting = reading
            continue
        if waiting is not None:
            keep(meter, window_s, *waiting)
            waiting = None
        _note(meter, window_s, most_w, reading)
        if newest_register(meter) == reading and meter.suspect is None:
            waiting = reading
            end_ms = window_start_ms(at_ms, window_s) + window_s * 1000
    if waiting is not None:
        keep(meter, window_s, *waiting)


def _note(meter: MeterState, window_s: int, most_w: float, reading: Counted) -> None:
    newest = newest_register(meter)
    if newest is None:
        meter.another = False
        keep(meter, window_s, *reading)
    elif meter.another:
        meter.another = False
        _replace(meter, window_s, newest, reading, reading)
    elif reading[0] > newest[0]:
        _go_on(meter, window_s, most_w, newest, reading)
    elif reading[0] >= meter.register_since_ms and _fits(meter, *reading):
        keep(meter, window_s, *reading)


def _go_on(meter: MeterState, window_s: int, most_w: float, newest: Counted, reading: Counted) -> None:
    suspect = meter.suspect
    if _follows(newest, reading, most_w):
        if suspect is not None and suspect[0] < reading[0]:
            meter.suspect = None  # it was a slip
        keep(meter, window_s, *reading)
    elif suspect is None or suspect[0] == reading[0]:
        meter.suspect = reading
    else:
        older, newer = sorted((suspect, reading))
        meter.suspect = newer
        if _follows(older, newer, most_w):
            _replace(meter, window_s, newest, older, newer)


def _replace(meter: MeterState, window_s: int, last: Counted, older: Counted, newer: Counted) -> None:
    """Another meter counts from `older` on, where the `last` reading of the one before it ended."""
    shift_wh = last[1] - older[1]
    meter.offset_wh += shift_wh
    meter.register_since_ms, meter.suspect = older[0], None
    step_ms = window_s * 1000
    end_ms = window_start_ms(older[0] - 1, window_s) + step_ms  # the window that it begins with is whole
    first_ms = max(window_start_ms(last[0], window_s), end_ms - KEPT_WINDOWS * step_ms)
    meter.breaks = sorted({*meter.breaks, *range(first_ms, end_ms, step_ms)})[-KEPT_WINDOWS:]
    keep(meter, window_s, older[0], last[1])
    keep(meter, window_s, newer[0], newer[1] + shift_wh)


def _follows(older: Counted, newer: Counted, most_w: float) -> bool:
    step_wh = max(SLACK_WH, most_w * SLACK_MS / 3_600_000)
    return 0 <= newer[1] - older[1] <= step_wh + most_w * (newer[0] - older[0]) / 3_600_000


def _fits(meter: MeterState, at_ms: int, wh: float) -> bool:
    """Whether a late reading lies between its neighbours."""
    before, after = neighbours(meter, at_ms)
    return (before is None or before[1] <= wh) and (after is None or wh <= after[1])


def keep(meter: MeterState, window_s: int, at_ms: int, wh: float) -> None:
    """Keep a reading that goes on from those before it."""
    start_ms = window_start_ms(at_ms, window_s)
    known = meter.registers.get(start_ms)
    if known is None:
        meter.registers[start_ms] = (at_ms, wh, at_ms, wh)
        while len(meter.registers) > KEPT_WINDOWS:
            del meter.registers[min(meter.registers)]
        return
    first_ms, first_wh, last_ms, last_wh = known
    if at_ms < first_ms:
        first_ms, first_wh = at_ms, wh
    if at_ms > last_ms:
        last_ms, last_wh = at_ms, wh
    meter.registers[start_ms] = (first_ms, first_wh, last_ms, last_wh)


def newest_register(meter: MeterState) -> Counted | None:
    """The newest reading."""
    if not meter.registers:
        return None
    newest = meter.registers[max(meter.registers)]
    return newest[2], newest[3]


def oldest_register(meter: MeterState) -> Counted | None:
    """The oldest reading that is kept."""
    if not meter.registers:
        return None
    oldest = meter.registers[min(meter.registers)]
    return oldest[0], oldest[1]


def neighbours(meter: MeterState, at_ms: int) -> tuple[Counted | None, Counted | None]:
    """The readings around a moment, of those that are kept; twice the same where one is of that moment."""
    before: Counted | None = None
    after: Counted | None = None
    for first_ms, first_wh, last_ms, last_wh in meter.registers.values():
        if last_ms <= at_ms:
            if before is None or last_ms > before[0]:
                before = (last_ms, last_wh)
        elif first_ms <= at_ms and (before is None or first_ms > before[0]):
            before = (first_ms, first_wh)
        if first_ms >= at_ms:
            if after is None or first_ms < after[0]:
                after = (first_ms, first_wh)
        elif last_ms >= at_ms and (after is None or last_ms < after[0]):
            after = (last_ms, last_wh)
    return before, after


def register_at(meter: MeterState, at_ms: int) -> tuple[float, int] | None:
    """The register at a moment between two readings, and how far they are apart (ms). None when it lies outside."""
    before, after = neighbours(meter, at_ms)
    if before is None or after is None:
        return None
    apart_ms = after[0] - before[0]
    share = (at_ms - before[0]) / apart_ms if apart_ms else 0.0
    return before[1] + share * (after[1] - before[1]), apart_ms
