"""The emitter: one loop that decides and writes, round by round.

A round takes what all engines have to say, in the order that `Emission` asks for, and ends when the broker has it all.
Only then does the next one decide: when the broker is slow or away, decisions wait instead of piling up, and what is
decided then is decided on the newest state. Offsets are committed after a round that began after they were read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from pipeline import metrics
from pipeline.emission import Emission, Out
from pipeline.oversize import Oversize, Placed
from pipeline.records import DEADLETTERS, encode
from pipeline.topics import CHANGELOG

log = logging.getLogger("sunshave.worker")

RETRY_S = 0.5
"""Before writing again what the broker did not take. Less floods one that is coming back; more delays setpoints."""
TICK_S = 0.1
"""How often the worker notes that it is alive. More hides a freeze; it must be well below half a session."""
STOP_S = 5.0
"""For the last round when the worker is asked to stop. Less leaves work to be done again; more delays the stop."""


class MembershipLost(Exception):  # noqa: N818 -- news, not a failure of ours
    """Another worker may own the partitions by now: what was to be written must not be."""


class Source(Protocol):
    """Where emissions come from (pipeline.agents.Shell)."""

    def next_emissions(self) -> list[tuple[int, Emission]]: ...
    def wake_in_s(self) -> float: ...
    def acked(self, partition: int, key: bytes, value: bytes | None, offset: int) -> None: ...
    def save(self) -> None: ...
    def forget(self) -> None: ...
    def rebalancing(self) -> bool: ...
    @property
    def epoch(self) -> int: ...
    @property
    def active(self) -> bool: ...


class Membership:
    """Whether this worker may still act. It doubts when it was not scheduled for longer than half its session."""

    def __init__(self, session_timeout_s: float, heartbeat: Callable[[], Awaitable[bool]]) -> None:
        self._limit_s = session_timeout_s / 2
        self._heartbeat = heartbeat
        self._seen_s = time.monotonic()
        self.doubtful = False

    def tick(self) -> None:
        """Note that we run. A process that was frozen finds a gap at its first step, whichever that is."""
        now_s = time.monotonic()
        if now_s - self._seen_s > self._limit_s:
            log.warning(
                "not scheduled for %.1f s: nothing is emitted until the group confirms us", now_s - self._seen_s
            )
            self.doubtful = True
        self._seen_s = now_s

    async def confirm(self, rebalancing: Callable[[], bool]) -> None:
        """Return when we may act. MembershipLost where the group goes on without us."""
        self.tick()
        while self.doubtful:
            if rebalancing():
                raise MembershipLost
            if await self._heartbeat():
                self.doubtful = False
                log.info("the group confirms this worker")
            else:
                await asyncio.sleep(RETRY_S)

    async def watch(self) -> None:
        """Tick for ever: what waits for the broker is not frozen."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    @property
    def silent_s(self) -> float:
        """How long nothing has run."""
        return time.monotonic() - self._seen_s


class Emitter:
    """Writes what the engines say; the only one that writes."""

    def __init__(self, producer: AIOKafkaProducer, source: Source, membership: Membership) -> None:
        self._producer = producer
        self._source = source
        self._membership = membership
        self._oversize = Oversize()
        self._kicked = asyncio.Event()
        self._waiting: list[asyncio.Future[bool]] = []
        self.refused = asyncio.Event()
        """Dead letters were written: whoever commits offsets clears it."""
        self.stopping = False
        self.lost = False
        """Whether something was dropped since the partitions were last assigned: then nothing may be committed."""
        self.writing = False
        """Whether the engines have said what is not on the broker yet."""
        self.rounds = 0

    def begin(self) -> None:
        """The partitions were assigned, and states are what the changelog says."""
        self.lost = False
        self.kick()

    def kick(self) -> None:
        """Something came in: do not wait for the next timer."""
        self._kicked.set()

    async def flush(self) -> bool:
        """Write everything that was folded so far. False when it may not, or cannot in time, be written."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self.kick()
        try:
            return await asyncio.wait_for(done, STOP_S if self.stopping else None)
        except TimeoutError:
            log.warning("the broker did not take the last records in %g s: they will be read again", STOP_S)
            return False

    async def run(self) -> None:
        """Round after round, until cancelled."""
        while True:
            await self._sleep()
            waiting, self._waiting = self._waiting, []
            if waiting:
                self._source.save()
            written = await self._round() and not self.lost and self._source.active
            for future in waiting:
                if not future.done():
                    future.set_result(written)
            self.rounds += 1

    async def _sleep(self) -> None:
        """Until something came in or a timer is due."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._kicked.wait(), self._source.wake_in_s())
        self._kicked.clear()

    async def _round(self) -> bool:
        """Write what all engines say. False where it was dropped, because the partitions were taken away meanwhile."""
        epoch = self._source.epoch
        stages = self._stages()
        self.writing = True
        try:
            for stage in stages:
                await self._write(stage, epoch)
        except MembershipLost:
            log.warning("the group went on without this worker: what it had decided is dropped")
            if not self._source.active or self._source.epoch == epoch:  # else the engines are new ones already
                self.lost = True
                self._source.forget()
            return False
        finally:
            self.writing = False
        if any(topic == DEADLETTERS for topic, *_ in stages[0]):
            self.refused.set()
        return True

    def _stages(self) -> tuple[list[Placed], list[Placed], list[Placed]]:
        first: list[Placed] = []
        kept: list[Placed] = []
        last: list[Placed] = []
        for partition, emission in self._source.next_emissions():
            self._note(emission)
            first += [(DEADLETTERS, None, encode(letter), None) for letter in emission.letters]
            first += _by_key(emission.first)
            kept += [(CHANGELOG, key, value, partition) for key, value in emission.kept]
            last += _by_key(emission.last)
        return first, kept, last

    def _note(self, emission: Emission) -> None:
        for failure in emission.failures:
            log.error("a mistake of ours: %s", failure)
        for letter in emission.letters:
            metrics.DEADLETTERS.labels(reason=letter.reason.partition(":")[0]).inc()
        metrics.DECISIONS.inc(emission.decisions)

    async def _write(self, records: list[Placed], epoch: int) -> None:
        """Return when the broker has them all, however long that takes. MembershipLost where they are not ours now."""
        while records:
            await self._membership.confirm(lambda: self._source.rebalancing() or self._source.epoch != epoch)
            if self._source.epoch != epoch:
                raise MembershipLost
            failed, refused = await self._try(records, epoch)
            if refused and len(records) > 1:  # many together may be too large, and each alone not
                refused = [r for record in refused for r in await self._alone(record, epoch, failed)]
            if failed:
                self._membership.doubtful = True  # a broker away for longer than a session has forgotten us
                metrics.RETRIES.inc(len(failed))
                log.warning("%d record(s) not written yet, the broker does not take them", len(failed))
                await asyncio.sleep(RETRY_S)
            records = failed + [letter for record in refused if (letter := self._too_large(record)) is not None]

    async def _alone(self, record: Placed, epoch: int, failed: list[Placed]) -> list[Placed]:
        """Write one record by itself: it is put to what failed, or given back because it is too large."""
        later, refused = await self._try([record], epoch)
        failed += later
        return refused

    async def _try(self, records: list[Placed], epoch: int) -> tuple[list[Placed], list[Placed]]:
        """Write once. Gives what failed and may succeed later, and what is too large, which never will."""
        refused: list[Placed] = []
        sent: list[tuple[Placed, asyncio.Future[Any]]] = []
        failed: list[Placed] = []
        for place, record in enumerate(records):
            topic, key, value, partition = record
            try:
                sent.append((record, await self._producer.send(topic, value, key=key, partition=partition)))
            except MessageSizeTooLargeError:
                refused.append(record)
            except KafkaError:
                failed = records[place:]
                break
        answers = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        lost: list[Placed] = []
        for (record, _), answer in zip(sent, answers, strict=True):
            if isinstance(answer, MessageSizeTooLargeError | RecordListTooLargeError):
                refused.append(record)
            elif isinstance(answer, KafkaError):
                lost.append(record)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._oversize.fits(record[0], record[1])
                if record[0] == CHANGELOG and self._source.epoch == epoch:
                    assert record[1] is not None
                    self._source.acked(answer.partition, record[1], record[2], answer.offset)
        return lost + failed, refused

    def _too_large(self, record: Placed) -> Placed | None:
        """The dead letter to write instead."""
        metrics.TOO_LARGE.inc()
        letter = self._oversize.instead(record)
        if letter is not None:
            size = len(record[2] or b"")
            log.error("%d bytes for %s (key %r) are more than the broker takes", size, record[0], record[1])
        return letter


def _by_key(outs: Iterable[Out]) -> list[Placed]:
    return [(topic, key, value, None) for topic, key, value in outs]
