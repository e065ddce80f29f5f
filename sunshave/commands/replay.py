"""`sunshave replay`: decide again from the topics' history, and compare (design §8)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import Progress

from pipeline.moments import parse_moment, rfc3339, to_ms
from sunshave.broker import Unreachable
from sunshave.options import kafka_option
from sunshave.reading import reading
from sunshave.replay_again import Again, Result
from sunshave.replay_export import export_lines
from sunshave.replay_file import BadLine, file_steps
from sunshave.replay_history import History
from sunshave.replay_steps import Step
from sunshave.replay_table import comparison
from sunshave.replay_what_if import WhatIf
from sunshave.telling import give_up, warning, why
from topology.read import LocationRefused, location_document, read_location_file

Span = tuple[int | None, int | None]
"""From and until, in ms; None where it is open."""


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
@click.option(
    "--with",
    "document",
    metavar="LOCATION_FILE",
    help="What if this had been the location's document? Answers what was and what would be.",
)
@click.option("--table", is_flag=True, help="With --with: a table instead of JSON.")
@click.option(
    "--export", metavar="FILE", help="Write the history of one location to FILE, as lines for `sunshave decide`."
)
@kafka_option
def replay(
    file: str | None,
    only: str | None,
    begin: str | None,
    end: str | None,
    show: int,
    document: str | None,
    table: bool,
    export: str | None,
    kafka: str,
) -> None:
    """Decide again what was decided, from the history in Kafka or in FILE, and compare it bit for bit.

    FILE has JSON lines in the format of `sunshave decide`, with what was decided: as `--export` writes it, or the
    answers of `sunshave decide` after the lines that they answer. `-` is standard input.

    The answer is {"decisions": n, "same": n, "different": n}. Where the topics do not reach back to the beginning of a
    location, what cannot be decided again is counted as "skipped", too.

    With --with the run is decided anew under another document of the location, and both are summed up. A recording
    cannot tell what a car would have drawn: one that took less than it might is taken to go on so, one that took all
    it was allowed takes all it would be allowed, and a charger that is new always wants all it can get. So caps, limits
    and tariffs compare well; how long a car takes to be full, and whether it stays longer, it does not tell.

    Exit status: 0 when all are the same, 1 when not, 2 when the history cannot be read, or nothing in it can be decided
    again.
    """
    span = (_moment_ms(begin, "--from"), _moment_ms(end, "--until"))
    if export is not None and only is None:
        raise click.UsageError("--export needs --location: a file holds one location")
    if document is not None:
        _what_if(_other(document), file, kafka, span, table)
        return
    tally = _Tally(show)
    with ExitStack() as stack:
        steps = stack.enter_context(_steps(file, kafka, only))
        write = stack.enter_context(_exporting(export))
        again = Again()
        for step in steps:
            if only not in (None, step.location):
                continue
            write(step)
            result = again.take(step)
            if _within(span, step.at_ms):
                tally.note(step, result)
    if only is not None and not any(tally.count.values()):
        give_up(f"{file or kafka} has no decisions of location {only}", 2)
    tally.answer(file or kafka)
    sys.exit(1 if tally.count["different"] else 0)


def _what_if(what_if: WhatIf, file: str | None, kafka: str, span: Span, table: bool) -> None:
    with _steps(file, kafka, what_if.name) as steps:
        for step in steps:
            if step.location == what_if.name:
                what_if.take(step, counts=_within(span, step.at_ms))
    answer = what_if.answer()
    if answer["from"] is None:
        give_up(f"{file or kafka} has no decisions of location {what_if.name} that can be made again", 2)
    if table:
        Console().print(comparison(answer))
    else:
        click.echo(json.dumps(answer))


def _other(document: str) -> WhatIf:
    """The document of --with; gives up with everything that is wrong with it."""
    try:
        (found,) = read_location_file(Path(document))
    except OSError as problem:
        give_up(f"cannot read {document}: {problem.strerror}", 2)
    except ValueError:
        give_up(f"{document} must hold one location", 2)
    if isinstance(found, LocationRefused):
        give_up([f"{document}: {problem}" for problem in found.problems], 2)
    return WhatIf(json.dumps(location_document(found.location)).encode())


class _Tally:
    """Counts, and says what differs."""

    def __init__(self, show: int) -> None:
        self.count = dict.fromkeys(("same", "different", "skipped", "new"), 0)
        self._show = show
        self._reasons: dict[str, tuple[int, str]] = {}

    def note(self, step: Step, result: Result) -> None:
        if result.verdict == "none":
            return
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
        if not any(count.values()):
            give_up(f"{source} has no decisions: there is nothing to decide again", 2)
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
    except BadLine as problem:
        give_up(f"cannot read {file}: {problem}", 2)
    except OSError as problem:
        give_up(f"cannot read {file}: {why(problem)}", 2)


@contextmanager
def _exporting(export: str | None) -> Iterator[Callable[[Step], None]]:
    """Writes steps to the file of --export, if there is one."""
    if export is None:
        yield lambda step: None
        return
    try:
        stream = open(export, "wb")  # noqa: SIM115 -- closed below
    except OSError as problem:
        give_up(f"cannot write {export}: {problem.strerror}", 2)
    with stream:
        yield lambda step: stream.writelines(line + b"\n" for line in export_lines(step))


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


def _within(span: Span, at_ms: int) -> bool:
    begin_ms, end_ms = span
    return (begin_ms is None or at_ms >= begin_ms) and (end_ms is None or at_ms < end_ms)


def _moment_ms(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return to_ms(parse_moment(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no RFC 3339 moment with a time zone", param_hint=option) from None
