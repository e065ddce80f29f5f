"""`sunshave meters`: read the meters that a file names, and publish their readings to Kafka."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click

from connectors.meters.capture import capture_p1
from connectors.meters.feed import feed, tallies_of
from connectors.meters.mqtt import SecretMissing, password
from connectors.meters.publisher import KafkaPublisher
from connectors.meters.sources import MqttSource, Source, SourcesRefused, read_sources
from connectors.meters.tally import Tally
from sunshave.health import served_health
from sunshave.options import ADDRESS, http_option, kafka_option, log_level_option, set_up_logging
from sunshave.telling import give_up, why

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def meters() -> None:
    """Read meters (P1 ports over TCP, MQTT topics), and publish their readings to `telemetry.meters`."""


@meters.command()
@file_argument
def check(file: Path) -> None:
    """Check FILE and list every error; nothing is read or published. Exit status 2 when there is one."""
    sources = _read(file)
    click.echo(f"{file}: {len(sources)} source{'s' if len(sources) != 1 else ''}, no errors", err=True)


@meters.command()
@file_argument
@kafka_option
@http_option
@log_level_option
def run(file: Path, kafka: str, http: tuple[str, int] | None, log_level: str) -> None:
    """Read the meters of FILE, for ever, and publish to `telemetry.meters`; connections that end are dialled again.

    FILE is a YAML list of sources:

    \b
    - {location: brugge-12, meter: p1, type: p1-tcp, host: 10.0.0.5, port: 2001, variant: fluvius}
    - {location: gent-3, meter: grid, type: mqtt, host: mqtt.example, topic: shellypro3em-ab12/events/rpc,
       format: shelly-pro3em, username: reader, password_env: MQTT_PASSWORD}

    \b
    variant: fluvius, dsmr5, dsmr4, dsmr2.2
    format:  dsmr-reader, shelly-pro3em, shelly-3em-gen1, homewizard-p1, sunshave; or `fields`, a map of your own
    Further: phases (3), every_s (0 = every reading), tls (false).
    """
    set_up_logging(log_level)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs every failed connection; we say it once a minute
    sources = _read(file)
    _require_secrets(sources)
    tallies = tallies_of(sources)
    publisher = KafkaPublisher(kafka)
    with served_health(http, lambda: _health(publisher, tallies)), publisher:
        asyncio.run(_until_told(feed(sources, publisher.publish, tallies)))


@meters.command()
@click.argument("address", type=ADDRESS, metavar=ADDRESS.name)
@click.option("--telegrams", type=click.IntRange(1), default=10, show_default=True, help="Stop after so many.")
def capture(address: tuple[str, int], telegrams: int) -> None:
    """Write what a P1 port at HOST:PORT sends to standard output, byte by byte: a meter's test data."""
    host, port = address
    try:
        whole = asyncio.run(capture_p1(host, port, telegrams, sys.stdout.buffer))
    except OSError as problem:
        give_up(f"{host}:{port}: {why(problem)}", 1)
    click.echo(f"{host}:{port}: {whole} whole telegrams", err=True)
    sys.exit(0 if whole else 1)


async def _until_told(work: Any) -> None:
    """Run until SIGTERM or SIGINT, which is a good end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for which in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(which, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


def _read(file: Path) -> list[Source]:
    """The sources of a file, or every error on standard error and exit status 2."""
    try:
        return read_sources(file)
    except SourcesRefused as refused:
        give_up((f"{file}: {problem}" for problem in refused.problems), 2)
    except OSError as problem:
        give_up(f"{file}: {problem.strerror}", 2)


def _require_secrets(sources: list[Source]) -> None:
    """Before anything starts: a missing password would only show as a broker that refuses."""
    missing = []
    for source in sources:
        try:
            if isinstance(source, MqttSource):
                password(source)
        except SecretMissing as problem:
            missing.append(str(problem))
    if missing:
        give_up(missing, 2)


def _health(publisher: KafkaPublisher, tallies: list[Tally]) -> dict[str, Any]:
    """Ready when Kafka takes readings. A meter that is away is shown, but is no reason to restart us."""
    views = [tally.view() for tally in tallies]
    return {"ready": publisher.ready, "live": True, "kafka": publisher.ready, "sources": views}
