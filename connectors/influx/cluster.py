"""The historian's side of Kafka: a consumer that commits only when told, and a producer for dead letters."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from connectors.influx.recorder import Source
from connectors.influx.sinks import Away, Refused
from pipeline.records import DEADLETTERS, DeadLetter, encode

GROUP = "sunshave-historian"
CONNECT_S = 5.0
"""For one attempt to reach Kafka. Less fails on a slow line, more makes a stop wait."""
SEND_S = 10.0
"""For a dead letter. Less gives up while a partition moves, more holds the batch."""
RECONNECT_MS = 2_000
"""Longest between the client's attempts to connect (its default is 30 s: dashboards would stand still that long)."""
METADATA_S = 30
"""How often new topics are looked for. Less asks the broker often, more misses a new one for longer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Kafka is, and how long a silent historian stays in its group (a real broker refuses less than 6 s)."""

    bootstrap: str
    session_timeout_s: float = 10.0

    def consumer(self, stop: threading.Event) -> KafkaConsumer | None:
        """A consumer of the group; tries until Kafka answers. None when it is told to stop before."""
        while not stop.is_set():
            try:
                return KafkaConsumer(
                    bootstrap_servers=self.bootstrap,
                    group_id=GROUP,
                    client_id=GROUP,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    allow_auto_create_topics=False,
                    session_timeout_ms=round(self.session_timeout_s * 1000),
                    heartbeat_interval_ms=round(self.session_timeout_s * 1000 / 5),
                    metadata_max_age_ms=METADATA_S * 1000,
                    bootstrap_timeout_ms=round(CONNECT_S * 1000),
                    reconnect_backoff_max_ms=RECONNECT_MS,
                )
            except (KafkaError, OSError) as problem:
                log.warning("Kafka at %s does not answer, trying again: %s", self.bootstrap, problem)
                stop.wait(1)
        return None


class DeadLetters:
    """Sends what InfluxDB refuses to `deadletters`. It connects with the first one: most runs have none."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer: KafkaProducer | None = None

    def send(self, refused: Refused) -> None:
        """Send one, and return when Kafka has it. Raises Away."""
        source = refused.line.source
        if source is None or source.topic == DEADLETTERS:
            return  # a roll-up has no record; and a dead letter's dead letter would never end
        letter = DeadLetter(
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            reason=f"invalid: influx: {refused.why}",
            value=source.value,
        )
        try:
            sent = self._open().send(DEADLETTERS, key=source.key, value=encode(letter))
            sent.get(timeout=SEND_S)
        except (KafkaError, OSError) as problem:
            raise Away(f"Kafka takes no dead letter: {problem}") from problem

    def close(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            self._producer.close(timeout=SEND_S)

    def _open(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._cluster.bootstrap,
                client_id=GROUP,
                bootstrap_timeout_ms=round(CONNECT_S * 1000),
                max_block_ms=round(SEND_S * 1000),
                reconnect_backoff_max_ms=RECONNECT_MS,
            )
        return self._producer


def source_of(record: object) -> Source:
    """A consumed record, as the recorder wants it."""
    r = record
    return Source(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)  # type: ignore[attr-defined]
