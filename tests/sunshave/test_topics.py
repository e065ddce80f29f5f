"""`sunshave topics`: what a cluster must have, made and checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka.admin import KafkaAdminClient

from pipeline.records import MODELS
from pipeline.topics import CHANGELOG, LEADER, SOURCES, TOPICS
from sunshave.commands.topics import topics
from tests.parts.tansu import running_tansu

PARTITIONS = 3

pytestmark = pytest.mark.embedded


def run(*arguments: str) -> Result:
    return CliRunner().invoke(topics, arguments)


def test_every_topic_keyed_by_location_has_the_same_number_of_partitions(fresh_broker: str) -> None:
    """Co-partitioned topics are what makes one worker the owner of all about a location."""
    result = run("create", "--kafka", fresh_broker, "--partitions", str(PARTITIONS))

    assert (0, "") == (result.exit_code, result.stderr)
    client = KafkaAdminClient(bootstrap_servers=fresh_broker)
    counts = {t["name"]: len(t["partitions"]) for t in client.describe_topics([t.name for t in TOPICS])}
    client.close()
    assert {topic.name for topic in TOPICS} == set(counts)
    assert {PARTITIONS} == {counts[name] for name in (*SOURCES, CHANGELOG)}
    assert 1 == counts[LEADER]


def test_creating_twice_changes_nothing(fresh_broker: str) -> None:
    """`topics create` may run at every start."""
    run("create", "--kafka", fresh_broker, "--partitions", str(PARTITIONS))

    again = run("create", "--kafka", fresh_broker, "--partitions", str(PARTITIONS))

    assert (0, "all topics were there\n") == (again.exit_code, again.stdout)
    assert 0 == run("check", "--kafka", fresh_broker).exit_code


def test_another_number_of_partitions_is_an_error(fresh_broker: str) -> None:
    """State is by partition: a topic with another count is refused by name, and nothing else is made."""
    client = KafkaAdminClient(bootstrap_servers=fresh_broker)
    client.create_topics({"telemetry.meters": {"num_partitions": 2, "replication_factor": 1}})
    client.wait_for_topics(["telemetry.meters"])

    result = run("create", "--kafka", fresh_broker, "--partitions", str(PARTITIONS))

    assert 1 == result.exit_code
    assert "Error: topic telemetry.meters has 2 partition(s), not 3\n" == result.stderr
    assert ["telemetry.meters"] == client.list_topics()
    client.close()


def test_check_names_what_is_missing_and_what_is_kept_wrongly(fresh_broker: str) -> None:
    """A compacted topic whose records expire would forget the locations."""
    client = KafkaAdminClient(bootstrap_servers=fresh_broker)
    configs = {"cleanup.policy": "delete"}
    client.create_topics(
        {"topology.locations": {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": configs}}
    )
    client.wait_for_topics(["topology.locations"])
    client.close()

    result = run("check", "--kafka", fresh_broker)

    assert 1 == result.exit_code
    assert "Error: topic topology.locations has cleanup.policy=delete, not compact\n" in result.stderr
    assert "Error: topic telemetry.meters is missing\n" in result.stderr


@pytest.mark.slow
def test_no_broker_is_a_sentence_not_a_trace() -> None:
    """A wrong address is the commonest mistake."""
    command = [sys.executable, "-m", "sunshave", "topics", "create", "--kafka", "127.0.0.1:1"]
    result = subprocess.run(command, capture_output=True, text=True)

    assert 1 == result.returncode
    assert "Error: no broker answers at 127.0.0.1:1 (Connection refused)\n" == result.stderr


def test_each_topic_has_a_public_json_schema(tmp_path: Path) -> None:
    """Others write records without reading our code."""
    result = run("schemas", str(tmp_path / "schemas"))

    assert 0 == result.exit_code
    written = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "schemas").iterdir()}
    assert {*MODELS, "topology.locations"} == set(written)
    assert "location" in json.dumps(written["topology.locations"])


@pytest.fixture
def fresh_broker() -> Iterator[str]:
    """A broker without topics."""
    with running_tansu() as bootstrap:
        yield bootstrap
