"""One soak: `python -m tests.soak.run --help`, and the test beside it."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.records import DEADLETTERS, DECISIONS, SETPOINTS, WINDOWS
from pipeline.topics import create_topics
from tests.parts.brokers import Broker
from tests.parts.kafka import Node, bootstrap_of, running_cluster
from tests.parts.stream import PARTITIONS, Worker, workers_on
from tests.parts.tail import Tail
from tests.soak import checks
from tests.soak.building import WINDOW_S
from tests.soak.chaos import KINDS, Chaos, Rest, plan
from tests.soak.evidence import keep_records
from tests.soak.fleet import Fleet

TOPICS = (DECISIONS, SETPOINTS, DEADLETTERS, WINDOWS)
"""What workers write."""
SEEN_S = 15
"""Before the end: what was written until then must be in a decision, of which there is one every 10 s."""
FAULT_S = 20
"""What a fault lasts, on the average."""
TOLD = 8
"""Findings of a check that are told; the others are counted."""
LOOK_S = 5.0
"""Between two looks at the workers' memory."""
MEMORY_LOOKS = 120
"""A worker that lived for ten minutes is judged (the elder of a long run is); a younger one is still growing up."""


@dataclass(frozen=True, slots=True)
class Soak:
    """What to do."""

    seed: int
    faults: int
    buildings: int = 50
    backlog_s: int = 60
    """How long all workers are away, when they are."""
    workers: int = 2
    kinds: tuple[str, ...] = KINDS
    rest: Rest = field(default_factory=Rest)
    heal_s: float = 2.0 * WINDOW_S
    """After the last fault. Less: the minutes in which it happened are not closed yet."""


@dataclass(slots=True)
class Report:
    """What came of it."""

    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def soak(what: Soak, broker: Broker, nodes: list[Node], folder: Path) -> Report:
    """Live through the faults, heal, and look."""
    create_topics(broker.bootstrap, PARTITIONS, max(1, len(nodes)))
    fleet = Fleet(broker.bootstrap, what.seed, what.buildings)
    faults = plan(what.seed, broker.session_timeout_s, what.backlog_s, what.kinds, what.faults)
    with workers_on(broker, folder) as start:
        chaos = Chaos(start, nodes, lambda calm: setattr(fleet, "calm", calm), what.rest)
        with _weighing(chaos) as sizes_mb:
            chaos.begin(what.workers)
            fleet.start()
            chaos.have_rest()
            for fault in faults:
                _say(f"{fault.kind}, {fault.for_s} s")
                chaos.happen(fault)
            fleet.heal()
            time.sleep(what.heal_s - SEEN_S)
            newest = dict(fleet.account.newest)
            time.sleep(SEEN_S)
            fleet.stop()
        statuses = chaos.end()
    return _look(fleet, chaos, sizes_mb, newest, statuses, broker)


def _look(
    fleet: Fleet,
    chaos: Chaos,
    sizes_mb: dict[int, list[float]],
    newest: dict[tuple[str, str], tuple[int, int]],
    statuses: list[int],
    broker: Broker,
) -> Report:
    tail = Tail(broker.bootstrap, TOPICS)
    history = {topic: tail.look(topic) for topic in TOPICS}
    tail.close()
    account = fleet.account
    takeovers = checks.takeovers_s(history, chaos.events)
    late_s = fleet.late_s
    wrong = {
        "overload": fleet.overloads,
        "dead letters": checks.check_dead_letters(history, account),
        "seq": checks.check_sequence(history),
        "folded": checks.check_everything_was_folded(history, newest),
        "energy": checks.check_energy(history, account),
        "owners": checks.check_owners(history, broker.session_timeout_s),
        "takeover": [f"{n}: {s:.1f} s" for n, s in takeovers if s > checks.TAKEOVER_S + late_s],
        "memory": checks.check_memory(sizes_mb, MEMORY_LOOKS),
        "end": [f"a worker ended with {status}" for status in statuses if status],
        "trace": [f"{w.log.name}: {w.said()[-2000:]}" for w in chaos.every if "Traceback" in w.said()],
    }
    kinds = [event.kind for event in chaos.events]
    told = [
        f"{len(account.good)} good and {len(account.bad)} bad records, {account.unsure} of unknown fate",
        *(f"{len(history[topic])} {topic}" for topic in TOPICS),
        "faults: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))),
        f"longest takeover after a kill: {max((s for _, s in takeovers), default=0):.1f} s",
        _life(sizes_mb[chaos.elder.process.pid]),
        f"largest worker: {max((max(s) for s in sizes_mb.values() if s), default=0):.0f} MB",
        f"the machine was late by up to {late_s:.1f} s",
    ]
    return Report([f"{name}: {text}" for name, found in wrong.items() for text in _some(found)], told)


def _life(sizes_mb: Sequence[float]) -> str:
    """How the elder's memory went."""
    if len(sizes_mb) < 3:
        return "nobody lived for long"
    third, half = sizes_mb[len(sizes_mb) // 3], sizes_mb[len(sizes_mb) // 2]
    trend = f"{checks.growth_mb(sizes_mb):+.1f} MB by its trend since the first third"
    return f"the elder: {third:.0f} MB after a third, {half:.0f} after a half, {sizes_mb[-1]:.0f} at the end; {trend}"


def _some(found: Iterable[str]) -> list[str]:
    """The first of them, and how many more."""
    every = list(found)
    more = [f"and {len(every) - TOLD} more"] if len(every) > TOLD else []
    return [*every[:TOLD], *more]


@contextmanager
def _weighing(chaos: Chaos) -> Iterator[dict[int, list[float]]]:
    """Look at the memory of every worker, again and again until the block ends."""
    sizes_mb: dict[int, list[float]] = defaultdict(list)
    stop = threading.Event()

    def weigh() -> None:
        while not stop.wait(LOOK_S):
            for worker in [*chaos.every[:1], *chaos.workers]:
                size_mb = _resident_mb(worker)
                if size_mb:
                    sizes_mb[worker.process.pid].append(size_mb)

    thread = threading.Thread(target=weigh, daemon=True)
    thread.start()
    try:
        yield sizes_mb
    finally:
        stop.set()
        thread.join()


def _resident_mb(worker: Worker) -> float:
    try:
        status = Path(f"/proc/{worker.process.pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0.0)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """One run on a Kafka of one's own; exit status 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=int, default=1800, help="about how long")
    parser.add_argument("--nodes", type=int, default=1, help="brokers")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="draws the fleet and the faults")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of faults")
    parser.add_argument("--logs", type=Path, help="a folder for what the workers say, and the records if it goes wrong")
    options = parser.parse_args()
    faults = (options.seconds - Soak(0, 0).heal_s) // (Rest().whole_s + FAULT_S)
    what = Soak(options.seed, max(1, int(faults)), kinds=tuple(options.kinds))
    _say(f"seed {what.seed}, {what.faults} faults, {options.nodes} node(s)")
    with tempfile.TemporaryDirectory(prefix="sunshave-soak-") as folder, running_cluster(options.nodes) as nodes:
        broker = Broker(bootstrap_of(nodes), "kafka", 6.0)
        logs = options.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        report = soak(what, broker, nodes, logs)
        if report.wrong and options.logs is not None:
            keep_records(broker.bootstrap, TOPICS, logs)
    for line in report.told:
        print(line)
    for line in report.wrong:
        print(f"WRONG {line}")
    print(f"seed {what.seed}: {'not well' if report.wrong else 'all is well'}")
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
