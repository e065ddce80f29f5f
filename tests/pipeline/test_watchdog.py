"""A worker that its group has put aside for good starts anew; one that waits for something does not."""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from pathlib import Path

import pytest

from pipeline import watchdog
from pipeline.records import LOCATIONS
from pipeline.watchdog import Watchdog
from tests.parts import free_port
from tests.parts.brokers import Broker
from tests.parts.stream import House, Worker, house, prepared, show


class Misled(Worker):
    """A worker that wrongly believes once, some rounds after it has begun, that the group went on without it."""

    program = """
from pipeline import emitter
confirm, asked = emitter.Membership.confirm, []
async def mistaken(self, rebalancing):
    asked.append(1)
    if len(asked) == 4:
        raise emitter.MembershipLost
    await confirm(self, rebalancing)
emitter.Membership.confirm = mistaken
from sunshave.cli import main
main()
"""


@pytest.mark.slow
def test_a_worker_that_is_given_nothing_to_do_starts_anew(broker: Broker, tmp_path: Path) -> None:
    """It dropped what is still its own, so that nobody decides: it says so, joins its group again, and goes on."""
    stream = prepared(broker)
    home = House(stream, "home")
    stream.put(LOCATIONS, home.name, house(home.name))
    port = free_port()
    worker = Misled(broker, tmp_path / "worker-0.log", "--http", f"127.0.0.1:{port}")
    try:
        with home.living():
            stream.wait(lambda: "the group went on without this worker" in worker.said())
            home.house_a = 8.0
            stream.wait(lambda: stream.decisions(home.name)[-1]["groups"][0]["unmanaged_a"] == [8.0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert 0.0 == json.load(answer)["aside_s"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert "sunshave_restarts_total 1.0" in answer.read().decode()
        assert "the group has given this worker nothing to do" in worker.said()
        assert "Traceback" not in worker.said()
        assert 0 == worker.stop()
    finally:
        worker.process.kill()
        show(tmp_path)
        stream.close()


def _looks(acts: str, progresses: str, answers: str) -> int:
    """At how many looks a watchdog with patience for three gives up. One letter per look: y(es) or n(o)."""
    looks = itertools.count()
    look = 0
    read = 0

    def may_act() -> bool:
        return acts[look] == "y"

    def progress() -> int:
        nonlocal look, read
        look = next(looks)
        read += progresses[look] == "y"
        return read

    async def answer() -> bool:
        return answers[look] == "y"

    asyncio.run(Watchdog(0.0, may_act, progress, answer).run())
    return look


@pytest.mark.parametrize(
    ("acts", "progresses", "answers", "looks"),
    [
        ("nnnnnnnnn", "nnnnnnnnn", "yyyyyyyyy", 3),
        ("nnnynnnnn", "nnnnnnnnn", "yyyyyyyyy", 6),
        ("nnynnnnnn", "nnnnnnnnn", "yyyyyyyyy", 5),
        ("nnnnnnnnn", "nnynnnnnn", "yyyyyyyyy", 5),
        ("nnnnnnnnn", "nnnnnnnnn", "ynnnnyyyy", 7),
    ],
)
def test_who_acts_recovers_or_waits_for_the_broker_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, acts: str, progresses: str, answers: str, looks: int
) -> None:
    """Patience begins anew whenever something happened."""
    monkeypatch.setattr(watchdog, "LOOK_S", 0.001)
    monkeypatch.setattr(watchdog, "MARGIN_S", 0.003)

    assert looks == _looks(acts, progresses, answers)
