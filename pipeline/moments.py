"""Moments: UTC, RFC 3339 on the wire, whole milliseconds since 1970 inside.

Integers, so that sums and comparisons are exact and the same input gives the same bytes everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 9000
"""Leases and windows that begin now must end before the calendar does."""
_MILLISECOND = timedelta(milliseconds=1)
_HALF_BEFORE = EPOCH - _MILLISECOND / 2


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware moment; a fraction of a millisecond is rounded to the nearest."""
    return (moment - _HALF_BEFORE) // _MILLISECOND


def to_moment(ms: int) -> datetime:
    """The aware UTC moment of milliseconds since 1970."""
    return EPOCH + ms * _MILLISECOND


def parse_moment(text: str) -> datetime:
    """An RFC 3339 moment, as a record may say it. ValueError where it is none, or has no time zone."""
    moment = msgspec.convert(text, datetime)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    if not EPOCH.year < moment.year < LAST_YEAR:
        raise ValueError(f"{text!r} is not within {EPOCH.year + 1} and {LAST_YEAR - 1}")
    return moment.astimezone(UTC)


def rfc3339(ms: int) -> str:
    """`2026-11-22T08:00:01.000Z`."""
    return to_moment(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
