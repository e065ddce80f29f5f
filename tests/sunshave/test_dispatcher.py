"""`sunshave dispatcher` as a user runs it: a process, a broker, a charger, signals."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from connectors.simulated.battery import Car
from connectors.simulated.cars import run_charge_point
from pipeline import records
from pipeline.records import ChargerReading, Feedback, encode
from tests.connectors.ocpp.desk import location, setpoint
from tests.parts import free_port
from tests.parts.brokers import Broker
from tests.parts.kafka import Node, running_kafka
from tests.parts.waiting import wait_until
from topology.read import location_document

TOPICS = (records.LOCATIONS, records.SETPOINTS, records.FEEDBACK, records.CHARGERS)
PASSWORD = "a long enough secret"


class Process:
    """A dispatcher, its ports, and its log."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        secrets = folder / "secrets.yaml"
        secrets.write_text(f'CP-1: "{PASSWORD}"\n')
        self.port, self.http = free_port(), free_port()
        self._log = folder / f"log-{self.port}"
        command = [str(Path(sys.executable).with_name("sunshave")), "dispatcher", "--kafka", bootstrap]
        command += ["--listen", f"127.0.0.1:{self.port}", "--http", f"127.0.0.1:{self.http}", "--secrets", str(secrets)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, problem.read().decode()
        except OSError:
            return 0, ""

    def kafka(self) -> dict[str, bool] | None:
        """What health says of its broker; None when it says nothing."""
        told = self.get("/health")[1]
        return json.loads(told)["kafka"] if told else None

    def ready(self) -> bool:
        """Whether it says so."""
        assert self.process.poll() is None, self.log()
        return self.get("/health")[0] == 200


@contextmanager
def dispatcher(bootstrap: str, folder: Path) -> Iterator[Process]:
    """A dispatcher that is ready; killed when it did not end by itself."""
    running = Process(bootstrap, folder)
    try:
        wait_until(running.ready, 20, "the dispatcher was not ready")
        yield running
    finally:
        running.process.kill()
        running.process.wait()


class Topics:
    """What tests write to and read from the broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        missing = [topic for topic in TOPICS if topic not in admin.list_topics()]
        if missing:
            admin.create_topics({topic: {"num_partitions": 4, "replication_factor": 1} for topic in missing})
        admin.close()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)
        self._consumer = KafkaConsumer(
            records.FEEDBACK, records.CHARGERS, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest"
        )
        self.feedback: list[Feedback] = []
        self.readings: list[ChargerReading] = []

    def put(self, topic: str, key: str, value: bytes | None) -> None:
        """Write one record."""
        self._producer.send(topic, key=key.encode(), value=value).get(10)

    def locate(self) -> None:
        """The location with CP-1."""
        self.put(records.LOCATIONS, "house", json.dumps(location_document(location())).encode())

    def offer(self, seq: int, limit_a: float, **fields: Any) -> None:
        """A setpoint for CP-1/1."""
        self.put(records.SETPOINTS, "CP-1/1", encode(setpoint(seq, limit_a, **fields)))

    def states(self, seq: int) -> list[str]:
        """What was said about a setpoint."""
        self._read()
        return [f.state for f in self.feedback if f.seq == seq]

    def latest(self) -> ChargerReading | None:
        """The newest reading of CP-1/1."""
        self._read()
        return max((r for r in self.readings if r.connector == 1), key=lambda r: r.at, default=None)

    def draws(self, amperes: float) -> bool:
        """Whether the newest reading says so."""
        newest = self.latest()
        return newest is not None and newest.current_a == [amperes] * 3

    def _read(self) -> None:
        for batch in self._consumer.poll(timeout_ms=50).values():
            for record in batch:
                assert record.key == b"house"
                kept: list[Any] = self.feedback if record.topic == records.FEEDBACK else self.readings
                kept.append(records.decode(record.topic, record.value))

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()
        self._consumer.close()


@contextmanager
def topics(bootstrap: str) -> Iterator[Topics]:
    """The topics, created where they are missing."""
    opened = Topics(bootstrap)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def car(port: int) -> Iterator[None]:
    """A simulated charge point with a car, in a thread with a loop of its own."""
    cars = [Car("CP-1", delay_s=0.0, ramp_a_per_s=1000.0)]
    url = f"ws://127.0.0.1:{port}"
    loop = asyncio.new_event_loop()
    driving = loop.create_task(run_charge_point(url, "CP-1", cars, meter_values_every_s=0.5, password=PASSWORD))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([driving])))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(driving.cancel)
        thread.join()
        loop.close()


def test_setpoint_in_profile_feedback_and_telemetry_out(broker: Broker, tmp_path: Path) -> None:
    """From the topic to the car and back; garbage on the topics in between ends nothing; SIGTERM ends it with 0."""
    with topics(broker.bootstrap) as kafka, dispatcher(broker.bootstrap, tmp_path) as running:
        for topic in (records.LOCATIONS, records.SETPOINTS):
            for garbage in (b"{", b"", b"null", b'{"location": 1}', None, b"\xff"):
                kafka.put(topic, "garbage", garbage)
        kafka.locate()
        base = int(time.time() * 1000)
        with car(running.port):
            wait_until(lambda: (r := kafka.latest()) and r.online and r.transaction, 20, "no transaction")
            kafka.offer(base, 10)
            wait_until(lambda: "accepted" in kafka.states(base), 10, running.log())
            wait_until(lambda: kafka.draws(10), 10, "the car does not draw 10 A")
            kafka.offer(base + 1, 8)
            wait_until(lambda: kafka.draws(8), 10, "the car does not draw 8 A")
            kafka.offer(base - 1, 16)
            wait_until(lambda: kafka.states(base - 1), 10, "no answer")

            assert ["superseded"] == kafka.states(base - 1)
            assert ["sent", "accepted"] == kafka.states(base)
            metrics = running.get("/metrics")[1]
            assert "sunshave_ocpp_chargers_connected 1.0" in metrics
            assert 'sunshave_ocpp_setpoints_total{state="accepted"} 2.0' in metrics
            running.process.send_signal(signal.SIGTERM)
            assert 0 == running.process.wait(15), running.log()
        wait_until(lambda: (r := kafka.latest()) and not r.online, 10, "it did not say that the charger is gone")
        assert "Traceback" not in running.log()
        assert PASSWORD not in running.log()


@pytest.mark.embedded
def test_restart_applies_the_newest_setpoint_again(tansu: str, tmp_path: Path) -> None:
    """A dispatcher that comes later reads the topics to their end: locations, and the newest living setpoint."""
    with topics(tansu) as kafka:
        kafka.locate()
        base = int(time.time() * 1000)
        kafka.offer(base, 9)
        kafka.offer(base + 1, 7)
        with dispatcher(tansu, tmp_path) as running, car(running.port):
            wait_until(lambda: kafka.draws(7), 20, "the car does not draw 7 A")

            assert [] == kafka.states(base)
            assert "accepted" in kafka.states(base + 1)


@pytest.mark.kafka
@pytest.mark.slow
def test_chargers_stay_while_kafka_is_away(tmp_path: Path) -> None:
    """A broker that goes stops no socket; when it is back, what waited is sent and new setpoints act."""
    with running_kafka() as node, dispatcher_before_topics(node, tmp_path) as running, car(running.port):
        with topics(node.bootstrap) as kafka:
            wait_until(lambda: (r := kafka.latest()) and r.transaction, 20, "no transaction")
        assert {"reading": True, "sending": True} == running.kafka()
        node.stop()
        wait_until(lambda: running.kafka() == {"reading": False, "sending": False}, 40, "it did not notice")
        assert 503 == running.get("/health")[0]
        assert 1 == json.loads(running.get("/health")[1])["connected"]
        node.start()
        base = int(time.time() * 1000)
        with topics(node.bootstrap) as kafka:
            kafka.offer(base, 11)
            wait_until(lambda: kafka.draws(11), 40, "the car does not draw 11 A")

        assert "CP-1: disconnected" not in running.log()


@contextmanager
def dispatcher_before_topics(node: Node, folder: Path) -> Iterator[Process]:
    """One that is started before there are topics: it waits for them."""
    running = Process(node.bootstrap, folder)
    try:
        wait_until(lambda: "there is no topic" in running.log(), 20, "it does not say what is missing")
        with topics(node.bootstrap) as kafka:
            kafka.locate()
        wait_until(running.ready, 20, "it did not find the topics")
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_without_a_broker_it_neither_reads_nor_sends(tmp_path: Path) -> None:
    """Health says what is true from the first moment."""
    running = Process("127.0.0.1:1", tmp_path)
    try:
        wait_until(lambda: running.kafka() is not None, 20, "no health")
        assert {"reading": False, "sending": False} == running.kafka()
    finally:
        running.process.kill()
        running.process.wait()


@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_address_that_is_taken_is_named(option: str) -> None:
    """And no other one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        command = [str(Path(sys.executable).with_name("sunshave")), "dispatcher", "--listen", "127.0.0.1:0"]
        done = subprocess.run([*command, option, address], capture_output=True, text=True, timeout=30, check=False)

    assert (1, f"Error: cannot listen on {address}: Address already in use\n") == (
        done.returncode,
        done.stderr[done.stderr.find("Error") :],
    )


def test_open_address_without_secrets_is_refused() -> None:
    """Anybody could be a charger: the command says so, and what to do."""
    command = [str(Path(sys.executable).with_name("sunshave")), "dispatcher", "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert 2 == done.returncode
    assert "--secrets" in done.stderr
    assert "Traceback" not in done.stderr
