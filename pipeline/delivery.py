"""Batch delivery: one Faust event is everything that was polled from one partition.

Faust's own delivery costs 200 µs per record, whatever it holds; a batch costs 5 µs per record.
This leans on private names of faust-streaming 0.15.x and aiokafka 0.14 (hence the exact pins in requirements.lock):
`Consumer._wait_next_records`, `_getmany`, `_to_message`, `_new_offset`, `_add_gap`, `_commit`, the thread's
`_fetch_records` and `tp_last_committed_at`, the fetcher's `_records`, `Recovery.active_offsets`, and the coordinator's
`_do_heartbeat`.
tests/pipeline/test_worker.py fails when one of them changes its meaning.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import faust
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.tables.table import Table
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport, ensure_aiokafka_TP
from faust.types import TP, ConsumerMessage
from mode import Service

from pipeline.emission import Batch
from pipeline.fencing import is_outdated
from pipeline.records import LOCATIONS
from pipeline.topics import CHANGELOG, SOURCES

log = logging.getLogger("sunshave.worker")

CONFIRM_S = 5.0
"""For an answer of the broker to a heartbeat. Less doubts a slow broker; more keeps a thawed worker silent longer."""
REFUSED_COMMIT_S = 2.0
"""From a dead letter to a commit. Less: a stream of garbage keeps every state all the time; more: after a crash more of
them are written twice."""
NOT_YET_S = 0.02
"""Between two looks whether the streams run. Less is a busy loop, more a late start."""
UNSURE_S = 0.2
"""Pause when a rebalance takes away what was being asked for. Less is a busy loop, more a late start."""


class BatchSchema(faust.Schema):
    """Hands over what was polled as it is: records are read in the engine, where a bad one is a dead letter."""

    def compile(self, app: Any, **_options: Any) -> Callable[..., Any]:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class LocationTable(Table):
    """The table `locations`: its changelog read in batches, its values as bytes by partition.

    Writes go through the emitter, in order with everything else; `acked` tells of them when the broker has them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.foreign: set[int] = set()
        """Partitions that were changed by what the changelog said, not by us: their engines must begin anew."""
        self.read = 0
        """Records of the changelog that were read."""

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        for event in batch:
            polled: Batch = event.message.value
            self.foreign.add(polled.partition)
            self.read += len(polled.records)
            for record in polled.records:
                assert record.key is not None
                before = self.kept[polled.partition].get(record.key)
                if record.value is None or not is_outdated(record.key, record.value, before):
                    self._set(polled.partition, record.key, record.value)

    def acked(self, partition: int, key: bytes, value: bytes | None, offset: int) -> None:
        """A write of ours is on the broker: after a rebalance it need not be read again."""
        self._set(partition, key, value)
        read: Any = self.app.tables.recovery.active_offsets
        changelog = TP(CHANGELOG, partition)
        if changelog in read:
            read[changelog] = max(read[changelog] or -1, offset)

    async def on_rebalance(self, assigned: set[TP], *rest: Any, **options: Any) -> None:
        await super().on_rebalance(assigned, *rest, **options)
        ours = {tp.partition for tp in assigned}
        for partition in self.kept.keys() - ours:
            del self.kept[partition]

    def _set(self, partition: int, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.kept[partition].pop(key, None)
        else:
            self.kept[partition][key] = value


class PlainThread(AIOKafkaConsumerThread):
    """Hands over records as the client's parser made them: the copy with all their fields is a quarter of reading."""

    async def _fetch_records(self, consumer: Any, *arguments: Any, **options: Any) -> Any:
        for fetched in consumer._fetcher._records.values():
            records = getattr(fetched, "_partition_records", None)
            if records is not None:
                records._consumer_record = _as_it_is
        return await super()._fetch_records(consumer, *arguments, **options)


def _as_it_is(_tp: Any, record: Any) -> Any:
    return record


class BatchConsumer(Consumer):
    """Gives batches; reads `topology.locations` first; commits only what has been emitted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._begun = -1
        """The generation whose sources are being read."""
        self._ends: dict[TP, int] = {}
        """Partitions of `topology.locations` that were not read to this end yet."""
        self._owed: dict[TP, int] = {}
        """Offsets whose commit failed: they go with the next one."""
        self._counted = -1
        """The shell's epoch when the offsets of the next commit were counted."""

    @Service.task
    async def _commit_refused(self) -> None:
        """No state says which bad records were read: what is not committed is a dead letter again after a crash."""
        refused = self.app.emitter.refused
        while not self.should_stop:
            await self.wait(refused)
            await self.sleep(REFUSED_COMMIT_S)
            refused.clear()
            await self.commit()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 -- Faust calls it so
        polled, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not polled or self.should_stop:
            return
        if not self.flow_active:  # a rebalance began while we polled: what came is read again after it
            return
        for tp, records in polled.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if records and (active is None or tp in active or tp in self._buffered_partitions):
                yield tp, self._to_message(tp, records)

    def _to_message(self, tp: TP, records: Any) -> ConsumerMessage:
        """The batch as one message, in the place of its last record."""
        last = records[-1]
        batch = Batch(tp.topic, tp.partition, records, self.highwater(tp) or 0)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            None,
            None,
            batch,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return PlainThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 -- Faust calls it so
        try:
            wanted = await self._locations_first(active_partitions or set())
        except KafkaError as problem:  # a rebalance took the partitions while we asked for their ends
            log.info("asking for the ends of the sources again: %r", problem)
            await asyncio.sleep(UNSURE_S)
            return {}
        if not wanted:  # to aiokafka, none means all
            return {}
        return await super()._getmany(wanted, timeout)

    async def _locations_first(self, active: set[TP]) -> set[TP]:
        """A known location is never answered with `unknown:`: nothing else is read before all of them are."""
        active = set(active)  # Faust changes it while we poll
        sources = {tp for tp in active if tp.topic in SOURCES}
        if not sources:
            return active  # recovery reads the changelog
        if self.app.rebalancing:  # the streams throw away what they are given before they are told to go on
            await asyncio.sleep(NOT_YET_S)
            return active - sources
        generation = self.app.consumer_generation_id
        if self._begun != generation:
            behind = await self._unread(sources)
            if self.app.consumer_generation_id != generation or self.app.rebalancing:
                raise KafkaError("rebalanced")
            self._ends = {tp: end for tp, end in behind.items() if tp.topic == LOCATIONS}
            for known in (self._acked, self._acked_index, self._owed):
                known.clear()  # of another generation: what was folded then may have been dropped, and is read again
            self.app.begin(generation, {tp.partition for tp in sources}, behind.keys())
            self._begun = generation
        for tp, end in list(self._ends.items()):
            if (await self.position(tp) or 0) >= end:
                del self._ends[tp]
        return {tp for tp in active if tp in self._ends} or active

    async def _unread(self, sources: set[TP]) -> dict[TP, int]:
        """The sources that have a backlog, and their ends as of now."""
        ends = await self.highwaters(*sources)
        return {tp: end for tp, end in ends.items() if end and (await self.position(tp) or 0) < end}

    def _new_offset(self, tp: TP) -> int | None:
        """One past the newest acknowledged batch: one stream reads a partition, so batches end in their order."""
        self._counted = self.app.shell.epoch
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """The offsets inside a batch are no gaps."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        epoch = self._counted
        if not await self.app.emitter.flush() or self.app.shell.epoch != epoch:
            return False  # a rebalance in between: what these offsets stand for may have been dropped
        self._owed.update(offsets)
        return bool(await self._thread.call_thread(self._commit_owed))

    async def _commit_owed(self) -> bool:
        """A broker that does not answer is no reason to stop; Faust would."""
        consumer = self._thread._ensure_consumer()
        mine = self._thread.assignment()
        owed, self._owed = {tp: offset for tp, offset in self._owed.items() if tp in mine}, {}
        if not owed:
            return False
        try:
            await consumer.commit(
                {ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in owed.items()}
            )
        except KafkaError as problem:
            log.warning("offsets not committed yet: %r", problem)
            self._owed = owed | self._owed
            return False
        self._thread.tp_last_committed_at.update(dict.fromkeys(owed, time.monotonic()))  # else Faust says it never was
        return True

    async def heartbeat(self) -> bool:
        """Ask the broker whether we are still a member of the group, in the generation that Faust knows."""
        try:
            return bool(await asyncio.wait_for(self._thread.call_thread(self._beat), CONFIRM_S))
        except (KafkaError, TimeoutError) as problem:
            log.info("membership is not confirmed: %r", problem)
            return False

    async def _beat(self) -> bool:
        coordinator = self._thread._ensure_consumer()._coordinator
        generation = self.app.consumer_generation_id
        if coordinator.generation != generation or not await coordinator._do_heartbeat():
            return False
        return bool(coordinator.generation == generation)


class BatchTransport(Transport):
    """aiokafka, with batches."""

    Consumer = BatchConsumer
