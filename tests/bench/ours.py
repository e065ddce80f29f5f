"""The full worker: read, fold, decide, emit, commit; a backlog, and the decisions on what was newest in it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from pipeline import metrics
from pipeline.app import Settings, run_worker
from pipeline.records import METERS
from tests.bench.backlog import LOCATION_COUNT, RECORDS
from tests.bench.cost import Meter, until


async def read(bootstrap: str) -> None:
    found: list[Callable[[], dict[str, Any]]] = []
    worker = asyncio.create_task(run_worker(Settings(bootstrap), found.append))
    watching = asyncio.create_task(_watch(found))
    await worker
    meter = await watching
    meter.tell(RECORDS)


async def _watch(found: list[Callable[[], dict[str, Any]]]) -> Meter:
    """Meter from the first reading; end the worker when the last one is read and every location was decided upon."""
    records, decisions = metrics.RECORDS.labels(topic=METERS)._value, metrics.DECISIONS._value
    await until(records.get)
    meter = Meter(int(records.get()))
    await until(lambda: records.get() == RECORDS and not found[0]()["catching_up"])
    await until(lambda: decisions.get() >= LOCATION_COUNT)
    os.kill(os.getpid(), signal.SIGTERM)
    return meter


if __name__ == "__main__":
    asyncio.run(read(sys.argv[1]))
