"""Windows that closed while nobody decided: what they came to is put away before their readings are forgotten.

Readings are kept for the newest `KEPT_WINDOWS` windows. A worker that reads a backlog folds days of them before it
decides, and `sunshave decide` may be asked once after a week; every window is published all the same. After
`MOST_FINISHED` of them only the highest of each local day is kept of the older ones: no tariff needs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.registers import KEPT_WINDOWS
from pipeline.state import MeterState
from pipeline.tariffs import local_day, window_start_ms
from pipeline.used import used

REVISED_WINDOWS = KEPT_WINDOWS - 2
"""Closed windows that late data can still change. Two fewer than readings are kept for: a window needs what was read
before it, and must not be worked out anew from less than it was published with."""
WHOLE_WINDOWS = 400
"""Windows that are all kept: four days of quarters. Fewer: a weekend's outage leaves holes in the history; more: the
decision after it takes longer."""
MOST_FINISHED = 800
"""Windows kept: the whole ones, and one for each of the days before them, of a year and a month. Fewer: a peak that a
yearly tariff bills is lost after a year without a decision; more: the state grows by 30 bytes for each."""


def finish(meter: MeterState, window_s: int, timezone: str, newest_ms: int, start_ms: int) -> None:
    """Before the first reading of the window that starts at `start_ms` is folded; `newest_ms`: the one before it.

    What a register counts in a silence is known only when it is read again: such windows wait for the reading after.
    """
    until_ms = start_ms - REVISED_WINDOWS * window_s * 1000
    if meter.registers:
        until_ms = min(until_ms, window_start_ms(newest_ms, window_s))
    if until_ms <= meter.finished_ms:
        return
    for closed_ms in windows_between(meter, window_s, meter.finished_ms, until_ms):
        found = used(meter, closed_ms, window_s, closed_ms + window_s * 1000)
        if found is not None and found.known_from_ms < closed_ms + window_s * 1000:
            meter.finished[closed_ms] = (found.wh, found.source, found.complete)
    meter.finished_ms = until_ms
    if len(meter.finished) > MOST_FINISHED:
        _thin(meter, timezone)


def windows_between(meter: MeterState, window_s: int, from_ms: int, until_ms: int) -> Sequence[int]:
    """The starts of windows of which something may be known. Of a long silence not all: the newest, and before them
    those with readings. That a register was counted on in a silence says nothing of the peaks of its months."""
    step_ms = window_s * 1000
    slots = {*meter.registers, *meter.demands, *meter.integrals, *(at_ms for at_ms, _ in meter.powers[:1])}
    if not slots:
        return ()
    from_ms = max(from_ms, window_start_ms(min(slots), window_s))
    from_ms = -(-from_ms // step_ms) * step_ms
    whole_ms = max(from_ms, until_ms - WHOLE_WINDOWS * step_ms)
    older = {start_ms for slot in slots if from_ms <= (start_ms := window_start_ms(slot, window_s)) < whole_ms}
    return [*sorted(older), *range(whole_ms, until_ms, step_ms)]


def _thin(meter: MeterState, timezone: str) -> None:
    starts = sorted(meter.finished)
    kept = starts[-WHOLE_WINDOWS:]
    for _, day in groupby(starts[:-WHOLE_WINDOWS], key=lambda start_ms: local_day(start_ms, timezone)):
        kept.append(max(day, key=lambda start_ms: meter.finished[start_ms][0]))
    meter.finished = {start_ms: meter.finished[start_ms] for start_ms in sorted(kept)[-MOST_FINISHED:]}
