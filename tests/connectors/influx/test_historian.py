"""The installed command, end to end: Kafka in, InfluxDB out, and what happens when one of them is away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import TopicAlreadyExistsError
from line_protocol_parser import parse_line

from connectors.influx.cluster import GROUP
from connectors.influx.recorder import TOPICS, Line
from connectors.influx.schema import Database
from connectors.influx.writer import InfluxWriter
from pipeline import records
from tests.connectors.influx import day
from tests.parts import free_port
from tests.parts.influxd import Node, running_influxd
from tests.parts.tansu import running_tansu
from tests.parts.waiting import wait_until

START_MS = (round(time.time()) - day.LENGTH_S) // 900 * 900_000
WAIT_S = 90.0
"""A join takes half a session, a write a second; less fails on a loaded machine."""
PARTITIONS = 2

pytestmark = [pytest.mark.embedded]


class Cluster:
    """A broker of one's own, with the topics, and the records that were sent."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            admin.create_topics({topic: {"num_partitions": PARTITIONS, "replication_factor": 1} for topic in TOPICS})
        except TopicAlreadyExistsError:
            pass
        finally:
            admin.close()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)
        self._sent = 0

    def send(self, topic: str, value: bytes | None, at_ms: int) -> None:
        self._sent += 1
        self._producer.send(topic, key=day.LOCATION.encode(), value=value, timestamp_ms=at_ms)

    def send_day(self, *, to_s: int = day.LENGTH_S, from_s: int = 0) -> int:
        """The records of a part of the two hours. How many meter readings are among them."""
        meters = 0
        for source in day.sources(START_MS):
            if from_s <= (source.arrived_ms - START_MS) / 1000 < to_s:
                self.send(source.topic, source.value, source.arrived_ms)
                meters += source.topic == records.METERS
        self._producer.flush()
        return meters

    def flush(self) -> None:
        self._producer.flush()

    def unread(self) -> int:
        """How many of the records that were sent are not committed (not by end offsets: Tansu's are wrong)."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=GROUP, enable_auto_commit=False)
        try:
            partitions = [TopicPartition(topic, number) for topic in TOPICS for number in range(PARTITIONS)]
            return self._sent - sum(consumer.committed(partition) or 0 for partition in partitions)
        finally:
            consumer.close()

    def dead_letters(self) -> list[records.DeadLetter]:
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        try:
            consumer.assign([TopicPartition(records.DEADLETTERS, number) for number in range(PARTITIONS)])
            polled = consumer.poll(timeout_ms=3000)
            return [records.decode(records.DEADLETTERS, r.value) for found in polled.values() for r in found]
        finally:
            consumer.close()

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A broker with the topics, empty."""
    with running_tansu() as bootstrap:
        cluster = Cluster(bootstrap)
        try:
            yield cluster
        finally:
            cluster.close()


@contextmanager
def historian(cluster: Cluster, *to: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sunshave", "historian", *to],
        env={
            **os.environ,
            "SUNSHAVE_KAFKA": cluster.bootstrap,
            "SUNSHAVE_SESSION_TIMEOUT_S": "2",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        print(process.communicate()[1])  # shown where a test fails


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """SIGTERM: the exit status and what was logged."""
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=20)
    return process.returncode, logged


def count(node: Node, measurement: str, field: str, database: str = "sunshave") -> int:
    return sum(row["count"] for row in node.rows(f'SELECT count("{field}") FROM "{measurement}"', database))


@pytest.mark.influxdb
def test_what_was_sent_is_what_a_query_tells(cluster: Cluster, influxd: Node) -> None:
    """Every topic's records are in InfluxDB with their numbers, and their offsets are committed."""
    meters = cluster.send_day()
    with historian(cluster, "--influx-url", influxd.url) as process:
        wait_until(lambda: cluster.unread() <= 0, WAIT_S, "the records were not read")
        status, logged = stop(process)

    assert 0 == status, logged
    assert meters == count(influxd, "meter", "current_l1_a")
    assert 2 * meters == count(influxd, "charger", "power_w")
    sent = [records.decode(s.topic, s.value) for s in day.sources(START_MS) if s.topic == records.METERS]
    stored = influxd.rows('SELECT "current_l1_a" FROM "meter" ORDER BY time')
    assert [reading.current_a[0] for reading in sent] == [row["current_l1_a"] for row in stored]
    windows = [s for s in day.sources(START_MS) if s.topic == records.WINDOWS]
    assert len(windows) == count(influxd, "quarter", "demand_w", "sunshave_history")


@pytest.mark.influxdb
def test_influxdb_killed_in_between_is_lag_and_not_loss(cluster: Cluster) -> None:
    """While it is away nothing is committed; when it is back everything is there."""
    with running_influxd() as node:
        for name in ("sunshave", "sunshave_history"):
            node.query(f'CREATE DATABASE "{name}"')
        half_s = day.LENGTH_S // 2
        with historian(cluster, "--influx-url", node.url, "--http", f"127.0.0.1:{(http := free_port())}") as process:
            before = cluster.send_day(to_s=half_s)
            wait_until(lambda: count(node, "meter", "power_w") == before, WAIT_S, "the first half was not written")
            # not in the middle of a write: killed while it makes a shard, InfluxDB 1.8 itself never takes a line again
            wait_until(lambda: cluster.unread() <= 0, WAIT_S, "the first half was not committed")
            node.stop(by=signal.SIGKILL)
            after = cluster.send_day(from_s=half_s)
            wait_until(lambda: health(http)["problem"], WAIT_S, "health did not say that InfluxDB is away")
            assert not health(http)["ready"]
            assert health(http)["live"]
            assert after < cluster.unread()
            node.start()
            wait_until(lambda: cluster.unread() <= 0, WAIT_S, "the second half was not read")
            status, logged = stop(process)

        assert 0 == status, logged
        assert before + after == count(node, "meter", "power_w")
        assert "takes lines again" in logged


@pytest.mark.influxdb
@pytest.mark.slow
def test_stopping_while_influxdb_is_away_loses_nothing(cluster: Cluster) -> None:
    """SIGTERM ends it with 0 and without a commit; the next one writes what the first could not."""
    meters = cluster.send_day(to_s=600)
    with running_influxd() as node:
        for name in ("sunshave", "sunshave_history"):
            node.query(f'CREATE DATABASE "{name}"')
        node.stop(by=signal.SIGKILL)
        with historian(cluster, "--influx-url", node.url, "--http", f"127.0.0.1:{(http := free_port())}") as process:
            wait_until(lambda: "no answer" in str(health(http)["problem"]), WAIT_S, "it did not try to write")
            status, logged = stop(process)
            assert (0, True) == (status, "unsaved" in logged), logged
        node.start()
        with historian(cluster, "--influx-url", node.url) as process:
            wait_until(lambda: count(node, "meter", "power_w") == meters, WAIT_S, "the records were not written")


@pytest.mark.influxdb
@pytest.mark.slow
def test_killed_historian_is_no_loss(cluster: Cluster, influxd: Node) -> None:
    """kill -9 in the middle: what was not committed is read again, and rewrites the same points."""
    meters = cluster.send_day()
    with historian(cluster, "--influx-url", influxd.url) as process:
        wait_until(lambda: influxd.rows('SELECT count("power_w") FROM "meter"'), WAIT_S, "nothing was written")
        process.kill()
    with historian(cluster, "--influx-url", influxd.url) as process:
        wait_until(lambda: cluster.unread() <= 0, WAIT_S, "the records were not read")
        stop(process)

    assert meters == count(influxd, "meter", "power_w")


@pytest.mark.influxdb
def test_refused_line_becomes_a_dead_letter(cluster: Cluster, influxd: Node) -> None:
    """A record that InfluxDB will never take is put aside with its bytes; the others go on."""
    poison = f"meter,location=x,meter=y demand_w=1i {START_MS}000000"
    InfluxWriter(influxd.url, "", "-", "sunshave").write([Line(poison, Database.DETAIL, None)])
    cluster.send_day(to_s=11)
    with historian(cluster, "--influx-url", influxd.url):
        wait_until(lambda: count(influxd, "deadletter", "count") == 1 + 2, WAIT_S, "no dead letter was written")

    letters = [letter for letter in cluster.dead_letters() if letter.reason.startswith("invalid: influx")]
    assert [records.METERS, records.METERS] == [letter.topic for letter in letters]
    assert {"demand_w"} == {found[0] for letter in letters if (found := re.search("demand_w", letter.reason))}
    assert day.LOCATION == records.decode(records.METERS, letters[0].value).location
    assert 4 == count(influxd, "charger", "power_w")


def test_undecodable_records_are_skipped_and_counted(cluster: Cluster, tmp_path: Path) -> None:
    """What is no record is counted in /metrics; the file has all the others."""
    path = tmp_path / "sunshave.lp"
    cluster.send(records.METERS, b"no JSON", START_MS)
    meters = cluster.send_day(to_s=300)
    with historian(cluster, "--file", str(path), "--http", f"127.0.0.1:{(http := free_port())}") as process:
        wait_until(lambda: cluster.unread() <= 0, WAIT_S, "the records were not read")
        metrics = get(http, "/metrics")
        status, logged = stop(process)

    assert 0 == status, logged
    assert 'sunshave_historian_skipped_total{topic="telemetry.meters"} 1.0' in metrics
    points = [parse_line(line) for line in path.read_text().splitlines()]
    assert meters == sum(point["measurement"] == "meter" for point in points)


@pytest.mark.influxdb
def test_missing_bucket_ends_it_with_a_sentence(cluster: Cluster, influxd: Node) -> None:
    """Exit status 1, the name of the bucket, no stack trace, and nothing is committed."""
    cluster.send_day(to_s=100)
    with historian(cluster, SUNSHAVE_INFLUX_URL=influxd.url, SUNSHAVE_INFLUX_BUCKET="elsewhere") as process:
        _, logged = process.communicate(timeout=WAIT_S)

    assert 1 == process.returncode
    assert "elsewhere" in logged
    assert "Traceback" not in logged
    assert 0 < cluster.unread()


@pytest.mark.parametrize("arguments", [(), ("--influx-url", "http://127.0.0.1:1", "--file", "x")])
def test_it_must_be_told_one_place_to_write_to(arguments: tuple[str, ...]) -> None:
    """Neither or both is a wrong call: exit status 2 and a sentence that names the options."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUNSHAVE_")}
    done = subprocess.run(
        [sys.executable, "-m", "sunshave", "historian", *arguments], env=environment, capture_output=True, text=True
    )

    assert 2 == done.returncode
    assert "--influx-url" in done.stderr
    assert "--file" in done.stderr


def get(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as problem:
        return problem.read().decode()
    except OSError:
        return "{}"


def health(port: int) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(get(port, "/health"))
    return {"problem": None, "ready": False, "live": False, **answer}
