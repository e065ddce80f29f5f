"""The meter readings of a batch by location: what is looked up once per run instead of once per record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.emission import Incoming
from pipeline.records import METERS, NOT_DECODED, MeterReading, quick_decoder

_decode = quick_decoder(METERS)


@dataclass(slots=True)
class Run:
    """The readings of one location, in their order, with the moments (ms) at which they were received."""

    readings: list[tuple[MeterReading, int]] = field(default_factory=list)
    records: list[Incoming] = field(default_factory=list)
    """What they were read from."""
    strays: list[Incoming] = field(default_factory=list)
    """What is no reading, or one of another location."""

    @property
    def newest(self) -> Iterable[MeterReading]:
        """The last reading of each meter."""
        return {reading.meter: reading for reading, _ in self.readings}.values()


def by_key(records: Iterable[Incoming]) -> dict[bytes | None, list[Incoming]]:
    """The records of each key, in their order."""
    found: dict[bytes | None, list[Incoming]] = {}
    for record in records:
        run = found.get(record.key)
        if run is None:
            found[record.key] = [record]
        else:
            run.append(record)
    return found


def read_run(name: str, records: Iterable[Incoming], applied: int) -> Run:
    """Read the records of a location that lie behind the offset `applied`."""
    run = Run()
    for record in records:
        try:
            reading: MeterReading = _decode(record.value)
        except NOT_DECODED:
            run.strays.append(record)
            continue
        if reading.location != name:
            run.strays.append(record)
        elif record.offset > applied:
            run.readings.append((reading, record.timestamp))
            run.records.append(record)
    return run
