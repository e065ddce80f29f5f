"""A worker takes over: from its start to the moment at which every location is its own, on a real Kafka.

The changelog holds a document and a state per location, as after compaction; what is measured is the worst case, one
worker for all partitions.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from pipeline.app import Settings, run_worker
from pipeline.decide import commit, decide
from pipeline.fold import fold
from pipeline.kept import DOCUMENT, keep_state
from pipeline.records import CHARGERS, METERS, decode
from pipeline.state import new_state
from pipeline.topics import CHANGELOG, create_topics
from tests.bench.backlog import PARTITIONS, charger_reading, document, location_names, reading
from tests.bench.cost import cpu_s, until
from tests.parts.kafka import running_kafka
from topology.read import read_location_json
from topology.tree import build_tree

LOCATION_COUNT = 10_000
STATES = 50
"""Different states; each stands for many locations."""


def states(now_ms: int) -> list[tuple[str, bytes]]:
    """What the changelog keeps of a location after some seconds of readings and a decision: name and state."""
    found = []
    for name in location_names(STATES):
        tree, state = build_tree(read_location_json(json.dumps(document(name)).encode()).location), new_state()
        for charger in range(2):
            fold(tree, state, decode(CHARGERS, json.dumps(charger_reading(name, charger, now_ms)).encode()), now_ms)
        for second in range(60):
            at_ms = now_ms + second * 1000
            fold(tree, state, decode(METERS, json.dumps(reading(name, at_ms, second)).encode()), at_ms)
            if second % 10 == 0:
                commit(state, decide(tree, state, at_ms + 10))
        found.append((name, keep_state(state)))
    return found


def changelog(now_ms: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Partition, key and value of everything that was kept."""
    kept = states(now_ms)
    partition_of, partitions = DefaultPartitioner(), list(range(PARTITIONS))
    for n, name in enumerate(location_names(LOCATION_COUNT)):
        place = partition_of(name.encode(), partitions, partitions)
        yield place, name.encode() + DOCUMENT, json.dumps(document(name)).encode()
        yield place, name.encode(), kept[n % STATES][1]


async def write(bootstrap: str, now_ms: int) -> int:
    """Fill the changelog; gives the bytes per location."""
    create_topics(bootstrap, PARTITIONS, 1)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    size = 0
    try:
        for partition, key, value in changelog(now_ms):
            await producer.send(CHANGELOG, value, key=key, partition=partition)
            size += len(key) + len(value)
    finally:
        await producer.stop()
    return size // LOCATION_COUNT


async def take_over(bootstrap: str) -> dict[str, float]:
    """Seconds from the start of a worker, in this process, until it is ready with all locations."""
    found: list[Callable[[], dict[str, Any]]] = []
    started_s, used_s = time.perf_counter(), cpu_s()
    worker = asyncio.create_task(run_worker(Settings(bootstrap), found.append))
    await until(lambda: found and found[0]().get("locations", 0) == LOCATION_COUNT)
    taken = {"seconds": time.perf_counter() - started_s, "cpu_s": cpu_s() - used_s}
    os.kill(os.getpid(), signal.SIGTERM)
    await worker
    return taken


def measured() -> dict[str, Any]:
    """Seconds, and the size of what was kept."""
    with running_kafka() as node:
        bytes_each = asyncio.run(write(node.bootstrap, time.time_ns() // 1_000_000 - 70_000))
        return {"locations": LOCATION_COUNT, "bytes_each": bytes_each, **asyncio.run(take_over(node.bootstrap))}


if __name__ == "__main__":
    print(json.dumps(measured()), file=sys.stdout)
