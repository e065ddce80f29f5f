"""What was on the topics of a soak that went wrong, for whoever looks for the reason: one line of JSON per record."""

from __future__ import annotations

import json
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from pipeline.topics import SOURCES

SILENCE_MS = 3_000
"""Nothing for so long is the end. Less: a busy broker is taken for an empty one."""


def keep_records(bootstrap: str, topics: tuple[str, ...], folder: Path) -> None:
    """A file per topic, in the order of each partition."""
    for topic in (*SOURCES, *topics):
        consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), consumer_timeout_ms=SILENCE_MS)
        places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        with (folder / f"{topic}.jsonl").open("w", encoding="utf-8") as out:
            for record in consumer:
                place = {"partition": record.partition, "offset": record.offset, "timestamp_ms": record.timestamp}
                said = {"key": _text(record.key), "value": _text(record.value)}
                out.write(json.dumps(place | said) + "\n")
        consumer.close()


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
