"""Readings to the topic `telemetry.meters`: a bounded buffer, and a thread that empties it into Kafka.

While Kafka is away the newest readings are kept and the oldest fall out, counted: an old reading decides nothing, and
the registers in the newer ones still tell the energy. A batch whose fate is unknown is sent again; the pipeline's fold
does not mind a reading twice (design §6).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from pipeline.records import METERS, MeterReading, encode

BUFFER = 100_000
"""Readings kept while Kafka is away (about 50 MB). Smaller: less survives an outage. Larger: memory, and a longer time
until the newest reading is out again."""

BATCH = 500
"""Readings sent before their answers are awaited. Smaller: slower on a far broker. Larger: more is sent again when a
broker dies in the middle."""

ANSWER_S = 10.0
"""How long Kafka may take for a batch. Smaller: a broker that elects a leader gets it twice. Larger: an outage is
noticed (and shown in /health) later."""

PAUSE_S = 1.0
"""Between attempts while Kafka is away. Smaller: a broker that starts is hammered. Larger: readings come late."""

DRAIN_S = 5.0
"""How long a stop waits for the buffer to empty. Smaller: the last readings are lost. Larger: SIGTERM takes longer."""

RECONNECT_MS = 2_000
"""Longest between the client's attempts to connect (its default is 30 s: readings would wait that long)."""

CLOSE_S = 1.0
"""How long a producer may take to close; what it holds is in our buffer again. Larger: the next one comes later."""

CONNECT_S = 2.0
"""How long a broker may take to accept a connection. Smaller: a far one never does. Larger: a stop takes longer."""

LOG_EVERY_S = 60.0
"""How often an outage is mentioned again."""

PUBLISHED = Counter("sunshave_meter_published", "Readings that Kafka has acknowledged")
DROPPED = Counter("sunshave_meter_dropped", "Readings that fell out of the full buffer, or were left at the end")
WAITING = Gauge("sunshave_meter_waiting", "Readings in the buffer")

Send = Callable[[MeterReading], Any]
"""Gives a reading to the producer; answers with the future of its acknowledgement."""

log = logging.getLogger(__name__)


class KafkaPublisher:
    """`publish` returns at once and never raises. Leaving the block sends what is left, for DRAIN_S at most."""

    def __init__(self, servers: str, *, buffer: int = BUFFER) -> None:
        self._servers = servers
        self._buffer = buffer
        self._waiting: deque[MeterReading] = deque()
        self._changed = threading.Condition()
        self._stop_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._said_s = -LOG_EVERY_S
        self.ready = False
        """Whether the last attempt reached Kafka."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._stop_at_s = time.monotonic() + DRAIN_S
            self._changed.notify()
        self._thread.join()
        if self._waiting:
            log.warning("%d readings could not be published before the end", len(self._waiting))
            DROPPED.inc(len(self._waiting))

    def publish(self, reading: MeterReading) -> None:
        """Put a reading into the buffer; the oldest falls out when it is full."""
        with self._changed:
            self._waiting.append(reading)
            self._trim()
            self._changed.notify()

    def _trim(self) -> None:
        while len(self._waiting) > self._buffer:
            self._waiting.popleft()
            DROPPED.inc()
        WAITING.set(len(self._waiting))

    def _run(self) -> None:
        while not self._is_over():
            try:
                with self._producer() as send:
                    self._heard_from_kafka()
                    while not self._is_over():
                        self._send(send, self._next_batch())
            except (KafkaError, OSError) as problem:
                self._complain(problem)
                self._rest()

    def _is_over(self) -> bool:
        if self._stop_at_s is None:
            return False
        return not self._waiting or time.monotonic() >= self._stop_at_s

    @contextmanager
    def _producer(self) -> Iterator[Send]:
        """A producer until the first error: one whose idempotent session broke stays broken for ever.

        Acknowledged by all in-sync replicas; the default partitioner (murmur2 of the key) is that of Java clients.
        """
        servers = self._servers.split(",")
        _require_listener(servers)
        producer = KafkaProducer(
            bootstrap_servers=servers,
            client_id="sunshave-meters",
            acks="all",
            allow_auto_create_topics=False,
            max_block_ms=int(ANSWER_S * 500),
            request_timeout_ms=int(ANSWER_S * 500),
            delivery_timeout_ms=int(ANSWER_S * 1000),
            bootstrap_timeout_ms=int(DRAIN_S * 1000),
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        try:
            yield lambda reading: producer.send(METERS, key=reading.location.encode(), value=encode(reading))
        finally:
            producer.close(timeout=CLOSE_S)

    def _next_batch(self) -> list[MeterReading]:
        """Up to BATCH readings, waiting for the first one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stop_at_s is not None)
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            WAITING.set(len(self._waiting))
        return batch

    def _send(self, send: Send, batch: list[MeterReading]) -> None:
        """All of a batch, or an error, and the unacknowledged are back in the buffer in their order."""
        acknowledged = 0
        try:
            sent = [send(reading) for reading in batch]
            for answer in sent:
                answer.get(timeout=ANSWER_S + 1)
                acknowledged += 1
        finally:
            PUBLISHED.inc(acknowledged)
            if acknowledged < len(batch):
                with self._changed:
                    self._waiting.extendleft(reversed(batch[acknowledged:]))
                    self._trim()

    def _heard_from_kafka(self) -> None:
        if not self.ready:
            log.info("publishing to %s at %s", METERS, self._servers)
            self.ready = True

    def _complain(self, problem: Exception) -> None:
        self.ready = False
        if time.monotonic() - self._said_s >= LOG_EVERY_S:
            self._said_s = time.monotonic()
            log.warning(
                "Kafka at %s: %s; %d readings wait",
                self._servers,
                problem or type(problem).__name__,
                len(self._waiting),
            )

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stop_at_s is not None, timeout=PAUSE_S)
        if self._stop_at_s is not None:
            time.sleep(0.1)  # the last seconds: no busy loop


def _require_listener(servers: list[str]) -> None:
    """OSError when nobody listens: a producer that cannot bootstrap leaves its sockets open, so none is made."""
    problem: OSError | None = None
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
        except OSError as refused:
            problem = refused
        else:
            return
    raise problem or OSError("no servers")
