"""The historian: reads the topics, writes InfluxDB, and commits an offset only when what was made of it is saved.

InfluxDB away means lag, not loss: the batch is kept, reading pauses, membership in the group goes on, and the same
batch is written until it is taken. After a crash the last batch is read again, and rewrites the same points.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from connectors.influx import metrics, points
from connectors.influx.cluster import DeadLetters, source_of
from connectors.influx.recorder import TOPICS, Line, Recorder
from connectors.influx.sinks import Away, Outcome, Sink

BATCH = 5000
"""Lines that are written at once. Fewer cost round trips, more make a refused batch dear to halve."""
FLUSH_S = 1.0
"""The longest that a record waits to be written. Less makes many small requests, more lets the pictures lag."""
POLL_RECORDS = 1000
"""Records of one poll. Fewer cost calls, more overshoot BATCH (a large location's decision makes hundreds of lines)."""
POLL_MS = 200
"""The longest wait for records. Less burns a core when nothing comes, more delays a flush."""
BACKOFF_S = (0.5, 1, 2, 5, 10, 30)
"""Between two attempts while InfluxDB is away; the last one stays. Less hammers a server that starts, more adds lag."""
SELF_EVERY_S = 10.0
"""Between two points about ourselves. Less costs writes, more lets the health board lag."""
SILENT_EVERY_S = 10.0
"""How often the silent locations are looked for. Less scans often, more delays the news."""
COMMIT_MS = 10_000
"""For one commit. Less fails while the group moves, more holds the reading."""
STUCK_S = 120.0
"""The loop is dead when it has not turned for so long. Less kills it during a slow request, more lets it hang."""

log = logging.getLogger(__name__)


class Historian:
    """One member of the group. `run` until told to stop; `health` from any thread."""

    def __init__(self, consumer: KafkaConsumer, sink: Sink, letters: DeadLetters) -> None:
        self._consumer = consumer
        self._sink = sink
        self._letters = letters
        self._recorder = Recorder()
        self._lines: list[Line] = []
        self._offsets: dict[Any, int] = {}
        self._oldest_s: float | None = None
        self._silent_s = time.monotonic()
        self._turned_s = time.monotonic()
        self._told_s = time.monotonic()
        self._away: str | None = None
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._lags: dict[Any, int] = {}
        self._counts: Counter[str] = Counter()

    def run(self, stop: threading.Event) -> None:
        """Read, write and commit until told to stop; then write what was read. Raises Unusable."""
        self._consumer.subscribe(TOPICS, listener=_Forget(self._offsets, self._lags, self._recorder))
        while not stop.is_set():
            self._turned_s = time.monotonic()
            if not self._read():
                self._note_silent()
            self._note_self()
            if len(self._lines) >= BATCH or self._age_s() >= FLUSH_S:
                self._save(stop)
        self._save(stop)

    def health(self) -> dict[str, Any]:
        """Ready: it has partitions, and its lines are taken. Live: its loop turns."""
        partitions = len(self._consumer.assignment())
        return {
            "ready": partitions > 0 and self._away is None,
            "live": time.monotonic() - self._turned_s < STUCK_S,
            "partitions": partitions,
            "oldest_unsaved_s": round(self._age_s(), 3),
            "problem": self._away,
        }

    def _read(self) -> bool:
        """One poll into the batch. Tells if anything came."""
        try:
            polled = self._consumer.poll(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        except KafkaError as problem:
            log.warning("Kafka gives no records, trying again: %s", problem)
            time.sleep(POLL_MS / 1000)
            return False
        for partition, records in polled.items():
            for record in records:
                self._lines += self._recorder.lines(source_of(record))
            self._offsets[partition] = records[-1].offset + 1
            metrics.RECORDS.labels(partition.topic).inc(len(records))
            self._note_lag(partition)
        if polled and self._oldest_s is None:
            self._oldest_s = time.monotonic()
        return bool(polled)

    def _note_silent(self) -> None:
        """Nothing left to read: the ages of the locations that decide no more go on."""
        if time.monotonic() - self._silent_s >= SILENT_EVERY_S:
            self._silent_s = time.monotonic()
            self._add(self._recorder.silent(round(time.time() * 1000)))

    def _note_self(self) -> None:
        """How far we are, for the board that says whether the others can be believed."""
        if time.monotonic() - self._told_s >= SELF_EVERY_S:
            self._told_s = time.monotonic()
            now_ms = round(time.time() * 1000)
            lags = [points.lag(p.topic, p.partition, now_ms, lag) for p, lag in self._lags.items()]
            self._add(self._recorder.own([points.historian(self._name, now_ms, self._age_s(), self._counts), *lags]))
            self._counts.clear()

    def _add(self, lines: list[Line]) -> None:
        """Lines that no record brought."""
        self._lines += lines
        if lines and self._oldest_s is None:
            self._oldest_s = time.monotonic()

    def _save(self, stop: threading.Event) -> None:
        """Write the batch, however long it takes, then commit. When told to stop while InfluxDB is away: neither."""
        for attempt in itertools.count():
            self._turned_s = time.monotonic()
            metrics.UNSAVED.set(self._age_s())
            try:
                if self._lines:
                    self._count(self._sink.write(self._lines))
                break
            except Away as away:
                self._note_away(away, attempt)
                if stop.is_set():
                    log.warning("stopping with %d lines unsaved: they will be read again", len(self._lines))
                    return
                self._wait(away.retry_after_s or BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)], stop)
        if self._away is not None:
            log.info("InfluxDB takes lines again")
        self._away, self._lines, self._oldest_s = None, [], None
        metrics.UNSAVED.set(0)
        self._commit()

    def _count(self, outcome: Outcome) -> None:
        """Count what became of a batch; what is refused for good goes to the dead letters before the commit."""
        for refused in outcome.refused:
            log.warning("refused by InfluxDB: %s (%.200s)", refused.why, refused.line.text)
            self._letters.send(refused)
        metrics.REFUSED.inc(len(outcome.refused))
        self._counts.update(points=outcome.saved, refused=len(outcome.refused))
        metrics.SAVED.inc(outcome.saved)
        metrics.EXPIRED.inc(outcome.expired)
        for topic, count in self._recorder.skipped.items():
            metrics.SKIPPED.labels(topic).inc(count)
        self._recorder.skipped.clear()

    def _note_away(self, away: Away, attempt: int) -> None:
        self._counts["retries"] += 1
        metrics.RETRIES.inc()
        if attempt % 10 == 0 or _kind(str(away)) != _kind(self._away or ""):
            log.warning("%d lines wait: %s", len(self._lines), away)
        self._away = str(away)

    def _wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait, but stay in the group: a member that does not poll for minutes is thrown out."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0 and not stop.wait(min(left_s, POLL_MS / 1000)):
            self._turned_s = time.monotonic()
            self._consumer.pause(*self._consumer.assignment())
            for partition, records in self._consumer.poll(timeout_ms=0).items():
                self._consumer.seek(partition, records[0].offset)  # assigned just now, not paused yet
        self._consumer.resume(*self._consumer.paused())

    def _commit(self) -> None:
        """Commit what is saved. A commit that fails is no loss: the next one covers it, or the records come again."""
        if not self._offsets:
            return
        try:
            self._consumer.commit({p: OffsetAndMetadata(offset) for p, offset in self._offsets.items()}, COMMIT_MS)
        except KafkaError as problem:
            log.warning("offsets were not committed, the next commit covers them: %s", problem)
            return
        self._offsets.clear()

    def _note_lag(self, partition: Any) -> None:
        end = self._consumer.highwater(partition)
        if end is not None:
            lag = self._lags[partition] = max(0, end - self._offsets[partition])
            metrics.LAG.labels(partition.topic, str(partition.partition)).set(lag)

    def _age_s(self) -> float:
        return 0.0 if self._oldest_s is None else time.monotonic() - self._oldest_s


def _kind(problem: str) -> str:
    """What is the matter, without the particulars that differ from one attempt to the next."""
    return problem.partition(": ")[0]


class _Forget(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Partitions that are taken away are no longer ours to commit; their records are read again by whoever has them."""

    def __init__(self, offsets: dict[Any, int], lags: dict[Any, int], recorder: Recorder) -> None:
        self._offsets = offsets
        self._lags = lags
        self._recorder = recorder

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget their offsets, their lag, and what was counted in them."""
        for partition in revoked:
            self._offsets.pop(partition, None)
            self._lags.pop(partition, None)
            self._recorder.forget(partition.topic, partition.partition)
            metrics.LAG.remove(partition.topic, str(partition.partition))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Reading starts at what is committed, without our help."""
        log.info("reading %d partitions", len(list(assigned)))
