"""The broker away, at the start and in between; and a cluster that is not as it must be."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.records import LOCATIONS, METERS
from pipeline.topics import TOPICS, admin_client
from sunshave.commands.topics import topics
from tests.parts.brokers import Broker
from tests.parts.kafka import running_kafka
from tests.parts.stream import House, Worker, house, prepared, workers_on
from tests.parts.tansu import running_tansu
from tests.parts.waiting import wait_until

START_S = 60.0
"""For a worker to find out and to say so: 2 s, when nothing else uses the cores."""
AWAY_S = 12.0
"""Longer than a session: the group has forgotten the worker when the broker is back."""


@pytest.mark.kafka
@pytest.mark.slow
def test_a_worker_outlives_its_broker(tmp_path: Path) -> None:
    """Killed and started again, the broker finds the worker waiting; it goes on by itself, with the same state."""
    with running_kafka() as node:
        broker = Broker(node.bootstrap, "kafka", 6.0)
        stream = prepared(broker)
        home = House(stream, "home")
        stream.put(LOCATIONS, home.name, house(home.name))
        with workers_on(broker, tmp_path) as start:
            worker = start()
            for _ in range(3):
                home.read_once()
            stream.wait(lambda: stream.decisions(home.name))
            time.sleep(3)  # what was decided is on disk and committed
            before = stream.decisions(home.name)[-1]
            stream.close()
            node.stop(by=signal.SIGKILL)
            time.sleep(AWAY_S)
            assert worker.process.poll() is None
            node.start()

            stream = prepared(broker)
            home = House(stream, "home", house_a=8.0)
            with home.living():
                later = stream.wait(
                    lambda: [d for d in stream.decisions(home.name) if d["groups"][0]["unmanaged_a"] == [8.0]], 60
                )
            assert later[-1]["inputs"]["telemetry.meters"][1] > before["inputs"]["telemetry.meters"][1]
            assert f":{worker.process.pid}:" in later[-1]["worker"]
            assert 0 == worker.stop()
        stream.close()


@pytest.mark.embedded
def test_missing_topics_are_refused_by_name(tmp_path: Path) -> None:
    """A worker that started without its changelog would forget everything."""
    with running_tansu() as bootstrap:
        worker = Worker(Broker(bootstrap, "embedded", 2.0), tmp_path / "log")
        assert 1 == worker.process.wait(START_S)

    assert "Error: topic telemetry.meters is missing\n" in worker.said()
    assert "Traceback" not in worker.said()


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("topic", "made", "refusal"),
    [
        (METERS, {"num_partitions": 3}, "topic telemetry.meters has 3 partition(s), not 4"),
        (
            LOCATIONS,
            {"num_partitions": 4, "configs": {"cleanup.policy": "delete"}},
            "topic topology.locations has cleanup.policy=delete, not compact",
        ),
    ],
)
def test_topics_of_another_form_are_refused_by_name(
    tansu: str, tmp_path: Path, topic: str, made: dict[str, Any], refusal: str
) -> None:
    """Others than co-partitioned ones would split a location; a document that expires would be forgotten."""
    with admin_client(tansu) as client:
        for each in TOPICS:
            form = {"num_partitions": each.partitions or 4, "configs": dict(each.configs)}
            client.create_topics({each.name: {"replication_factor": 1, **(made if each.name == topic else form)}})
        client.wait_for_topics([each.name for each in TOPICS])

    worker = Worker(Broker(tansu, "embedded", 2.0), tmp_path / "log")
    assert 1 == worker.process.wait(START_S)
    assert f"Error: {refusal}\n" == worker.said()

    checked = CliRunner().invoke(topics, ["check", "--kafka", tansu])
    assert (1, f"Error: {refusal}\n") == (checked.exit_code, checked.stderr)


@pytest.mark.slow
def test_a_worker_waits_for_a_broker_that_is_not_there_and_ends_when_told(tmp_path: Path) -> None:
    """Started before its broker, it says so and waits; SIGTERM ends it at once."""
    worker = Worker(Broker("127.0.0.1:1", "kafka", 6.0), tmp_path / "log")
    wait_until(lambda: "no broker answers at 127.0.0.1:1" in worker.said(), 30, "it said nothing")
    assert worker.process.poll() is None

    begin_s = time.monotonic()
    assert 0 == worker.stop()
    assert time.monotonic() - begin_s < 8
