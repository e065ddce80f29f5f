"""`sunshave locations`: check location files, and publish those that can be safe (design §4, §8)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.records import LOCATIONS
from sunshave.options import kafka_option
from topology.location import Location
from topology.read import LocationRefused, location_document, read_location_file

PUBLISH_S = 10.0
"""For all files to be on the topic. Less fails while a cluster elects a leader; more keeps the user waiting."""

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))


@click.group()
def locations() -> None:
    """Check and publish locations, from files of YAML documents or JSON.

    Exit status: 0; 1 when the broker does not take them; 2 when a file cannot be read or a location is refused.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it has to say is in the one sentence that we print


@locations.command()
@files_argument
def check(files: tuple[Path, ...]) -> None:
    """Say everything that is wrong or odd in each FILE (YAML or JSON), with the path in it. Nothing is published."""
    found = _read(files)
    for location in found:
        size = f"{len(location.chargers)} charger(s) in {len(location.groups)} group(s)"
        click.echo(f"{location.location}: {size}, accepted")


@locations.command()
@files_argument
@kafka_option
def put(files: tuple[Path, ...], kafka: str) -> None:
    """Check each FILE (YAML or JSON) like `check`, then publish all of them, or none if one is refused."""
    found = _read(files)
    _publish(kafka, {each.location: json.dumps(location_document(each)).encode() for each in found})
    for location in found:
        click.echo(f"published {location.location}")


@locations.command()
@click.argument("names", nargs=-1, required=True, metavar="LOCATION…")
@kafka_option
def remove(names: tuple[str, ...], kafka: str) -> None:
    """Take each LOCATION out of the stream. Their chargers fall back by themselves when their leases end."""
    _publish(kafka, dict.fromkeys(names))
    for name in names:
        click.echo(f"removed {name}")


def _read(files: Iterable[Path]) -> list[Location]:
    """The locations of all files. Prints every warning and error, and exits where there is an error."""
    found: list[Location] = []
    owners: dict[str, str] = {}
    refused = False
    for path in files:
        try:
            results = read_location_file(path)
        except OSError as problem:
            refused = _complain("Error", path, [problem.strerror or str(problem)])
            continue
        for result in results:
            if isinstance(result, LocationRefused):
                refused = _complain("Error", path, result.problems)
                continue
            _complain("Warning", path, result.warnings)
            clashes = _clashes(result.location, owners)
            refused = _complain("Error", path, clashes) or refused
            found.append(result.location)
    if refused:
        sys.exit(2)
    return found


def _clashes(location: Location, owners: dict[str, str]) -> list[str]:
    """What two of the files both claim: a location, or a charger (its id is unique in the fleet, design §4)."""
    claims = [f"location {location.location}", *(f"charger {charger.id}" for charger in location.chargers)]
    twice = [f"{claim} is in {owners[claim]} too" for claim in claims if claim in owners]
    owners.update((claim, f"location {location.location}") for claim in claims)
    return twice


def _complain(kind: str, path: Path, texts: Iterable[object]) -> bool:
    """Print one line per text. True when there was one."""
    lines = [f"{kind}: {path}: {text}" for text in texts]
    for line in lines:
        click.echo(line, err=True)
    return bool(lines)


def _publish(bootstrap: str, values: Mapping[str, bytes | None]) -> None:
    """Write each value under its location's name. Exits with a sentence where the broker does not take one."""
    try:
        producer = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            max_block_ms=int(PUBLISH_S * 1000),
            bootstrap_timeout_ms=int(PUBLISH_S * 1000),
        )
        try:
            sent = [producer.send(LOCATIONS, key=name.encode(), value=value) for name, value in values.items()]
            for future in sent:
                future.get(timeout=PUBLISH_S)
        finally:
            producer.close(timeout=PUBLISH_S)
    except (KafkaError, ValueError) as problem:
        hint = "is it there, and were the topics made (`sunshave topics create`)?"
        click.echo(f"Error: the broker at {bootstrap} takes no locations; {hint} ({problem})", err=True)
        sys.exit(1)
