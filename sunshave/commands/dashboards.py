"""`sunshave dashboards`: write the Grafana dashboards' JSON, and publish them."""

from __future__ import annotations

from pathlib import Path

import click

from dashboards.boards import FOLDER, boards
from dashboards.boards import write as write_boards
from dashboards.publish import NotPublished
from dashboards.publish import publish as publish_to
from dashboards.sources import Influx, data_sources
from sunshave.options import influx_options


@click.group()
def dashboards() -> None:
    """Publish or write the Grafana dashboards."""


@dashboards.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    help="The folder to write to. Default: where they are committed.",
)
def write(folder: Path) -> None:
    """Write the JSON of every dashboard anew; prints the files."""
    try:
        for path in write_boards(folder):
            click.echo(str(path))
    except OSError as problem:
        raise click.ClickException(f"{folder} cannot be written: {problem.strerror}") from None


@dashboards.command()
@click.option(
    "--grafana-url",
    envvar="SUNSHAVE_GRAFANA_URL",
    show_envvar=True,
    default="http://127.0.0.1:3000",
    show_default=True,
    metavar="URL",
    help="The Grafana to publish to.",
)
@click.option(
    "--grafana-token",
    envvar="SUNSHAVE_GRAFANA_TOKEN",
    show_envvar=True,
    required=True,
    metavar="TOKEN",
    help="A token of a service account with the role Admin (Editor without data sources). Better by environment.",
)
@influx_options("InfluxDB as Grafana reaches it. Without it the data sources are left as they are.", "read")
def publish(
    grafana_url: str, grafana_token: str, influx_url: str | None, influx_token: str, influx_bucket: str
) -> None:
    """Put folder, data sources and dashboards into Grafana. Publishing again changes nothing."""
    sources = data_sources(Influx(influx_url, influx_bucket, influx_token)) if influx_url else []
    try:
        for said in publish_to(grafana_url, grafana_token, sources, boards()):
            click.echo(said)
    except NotPublished as problem:
        raise click.ClickException(str(problem)) from None
