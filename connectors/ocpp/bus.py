"""The dispatcher's Kafka: setpoints and locations in, readings and feedback out. Nothing else here knows Kafka.

In: no consumer group, all partitions: a socket lives where the charger connected, and a partition where a group would
put it; they differ (facts 4.5). One dispatcher serves a fleet (a core holds 5 000 chargers, measured): a second one
would call the chargers of the first offline. At start the topics are read to their end, the newest record per key is
kept, and those are handed over first.

Out: what must be sent waits in memory while Kafka is away. Of readings only the newest per connector is kept; feedback
is kept in order, and with it a setpoint that is written once more. A thread of its own sends, because kafka-python may
block while it looks for the broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from connectors.ocpp import metrics
from connectors.ocpp.meter_values import whole_number
from pipeline import records
from pipeline.records import ChargerReading, Feedback, NotARecord, Setpoint, decode, encode
from topology.location import Location
from topology.read import LocationRefused, read_location_json

log = logging.getLogger(__name__)

TOPICS = (records.LOCATIONS, records.SETPOINTS)
POLL_MS = 200
"""How long a poll waits. Larger: stopping takes longer; smaller: CPU."""
BACKOFF_S = (1.0, 5.0)
"""Between attempts to reach the broker: first and longest. Larger: it is found late when it comes back."""
CHECK_S = 5
"""Between questions whether the broker is there (a poll does not tell) and has new partitions. Larger: both are noticed
later. Smaller: traffic."""
MAX_FEEDBACK = 200_000
"""Feedback kept while Kafka is away, in records (about 100 MB). More would end the process; less loses answers, which
the planner then takes for `ack_s` unanswered."""
BROKER_TIMEOUT_MS = 10_000
"""For a request to the broker, and for finding it. Smaller: a loaded broker looks away. Larger: one that is away is
noticed later."""
RECONNECT_MS = 2_000
"""Longest between the client's attempts to connect (its default is 30 s: setpoints would wait that long)."""


@dataclass(frozen=True, slots=True)
class Put:
    """A location's newest record; None where it was removed."""

    name: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The topic of setpoints has nothing for a connector any more: it was removed, and told so."""

    charger: str
    connector: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought. `restored`: it was on the topics before we started."""

    locations: tuple[Put, ...]
    setpoints: tuple[Setpoint | Forgotten, ...]
    restored: bool


class Inbox(threading.Thread):
    """Reads for ever. `deliver` is called in this thread."""

    def __init__(self, servers: str, deliver: Callable[[Batch], None]) -> None:
        super().__init__(name="kafka-in", daemon=True)
        self._servers = servers
        self._deliver = deliver
        self._stopping = threading.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._restored = False
        self.connected = False
        """Whether the last poll worked."""

    def stop(self) -> None:
        """End; the thread is done when its poll returns."""
        self._stopping.set()

    def run(self) -> None:
        """Read, and start anew after every failure, where we were."""
        wait_s = BACKOFF_S[0]
        while not self._stopping.is_set():
            try:
                self._read()
            except Exception as problem:
                if not isinstance(problem, KafkaError | OSError):  # the client's own bugs must not end us either
                    log.exception("Kafka's client failed")
                if self.connected or wait_s == BACKOFF_S[0]:
                    log.warning("Kafka at %s: %s: tried again", self._servers, str(problem) or type(problem).__name__)
                wait_s = BACKOFF_S[0] if self.connected else min(2 * wait_s, BACKOFF_S[1])
                self.connected = False
                self._stopping.wait(wait_s)

    def _read(self) -> None:
        consumer = KafkaConsumer(
            bootstrap_servers=self._servers.split(","),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            request_timeout_ms=BROKER_TIMEOUT_MS,
            bootstrap_timeout_ms=BROKER_TIMEOUT_MS,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        try:
            self._assign(consumer)
            if not self._restored:
                self._restore(consumer)
            self._follow(consumer)
        finally:
            consumer.close()

    def _assign(self, consumer: Any) -> None:
        found = [TopicPartition(t, p) for t in TOPICS for p in sorted(consumer.partitions_for_topic(t) or ())]
        missing = set(TOPICS) - {partition.topic for partition in found}
        if missing:
            raise KafkaError(f"there is no topic {', '.join(sorted(missing))} (sunshave topics create)")
        consumer.assign(found)
        for partition in found:
            if partition in self._positions:
                consumer.seek(partition, self._positions[partition])
            else:
                consumer.seek_to_beginning(partition)

    def _restore(self, consumer: Any) -> None:
        """Read to the end that the topics have now, keeping the newest per key. Then one more look: the embedded
        broker names an end inside its last batch."""
        ends = _ends(consumer)
        newest: dict[tuple[str, bytes | None], Any] = {}
        past: dict[TopicPartition, int] = {}
        more = True
        while not self._stopping.is_set():
            behind = any(consumer.position(partition) < end for partition, end in ends.items())
            if not behind and not more:
                break
            found = self._poll(consumer)
            more = bool(found) and behind
            newest.update({(record.topic, record.key): record for record in found})
            past.update(_past(found))
        if self._stopping.is_set():
            return
        batch = _batch(newest.values(), restored=True)
        log.info("Read %d locations and %d setpoints", len(batch.locations), len(batch.setpoints))
        self._deliver(batch)
        self._restored = True
        self._positions.update(past)

    def _follow(self, consumer: Any) -> None:
        check = time.monotonic() + CHECK_S
        while not self._stopping.is_set():
            found = self._poll(consumer)
            if found:
                self._deliver(_batch(found, restored=False))
                self._positions.update(_past(found))
            if time.monotonic() >= check:
                check = time.monotonic() + CHECK_S
                _ends(consumer)
                counts = sum(len(consumer.partitions_for_topic(topic) or ()) for topic in TOPICS)
                if counts > len(consumer.assignment()):
                    self._assign(consumer)

    def _poll(self, consumer: Any) -> list[Any]:
        found = [record for batch in consumer.poll(timeout_ms=POLL_MS).values() for record in batch]
        self.connected = True
        return found


def _ends(consumer: Any) -> dict[TopicPartition, int]:
    """The ends of all partitions. KafkaError where one is nowhere, as after a disk of the broker failed."""
    try:
        return dict(consumer.end_offsets(consumer.assignment(), timeout_ms=BROKER_TIMEOUT_MS))
    except KeyError as nowhere:  # the client asks the others and looks for this one in their answers
        raise KafkaError(f"no broker has {nowhere}") from None


def _past(found: Iterable[Any]) -> dict[TopicPartition, int]:
    """Where to read on once these are delivered; not before, or a failure in between would skip a setpoint."""
    return {TopicPartition(record.topic, record.partition): record.offset + 1 for record in found}


def _batch(found: Iterable[Any], *, restored: bool) -> Batch:
    """What records say; what cannot be read is counted and left out: nothing on a topic stops the dispatcher."""
    locations: list[Put] = []
    setpoints: list[Setpoint | Forgotten] = []
    for record in found:
        if record.topic == records.LOCATIONS:
            put = _location(record)
            locations += [put] if put else []
        else:
            said = _setpoint(record)
            setpoints += [said] if said else []
    return Batch(tuple(locations), tuple(setpoints), restored)


def _setpoint(record: Any) -> Setpoint | Forgotten | None:
    if record.value is None:
        charger, _, connector = (record.key or b"").decode("utf-8", "replace").rpartition("/")
        number = whole_number(connector)
        return None if number is None else Forgotten(charger, number)
    try:
        return decode(records.SETPOINTS, record.value)
    except NotARecord as reason:
        _malformed(record, str(reason))
        return None


def _location(record: Any) -> Put | None:
    name = (record.key or b"").decode("utf-8", "replace")
    if record.value is None:
        return Put(name, None)
    try:
        location = read_location_json(record.value).location
    except (LocationRefused, UnicodeDecodeError) as reason:
        _malformed(record, str(reason))
        return None
    if location.location != name:
        _malformed(record, f"its key is {name!r}, not its location")
        return None
    return Put(name, location)


def _malformed(record: Any, reason: str) -> None:
    metrics.MALFORMED.inc()
    log.warning("%s[%d] offset %d is ignored: %.300s", record.topic, record.partition, record.offset, reason)


def _place(record: ChargerReading | Feedback | Setpoint) -> tuple[str, str]:
    """The topic and the key of a record that we write."""
    if isinstance(record, Setpoint):
        return records.SETPOINTS, f"{record.charger}/{record.connector}"
    return records.FEEDBACK if isinstance(record, Feedback) else records.CHARGERS, record.location


def _lost(topic: str, problem: BaseException) -> None:
    metrics.DROPPED.labels(topic).inc()
    log.error("A record for %s was refused by Kafka: %s", topic, problem)


class Outbox(threading.Thread):
    """Sends for ever. `reading`, `feedback` and `setpoint` return at once, from any thread."""

    def __init__(self, servers: str) -> None:
        super().__init__(name="kafka-out", daemon=True)
        self._servers = servers
        self._changed = threading.Condition()
        self._readings: dict[tuple[str, int], ChargerReading] = {}
        self._feedback: deque[Feedback | Setpoint] = deque()
        self._stopping = False
        self._connected = False
        self._unanswered = 0
        self._answered_s = 0.0

    @property
    def sending(self) -> bool:
        """Whether Kafka takes what we send: it was found, and answers what it is sent."""
        waits_s = time.monotonic() - self._answered_s if self._unanswered else 0.0
        return self._connected and waits_s < BROKER_TIMEOUT_MS / 1000

    @property
    def idle(self) -> bool:
        """Whether Kafka is not there, and nothing waits for it."""
        with self._changed:
            return not (self._connected or self._readings or self._feedback)

    def reading(self, reading: ChargerReading) -> None:
        """Publish a reading; one of the same connector that still waits is dropped."""
        with self._changed:
            key = (reading.charger, reading.connector)
            if self._readings.pop(key, None) is not None:
                metrics.DROPPED.labels(records.CHARGERS).inc()
            self._readings[key] = reading
            self._changed.notify()

    def feedback(self, feedback: Feedback) -> None:
        """Publish feedback."""
        self._in_order(feedback)

    def setpoint(self, setpoint: Setpoint) -> None:
        """Write a setpoint once more, as it was."""
        self._in_order(setpoint)

    def _in_order(self, record: Feedback | Setpoint) -> None:
        with self._changed:
            self._feedback.append(record)
            if len(self._feedback) > MAX_FEEDBACK:
                metrics.DROPPED.labels(_place(self._feedback.popleft())[0]).inc()
            self._changed.notify()

    def stop(self) -> None:
        """Send what is left, as far as Kafka is there, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Find the broker, however long it takes, then send."""
        producer = self._producer()
        if producer is None:
            return
        while (taken := self._take()) is not None:
            self._send(producer, *taken)
        producer.close(timeout=5)

    def _producer(self) -> Any:
        wait_s = BACKOFF_S[0]
        while not self._stopping:
            try:
                producer = KafkaProducer(
                    bootstrap_servers=self._servers.split(","),
                    acks="all",
                    linger_ms=5,
                    delivery_timeout_ms=2**31 - 1,  # a broker that is away for a day costs no feedback
                    request_timeout_ms=BROKER_TIMEOUT_MS,
                    bootstrap_timeout_ms=BROKER_TIMEOUT_MS,
                    max_block_ms=BROKER_TIMEOUT_MS,
                    reconnect_backoff_max_ms=RECONNECT_MS,
                )
            except (KafkaError, OSError, ValueError) as problem:
                log.debug("Kafka at %s: %s", self._servers, problem)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, wait_s)
                wait_s = min(2 * wait_s, BACKOFF_S[1])
            else:
                self._connected = True
                return producer
        return None

    def _take(self) -> tuple[list[Feedback | Setpoint], list[ChargerReading]] | None:
        """All that waits; None when there is nothing and never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._readings or self._feedback or self._stopping)
            feedback, readings = list(self._feedback), list(self._readings.values())
            self._feedback.clear()
            self._readings.clear()
        return (feedback, readings) if feedback or readings else None

    def _send(self, producer: Any, feedback: list[Feedback | Setpoint], readings: list[ChargerReading]) -> None:
        """What is not taken waits again: feedback in its order, readings unless there are newer ones by now."""
        sent = 0
        while sent < len(feedback) and self._sent(producer, feedback[sent]):
            sent += 1
        known = 0
        while sent == len(feedback) and known < len(readings) and self._sent(producer, readings[known]):
            known += 1
        with self._changed:
            self._feedback.extendleft(reversed(feedback[sent:]))
            for reading in readings[known:]:
                self._readings.setdefault((reading.charger, reading.connector), reading)

    def _sent(self, producer: Any, record: ChargerReading | Feedback | Setpoint) -> bool:
        """Whether the producer took it. It sends and retries by itself then."""
        topic, key = _place(record)
        try:
            sending = producer.send(topic, key=key.encode(), value=encode(record))
        except (KafkaError, OSError) as problem:
            if self._connected:
                log.warning("Kafka at %s takes nothing: %s", self._servers, str(problem) or type(problem).__name__)
            self._connected = False
            if self._stopping:
                return True  # given up: we were told to end, and nobody is there
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, BACKOFF_S[0])
            return False
        self._connected = True
        with self._changed:
            if not self._unanswered:
                self._answered_s = time.monotonic()
            self._unanswered += 1
        sending.add_callback(self._answered)
        sending.add_errback(_lost, topic)
        sending.add_errback(self._answered)
        return True

    def _answered(self, _metadata_or_problem: object) -> None:
        """Called by the producer's thread when Kafka has a record, or has refused it."""
        with self._changed:
            self._unanswered -= 1
            self._answered_s = time.monotonic()
