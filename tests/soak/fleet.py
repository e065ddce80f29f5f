"""The fleet: some dozen buildings, a connection to Kafka in, one out, and an account of all that was written."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from pipeline.moments import parse_moment, rfc3339
from pipeline.records import CHARGERS, FEEDBACK, LIMITS, LOCATIONS, METERS, SETPOINTS
from tests.soak.building import Building

GARBAGE_SHARE = 0.2
"""Bad records per second of the whole fleet, on the average."""
FUTURE_MS = 60_000
FOLLOW_MS = 100
RECONNECT_MS = 1_000
"""Longest between attempts to connect. The client's default is 30 s: for so long no charger would hear of a setpoint,
and the building's overload would be the dispatcher's."""

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(slots=True)
class Account:
    """What was written, as the broker has it."""

    good: set[Place] = field(default_factory=set)
    bad: dict[Place, bytes | None] = field(default_factory=dict)
    newest: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(Location, topic) -> partition and offset of its newest good record."""
    meter_a: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Location -> its meter's readings: (ms, amperes)."""
    unsure: int = 0
    """Records whose writing failed, as far as the client knows."""


class Fleet:
    """Lives in a thread of its own, second by second, until `stop`."""

    def __init__(self, bootstrap: str, seed: int, size: int) -> None:
        self._chance = random.Random(seed)
        self._bootstrap = bootstrap
        self.buildings = {f"b-{n}": Building(f"b-{n}", random.Random(f"{seed}/{n}")) for n in range(size)}
        self.account = Account(meter_a={name: [] for name in self.buildings})
        self.calm = False
        """Whether somebody is there to answer a step of a house's load."""
        self.late_s = 0.0
        """How late a second ever began: the machine's fault, not the workers'."""
        self._garbage = True
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._begin_ms = time.time_ns() // 1_000_000
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            acks="all",
            linger_ms=5,
            delivery_timeout_ms=2**31 - 1,
            request_timeout_ms=5_000,
            max_block_ms=600_000,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._live, self._follow)]

    def start(self) -> None:
        for building in self.buildings.values():
            self._write(LOCATIONS, building.name, building.document())
        for thread in self._threads:
            thread.start()

    def heal(self) -> None:
        """From now on nothing bad is written."""
        self._garbage = False

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._producer.close(timeout=30)

    @property
    def overloads(self) -> list[str]:
        return [text for building in self.buildings.values() for text in building.overloads]

    def _live(self) -> None:
        second = 0
        while not self._stopping.is_set():
            second += 1
            due_ms = self._begin_ms + 1000 * second
            wait_s = due_ms / 1000 - time.time()
            self._stopping.wait(max(0.0, wait_s))
            self.late_s = max(self.late_s, -wait_s)
            with self._lock:
                for building in self.buildings.values():
                    building.second(second, self.calm)
                    self._report(building, second)
            if self._garbage and self._chance.random() < GARBAGE_SHARE:
                self._write_garbage()

    def _report(self, building: Building, second: int) -> None:
        at_ms = time.time_ns() // 1_000_000
        reading = building.meter(at_ms)
        self.account.meter_a[building.name].append((at_ms, reading["current_a"][0]))
        for topic, value in [(METERS, reading), *building.chargers(second, at_ms)]:
            self._write(topic, building.name, value)

    def _follow(self) -> None:
        """The dispatcher: the newest setpoint of each connector, from the beginning."""
        consumer = KafkaConsumer(
            bootstrap_servers=self._bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        places = [TopicPartition(SETPOINTS, p) for p in consumer.partitions_for_topic(SETPOINTS) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        while not self._stopping.is_set():
            for found in _poll(consumer).values():
                for record in found:
                    if record.value is not None:
                        self._obey(json.loads(record.value))
        consumer.close()

    def _obey(self, setpoint: dict[str, Any]) -> None:
        now_ms = time.time_ns() // 1_000_000
        until_ms = parse_moment(setpoint["valid_until"]).timestamp() * 1000
        with self._lock:
            building = self.buildings[setpoint["location"]]
            answers = building.obey(
                setpoint, (now_ms - self._begin_ms) // 1000, (until_ms - self._begin_ms) / 1000, now_ms
            )
        for topic, value in answers:
            self._write(topic, building.name, value)

    def _write(self, topic: str, name: str, value: dict[str, Any]) -> None:
        sent = self._producer.send(topic, key=name.encode(), value=json.dumps(value).encode())
        sent.add_callback(lambda at: self._wrote(at, name))
        sent.add_errback(self._failed)

    def _wrote(self, at: Any, name: str) -> None:
        self.account.good.add((at.topic, at.partition, at.offset))
        before = self.account.newest.get((name, at.topic), (at.partition, -1))
        self.account.newest[name, at.topic] = (at.partition, max(at.offset, before[1]))

    def _failed(self, _problem: BaseException) -> None:
        self.account.unsure += 1

    def _write_garbage(self) -> None:
        name = self._chance.choice(sorted(self.buildings))
        topic = self._chance.choice([METERS, CHARGERS, FEEDBACK, LIMITS, LOCATIONS])
        at_ms = time.time_ns() // 1_000_000
        future = {"location": name, "meter": "p1", "at": rfc3339(at_ms + FUTURE_MS), "current_a": [99.0]}
        raw = self._chance.choice(
            [self._chance.randbytes(40), b"", None, b"{", b'{"location": "nowhere"}', json.dumps(future).encode()]
        )
        if raw is None and topic == LOCATIONS:
            raw = b"[]"  # a null value would remove the building
        sent = self._producer.send(METERS if raw and b"current_a" in raw else topic, key=name.encode(), value=raw)
        sent.add_callback(lambda at: self.account.bad.__setitem__((at.topic, at.partition, at.offset), raw))
        sent.add_errback(self._failed)


def _poll(consumer: KafkaConsumer) -> dict[Any, list[Any]]:
    """What is new; nothing while the broker is away."""
    try:
        return dict(consumer.poll(timeout_ms=FOLLOW_MS))
    except KafkaError:
        time.sleep(FOLLOW_MS / 1000)
        return {}
