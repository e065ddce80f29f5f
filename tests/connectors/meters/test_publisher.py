"""Readings to Kafka: what is acknowledged, and what happens while Kafka is away."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from connectors.meters import publisher
from connectors.meters.publisher import DROPPED, KafkaPublisher
from pipeline.records import METERS, MeterReading, decode
from tests.parts import free_port, tansu
from tests.parts.brokers import Broker
from tests.parts.waiting import wait_for_port, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

PARTITIONS = 4
IN_TIME_S = 30.0


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """kafka-python leaves the sockets of refused connections to the collector: here, where that is expected."""
    yield
    gc.collect()


def readings(number: int, location: str = "brugge-12") -> list[MeterReading]:
    """So many, a second apart."""
    start = datetime(2026, 11, 22, 7, 15, tzinfo=UTC)
    return [
        MeterReading(location=location, meter="p1", at=start + timedelta(seconds=n), current_a=[float(n), 0.0, 0.0])
        for n in range(number)
    ]


def create_topic(bootstrap: str) -> None:
    """`telemetry.meters`, when it is not there yet."""
    with closed_at_the_end(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        if METERS not in admin.list_topics():
            admin.create_topics([NewTopic(METERS, PARTITIONS, 1)])


@contextmanager
def closed_at_the_end(client: Any) -> Iterator[Any]:
    """A Kafka client, closed at the end."""
    try:
        yield client
    finally:
        client.close()


def published(bootstrap: str, location: str, number: int) -> list[tuple[int, MeterReading]]:
    """The first so many records of a location, with their partitions."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    found: list[tuple[int, MeterReading]] = []

    def enough() -> bool:
        for records in consumer.poll(timeout_ms=100).values():
            found.extend((r.partition, decode(METERS, r.value)) for r in records if r.key == location.encode())
        return len(found) >= number

    with closed_at_the_end(consumer):
        consumer.assign([TopicPartition(METERS, partition) for partition in range(PARTITIONS)])
        wait_until(enough, IN_TIME_S, f"{number} records did not arrive")
    return found


def test_readings_are_read_back_equal_and_in_order(broker: Broker) -> None:
    """Everything about a location goes to one partition, in the order in which it was measured."""
    create_topic(broker.bootstrap)
    sent = readings(1200, "order-1")
    with KafkaPublisher(broker.bootstrap) as kafka:
        for record in sent:
            kafka.publish(record)
        wait_until(lambda: kafka.ready, IN_TIME_S, "Kafka was not reached")
    found = published(broker.bootstrap, "order-1", len(sent))

    assert sent == [record for _, record in found]
    assert 1 == len({partition for partition, _ in found})


@pytest.mark.embedded
def test_readings_of_an_outage_come_out_when_kafka_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka starts after us: the newest readings have waited, the oldest fell out of the buffer, and were counted."""
    monkeypatch.setattr(publisher, "PAUSE_S", 0.1)
    port, dropped_before = free_port(), _dropped()
    bootstrap = f"127.0.0.1:{port}"
    # the broker is killed last: a producer whose broker dies first is the next test
    with ExitStack() as broker, KafkaPublisher(bootstrap, buffer=50) as kafka:
        for record in readings(80):
            kafka.publish(record)
        time.sleep(0.3)
        assert not kafka.ready
        process = tansu.start(port)
        broker.callback(process.wait)
        broker.callback(process.kill)
        wait_for_port(port, process, IN_TIME_S)
        create_topic(bootstrap)
        found = published(bootstrap, "brugge-12", 50)

    assert readings(80)[30:] == [record for _, record in found][:50]
    assert 30 == _dropped() - dropped_before


@pytest.mark.embedded
def test_kafka_that_dies_loses_no_reading_that_fits_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings go on being taken while it is away; back again, all of them are there."""
    monkeypatch.setattr(publisher, "PAUSE_S", 0.1)
    monkeypatch.setattr(publisher, "ANSWER_S", 2.0)
    port = free_port()
    first, second = readings(20)[:10], readings(20)[10:]
    process = tansu.start(port)
    try:
        wait_for_port(port, process, IN_TIME_S)
        create_topic(f"127.0.0.1:{port}")
        with KafkaPublisher(f"127.0.0.1:{port}") as kafka:
            for record in first:
                kafka.publish(record)
            assert first == [record for _, record in published(f"127.0.0.1:{port}", "brugge-12", 10)]
            process.kill()
            process.wait()
            for record in second:
                kafka.publish(record)
            wait_until(lambda: not kafka.ready, IN_TIME_S, "the outage was not noticed")
            process = tansu.start(port)  # in memory: what it had is gone, as on a new cluster
            wait_for_port(port, process, IN_TIME_S)
            create_topic(f"127.0.0.1:{port}")
            found = {record.at for _, record in published(f"127.0.0.1:{port}", "brugge-12", 10)}
    finally:
        process.kill()
        process.wait()

    assert {record.at for record in second} <= found


def test_stop_without_kafka_ends_in_time() -> None:
    """SIGTERM is not held up by a broker that is not there; what is left is counted."""
    dropped_before, started_s = _dropped(), time.monotonic()
    with KafkaPublisher(f"127.0.0.1:{free_port()}") as kafka:
        kafka.publish(readings(1)[0])

    assert time.monotonic() - started_s < 2 * publisher.DRAIN_S + 1
    assert 1 == _dropped() - dropped_before


def _dropped() -> float:
    return DROPPED._value.get()  # type: ignore[no-any-return]
