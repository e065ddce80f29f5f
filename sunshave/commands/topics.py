"""`sunshave topics`: make and check what the stream needs on the cluster, and write the records' JSON Schemas."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from pipeline.records import LOCATIONS, json_schemas
from pipeline.topics import DEFAULT_PARTITIONS, TopicsUnusable, check_topics, create_topics
from sunshave.broker import require_listener
from sunshave.options import kafka_option
from sunshave.telling import give_up
from topology.read import location_schema


@click.group()
def topics() -> None:
    """Create and check the Kafka topics.

    Exit status: 0; 1 when the cluster does not answer or a topic is not as it must be.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it has to say is in the one sentence that we print


@topics.command()
@kafka_option
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=DEFAULT_PARTITIONS,
    show_default=True,
    help="Of every topic; as many workers can share the work, for ever.",
)
@click.option(
    "--replication", type=click.IntRange(1, 9), default=1, show_default=True, help="Copies of each; 3 on a cluster."
)
def create(kafka: str, partitions: int, replication: int) -> None:
    """Make the topics that are missing. Those that are there stay as they are; one in another form is an error."""
    require_listener(kafka)
    try:
        made = create_topics(kafka, partitions, replication)
    except TopicsUnusable as problem:
        give_up(problem.problems, 1)
    for name in made:
        click.echo(f"created {name}")
    if not made:
        click.echo("all topics were there")


@topics.command()
@kafka_option
@click.option("--partitions", type=click.IntRange(1, 10_000), help="How many each must have. Default: all the same.")
def check(kafka: str, partitions: int | None) -> None:
    """Say what is missing, or has another number of partitions or cleanup policy than it must have."""
    require_listener(kafka)
    try:
        count = check_topics(kafka, partitions)
    except TopicsUnusable as problem:
        give_up(problem.problems, 1)
    click.echo(f"all topics are there, with {count} partition(s)")


@topics.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def schemas(directory: Path) -> None:
    """Write one JSON Schema per topic into DIRECTORY, as TOPIC.json."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for topic, schema in sorted({**json_schemas(), LOCATIONS: location_schema()}.items()):
            path = directory / f"{topic}.json"
            path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            click.echo(str(path))
    except OSError as problem:
        raise click.ClickException(f"cannot write to {directory}: {problem.strerror}") from None
