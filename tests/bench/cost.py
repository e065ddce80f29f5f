"""What a reader says of itself: one line of JSON on standard output, read by `tests.bench.readers`."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

POLL_S = 0.02


def cpu_s() -> float:
    """CPU time of this process so far, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def until(condition: Callable[[], object]) -> None:
    """Return when it is true. Looking costs what is measured next to nothing."""
    while not condition():  # noqa: ASYNC110 -- what is waited for knows nothing of a benchmark
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of so many records."""

    records: int
    cpu_s: float
    wall_s: float

    @property
    def us(self) -> float:
        """Microseconds of CPU per record."""
        return self.cpu_s / self.records * 1e6


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts from the first record that was read, so that a start costs nothing."""

    before: int
    """Records read before the measurement began."""
    cpu_s: float = field(default_factory=cpu_s)
    wall_s: float = field(default_factory=time.perf_counter)

    def tell(self, records: int) -> None:
        """Say what the records since then cost; `records` counts those before, too."""
        cost = Cost(records - self.before, cpu_s() - self.cpu_s, time.perf_counter() - self.wall_s)
        print(json.dumps(asdict(cost)), flush=True)
