"""From what a meter said to the record of `telemetry.meters`: signs, missing phases, times. Concluded here, once.

The sign. A P1 port and most clamps report the current without a sign; the power has one. So the direction is the
power's: exporting when it is below zero. At exactly zero watts a current is reactive; it heats the fuse, so it counts
as import.

The size. Importing: the larger of the reported current and P/U. Dutch meters report whole amperes, old firmware
truncates them (5.9 A reads 5), and P/U has a resolution of 1 W = 4 mA; but P/U misses reactive current, which the
reported one has. Neither can be too large by more than its rounding, so the larger one is both finer and safe.
Exporting: P/U. Physically |I| is never below |P|/U, so a smaller report is rounding, and a larger one is reactive
current, which is no power that a car could use: counting it as export would credit what is not there.

A missing phase is never 0 A: a message without one of the source's phases is refused, because a load that nobody sees
is a load that the fuse still carries.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import isfinite
from zoneinfo import ZoneInfo

import msgspec

from connectors.meters.measured import Measured, NotAReading, Phase
from pipeline.records import METERS, MeterReading, NotARecord, decode, encode

NOMINAL_V = 230.0
"""Stands in for a voltage that a meter does not report (DSMR 4). Wrong by 10 % at most (EN 50160); the reported current
bounds the error where import matters."""

CLOCK_TRUST_S = 10.0
"""How far behind our receipt a live meter's own time may be. Smaller: a slow network replaces good times by ours, and
readings of one moment no longer match. Larger: a meter whose clock is slow looks stale (`stale_s` is 30 by default)."""

OLDEST = datetime(2020, 1, 1, tzinfo=UTC)
"""A device that does not know the time reports 1970 or its seconds since boot: that is no time."""

METER_ZONE = ZoneInfo("Europe/Brussels")
"""Local time of the meters that have a month peak (Belgium), and of all P1 countries that count in CET."""


def live_moment(own_time: datetime | None, received_at: datetime) -> datetime:
    """The moment of a message that cannot have been kept anywhere: a P1 port streams, it stores nothing.

    The meter's own time, because readings of one moment can then be compared exactly; but never a future one, and ours
    where the two disagree: a meter whose clock is off must neither be dead-lettered as `future:` nor look stale.
    """
    if own_time is None or not 0 <= (received_at - own_time).total_seconds() <= CLOCK_TRUST_S:
        return received_at
    return own_time


def kept_moment(own_time: datetime | None, received_at: datetime, retained: bool) -> datetime:
    """The moment of a message that a broker may have kept: an old time is believed, so that old values look old.

    Raises NotAReading for a retained message without a time: it may be from last year.
    """
    if own_time is None or own_time < OLDEST:
        if retained:
            raise NotAReading("retained", "a retained message without a time may be of any age")
        return received_at
    return min(own_time, received_at)


def signed_current_a(phase: Phase, signed: bool) -> float | None:
    """The current of a phase with its sign, by the rule above; None when neither current nor power is known."""
    if phase.power_w is None:
        if phase.current_a is None or signed or phase.current_a == 0:
            return phase.current_a
        raise NotAReading("incomplete", "a current without a sign and without a power: its direction is unknown")
    active_a = round(phase.power_w / (phase.voltage_v or NOMINAL_V), 3)  # 1 W is 4 mA: more digits say nothing
    if phase.power_w < 0 or phase.current_a is None:
        return active_a
    return max(abs(phase.current_a), active_a)


def reading(location: str, meter: str, phases: int, said: Measured, at: datetime) -> MeterReading:
    """The record of what a meter with so many phases said. Raises NotAReading with the reason why it gives none."""
    wired = _wired(said, phases)
    has_current = any(phase.current_a is not None for phase in wired)
    record = MeterReading(
        location=location,
        meter=meter,
        at=at.astimezone(UTC),
        current_a=_all(signed_current_a(phase, said.signed_current) for phase in wired) if has_current else None,
        power_w=_all(phase.power_w for phase in wired),
        voltage_v=_all(phase.voltage_v for phase in wired),
        import_wh=said.import_wh,
        export_wh=said.export_wh,
        demand_w=said.demand_w,
        month_peak_w=_month_peak_w(said, at),
    )
    return checked(record)


def checked(record: MeterReading) -> MeterReading:
    """The same record, when it would pass as one on the topic. NotAReading when not."""
    numbers = [record.import_wh, record.export_wh, record.demand_w, record.month_peak_w]
    for several in (record.current_a, record.power_w, record.voltage_v):
        numbers.extend(several or [])
    if not all(isfinite(number) for number in numbers if number is not None):
        raise NotAReading("invalid", "a value is not a finite number")
    try:
        read_back = decode(METERS, encode(record))
    except (NotARecord, msgspec.MsgspecError) as problem:
        raise NotAReading("invalid", str(problem)) from None
    assert isinstance(read_back, MeterReading)
    return read_back


def _wired(said: Measured, phases: int) -> tuple[Phase, ...]:
    """The phases that the source says there are, each of them known."""
    wired = (*said.phases[:phases], *[Phase()] * (phases - len(said.phases)))
    for number, phase in enumerate(wired, start=1):
        if phase.current_a is None and phase.power_w is None:
            hint = "" if phases == 1 else "; a meter with one phase needs `phases: 1`"
            raise NotAReading("incomplete", f"L{number} is missing, which is not 0 A{hint}")
    for number, phase in enumerate(said.phases[phases:], start=phases + 1):
        if not phase.is_silent():
            raise NotAReading("invalid", f"the meter reports a load on L{number}, the source says `phases: {phases}`")
    return wired


def _all(values: Iterable[float | None]) -> list[float] | None:
    """All of them, or None when one is missing."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return known if len(known) == len(listed) else None


def _month_peak_w(said: Measured, at: datetime) -> float | None:
    """The official month peak, if it is this month's: in the first minutes of a month a meter may show the last one's.

    A quarter that ends at midnight belongs to the month before.
    """
    if said.month_peak_w is None or said.month_peak_at is None:
        return said.month_peak_w
    in_quarter = (said.month_peak_at - timedelta(seconds=1)).astimezone(METER_ZONE)
    now = at.astimezone(METER_ZONE)
    return said.month_peak_w if (in_quarter.year, in_quarter.month) == (now.year, now.month) else None
