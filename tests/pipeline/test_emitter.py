"""The emitter's promise to those who commit offsets: yes only when all that was folded is on the broker."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

from aiokafka import AIOKafkaProducer

from pipeline.agents import Clock, Shell
from pipeline.emission import Emission
from pipeline.emitter import Emitter, Membership


@dataclass(slots=True)
class Owner:
    """A source of emissions that has nothing to say. `active`: not between a revocation and the next assignment."""

    active: bool = True
    epoch: int = 1
    saved: list[int] = field(default_factory=list)

    def next_emissions(self) -> list[tuple[int, Emission]]:
        return []

    def wake_in_s(self) -> float:
        return 60.0

    def acked(self, partition: int, key: bytes, value: bytes | None, offset: int) -> None:
        raise AssertionError("nothing was written")

    def save(self) -> None:
        self.saved.append(self.epoch)

    def forget(self) -> None:
        raise AssertionError("nothing was lost")

    def rebalancing(self) -> bool:
        return not self.active


async def _flush(owner: Owner) -> bool:
    async def confirmed() -> bool:
        return True

    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")  # never started: there is nothing to write
    emitter = Emitter(producer, owner, Membership(10.0, confirmed))
    running = asyncio.create_task(emitter.run())
    try:
        return await asyncio.wait_for(emitter.flush(), 10)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await producer.stop()


def test_offsets_may_be_committed_when_all_is_written() -> None:
    """States that changed are kept first."""
    owner = Owner()

    assert asyncio.run(_flush(owner))
    assert [1] == owner.saved


def test_between_two_owners_nothing_may_be_committed() -> None:
    """What was folded waits in engines that may be thrown away: the next owner reads it again."""
    assert not asyncio.run(_flush(Owner(active=False)))


def _shell(app: SimpleNamespace, session_s: float) -> Shell:
    async def confirmed() -> bool:
        return True

    shell = Shell(app, SimpleNamespace(foreign=set(), kept={0: {}}), Clock())  # type: ignore[arg-type]
    shell.membership = Membership(session_s, confirmed)
    shell.emitter = Emitter(None, shell, shell.membership)  # type: ignore[arg-type]
    return shell


def test_a_worker_frozen_while_it_recovers_is_in_doubt_when_it_begins() -> None:
    """The group may have gone on without it: found by the soak, whose thawed worker sent old setpoints again."""
    shell = _shell(SimpleNamespace(rebalancing=False, rebalancing_count=1), session_s=0.02)
    time.sleep(0.05)

    shell.begin(2, {0}, [])

    assert shell.membership.doubtful
