"""Watching the topics: a thread that reads them from their beginning into a `History`, and keeps the newest lines."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import UTC, datetime

from kafka import KafkaConsumer, TopicPartition

from pipeline.records import Feedback, Setpoint
from sunshave.history import TOPICS, History

log = logging.getLogger(__name__)

LINES = 9
"""Lines of news on the screen."""
POLL_MS = 200


class Watcher(threading.Thread):
    """Reads until it is told to stop. The screen reads the history while it is written: deques and dicts allow it."""

    def __init__(self, bootstrap: str, location: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.history = History(location)
        self.news: deque[str] = deque(maxlen=LINES)
        self._kafka = bootstrap
        self._told_to_stop = threading.Event()

    def stop(self) -> None:
        """End after the poll that runs."""
        self._told_to_stop.set()
        if self.is_alive():
            self.join(5)

    def tell(self, text: str) -> None:
        """Add a line to the news."""
        self.news.append(f"{datetime.now(UTC):%H:%M:%S}  {text}")

    def run(self) -> None:
        """Follow all partitions; what is not there yet is looked for again."""
        consumer = KafkaConsumer(bootstrap_servers=self._kafka, enable_auto_commit=False, group_id=None)
        try:
            partitions = [TopicPartition(t, p) for t in TOPICS for p in sorted(consumer.partitions_for_topic(t) or ())]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            while not self._told_to_stop.is_set():
                for records in consumer.poll(timeout_ms=POLL_MS).values():
                    for record in records:
                        self._hear(record.topic, record.value)
        finally:
            consumer.close()

    def _hear(self, topic: str, value: bytes | None) -> None:
        heard = self.history.hear(topic, value)
        if isinstance(heard, Setpoint):
            self.tell(f"{heard.charger}: at most {heard.limit_a:g} A, because of {heard.reason}")
        elif isinstance(heard, Feedback) and heard.state not in ("sent", "accepted", "confirmed"):
            self.tell(f"{heard.charger}: {heard.state} {heard.error or ''}")
