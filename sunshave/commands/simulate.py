"""`sunshave simulate`: the closed loop without Kafka, at full speed (design §8)."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from sunshave.simulation.plan import MOST_HOURS
from sunshave.simulation.read import FileRefused, Simulation, read_simulation
from sunshave.telling import error, give_up, warning

REPORT = Path("sunshave-simulation.html")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Draw everything from this seed instead of the file's.")
@click.option("--hours", type=click.FloatRange(0, MOST_HOURS, min_open=True), help="Simulate so long instead.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=REPORT,
    show_default=True,
    metavar="FILE.html",
    help="Where the report with charts goes.",
)
@click.option("--no-report", is_flag=True, help="Write no report.")
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jsonl",
    help="Write every record and decision too, as `sunshave decide` and `sunshave replay` read them; several locations "
    "get a file FILE-LOCATION.jsonl each.",
)
@click.option(
    "--processes", type=click.IntRange(1, 256), help="Locations simulated side by side.  [default: one per core]"
)
def simulate(
    file: Path,
    seed: int | None,
    hours: float | None,
    report: Path,
    no_report: bool,
    export: Path | None,
    processes: int | None,
) -> None:
    """Let the buildings of FILE live at full speed, with the production core in the loop, and say how it went.

    FILE is YAML or JSON: one location or several, and their cars, house loads, sun and faults; docs/simulate.md
    explains it. The summary (energy, peaks, overload, fairness, setpoints) is JSON: the same bytes for the
    same file and seed. Everything else is said on standard error.

    Exit status: 0; 1 when a report or an export cannot be written; 2 when FILE cannot be simulated.
    """
    simulation = _read(file, seed, hours)
    exports = _exports(export, [task.name for task in simulation.tasks])
    for path in ([] if no_report else [report]) + list(exports.values()):
        _require_writable(path)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        _simulate(simulation, processes or os.cpu_count() or 1, None if no_report else report, exports)
    except OSError as problem:
        give_up(f"{problem.filename or file}: {problem.strerror or problem}", 1)


def _read(file: Path, seed: int | None, hours: float | None) -> Simulation:
    try:
        simulation = read_simulation(file, seed=seed, hours=hours)
    except OSError as problem:
        raise click.UsageError(f"cannot read {file}: {problem.strerror}") from None
    except FileRefused as refused:
        for reason in refused.problems:
            error(f"{file}: {reason}")
        for oddity in refused.warnings:
            warning(f"{file}: {oddity}")
        sys.exit(2)
    for oddity in simulation.warnings:
        warning(f"{file}: {oddity}")
    return simulation


def _exports(export: Path | None, names: list[str]) -> dict[str, Path]:
    if export is None:
        return {}
    if len(names) == 1:
        return {names[0]: export}
    return {name: export.with_name(f"{export.stem}-{re.sub(r'[:]', '_', name)}{export.suffix}") for name in names}


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as problem:
        give_up(f"cannot write {path}: {problem.strerror}", 1)


def _simulate(simulation: Simulation, processes: int, report: Path | None, exports: dict[str, Path]) -> None:
    from sunshave.simulation.charts import MOST_LOCATIONS, write_simulation_report
    from sunshave.simulation.run import run_all
    from sunshave.simulation.summary import whole_summary

    console = Console(stderr=True)
    began_s = time.monotonic()
    tasks = simulation.tasks
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        whole = bar.add_task(f"{len(tasks)} location(s)", total=sum(task.seconds for task in tasks))
        traced = MOST_LOCATIONS if report is not None else 0
        outcomes = run_all(tasks, processes, lambda seconds: bar.advance(whole, seconds), traced, exports)
    summary = whole_summary(simulation, [outcome.summary for outcome in outcomes])
    took_s = time.monotonic() - began_s
    if report is not None:
        title = (
            f"sunshave simulation, seed {simulation.run.seed}, {simulation.run.hours:g} h from {summary['start'][:16]}"
        )
        write_simulation_report(report, title, summary, [o.trace for o in outcomes if o.trace is not None])
    click.echo(json.dumps(summary, indent=1))
    life_s = sum(task.seconds for task in tasks)
    where = "" if report is None else f"; the report is in {report}"
    click.echo(f"{life_s / 3600:g} h of {len(tasks)} location(s) in {took_s:.1f} s{where}", err=True)


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends like Ctrl-C, with its own status."""
    raise SystemExit(128 + signal.SIGTERM)
