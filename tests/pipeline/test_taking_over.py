"""Taking partitions over: nothing that is polled on the way is thrown away."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.records import LOCATIONS
from tests.parts.brokers import Broker
from tests.parts.stream import House, Worker, house, prepared, show


class SlowToBegin(Worker):
    """A worker whose partitions are ready to be read long before its streams are, and that is busy with what it reads
    first."""

    program = """
import asyncio
from pipeline.delivery import BatchConsumer
seek = BatchConsumer.perform_seek
async def slowly(self):
    await seek(self)
    await asyncio.sleep(4)
BatchConsumer.perform_seek = slowly
from pipeline.agents import Shell
receive = Shell.receive
async def busily(self, batch):
    await receive(self, batch)
    await asyncio.sleep(4)
Shell.receive = busily
from sunshave.cli import main
main()
"""


@pytest.mark.slow
def test_what_is_polled_before_the_streams_run_is_not_lost(broker: Broker, tmp_path: Path) -> None:
    """A reading that came in while nobody was there is folded by the next worker, however its start is timed."""
    with closing(prepared(broker)) as stream:
        home = House(stream, "home", charging={"A": False, "B": False})
        stream.put(LOCATIONS, home.name, house(home.name))
        first = Worker(broker, tmp_path / "worker-0.log")
        try:
            home.read_once()
            stream.wait(lambda: stream.decisions(home.name))
        finally:
            assert 0 == first.stop()
        home.charging["A"], home.house_a = True, 7.0
        home.read_once()
        second = SlowToBegin(broker, tmp_path / "worker-1.log")
        try:
            stream.wait(lambda: stream.decisions(home.name)[-1]["connectors"][0]["state"] == "charging")
            stream.wait(lambda: stream.decisions(home.name)[-1]["groups"][0]["unmanaged_a"] == [7.0])
            assert 0 == second.stop()
        finally:
            second.process.kill()
            show(tmp_path)
