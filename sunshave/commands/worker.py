"""`sunshave worker`: fold readings and decide, for a share of the locations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from sunshave.health import served_health
from sunshave.options import http_option, kafka_option, log_level_option, set_up_logging
from sunshave.telling import give_up

AGAIN_S = 30.0
"""Before a library's message is shown again. Less floods the log in an outage; more looks as if it were over."""


@click.command()
@kafka_option
@http_option
@log_level_option
@click.option(
    "--session-timeout",
    "session_timeout_s",
    envvar="SUNSHAVE_SESSION_TIMEOUT_S",
    show_envvar=True,
    type=click.FloatRange(1, 600),
    default=None,
    metavar="SECONDS",
    help="How long the group waits for a silent worker before others take over. Default: 10; embedded: 2.",
)
@click.option(
    "--data-dir",
    envvar="SUNSHAVE_DATA_DIR",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    expose_value=False,
    help="Accepted and not needed: a worker writes no files, its state is in memory and in Kafka.",
)
@click.option(
    "--broker-profile",
    envvar="SUNSHAVE_BROKER_PROFILE",
    show_envvar=True,
    type=click.Choice(["kafka", "embedded"]),
    default="kafka",
    show_default=True,
    help="`embedded` for Tansu, the broker of `sunshave demo`: one record per write, short sessions.",
)
def worker(
    kafka: str,
    http: tuple[str, int] | None,
    log_level: str,
    session_timeout_s: float | None,
    broker_profile: str,
) -> None:
    """Fold readings and decide, for a share of the locations; as many as there are partitions can share the work.

    It waits for a broker that is away, goes on where it or another one stopped, and ends on SIGTERM or Ctrl-C.

    Exit status: 0; 1 when a topic is missing or not as it must be (see `sunshave topics check`).
    """
    set_up_logging(log_level)
    logging.getLogger("faust.transport.drivers.aiokafka").setLevel(logging.ERROR)  # "Topic creation disabled!": we know
    logging.getLogger("pipeline").setLevel(logging.WARNING)  # what Faust says of each of its services
    for handler in logging.getLogger().handlers:
        handler.addFilter(_NotAgain())
    from pipeline.app import Settings, run_worker  # Faust takes a second to load: not for --help
    from pipeline.topics import TopicsUnusable

    embedded = broker_profile == "embedded"
    settings = Settings(kafka, session_timeout_s or (2.0 if embedded else 10.0), embedded)
    with ExitStack() as stack:

        def serving(health: Callable[[], dict[str, Any]]) -> None:
            port = stack.enter_context(served_health(http, health))
            if port is not None:
                logging.getLogger("sunshave.worker").info("health and metrics on port %d", port)

        try:
            asyncio.run(run_worker(settings, serving))
        except TopicsUnusable as problem:
            give_up(problem.problems, 1)


class _NotAgain(logging.Filter):
    """What a client library says ten times a second while the broker is away, once in `AGAIN_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(("aiokafka", "faust", "kafka", "mode")):
            return True
        key = (record.name, record.msg)
        if record.created - self._said_s.get(key, 0.0) < AGAIN_S:
            return False
        self._said_s[key] = record.created
        return True
