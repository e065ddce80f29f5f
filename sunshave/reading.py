"""Reading topics to their end, for commands that look at what is there: no group, nothing is committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from sunshave.broker import Unreachable, require_listener

POLL_MS = 500
REQUEST_MS = 15_000
"""For the broker to answer at all. Shorter: a busy one seems away; longer: a user waits for a wrong address."""


def read_to_end(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every record of a topic up to its end now, in the order of each partition. Raises Unreachable."""
    require_listener(bootstrap)
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, bootstrap_timeout_ms=REQUEST_MS
        )
    except (KafkaError, OSError, ValueError) as problem:
        raise Unreachable(f"no Kafka at {bootstrap}: {problem}") from None
    try:
        yield from _read(consumer, topic, bootstrap)
    except KafkaError as problem:
        raise Unreachable(f"Kafka at {bootstrap} does not answer: {problem}") from None
    finally:
        consumer.close()


def _read(consumer: KafkaConsumer, topic: str, bootstrap: str) -> Iterator[Any]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise Unreachable(f"there is no topic {topic} at {bootstrap} (sunshave topics create)")
    partitions = [TopicPartition(topic, p) for p in sorted(numbers)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    consumer.seek_to_beginning(*partitions)
    while any(consumer.position(p) < ends[p] for p in partitions):
        for partition, records in consumer.poll(timeout_ms=POLL_MS).items():
            yield from (r for r in records if r.offset < ends[partition])
