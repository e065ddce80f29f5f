"""From a reading to the setpoint that it calls for, while one worker has more and more homes.

Told with it: the shares of the time in which the worker ran, and waited for a core that others had. It is at its limit
where a car waits for longer than its interval in the middle; half of that many homes is half load.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.topics import create_topics
from tests.bench.backlog import PARTITIONS
from tests.bench.living import Found, Town
from tests.parts.brokers import Broker
from tests.parts.kafka import running_kafka
from tests.parts.stream import Worker, workers_on
from topology.location import Control

SIZES = (150, 300, 600)
"""Homes. Many more cannot live in one process beside a broker and a worker on two cores."""
SETTLE_S = 20.0
"""Until all homes are known, cars charge and nobody waits any more."""
MEASURE_S = 40.0
"""Less: too few cars come; more: the run takes longer than anybody waits."""


async def react(bootstrap: str, worker: Worker) -> list[dict[str, Any]]:
    """For each size: how long it took, and how much the worker had to do."""
    found = []
    town = Town(bootstrap, PARTITIONS)
    await town.begin()
    try:
        for homes in SIZES:
            await town.grow(homes)
            await asyncio.sleep(SETTLE_S)
            town.forget()
            ran, waited = await _shares(worker, MEASURE_S)
            found.append({"homes": homes, "ran": ran, "waited": waited, **_told(town.found, Control().interval_s)})
    finally:
        await town.end()
    return found


async def _shares(worker: Worker, seconds: float) -> tuple[float, float]:
    """The shares of the time in which it runs, and in which it waits for a core that others have."""
    (ran_s, waited_s), began_s = _scheduled_s(worker), time.monotonic()
    await asyncio.sleep(seconds)
    (now_ran_s, now_waited_s), took_s = _scheduled_s(worker), time.monotonic() - began_s
    return (now_ran_s - ran_s) / took_s, (now_waited_s - waited_s) / took_s


def _scheduled_s(worker: Worker) -> tuple[float, float]:
    """How long its threads have run, and have waited for a core."""
    tasks = Path(f"/proc/{worker.process.pid}/task").glob("*/schedstat")
    times = [task.read_text().split() for task in tasks]
    return sum(int(ran) for ran, _, _ in times) / 1e9, sum(int(waited) for _, waited, _ in times) / 1e9


def _told(found: Found, interval_s: float) -> dict[str, Any]:
    kinds = {what: _percentiles(took_ms, interval_s) for what, took_ms in found.took_ms.items() if took_ms}
    return {"interval_s": interval_s, "kinds": kinds, "unanswered": found.unanswered, "late_s": found.late_ms / 1000}


def _percentiles(took_ms: list[int], interval_s: float) -> dict[str, float]:
    """As multiples of the interval."""
    p50, p99, worst = np.percentile(took_ms, [50, 99, 100]) / 1000 / interval_s
    return {"count": len(took_ms), "p50": float(p50), "p99": float(p99), "max": float(worst)}


def measured() -> list[dict[str, Any]]:
    """On a Kafka of its own."""
    with running_kafka() as node, tempfile.TemporaryDirectory() as folder:
        create_topics(node.bootstrap, PARTITIONS, 1)
        with workers_on(Broker(node.bootstrap, "kafka", 10.0), Path(folder)) as start:
            return asyncio.run(react(node.bootstrap, start()))


if __name__ == "__main__":
    print(json.dumps(measured()), file=sys.stdout)
