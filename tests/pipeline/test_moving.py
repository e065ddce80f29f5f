"""A charger that moves from one location to another: both write about it under the same key."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, LOCATIONS, SETPOINTS
from tests.parts.brokers import Broker
from tests.parts.stream import House, Stream, again_and_again, house, now_ms, prepared, service, show, workers_on


@pytest.mark.slow
def test_the_last_word_about_a_charger_that_moved_is_its_new_locations(broker: Broker, tmp_path: Path) -> None:
    """The old one ends with 0 A and a null value; what the new one says comes behind them, long before its renewal."""
    with closing(prepared(broker)) as stream:
        _move(broker, stream, tmp_path)


def _move(broker: Broker, stream: Stream, tmp_path: Path) -> None:
    home = House(stream, "home")
    before = house(home.name) | {"control": {"ack_s": 2}}
    moving = before["chargers"][1]
    depot = house("depot") | {"chargers": [moving], "control": {"ack_s": 600}}

    def read_moved() -> None:
        reading = {"location": "depot", "charger": moving["id"], "connector": 1, "at": rfc3339(now_ms())}
        stream.put(CHARGERS, "depot", reading | {"online": True, "status": "Charging", "current_a": [0.0]})

    def said() -> list[Any]:
        return [seen.value for seen in stream.tail.look(SETPOINTS) if seen.key == f"{moving['id']}/1"]

    def locations() -> list[str | None]:
        return [None if value is None else value["location"] for value in said()]

    stream.put(LOCATIONS, home.name, before)
    dispatching = ("dispatcher", "--kafka", broker.bootstrap, "--listen", "127.0.0.1:0")
    with workers_on(broker, tmp_path) as start, service(tmp_path / "worker-dispatcher.log", *dispatching):
        start()
        home.read_once()
        stream.wait(lambda: home.name in locations())
        stream.put(LOCATIONS, "depot", depot)
        with again_and_again(read_moved, 0.5):
            stream.wait(lambda: "depot" in locations())
            stream.put(LOCATIONS, home.name, before | {"chargers": before["chargers"][:1]})
            stream.wait(lambda: None in locations() and locations()[-1] == "depot")

    assert (0.0, "removed") in {(value["limit_a"], value["reason"]) for value in said() if value is not None}
    assert said()[-1] in said()[: locations().index(None)]
    show(tmp_path)
