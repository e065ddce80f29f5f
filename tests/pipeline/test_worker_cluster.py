"""The worker on a cluster of three: a broker may go, and come back, while it works."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.records import DECISIONS, LOCATIONS, SETPOINTS
from pipeline.topics import CHANGELOG, LEADER, SOURCES, admin_client
from sunshave.commands.topics import topics
from tests.parts.brokers import Broker
from tests.parts.kafka import bootstrap_of, running_cluster
from tests.parts.stream import House, Stream, house, workers_on

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
]

BACK_S = 60.0
"""For a decision after a broker was killed: the controller takes 9 s to notice, the group and the leaders then move."""


@pytest.mark.timeout(600)
def test_each_broker_in_turn_may_be_killed_and_come_back(tmp_path: Path) -> None:
    """Three copies, two of which must have a record: every decision goes on with all that was read, none is lost."""
    with running_cluster(3) as nodes:
        bootstrap = bootstrap_of(nodes)
        made = CliRunner().invoke(
            topics, ["create", "--kafka", bootstrap, "--partitions", "4", "--replication", str(len(nodes))]
        )
        assert (0, "") == (made.exit_code, made.stderr)
        with admin_client(bootstrap) as client:
            described = client.describe_topics([*SOURCES, CHANGELOG, SETPOINTS, DECISIONS, LEADER])
        assert {3} == {len(p["replica_nodes"]) for topic in described for p in topic["partitions"]}

        broker = Broker(bootstrap, "kafka", 6.0)
        stream = Stream(broker)
        home = House(stream, "home")
        stream.put(LOCATIONS, home.name, house(home.name))
        with workers_on(broker, tmp_path) as start, home.living():
            worker = start()
            stream.wait(lambda: stream.decisions(home.name))
            for number, node in enumerate(nodes, start=1):
                node.stop(by=signal.SIGKILL)
                home.house_a = float(number)
                stream.wait(
                    lambda load_a=home.house_a: stream.decisions(home.name)[-1]["groups"][0]["unmanaged_a"] == [load_a],
                    BACK_S,
                )
                node.start()
            assert 0 == worker.stop()

        offsets = [d["inputs"]["telemetry.meters"][1] for d in stream.decisions(home.name)]
        assert sorted(offsets) == offsets
        assert {} == stream.dead_letters()
        assert "Traceback" not in worker.said()
        stream.close()
