"""The shell around the engines: which partitions are ours, what was polled, and the clock. All that Faust sees.

One agent reads all source topics, so that the records of a partition come in one order; it folds and moves on. The
emitter decides and writes. Both run in one event loop, and the engines never wait, so nothing here needs a lock.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Hashable, Iterable
from typing import Any

from faust.types import TP

from pipeline import metrics
from pipeline.agenda import NEVER_MS
from pipeline.delivery import BatchSchema, LocationTable
from pipeline.emission import Batch, Emission
from pipeline.emitter import Emitter, Membership
from pipeline.engine import DECISIONS_AT_ONCE, Engine
from pipeline.topics import SOURCES
from pipeline.watchdog import Watchdog

log = logging.getLogger("sunshave.worker")

BACKLOG_LETTERS = 5_000
"""Dead letters waiting to be written before reading pauses. Fewer: a burst of garbage slows good records down; more:
memory, when the broker is away."""
PROGRESS_S = 10.0
"""Between two lines about a backlog. Less fills the log; more leaves the user without news."""


class Clock:
    """Milliseconds since 1970. It never runs backwards, also when the machine's does."""

    def __init__(self) -> None:
        self._last_ms = 0

    def __call__(self) -> int:
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms


class Shell:
    """The engines of the partitions that this worker owns."""

    def __init__(self, app: Any, table: LocationTable, clock: Clock) -> None:
        self._app = app
        self._table = table
        self._clock = clock
        self._engines: dict[int, Engine] = {}
        self.active = False
        """Whether the engines are ours to speak for: not between a revocation and the next assignment."""
        self.epoch = 0
        """Counts revocations and assignments: what was decided in one epoch is not written in another."""
        self._unread: dict[tuple[str, int], int] = {}
        """Records that the broker has and we have not, by topic and partition, at the last poll."""
        self._said_s = 0.0
        self.emitter: Emitter
        self.membership: Membership
        self.watchdog: Watchdog

    # -- what Faust tells

    def begin(self, generation: int, partitions: set[int], behind: Iterable[TP]) -> None:
        """The rebalance is over, and these partitions are ours."""
        worker = f"{socket.gethostname()}:{os.getpid()}:{generation}"
        now_ms = self._clock()
        unread = {p: [tp.topic for tp in behind if tp.partition == p] for p in partitions}
        dropped = self.emitter.lost or self.emitter.writing  # they said what nobody will hear
        old, self._engines = {} if dropped else self._engines, {}
        for partition in sorted(partitions):
            engine = old.get(partition)
            if engine is not None and partition not in self._table.foreign:
                engine.go_on(worker, unread[partition], now_ms)
            else:
                engine = Engine(partition, worker, self._table.kept[partition], now_ms, unread[partition])
            self._engines[partition] = engine
        self._table.foreign.clear()
        self._unread.clear()
        self.active = True
        self.epoch += 1
        self.membership.tick()  # a worker frozen in the middle of its recovery comes back into a group that went on
        metrics.REBALANCES.inc()
        metrics.LOCATIONS.set(self.locations)
        log.info("generation %d: %d partition(s), %d location(s)", generation, len(partitions), self.locations)
        self.emitter.begin()

    def revoked(self) -> None:
        """The partitions may be somebody else's from now on."""
        self.active = False
        self.epoch += 1

    async def receive(self, batch: Batch) -> None:
        """Fold what was polled; wait when more is to be written than fits."""
        engine = self._engines.get(batch.partition)
        if engine is None:
            assert self.emitter.lost, f"nobody speaks for partition {batch.partition}"
            return  # it is read again: nothing is committed before the next assignment
        now_ms = self._clock()
        engine.fold(batch, now_ms)
        self._note(batch)
        self.emitter.kick()
        if engine.letters_waiting > BACKLOG_LETTERS:
            await self.emitter.flush()

    # -- what the emitter asks

    def next_emissions(self) -> list[tuple[int, Emission]]:
        """Decide what is due, and give what must be written."""
        if not self.active:
            return []
        now_ms = self._clock()
        emissions = []
        share = max(1, DECISIONS_AT_ONCE // max(1, len(self._engines)))
        for partition, engine in self._engines.items():
            if not self.rebalancing():
                engine.decide(now_ms, share)
            emission = engine.take()
            if emission:
                emissions.append((partition, emission))
        self._say_progress(now_ms)
        return emissions

    def wake_in_s(self) -> float:
        """Until the next decision is due."""
        now_ms = self._clock()
        if not self.active or self.rebalancing():
            return 1.0
        wake_ms = min((engine.wake_ms(now_ms) for engine in self._engines.values()), default=NEVER_MS)
        return max(0.0, min(wake_ms - now_ms, 60_000) / 1000)

    def acked(self, partition: int, key: bytes, value: bytes | None, offset: int) -> None:
        self._table.acked(partition, key, value, offset)

    def save(self) -> None:
        for engine in self._engines.values():
            engine.save()

    def forget(self) -> None:
        """What the engines think is no longer true; the changelog is."""
        self.active = False
        self._engines.clear()

    def rebalancing(self) -> bool:
        """Whether partitions are on their way."""
        return bool(self._app.rebalancing)

    # -- what the watchdog asks

    def may_act(self) -> bool:
        """Whether the partitions are surely ours."""
        return self.active and not self.rebalancing() and not self.membership.doubtful

    def progress(self) -> Hashable:
        """Changes while the group has news for us, or the changelog is read."""
        return self._app.rebalancing_count, self.epoch, self._table.read

    # -- what others see

    @property
    def locations(self) -> int:
        return sum(len(engine) for engine in self._engines.values())

    def health(self) -> dict[str, Any]:
        """For /health: ready when the partitions are read and decided; live while the loop turns. `aside_s`: for how
        long the broker has been there and the group has given us nothing to do."""
        return {
            "ready": self.may_act(),
            "live": self.membership.silent_s < 30,
            "partitions": sorted(self._engines),
            "locations": self.locations,
            "catching_up": self._catching_up(self._clock()),
            "aside_s": self.watchdog.aside_s,
            "rounds": self.emitter.rounds,
        }

    def _catching_up(self, now_ms: int) -> list[int]:
        return [partition for partition, engine in list(self._engines.items()) if engine.catching_up(now_ms)]

    def _note(self, batch: Batch) -> None:
        newest = batch.records[-1]
        metrics.RECORDS.labels(topic=batch.topic).inc(len(batch.records))
        unread = self._unread[batch.topic, batch.partition] = max(0, batch.end - newest.offset - 1)
        metrics.LAG.labels(topic=batch.topic, partition=batch.partition).set(unread)
        stamp_s = newest.timestamp / 1000
        metrics.INPUT_AGE.labels(partition=batch.partition).set_function(lambda: time.time() - stamp_s)

    def _say_progress(self, now_ms: int) -> None:
        behind = self._catching_up(now_ms)
        metrics.CATCHING_UP.set(len(behind))
        metrics.UNCONFIRMED.set(sum(engine.unconfirmed for engine in self._engines.values()))
        if behind and time.monotonic() - self._said_s > PROGRESS_S:
            self._said_s = time.monotonic()
            unread = sum(self._unread.values())
            log.info("catching up with partition(s) %s, %d record(s) to go", ", ".join(map(str, behind)), unread)


def declare_agent(app: Any, shell: Shell) -> None:
    """The agent that reads every source topic. An exception here would lose the batch: the engine has none."""
    sources = app.topic(*SOURCES, schema=BatchSchema())

    @app.agent(sources, name="sunshave.locations")
    async def locations(stream: Any) -> None:
        async for event in stream.events():
            await shell.receive(event.message.value)
