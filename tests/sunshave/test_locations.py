"""`sunshave locations`: nothing half-valid reaches the stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer

from sunshave.commands.locations import locations
from sunshave.commands.topics import topics
from tests.parts.brokers import Broker

GOOD = """
location: {name}
groups: [{{id: main, limit_a: 25, meter: p1}}]
meters: [{{id: p1}}]
chargers: [{{id: {name}-CP, group: main, fallback_a: 6, connectors: [{{id: 1, phases: 3, max_a: 16}}]}}]
"""
BAD = """
location: bad-1
groups: [{id: main, limit_a: 25, meter: nothing}, {id: garage, parent: nowhere, limit_a: 16}]
"""
ODD = """
location: odd-1
groups: [{id: main, limit_a: 25}, {id: garage, parent: main, limit_a: 32}]
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(locations, [str(argument) for argument in arguments])


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_check_names_every_error_with_its_file_and_path(tmp_path: Path) -> None:
    """The first error alone would cost the user a round per mistake."""
    bad = written(tmp_path / "bad.yaml", BAD)

    result = run("check", bad)

    assert 2 == result.exit_code
    assert {"groups[0].meter", "groups[1].parent"} == {
        line.removeprefix(f"Error: {bad}: ").split(": ")[0] for line in result.stderr.splitlines()
    }


def test_what_is_odd_is_a_warning_and_passes(tmp_path: Path) -> None:
    """A sub-fuse larger than its parent is legal."""
    result = run("check", written(tmp_path / "odd.yaml", ODD))

    assert 0 == result.exit_code
    assert result.stderr.startswith(f"Warning: {tmp_path}/odd.yaml: groups[1].limit_a: ")


def test_a_charger_in_two_locations_is_an_error(tmp_path: Path) -> None:
    """A charger's id is its OCPP identity, unique in the fleet."""
    one = written(tmp_path / "one.yaml", GOOD.format(name="a-1"))
    two = written(tmp_path / "two.yaml", GOOD.format(name="a-2").replace("a-2-CP", "a-1-CP"))

    result = run("check", one, two)

    told = f"Error: {two}: chargers[0].id: charger a-1-CP is in location a-1 too\n"
    assert (2, told) == (result.exit_code, result.stderr)


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    """As in `*.yaml house.yaml`."""
    file = written(tmp_path / "house.yaml", GOOD.format(name="a-1"))

    result = run("check", file, file)

    assert (0, "", 1) == (result.exit_code, result.stderr, result.stdout.count("accepted"))


def test_a_location_in_two_files_is_one_error(tmp_path: Path) -> None:
    """Its chargers are in both then: that is no news."""
    one = written(tmp_path / "one.yaml", GOOD.format(name="a-1"))
    two = written(tmp_path / "two.yaml", GOOD.format(name="a-1"))

    result = run("check", one, two)

    assert (2, f"Error: {two}: location: location a-1 is in {one} too\n") == (result.exit_code, result.stderr)


def test_a_misspelt_key_is_told_beside_the_errors(tmp_path: Path) -> None:
    """It is most likely why another key is missing."""
    file = written(tmp_path / "house.yaml", "{location: a, groups: [{id: main, limt_a: 40}]}")

    result = run("check", file)

    assert 2 == result.exit_code
    assert [f"Warning: {file}: groups[0].limt_a", f"Error: {file}: groups[0].limit_a"] == [
        line.rsplit(": ", 1)[0] for line in result.stderr.splitlines()
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No stack trace for a typing mistake."""
    result = run("check", tmp_path / "nothing.yaml")

    assert (2, f"Error: {tmp_path}/nothing.yaml: No such file or directory\n") == (result.exit_code, result.stderr)


def test_put_publishes_all_or_nothing(tmp_path: Path, broker: Broker) -> None:
    """One refused file keeps all of them from the topic; without it, each is there under its name."""
    CliRunner().invoke(topics, ["create", "--kafka", broker.bootstrap, "--partitions", "4"])
    name = f"put-{broker.profile}"
    good, bad = written(tmp_path / "good.yaml", GOOD.format(name=name)), written(tmp_path / "bad.yaml", BAD)

    refused = run("put", good, bad, "--kafka", broker.bootstrap)
    assert (2, "") == (refused.exit_code, refused.stdout)
    assert [] == published(broker.bootstrap, name)

    accepted = run("put", good, "--kafka", broker.bootstrap)
    assert (0, f"published {name}\n") == (accepted.exit_code, accepted.stdout)
    assert [name] == [json.loads(value)["location"] for value in published(broker.bootstrap, name)]

    assert 0 == run("remove", name, "--kafka", broker.bootstrap).exit_code
    assert None is published(broker.bootstrap, name)[-1]


def test_put_makes_no_topic_by_itself(tmp_path: Path, broker: Broker) -> None:
    """Brokers do for whoever writes, with as many partitions as they like; then the stream could not have its own."""
    for arguments in (("put", written(tmp_path / "good.yaml", GOOD.format(name="a"))), ("remove", "a")):
        result = run(*arguments, "--kafka", broker.bootstrap)

        told = f"Error: there is no topic topology.locations at {broker.bootstrap} (sunshave topics create)\n"
        assert (1, told) == (result.exit_code, result.stderr)
    created = CliRunner().invoke(topics, ["create", "--kafka", broker.bootstrap, "--partitions", "7"])
    assert 0 == created.exit_code, created.stderr


def published(bootstrap: str, name: str) -> list[bytes]:
    """All values of a key on the topic of locations, oldest first."""
    consumer = KafkaConsumer(
        "topology.locations",
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        consumer_timeout_ms=1500,
    )
    try:
        return [record.value for record in consumer if record.key == name.encode()]
    finally:
        consumer.close()


@pytest.mark.slow
def test_put_without_a_broker_is_a_sentence(tmp_path: Path) -> None:
    """A wrong address is the commonest mistake."""
    file = written(tmp_path / "good.yaml", GOOD.format(name="x-1"))
    command = [sys.executable, "-m", "sunshave", "locations", "put", str(file)]
    result = subprocess.run([*command, "--kafka", "127.0.0.1:1"], capture_output=True, text=True)

    assert 1 == result.returncode
    assert "Error: no broker answers at 127.0.0.1:1 (Connection refused)\n" == result.stderr
