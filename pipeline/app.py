"""The worker: a Faust app, its settings, and how it is started, stopped, and started again after an accident."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError

from pipeline import metrics
from pipeline.agents import Clock, Shell, declare_agent
from pipeline.delivery import BatchSchema, BatchTransport, LocationTable
from pipeline.emitter import Emitter, Membership
from pipeline.topics import APP, MAX_LETTER_BYTES, TABLE, BrokerAway, check_topics
from pipeline.watchdog import Watchdog

log = logging.getLogger("sunshave.worker")

POLL_RECORDS = 2_000
"""Records of one poll. Fewer: more work per record; more: the loop stands still for longer than 20 ms."""
BUFFERED_BATCHES = 64
"""Batches polled and not yet folded. Fewer: reading waits for folding; more: memory (2,000 records each)."""
COMMIT_S = 10.0
"""Between two commits; states that changed are kept as often. Only work depends on it: after a crash what was read
since is folded again, and no setpoint is sent before the state that counts it is kept. Less: at 1 Hz every state is
written as often; more: who takes over reads for longer. Dead letters are committed sooner (`pipeline.delivery`)."""
YOUNG_OBJECTS = 50_000
"""New objects before garbage is looked for (Python's own 700 makes that a sixth of all work: a batch is thousands of
objects that all go at once, without cycles). More: cycles, of which there are few, stay for longer; old ones stay until
the next rebalance."""
CALM_S = 15.0
"""After a rebalance, until what it left in cycles is thrown away. Less: while there is much to do; more: memory."""
RESTART_S = 2.0
"""Before a crashed app is made anew. Less is a busy loop; more is a gap in decisions."""
STOP_S = 15.0
"""For a clean stop. After it the worker just ends: nothing is lost, the next owner reads on from the last commit."""
MIN_REQUEST_S = 2.0
"""A write is tried for half a session, then the group is asked who we are; but for no less than this, or a slow broker
gets everything twice."""
BATCH_BYTES = 1_000_000
"""Of one write to a partition. Smaller: more requests per round; larger than 1 MiB is refused by most brokers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker must know. `embedded` answers the defects of Tansu (one record per write; streaming.md §2)."""

    kafka: str
    session_timeout_s: float = 10.0
    embedded: bool = False


class WorkerApp(faust.App):
    """Faust, with batches and our table."""

    shell: Shell
    emitter: Emitter

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def begin(self, generation: int, partitions: set[int], behind: Any) -> None:
        """Called by the consumer when the rebalance is over, before the first source record is read."""
        self.shell.begin(generation, partitions, behind)
        asyncio.get_running_loop().call_later(CALM_S, gc.collect)

    def _create_directories(self) -> None:
        """None: state is in memory and in Kafka, so that a full disk of the worker's machine is no outage."""


def make_app(settings: Settings, partitions: int) -> WorkerApp:
    """The app, not started: a table, an agent, nothing else."""
    app = WorkerApp(
        APP,
        broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
        store="memory://",
        Table=LocationTable,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=0,
        stream_wait_empty=True,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=POLL_RECORDS,
        broker_commit_interval=COMMIT_S,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 6,
        broker_max_poll_interval=3600.0,
    )
    table = app.Table(TABLE, partitions=partitions, schema=BatchSchema())
    app.shell = Shell(app, table, Clock())
    declare_agent(app, app.shell)

    @app.on_partitions_revoked.connect
    async def revoked(*_arguments: Any, **_options: Any) -> None:
        app.shell.revoked()

    return app


async def run_worker(settings: Settings, serving: Callable[[Callable[[], dict[str, Any]]], None]) -> None:
    """Work until SIGTERM or SIGINT. TopicsUnusable where the cluster's topics are not as they must be.

    A broker that is away is waited for. `serving` is given the function that says how the worker is.
    """
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    current: list[WorkerApp] = []
    serving(lambda: current[0].shell.health() if current else {"ready": False, "live": True})
    partitions = await _partitions(settings, stop)
    while not stop.is_set():
        assert partitions is not None
        if await _run_once(make_app(settings, partitions), settings, stop, current):
            break
        metrics.RESTARTS.inc()
        log.error("the worker starts again in %g s", RESTART_S)
        await _wait(stop, RESTART_S)


async def _partitions(settings: Settings, stop: asyncio.Event) -> int | None:
    """How many partitions the topics have; None when asked to stop before the broker answered."""
    while not stop.is_set():
        try:
            return await asyncio.to_thread(check_topics, settings.kafka)
        except BrokerAway as away:
            log.warning("%s; waiting for it", away)
            await _wait(stop, RESTART_S)
    return None


async def _run_once(app: WorkerApp, settings: Settings, stop: asyncio.Event, current: list[WorkerApp]) -> bool:
    """Until asked to stop (True), or until Faust gives up, or is given up (False)."""
    producer = _producer(settings)
    try:
        await producer.start()
    except KafkaError as problem:
        log.warning("the broker does not answer: %r", problem)
        await producer.stop()
        return False
    shell = app.shell
    shell.membership = Membership(settings.session_timeout_s, lambda: app.consumer.heartbeat())
    shell.emitter = app.emitter = Emitter(producer, shell, shell.membership)
    watching = asyncio.create_task(shell.membership.watch(), name="membership")
    emitting = asyncio.create_task(app.emitter.run(), name="emitter")
    shell.watchdog = Watchdog(
        settings.session_timeout_s, shell.may_act, shell.progress, lambda: _coordinator_answers(producer)
    )
    watched = asyncio.create_task(shell.watchdog.run(), name="watchdog")
    current[:] = [app]
    living = asyncio.create_task(_live(app), name="faust")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, living, emitting, watched}, return_when=asyncio.FIRST_COMPLETED)
        return stop.is_set()
    finally:
        app.emitter.stopping = True
        await _finish(app, living, emitting)
        for task in (stopping, watching, watched):
            task.cancel()
        await asyncio.wait_for(producer.stop(), STOP_S)


async def _live(app: WorkerApp) -> None:
    """Return when Faust gives up; raise what keeps it from starting."""
    await app.start()
    await app._crashed.wait()


async def _coordinator_answers(producer: AIOKafkaProducer) -> bool:
    """Whether the broker that knows our group is there."""
    try:
        node = await producer.client.coordinator_lookup(CoordinationType.GROUP, APP)
        return bool(await producer.client.ready(node))
    except KafkaError:
        return False


async def _finish(app: WorkerApp, living: asyncio.Task[None], emitting: asyncio.Task[None]) -> None:
    """Stop in order: no more reading, what was read is emitted and committed, then the emitter."""
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except TimeoutError:
        log.warning("not stopped in %g s: what was not committed is read again by the next owner", STOP_S)
    for task in (living, emitting):
        if task.done() and not task.cancelled() and task.exception() is not None:
            log.error("the task %s failed", task.get_name(), exc_info=task.exception())
        task.cancel()
    await asyncio.gather(living, emitting, return_exceptions=True)


def _producer(settings: Settings) -> AIOKafkaProducer:
    """Without idempotence: a repetition is harmless everywhere (state by key, setpoints by seq), and Tansu has none."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka.split(","),
        client_id=APP,
        acks="all",
        max_batch_size=1 if settings.embedded else BATCH_BYTES,
        max_request_size=MAX_LETTER_BYTES,
        request_timeout_ms=round(max(MIN_REQUEST_S, settings.session_timeout_s / 2) * 1000),
    )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
