"""The backlog that all readers read: an outage's worth of 1 Hz meters, with the documents of their locations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, LOCATIONS, METERS
from pipeline.topics import APP, CHANGELOG, admin_client, create_topics

PARTITIONS = 12
LOCATION_COUNT = 250
SECONDS = 1200
"""Of the outage. Kafka's timestamps are those of the readings, as after an outage of the workers."""
RECORDS = LOCATION_COUNT * SECONDS

Record = tuple[str, str, dict[str, Any], int]
"""Topic, key, value, timestamp."""


def document(name: str, chargers: int = 2, *, billed: bool = True) -> dict[str, Any]:
    """A building with a main fuse of 63 A, two chargers, and a billed quarter."""
    connector = {"id": 1, "phases": 3, "rotation": "RST", "max_a": 16}
    main: dict[str, Any] = {"id": "main", "limit_a": 63, "meter": "p1"}
    if billed:
        main["capacity"] = {"tariff": "be-vlaanderen-lv", "cap_kw": 10.0}
    return {
        "location": name,
        "timezone": "Europe/Brussels",
        "grid": {"type": "TN", "phases": 3, "voltage_v": 230},
        "groups": [main],
        "meters": [{"id": "p1"}],
        "chargers": [
            {"id": f"{name}-{c}", "group": "main", "fallback_a": 6, "connectors": [connector]} for c in range(chargers)
        ],
    }


def reading(name: str, at_ms: int, second: int) -> dict[str, Any]:
    """As a P1 port says it, some 250 bytes: a house that wanders by a few tenths of an ampere."""
    current_a = [round(4 + phase + (second * (phase + 3) % 11) * 0.05, 2) for phase in range(3)]
    return {
        "location": name,
        "meter": "p1",
        "at": rfc3339(at_ms),
        "current_a": current_a,
        "power_w": [round(230 * a) for a in current_a],
        "voltage_v": [230.1, 229.8, 230.4],
        "import_wh": 1_234_567.0 + second,
        "export_wh": 89_012.0,
    }


def charger_reading(name: str, charger: int, at_ms: int) -> dict[str, Any]:
    """A car that has been plugged in and draws nothing yet."""
    status = {"online": True, "status": "Charging", "transaction": "1", "current_a": [0.0, 0.0, 0.0]}
    return {"location": name, "charger": f"{name}-{charger}", "connector": 1, "at": rfc3339(at_ms), **status}


def location_names(count: int = LOCATION_COUNT) -> list[str]:
    return [f"site-{n}" for n in range(count)]


def records(end_ms: int) -> Iterator[Record]:
    """Everything, in the order of its time; the last reading is of `end_ms`."""
    names = location_names()
    start_ms = end_ms - SECONDS * 1000
    for number, name in enumerate(names):
        yield LOCATIONS, name, document(name, billed=number % 2 == 0), start_ms
    for name in names:
        for charger in range(2):
            yield CHARGERS, name, charger_reading(name, charger, start_ms), start_ms
    for second in range(1, SECONDS + 1):
        at_ms = start_ms + second * 1000
        for name in names:
            yield METERS, name, reading(name, at_ms, second), at_ms


async def write(bootstrap: str, found: Iterator[Record]) -> None:
    """Make the topics, and write the records to them."""
    create_topics(bootstrap, PARTITIONS, 1)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    try:
        for topic, key, value, at_ms in found:
            await producer.send(topic, json.dumps(value).encode(), key=key.encode(), timestamp_ms=at_ms)
        await producer.flush()
    finally:
        await producer.stop()


def forget_worker(bootstrap: str) -> None:
    """As if no worker had ever run: no offsets, no states."""
    with admin_client(bootstrap) as admin:
        admin.delete_groups([APP])
        admin.delete_topics([CHANGELOG])
    create_topics(bootstrap, PARTITIONS, 1)
