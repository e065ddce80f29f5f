"""`sunshave replay`: decide again from the topics' history, and compare (design §8)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import Progress

from pipeline.moments import parse_moment, rfc3339, to_ms
from sunshave.options import kafka_option
from sunshave.reading import Unreachable, reading
from sunshave.replay_again import Again, Result
from sunshave.replay_file import BadLine, file_steps
from sunshave.replay_history import History
from sunshave.replay_steps import Step
from sunshave.telling import give_up, warning


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--location", "only", metavar="LOCATION", help="Only this location.")
@click.option("--from", "begin", metavar="TIME", help="Count decisions from this moment on (RFC 3339).")
@click.option("--until", "end", metavar="TIME", help="Count decisions before this moment (RFC 3339).")
@click.option(
    "--show",
    default=10,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Of so many decisions say on standard error what differs.",
)
@kafka_option
def replay(file: str | None, only: str | None, begin: str | None, end: str | None, show: int, kafka: str) -> None:
    """Decide again what was decided, from the history in Kafka or in FILE, and compare it bit for bit.

    FILE has JSON lines in the format of `sunshave decide`, with what was decided: as `--export` writes it, or the
    answers of `sunshave decide` after the lines that they answer. `-` is standard input.

    The answer is {"decisions": n, "same": n, "different": n}. Where the topics do not reach back to the beginning of a
    location, what cannot be decided again is counted as "skipped", too.

    Exit status: 0 when all are the same, 1 when not, 2 when the history cannot be read, or nothing in it can be decided
    again.
    """
    span = (_moment_ms(begin, "--from"), _moment_ms(end, "--until"))
    tally = _Tally(show)
    with ExitStack() as stack:
        steps = stack.enter_context(_steps(file, kafka, only))
        again = Again()
        for step in steps:
            result = again.take(step)
            if only in (None, step.location) and _within(span, step.at_ms):
                tally.note(step, result)
    tally.answer(file or kafka)
    sys.exit(1 if tally.count["different"] else 0)


class _Tally:
    """Counts, and says what differs."""

    def __init__(self, show: int) -> None:
        self.count = dict.fromkeys(("same", "different", "skipped", "new"), 0)
        self._show = show
        self._reasons: dict[str, tuple[int, str]] = {}

    def note(self, step: Step, result: Result) -> None:
        self.count[result.verdict] += 1
        if result.verdict == "skipped":
            self._reasons[step.location] = (self._reasons.get(step.location, (0, ""))[0] + 1, result.lines[0])
        if result.verdict == "different" and self.count["different"] <= self._show:
            name = step.was.decision if step.was is not None else f"{step.location}@{step.at_ms}"
            click.echo(f"{name} ({rfc3339(step.at_ms)}) differs:", err=True)
            for line in result.lines:
                click.echo(f"  {line}", err=True)

    def answer(self, source: str) -> None:
        """Print the counts; give up where there is nothing to count."""
        for location, (many, reason) in sorted(self._reasons.items()):
            warning(f"location {location}: {many} decision(s) cannot be made again, the last because {reason}")
        count = self.count
        if not count["same"] + count["different"]:
            if count["skipped"]:
                give_up(f"{source} does not reach back far enough: none of its decisions can be made again", 2)
            if count["new"]:
                give_up(f"{source} does not say what was decided: there is nothing to compare", 2)
        answer = {"decisions": sum(count.values()), "same": count["same"], "different": count["different"]}
        for more in ("skipped", "new"):
            if count[more]:
                answer[more] = count[more]
        click.echo(json.dumps(answer))


@contextmanager
def _steps(file: str | None, kafka: str, only: str | None) -> Iterator[Iterator[Step]]:
    """The history, its connections closed afterwards; gives up where it cannot be read."""
    try:
        if file is None:
            with reading(kafka) as reader:
                yield _shown(History(reader, only))
        else:
            with _opened(file) as lines:
                yield file_steps(lines)
    except Unreachable as problem:
        give_up(problem.message, 2)
    except (BadLine, OSError) as problem:
        give_up(f"cannot read {file}: {problem}", 2)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with open(file, "rb") as stream:
        yield stream


def _shown(history: History) -> Iterator[Step]:
    """The steps, with their progress on standard error where that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("deciding again", total=history.total)
        for step in history.steps():
            progress.update(task, completed=history.read)
            yield step


def _within(span: tuple[int | None, int | None], at_ms: int) -> bool:
    begin_ms, end_ms = span
    return (begin_ms is None or at_ms >= begin_ms) and (end_ms is None or at_ms < end_ms)


def _moment_ms(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return to_ms(parse_moment(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no RFC 3339 moment with a time zone", param_hint=option) from None
