"""Reading topics to their end, for commands that look at what is there: no group, nothing is committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from sunshave.broker import Unreachable, require_listener

POLL_MS = 500
REQUEST_MS = 15_000
"""For the broker to answer at all. Shorter: a busy one seems away; longer: a user waits for a wrong address."""


class Reader:
    """Reads topics of one cluster, partition by partition, up to their ends as of now."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._consumers: dict[str, KafkaConsumer] = {}

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions. Raises Unreachable where there is none."""
        numbers = self._consumer(topic).partitions_for_topic(topic)
        if not numbers:
            raise Unreachable(f"there is no topic {topic} at {self.bootstrap} (sunshave topics create)")
        return sorted(numbers)

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """The offsets of the oldest record that is kept, and one past the newest."""
        place = TopicPartition(topic, partition)
        consumer = self._consumer(topic)
        return int(consumer.beginning_offsets([place])[place]), int(consumer.end_offsets([place])[place])

    def read(self, topic: str, partition: int) -> Iterator[Any]:
        """The records of a partition up to its end, perhaps with some that came since; one partition of a topic at a
        time. The embedded broker names an end inside its last batch, so what is beyond it must not be left out."""
        consumer = self._consumer(topic)
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        consumer.seek_to_beginning(place)
        while consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=POLL_MS).values():
                yield from records

    def close(self) -> None:
        """Let go of every connection."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()

    def _consumer(self, topic: str) -> KafkaConsumer:
        if topic not in self._consumers:
            try:
                self._consumers[topic] = KafkaConsumer(
                    bootstrap_servers=self.bootstrap,
                    group_id=None,
                    enable_auto_commit=False,
                    allow_auto_create_topics=False,
                    bootstrap_timeout_ms=REQUEST_MS,
                )
            except (KafkaError, OSError):
                raise Unreachable(f"no broker answers at {self.bootstrap} within {REQUEST_MS // 1000} s") from None
        return self._consumers[topic]


@contextmanager
def reading(bootstrap: str) -> Iterator[Reader]:
    """A reader, as long as the block lasts. Raises Unreachable where the broker is away or goes away."""
    require_listener(bootstrap)
    reader = Reader(bootstrap)
    try:
        yield reader
    except KafkaError as problem:
        raise Unreachable(f"Kafka at {bootstrap} does not answer: {problem}") from None
    finally:
        reader.close()


def read_to_end(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every record of a topic up to its end now, in the order of each partition. Raises Unreachable."""
    with reading(bootstrap) as reader:
        for partition in reader.partitions(topic):
            yield from reader.read(topic, partition)
