"""`sunshave dispatcher`: OCPP to the chargers, setpoints from Kafka, readings and feedback to Kafka."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from connectors.ocpp.bus import Batch, Forgotten, Inbox, Outbox
from connectors.ocpp.central import Central
from connectors.ocpp.passwords import Passwords, PasswordsUnreadable
from connectors.ocpp.settings import Settings
from sunshave.health import CannotListen, served_health
from sunshave.options import ADDRESS, http_option, kafka_option, log_level_option, set_up_logging

log = logging.getLogger("sunshave.dispatcher")

FLUSH_S = 5
"""For the last records to reach Kafka when we are told to stop. Smaller: feedback is lost; larger: restarts wait."""


@click.command()
@kafka_option
@click.option(
    "--listen",
    envvar="SUNSHAVE_LISTEN",
    show_envvar=True,
    default="127.0.0.1:9200",
    show_default=True,
    type=ADDRESS,
    metavar=ADDRESS.name,
    help="Where chargers connect: ws://HOST:PORT/<charger id> (port 0: any free one).",
)
@click.option(
    "--secrets",
    envvar="SUNSHAVE_CHARGER_SECRETS",
    show_envvar=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The chargers' passwords: YAML or JSON, charger id to a password or to sha256:<hex of its SHA-256>. "
    "Read again when it changes.",
)
@click.option(
    "--insecure", is_flag=True, help="Listen on other than loopback without --secrets: anybody can be a charger."
)
@click.option(
    "--answer-timeout",
    envvar="SUNSHAVE_ANSWER_TIMEOUT_S",
    show_envvar=True,
    type=click.FloatRange(min=1, max=60),
    default=Settings().call_timeout_s,
    show_default=True,
    metavar="SECONDS",
    help="How long a charger may take to answer; keep it below the locations' control.ack_s.",
)
@http_option
@log_level_option
def dispatcher(
    kafka: str,
    listen: tuple[str, int],
    secrets: Path | None,
    insecure: bool,
    answer_timeout: float,
    http: tuple[str, int] | None,
    log_level: str,
) -> None:
    """Serve OCPP 1.6J to chargers, and turn setpoints into charging profiles.

    Chargers authenticate with HTTP Basic: their id and the password of --secrets. Put a proxy with TLS in front where
    they come over the internet. Ends cleanly on SIGTERM: calls in flight may end (5 s), leases run out by themselves.
    """
    set_up_logging(log_level)
    if log_level != "debug":
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # connectors.ocpp.bus says it once
    host = listen[0]
    passwords = _passwords(secrets)
    if passwords is None and not insecure and not _is_loopback(host):
        raise click.UsageError(
            f"Without --secrets anybody who reaches {host} can be a charger. Give --secrets FILE, listen on loopback, "
            "or say --insecure."
        )
    asyncio.run(_run(kafka, listen, passwords, Settings(call_timeout_s=answer_timeout), http))


async def _run(
    kafka: str, listen: tuple[str, int], passwords: Passwords | None, settings: Settings, http: tuple[str, int] | None
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    outbox = Outbox(kafka)
    central = Central(outbox.reading, outbox.feedback, outbox.setpoint, settings=settings, passwords=passwords)
    inbox = Inbox(kafka, lambda batch: _hand_over(loop, central, batch))
    outbox.start()
    try:
        with served_health(http, _health(central, inbox, outbox)) as health_port:
            async with central.serving(*listen) as port:
                log.info("OCPP 1.6J at ws://%s:%d/<charger id>", listen[0], port)
                if health_port is not None and http is not None:
                    log.info("Health and metrics at http://%s:%d", http[0], health_port)
                inbox.start()
                await stop.wait()
                log.info("Stopping")
                inbox.stop()
    except OSError as problem:  # health has its own; everything else is tried again by who does it
        raise CannotListen(listen, problem) from None
    finally:
        inbox.stop()
        outbox.stop()
        if not outbox.idle:
            await asyncio.to_thread(outbox.join, FLUSH_S)
    log.info("Stopped")


def _hand_over(loop: asyncio.AbstractEventLoop, central: Central, batch: Batch) -> None:
    """From Kafka's thread into the loop. It may have ended already; then nobody needs it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_take, central, batch)


def _take(central: Central, batch: Batch) -> None:
    """Locations before the setpoints for their chargers."""
    locations = [partial(central.put_location, put.name, put.location) for put in batch.locations]
    setpoints = [
        partial(central.forget, said.charger, said.connector)
        if isinstance(said, Forgotten)
        else partial(central.offer, said, restored=batch.restored)
        for said in batch.setpoints
    ]
    for take_in in (*locations, *setpoints):
        try:
            take_in()
        except Exception:  # a bug of ours with one record must not cost the others their setpoints
            log.exception("a record could not be taken in")
    central.loaded = True


def _health(central: Central, inbox: Inbox, outbox: Outbox) -> Callable[[], dict[str, object]]:
    def health() -> dict[str, object]:
        numbers = central.health()
        # Without Kafka the sockets and leases go on; but nothing new is decided, so it is not ready.
        kafka = {"reading": inbox.connected, "sending": outbox.sending}
        return {"live": True, "ready": bool(numbers["loaded"]) and inbox.connected, **numbers, "kafka": kafka}

    return health


def _passwords(path: Path | None) -> Passwords | None:
    try:
        return Passwords(path) if path else None
    except PasswordsUnreadable as problem:
        raise click.UsageError(str(problem)) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
