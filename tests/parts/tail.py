"""Follows topics from their beginning: one connection for all the looks of a test, each record read once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

LOOK_S = 10.0
"""Without a new record a look ends. Less: a loaded broker has not answered; more: a test waits for what never comes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was read; `value` None where it is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    value: Any


class Tail:
    """All records of some topics so far, in the order of each partition. For one thread."""

    def __init__(self, bootstrap: str, topics: Iterable[str]) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
        self._places = {t: [TopicPartition(t, p) for p in self._consumer.partitions_for_topic(t) or ()] for t in topics}
        self._seen: dict[str, list[Seen]] = {topic: [] for topic in self._places}
        every = [place for places in self._places.values() for place in places]
        self._consumer.assign(every)
        self._consumer.seek_to_beginning(*every)

    def close(self) -> None:
        self._consumer.close()

    def look(self, topic: str) -> list[Seen]:
        """What is on the topic now, and was before."""
        places = self._places[topic]
        ends = self._consumer.end_offsets(places)
        deadline_s = time.monotonic() + LOOK_S
        while any(self._consumer.position(p) < ends[p] for p in places) and time.monotonic() < deadline_s:
            if self.poll(200):
                deadline_s = time.monotonic() + LOOK_S
        return self._seen[topic]

    def poll(self, timeout_ms: int) -> list[Seen]:
        """What is new on any of the topics."""
        new = [_seen(record) for found in self._consumer.poll(timeout_ms=timeout_ms).values() for record in found]
        for seen in new:
            self._seen[seen.topic].append(seen)
        return new


def _seen(record: Any) -> Seen:
    key = None if record.key is None else record.key.decode()
    value = None if record.value is None else json.loads(record.value)
    return Seen(record.topic, record.partition, record.offset, record.timestamp, key, value)
