"""A broker with the stream's topics, worker processes on it, and what goes in and comes out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, DEADLETTERS, DECISIONS, METERS, SETPOINTS
from pipeline.topics import create_topics
from tests.parts.brokers import Broker
from tests.parts.tail import Tail
from tests.parts.waiting import wait_until

PARTITIONS = 4
STOP_S = 20.0
"""For a worker to end after SIGTERM; then it is killed, and the test fails."""
WAIT_S = 80.0
"""For what a worker does in seconds. Less fails on a machine that does ten other things."""
TOLD_BYTES = 6_000
"""The end of a worker's log that a failing test shows."""
READINGS_S = 0.5
"""Between two readings of a house."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def again_and_again(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `beat` in a thread, until the block ends."""
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(every_s):
            beat()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def house(name: str, limit_a: float = 40) -> dict[str, Any]:
    """Two chargers of 40 A, one-phase, on one fuse."""
    connector = {"id": 1, "phases": 1, "rotation": "R", "max_a": 40}
    return {
        "location": name,
        "grid": {"type": "TN", "phases": 1, "voltage_v": 230},
        "groups": [{"id": "main", "limit_a": limit_a, "meter": "p1"}],
        "meters": [{"id": "p1"}],
        "chargers": [{"id": f"{name}-{c}", "group": "main", "fallback_a": 6, "connectors": [connector]} for c in "AB"],
    }


class Stream:
    """Writes records, and reads what is on a topic."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=0, enable_idempotence=False)
        self.tail = Tail(broker.bootstrap, (DECISIONS, SETPOINTS, DEADLETTERS))

    def close(self) -> None:
        self._producer.close(timeout=1)
        self.tail.close()

    def put(self, topic: str, key: str | None, value: object) -> tuple[str, int, int]:
        """Write one record; gives its topic, partition and offset."""
        raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        sent = self._producer.send(topic, key=None if key is None else key.encode(), value=raw).get(timeout=30)
        return sent.topic, sent.partition, sent.offset

    def read(self, topic: str, of: str | None = None) -> list[dict[str, Any]]:
        """All records of a topic, in the order of each partition; only those of a location if one is named."""
        values = [seen.value for seen in self.tail.look(topic) if seen.value is not None]
        return [value for value in values if of is None or value.get("location") == of]

    def decisions(self, of: str) -> list[dict[str, Any]]:
        return self.read(DECISIONS, of)

    def setpoints(self, of: str) -> list[dict[str, Any]]:
        return self.read(SETPOINTS, of)

    def dead_letters(self) -> dict[tuple[str, int, int], list[dict[str, Any]]]:
        found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
        for letter in self.read(DEADLETTERS):
            found.setdefault((letter["topic"], letter["partition"], letter["offset"]), []).append(letter)
        return found

    def wait(self, look: Callable[[], Any], timeout_s: float = WAIT_S, what: str = "it did not come") -> Any:
        return wait_until(look, timeout_s, what)


@dataclass
class House:
    """Readings of a house, all of one moment, again and again until the block ends. The cars draw nothing."""

    stream: Stream
    name: str
    house_a: float = 0.0
    charging: dict[str, bool] = field(default_factory=lambda: {"A": True, "B": True})

    def read_once(self) -> None:
        at = rfc3339(now_ms())
        for charger, charging in self.charging.items():
            status = "Charging" if charging else "Available"
            reading = {"charger": f"{self.name}-{charger}", "connector": 1, "online": True, "status": status}
            more = {"location": self.name, "at": at, "transaction": "1" if charging else None, "current_a": [0.0]}
            self.stream.put(CHARGERS, self.name, reading | more)
        meter = {"location": self.name, "meter": "p1", "at": at, "current_a": [self.house_a]}
        self.stream.put(METERS, self.name, meter)

    def living(self) -> AbstractContextManager[None]:
        return again_and_again(self.read_once, READINGS_S)


class Worker:
    """A `sunshave worker` process. What it logs goes to a file, for a failing test to show."""

    program = "from sunshave.cli import main; main()"

    def __init__(self, broker: Broker, log: Path, *more: str, **environment: str) -> None:
        command = [sys.executable, "-c", self.program, "worker", "--kafka", broker.bootstrap]
        options = ["--broker-profile", broker.profile, "--session-timeout", str(broker.session_timeout_s), *more]
        self.log = log
        with log.open("ab") as out:
            told = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
            self.process = subprocess.Popen([*command, *options], stdout=out, stderr=out, env=told)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """End it as an orchestrator does; gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def workers_on(broker: Broker, folder: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers; kills those that a test leaves behind."""
    started: list[Worker] = []

    def start(*more: str) -> Worker:
        started.append(Worker(broker, folder / f"worker-{len(started)}.log", *more))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            if worker.process.poll() is None:
                worker.thaw()
                worker.kill()


@contextmanager
def service(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another of our processes, killed when it does not end by itself. What it logs goes to a file."""
    with log.open("ab") as out:
        command = [sys.executable, "-c", "from sunshave.cli import main; main()", *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def show(folder: Path) -> None:
    """Print what workers logged: pytest shows it where the test failed."""
    for log in sorted(folder.glob("worker-*.log")):
        print(f"--- {log.name}: {log.read_text(errors='replace')[-TOLD_BYTES:]}")


def prepared(broker: Broker) -> Stream:
    """The topics are made, and somebody can write."""
    create_topics(broker.bootstrap, PARTITIONS, 1)
    return Stream(broker)
