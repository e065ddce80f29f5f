"""`sunshave historian`: what flows through Kafka, into InfluxDB or a file."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

import click

from connectors.influx.cluster import Cluster, DeadLetters
from connectors.influx.historian import Historian
from connectors.influx.sinks import FileSink, Sink, Unusable
from sunshave.health import served_health
from sunshave.options import http_option, influx_options, kafka_option, log_level_option, set_up_logging

log = logging.getLogger("sunshave.historian")


@click.command()
@kafka_option
@influx_options("InfluxDB, http://HOST:8086.", "write")
@click.option(
    "--influx-org",
    envvar="SUNSHAVE_INFLUX_ORG",
    show_envvar=True,
    default="-",
    show_default=True,
    metavar="ORG",
    help="The organisation of InfluxDB 2.x; 1.8 and 3 have none.",
)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Append line protocol to this file instead of writing to InfluxDB.",
)
@click.option(
    "--session-timeout",
    envvar="SUNSHAVE_SESSION_TIMEOUT_S",
    show_envvar=True,
    type=click.FloatRange(min=1, max=300),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="After so long without a sign of life Kafka gives a historian's partitions to another one.",
)
@http_option
@log_level_option
def historian(
    kafka: str,
    influx_url: str | None,
    influx_token: str,
    influx_org: str,
    influx_bucket: str,
    path: Path | None,
    session_timeout: float,
    http: tuple[str, int] | None,
    log_level: str,
) -> None:
    """Write telemetry, setpoints, feedback, decisions, billed windows and dead letters to InfluxDB.

    Run as many as you like: they share the partitions. An offset is committed after the write, so InfluxDB down means
    lag and not loss. Both buckets must exist. Ends cleanly on SIGTERM: what was read is written first. Exit status 1
    when InfluxDB refuses the token or has no such bucket.
    """
    set_up_logging(log_level)
    if (influx_url is None) == (path is None):
        raise click.UsageError("Say where to write: either --influx-url URL (SUNSHAVE_INFLUX_URL) or --file PATH.")
    try:
        sink = FileSink(path) if path else _influx(influx_url or "", influx_token, influx_org, influx_bucket)
        _run(Cluster(kafka, session_timeout), sink, http)
    except Unusable as problem:
        raise click.ClickException(str(problem)) from None


def _influx(url: str, token: str, org: str, bucket: str) -> Sink:
    from connectors.influx.writer import InfluxWriter  # the client takes a second to load, and a file needs none

    return InfluxWriter(url, token, org, bucket)


def _run(cluster: Cluster, sink: Sink, address: tuple[str, int] | None) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    letters = DeadLetters(cluster)
    service = _Service()
    try:
        with served_health(address, service.health) as port:
            if port is not None and address is not None:
                log.info("Health and metrics at http://%s:%d", address[0], port)
            service.run(cluster, sink, letters, stop)
    finally:
        letters.close()
        sink.close()
    log.info("Stopped")


class _Service:
    """The historian once Kafka answers, and what health says before that."""

    def __init__(self) -> None:
        self._historian: Historian | None = None

    def health(self) -> dict[str, Any]:
        if self._historian is None:
            return {"ready": False, "live": True, "problem": "Kafka does not answer"}
        return self._historian.health()

    def run(self, cluster: Cluster, sink: Sink, letters: DeadLetters, stop: threading.Event) -> None:
        consumer = cluster.consumer(stop)
        if consumer is None:
            return
        self._historian = Historian(consumer, sink, letters)
        log.info("Reading from %s", cluster.bootstrap)
        try:
            self._historian.run(stop)
        finally:
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS)


CLOSE_MS = 5000
"""For leaving the group. Less leaves the partitions until the session ends, more makes a stop wait for a dead Kafka."""
