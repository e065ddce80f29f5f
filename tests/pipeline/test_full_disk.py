"""Full disks: that of a worker's machine, and that of its broker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.records import FEEDBACK, LOCATIONS
from tests.parts.brokers import Broker
from tests.parts.kafka import running_kafka
from tests.parts.stream import STOP_S, House, Worker, house, prepared, service, workers_on

AWAY_S = 12.0
"""Longer than a session: the group has forgotten the worker when there is space again."""
BACK_S = 60.0
"""For all to go on once the broker is back: 5 s, when nothing else uses the cores."""


@pytest.mark.embedded
def test_a_worker_needs_no_space_on_its_disk(tansu: str) -> None:
    """Its log, its folder and the one for temporary files take nothing: it decides, and ends as it should."""
    broker = Broker(tansu, "embedded", 2.0)
    stream = prepared(broker)
    home = House(stream, "home")
    stream.put(LOCATIONS, home.name, house(home.name))
    worker = Worker(broker, Path("/dev/full"), "--data-dir", "/dev/full/data", TMPDIR="/dev/full")
    try:
        with home.living():
            stream.wait(lambda: stream.setpoints(home.name))
        assert 0 == worker.stop()
    finally:
        worker.process.kill()
        stream.close()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_go_on_by_themselves_when_a_full_broker_has_space_again(tmp_path: Path) -> None:
    """A Kafka without space gives up. Nobody else does: what waits is decided, obeyed and kept once it is back."""
    lines = tmp_path / "lines"
    with running_kafka() as node:
        broker = Broker(node.bootstrap, "kafka", 6.0)
        stream = prepared(broker)
        home = House(stream, "home")
        stream.put(LOCATIONS, home.name, house(home.name))
        dispatching = ("dispatcher", "--kafka", node.bootstrap, "--listen", "127.0.0.1:0")
        keeping = ("historian", "--kafka", node.bootstrap, "--file", str(lines), "--session-timeout", "6")
        with (
            workers_on(broker, tmp_path) as start,
            service(tmp_path / "worker-dispatcher.log", *dispatching) as dispatcher,
            service(tmp_path / "worker-historian.log", *keeping) as historian,
        ):
            worker = start()
            with home.living():
                before = stream.wait(lambda: [d for d in stream.decisions(home.name) if FEEDBACK in d["inputs"]])[-1]
                stream.wait(lambda: lines.exists() and "setpoint," in lines.read_text())
            stream.close()
            node.fill_disk()
            time.sleep(AWAY_S)
            assert [None] * 3 == [process.poll() for process in (worker.process, dispatcher, historian)]
            node.start()

            stream = prepared(broker)
            home = House(stream, home.name, house_a=8.0)
            with home.living():
                stream.wait(
                    lambda: [
                        decision
                        for decision in stream.decisions(home.name)
                        if decision["groups"][0]["unmanaged_a"] == [8.0]
                        and decision["inputs"][FEEDBACK] > before["inputs"][FEEDBACK]
                        and f":{worker.process.pid}:" in decision["worker"]
                    ],
                    BACK_S,
                )
                stream.wait(lambda: "current_l1_a=8.0" in lines.read_text(), BACK_S)
            assert 0 == worker.stop()
            for process in (dispatcher, historian):
                process.terminate()
                assert 0 == process.wait(STOP_S)
        stream.close()
