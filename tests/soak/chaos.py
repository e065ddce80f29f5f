"""The faults: what is broken, when, and how it comes back. One seed draws them all, before the first happens."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.parts.kafka import Node
from tests.parts.stream import Worker

MOST_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Rest:
    """Between two faults: until all is decided again, then a time in which loads may step, then until those steps are
    answered. Shorter: what one fault did is put down to the next."""

    settle_s: float = 10.0
    calm_s: float = 10.0
    answer_s: float = 20.0

    @property
    def whole_s(self) -> float:
        return self.settle_s + self.calm_s + self.answer_s


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` happens, and lasts `for_s`. `pick`: which worker or broker, as a share of those that there are."""

    kind: str
    for_s: int
    pick: float


@dataclass(slots=True)
class Event:
    """A fault that happened. Times are seconds since 1970."""

    kind: str
    begin_s: float
    end_s: float
    pid: int | None = None


KINDS = ("kill", "terminate", "add", "freeze", "backlog", "broker")


def plan(seed: int, session_s: float, backlog_s: int, kinds: Sequence[str], count: int) -> list[Fault]:
    """So many faults: every kind once, in an order of its own, before any comes again."""
    chance = random.Random(seed)
    lasts_s = {
        "kill": (0, 8),
        "terminate": (0, 8),
        "add": (0, 0),
        "freeze": (int(session_s) + 3, int(session_s) + 12),
        "backlog": (backlog_s, backlog_s),
        "broker": (3, 15),
    }
    faults: list[Fault] = []
    while len(faults) < count:
        shuffled = chance.sample(kinds, len(kinds))
        faults += [Fault(kind, chance.randint(*lasts_s[kind]), chance.random()) for kind in shuffled]
    return faults[:count]


@dataclass(slots=True)
class Chaos:
    """Does what was planned, one after the other. `calm` is told whether somebody works.

    One worker, the elder, lives from the beginning to the end, for what grows slowly: what kills others freezes it.
    """

    start: Callable[[], Worker]
    nodes: list[Node]
    calm: Callable[[bool], None]
    rest: Rest = Rest()
    workers: list[Worker] = field(default_factory=list)
    """Those that may die at any time."""
    every: list[Worker] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def elder(self) -> Worker:
        return self.every[0]

    def begin(self, workers: int) -> None:
        self.every.append(self.start())
        for _ in range(workers - 1):
            self._add()

    def happen(self, fault: Fault) -> None:
        """The fault, its end, and some rest."""
        event = Event(fault.kind, time.time(), 0.0)
        self.events.append(event)
        some = self.every[:1] + self.workers if fault.kind == "freeze" else self.workers
        worker = some[int(fault.pick * len(some))]
        event.pid = worker.process.pid
        getattr(self, f"_{fault.kind}")(fault, worker)
        event.end_s = time.time()
        self.have_rest()

    def have_rest(self) -> None:
        time.sleep(self.rest.settle_s)
        self.calm(self.rest.calm_s > 0)
        time.sleep(self.rest.calm_s)
        self.calm(False)
        time.sleep(self.rest.answer_s)

    def end(self) -> list[int]:
        """Everybody ends when told; gives the exit statuses."""
        return [worker.stop() for worker in (self.elder, *self.workers)]

    def _add(self, *_: object) -> None:
        worker = self.start()
        self.workers.append(worker)
        self.every.append(worker)
        if len(self.workers) >= MOST_WORKERS:
            self.workers.pop(0).stop()

    def _kill(self, fault: Fault, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.kill()
        time.sleep(fault.for_s)
        self._add()

    def _terminate(self, fault: Fault, worker: Worker) -> None:
        self.workers.remove(worker)
        assert worker.stop() == 0
        time.sleep(fault.for_s)
        self._add()

    def _freeze(self, fault: Fault, worker: Worker) -> None:
        worker.freeze()
        time.sleep(fault.for_s)
        worker.thaw()

    def _backlog(self, fault: Fault, _: Worker) -> None:
        self.elder.freeze()
        while self.workers:
            self.workers.pop().kill()
        time.sleep(fault.for_s)
        self._add()
        self.elder.thaw()

    def _broker(self, fault: Fault, _: Worker) -> None:
        node = self.nodes[int(fault.pick * len(self.nodes))]
        node.stop(by=signal.SIGKILL)
        time.sleep(fault.for_s)
        node.start()
