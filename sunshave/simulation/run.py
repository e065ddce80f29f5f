"""Running the locations of a simulation, on as many processes as there are cores: locations do not know each other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sunshave.simulation.read import Task
from sunshave.simulation.summary import location_summary
from sunshave.simulation.trace import Trace, trace_of
from sunshave.simulation.world import World
from sunshave.start import STOPS

TELL_EVERY_S = 900
"""Simulated seconds between two words of progress. Fewer: more to say than to do; more: a bar that jumps."""
LOOK_EVERY_S = 0.2

Progress = Callable[[int], None]
"""Told how many more seconds have been simulated."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a location's run. `trace`: what the report shows; None where none is written."""

    summary: dict[str, Any]
    trace: Trace | None


def run_all(
    tasks: tuple[Task, ...], processes: int, progress: Progress, traced: int, exports: dict[str, Path]
) -> list[Outcome]:
    """Simulate every location; the outcomes are in the order of the tasks. `traced`: of how many a trace is wanted."""
    wanted = [(task, i < traced, exports.get(task.name)) for i, task in enumerate(tasks)]
    if processes == 1 or len(tasks) == 1:
        return [run_one(*each, progress) for each in wanted]
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    pool = ProcessPoolExecutor(min(processes, len(tasks)), context, _begin, (told,))
    try:
        with _undisturbed():
            futures = [pool.submit(_run_in_child, *each) for each in wanted]
        _watch(futures, told, progress)
        return [future.result() for future in futures]
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal waits until the block has ended, here and in the processes that are started in it.

    Half a process, or a parent that left while its child was reading what to do, would end in a stack trace.
    """
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda which, _frame: came.append(which)) for number in STOPS}
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # inherited: `_begin` ends it in a child
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def run_one(task: Task, traced: bool, export: Path | None, progress: Progress) -> Outcome:
    """Simulate one location, here."""
    if export is None:
        return _run(World(task), traced, progress)
    with export.open("wb") as file:
        return _run(World(task, lambda line: file.write(line + b"\n")), traced, progress)


def _run(world: World, traced: bool, progress: Progress) -> Outcome:
    left_s = world.task.seconds
    while left_s > 0:
        seconds = min(left_s, TELL_EVERY_S)
        for _ in range(seconds):
            world.tick()
        left_s -= seconds
        progress(seconds)
    return Outcome(location_summary(world), trace_of(world) if traced else None)


def _watch(futures: list[Future[Outcome]], told: Any, progress: Progress) -> None:
    """Pass progress on until all are done, or the first has failed."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, LOOK_EVERY_S, FIRST_COMPLETED)
        while not told.empty():
            progress(told.get())
        for future in done:
            future.result()


_told: Any = None
"""In a child process: where its progress goes."""


def _begin(told: Any) -> None:
    """A child's first words: Ctrl-C is its parent's business, and without a parent it has none."""
    global _told
    _told = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_in_child(task: Task, traced: bool, export: Path | None) -> Outcome:
    return run_one(task, traced, export, lambda seconds: _told.put(seconds))
