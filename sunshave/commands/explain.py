"""`sunshave explain`: why a connector gets what it gets, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from pipeline.explanation import explain as explain_one
from pipeline.moments import parse_moment
from pipeline.records import DECISIONS, Decision, NotARecord, decode
from sunshave.broker import Unreachable
from sunshave.options import kafka_option
from sunshave.reading import read_to_end
from sunshave.replay_again import Again
from sunshave.replay_file import BadLine, file_steps
from sunshave.telling import give_up


@click.command()
@click.argument("location")
@click.argument("connector", required=False, metavar="[CHARGER[/N]]")
@click.option("--at", metavar="TIME", help="As it was at this moment (RFC 3339); without it, now.")
@click.option(
    "--file",
    metavar="FILE",
    help="Explain what this file decides, in place of Kafka: lines for `sunshave decide`, or an export of `replay`.",
)
@kafka_option
def explain(location: str, connector: str | None, at: str | None, file: str | None, kafka: str) -> None:
    """Say in plain words why LOCATION's connectors, or those of CHARGER (or its connector N), get what they get.

    Exit status: 0; 1 when there is no such decision; 2 when it cannot be read.
    """
    moment = _moment(at)
    try:
        decision = _newest(_written(kafka, location) if file is None else _filed(file, location), moment)
    except Unreachable as problem:
        give_up(str(problem), 2)
    except BadLine as problem:
        give_up(f"cannot read {file}: {problem}", 2)
    except OSError as problem:
        give_up(f"cannot read {file}: {problem.strerror}", 2)
    if decision is None:
        give_up(f"there is no decision of location {location}" + (f" at or before {at}" if at else ""), 1)
    charger, _, number = (connector or "").partition("/")
    if number and not (number.isascii() and number.isdecimal()):
        raise click.UsageError(f"{connector!r} is not CHARGER or CHARGER/NUMBER")
    views = [
        v
        for v in decision.connectors
        if (not charger or v.charger == charger) and (not number or str(v.connector) == number.lstrip("0"))
    ]
    if not views:
        give_up(f"location {location} has no connector{'' if connector is None else f' {connector}'}", 1)
    click.echo(f"{location} at {decision.at:%Y-%m-%d %H:%M:%S} UTC (decision {decision.decision}):")
    for view in views:
        click.echo(f"  {explain_one(decision, view)}")
    for alarm in decision.alarms:
        if alarm.group is not None:
            click.echo(f"  Alarm: {alarm.text}.")


def _moment(at: str | None) -> datetime | None:
    try:
        return None if at is None else parse_moment(at)
    except ValueError:
        raise click.BadParameter(f"{at!r} is no RFC 3339 moment with a time zone", param_hint="--at") from None


def _newest(decisions: Iterator[Decision], moment: datetime | None) -> Decision | None:
    newest: Decision | None = None
    for decision in decisions:
        if (moment is None or decision.at <= moment) and (newest is None or decision.at >= newest.at):
            newest = decision
    return newest


def _written(kafka: str, location: str) -> Iterator[Decision]:
    """The decisions of a location in Kafka."""
    key = location.encode()
    for record in read_to_end(kafka, DECISIONS):
        if record.key == key:
            try:
                yield decode(DECISIONS, record.value)
            except NotARecord:
                continue


def _filed(file: str, location: str) -> Iterator[Decision]:
    """The decisions of a location that a file records, or else asks for."""
    again = Again()
    with open(file, "rb") as lines:
        for step in file_steps(lines):
            if step.location == location:
                again_decided = again.take(step).decision
                decision = step.was or again_decided
                if decision is not None:
                    yield decision
