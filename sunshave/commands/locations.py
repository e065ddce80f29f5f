"""`sunshave locations`: check location files, and publish those that can be safe (design §4, §8)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import click
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.records import LOCATIONS
from sunshave.options import kafka_option
from sunshave.reading import reading
from sunshave.telling import give_up, warning
from topology.checks import Problem
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
    """Take each LOCATION out of the stream. Its chargers are told 0 A, and then fall back when their leases end."""
    _publish(kafka, dict.fromkeys(names))
    for name in names:
        click.echo(f"removed {name}")


def _read(files: Iterable[Path]) -> list[Location]:
    """The locations of all files. Prints every warning and error, and exits with 2 where there is an error."""
    found: list[Location] = []
    wrong: list[str] = []
    owners: dict[str, str] = {}
    for path in dict.fromkeys(files):  # `*.yaml a.yaml` names one twice
        try:
            results = read_location_file(path)
        except OSError as problem:
            wrong.append(f"{path}: {problem.strerror or problem}")
            continue
        for result in results:
            for odd in result.warnings:
                warning(f"{path}: {odd}")
            if isinstance(result, LocationRefused):
                wrong += [f"{path}: {problem}" for problem in result.problems]
            else:
                wrong += [f"{path}: {clash}" for clash in _clashes(result.location, path, owners)]
                found.append(result.location)
    if wrong:
        give_up(wrong, 2)
    return found


def _clashes(location: Location, path: Path, owners: dict[str, str]) -> list[Problem]:
    """What was claimed before: a location's name, or a charger (its id is unique in the fleet, design §4)."""
    name = f"location {location.location}"
    if name in owners:
        return [Problem("location", f"{name} is in {owners[name]} too")]  # then so are its chargers
    owners[name] = str(path)
    chargers = [f"charger {charger.id}" for charger in location.chargers]
    twice = [
        Problem(f"chargers[{i}].id", f"{charger} is in {owners[charger]} too")
        for i, charger in enumerate(chargers)
        if charger in owners
    ]
    owners.update(dict.fromkeys(chargers, name))
    return twice


def _publish(bootstrap: str, values: Mapping[str, bytes | None]) -> None:
    """Write each value under its location's name. Exits with a sentence where the broker does not take one."""
    with reading(bootstrap) as reader:
        reader.partitions(LOCATIONS)  # a broker that makes it by itself would make it with another form
    try:
        producer = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            allow_auto_create_topics=False,
            max_block_ms=int(PUBLISH_S * 1000),
            bootstrap_timeout_ms=int(PUBLISH_S * 1000),
        )
    except KafkaError:
        give_up(f"no broker answers at {bootstrap} within {PUBLISH_S:.0f} s", 1)
    try:
        sent = [producer.send(LOCATIONS, key=name.encode(), value=value) for name, value in values.items()]
        for future in sent:
            future.get(timeout=PUBLISH_S)
    except KafkaError as problem:
        give_up(f"the broker at {bootstrap} takes no locations: {problem}", 1)
    finally:
        producer.close(timeout=PUBLISH_S)
