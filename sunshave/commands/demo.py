"""`sunshave demo`: the main job on embedded parts, told as a story."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from sunshave.demo.processes import STOPS, Failed
from sunshave.demo.run import Options, run_demo
from sunshave.options import SERVERS
from sunshave.telling import give_up


@click.command()
@click.option(
    "--speed", type=click.FloatRange(1, 30), default=10.0, show_default=True, help="Story seconds per second."
)
@click.option("--real-time", is_flag=True, help="The same as --speed 1: twenty minutes.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sunshave-demo"),
    show_default=True,
    help="Where the report, the history and the logs go.",
)
@click.option(
    "--kafka",
    envvar="SUNSHAVE_KAFKA",
    show_envvar=True,
    type=SERVERS,
    metavar=SERVERS.name,
    help="Use this Kafka instead of the embedded broker.",
)
def demo(speed: float, real_time: bool, folder: Path, kafka: str | None) -> None:
    """Run the main job here, on embedded parts, and watch it.

    Starts a Kafka broker, worker, dispatcher, historian and meter reader as real processes, a house behind a simulated
    P1 port, and four cars that are real OCPP clients; shows who gets what and why; ends by itself after two minutes (or
    on Ctrl-C) and leaves a report. The history goes to a line-protocol file, or to InfluxDB if SUNSHAVE_INFLUX_URL is
    set.
    """
    logging.basicConfig(level=logging.ERROR)
    for noisy in ("connectors", "kafka"):  # a broker that ends before its reader is no news here
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    for number in STOPS:
        signal.signal(number, _as_ctrl_c)
    options = Options(folder, 1.0 if real_time else speed, kafka, influx=bool(os.environ.get("SUNSHAVE_INFLUX_URL")))
    console = Console()
    try:
        report = run_demo(options, console)
    except Failed as problem:
        give_up(str(problem), 1)
    except OSError as problem:
        give_up(f"{problem.filename or folder}: {problem.strerror or problem}", 1)
    console.print(f"The report is in {report}; logs and history are beside it.", highlight=False)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
