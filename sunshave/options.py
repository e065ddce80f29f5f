"""Options that several commands share; each is also an environment variable, and both are in `--help`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Address(click.ParamType):
    """`HOST:PORT`, as a pair."""

    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        host, colon, port = value.rpartition(":")
        if not colon or not _is_port(port):
            self.fail(f"{value!r} is not HOST:PORT", param, ctx)
        return host.strip("[]") or "127.0.0.1", int(port)


class _Servers(click.ParamType):
    """Kafka's bootstrap servers; what is none would be looked for until a time-out."""

    name = "HOST:PORT[,…]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        servers = [server.strip() for server in value.split(",")]
        for server in servers:
            host, colon, port = server.rpartition(":")
            if not server or (colon and not (host and _is_port(port))):
                self.fail(f"{server!r} is not HOST:PORT", param, ctx)
        return ",".join(servers)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535


ADDRESS = _Address()
SERVERS = _Servers()

kafka_option: Decorator = click.option(
    "--kafka",
    envvar="SUNSHAVE_KAFKA",
    show_envvar=True,
    default="127.0.0.1:9092",
    show_default=True,
    type=SERVERS,
    metavar=SERVERS.name,
    help="Kafka bootstrap servers.",
)

http_option: Decorator = click.option(
    "--http",
    envvar="SUNSHAVE_HTTP",
    show_envvar=True,
    default=None,
    type=ADDRESS,
    metavar=ADDRESS.name,
    help="Serve /health and /metrics here (port 0: any free one). Without it nothing is served.",
)

log_level_option: Decorator = click.option(
    "--log-level",
    envvar="SUNSHAVE_LOG_LEVEL",
    show_envvar=True,
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is logged on standard error.",
)


def influx_options(url_help: str, token_may: str) -> Decorator:
    """Where InfluxDB is. `token_may` says what the token must allow: read or write."""
    options = (
        click.option("--influx-url", envvar="SUNSHAVE_INFLUX_URL", show_envvar=True, metavar="URL", help=url_help),
        click.option(
            "--influx-token",
            envvar="SUNSHAVE_INFLUX_TOKEN",
            show_envvar=True,
            default="",
            metavar="TOKEN",
            help=f"A token that may {token_may} both buckets; on InfluxDB 1.8 user:password. Better by environment.",
        ),
        click.option(
            "--influx-bucket",
            envvar="SUNSHAVE_INFLUX_BUCKET",
            show_envvar=True,
            default="sunshave",
            show_default=True,
            metavar="NAME",
            help="Bucket (database) of the detail; quarters and months are in NAME_history.",
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def set_up_logging(level: str) -> None:
    """One line per event on standard error; libraries only when something is wrong."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # each failed connection, many a second: we say it once
    for noisy in ("aiokafka", "faust", "mode", "websockets", "ocpp", "asyncio", "urllib3", "mqtt"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
