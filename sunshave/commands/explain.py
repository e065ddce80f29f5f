"""`sunshave explain`: why a connector gets what it gets, in plain words."""

from __future__ import annotations

from datetime import datetime

import click

from pipeline.explanation import explain as explain_one
from pipeline.moments import parse_moment
from pipeline.records import DECISIONS, Decision, NotARecord, decode
from sunshave.options import kafka_option
from sunshave.reading import Unreachable, read_to_end
from sunshave.telling import give_up


@click.command()
@click.argument("location")
@click.argument("connector", required=False, metavar="[CHARGER[/N]]")
@click.option("--at", metavar="TIME", help="As it was at this moment (RFC 3339); without it, now.")
@kafka_option
def explain(location: str, connector: str | None, at: str | None, kafka: str) -> None:
    """Say in plain words why LOCATION's connectors, or those of CHARGER (or its connector N), get what they get.

    Exit status: 0; 1 when there is no such decision; 2 when it cannot be read.
    """
    moment = _moment(at)
    try:
        decision = _newest(kafka, location, moment)
    except Unreachable as problem:
        give_up(str(problem), 2)
    if decision is None:
        give_up(f"there is no decision of location {location}" + (f" at or before {at}" if at else ""), 1)
    charger, _, number = (connector or "").partition("/")
    if number and not number.isdigit():
        raise click.UsageError(f"{connector!r} is not CHARGER or CHARGER/NUMBER")
    views = [
        v
        for v in decision.connectors
        if (not charger or v.charger == charger) and (not number or v.connector == int(number))
    ]
    if not views:
        give_up(f"location {location} has no connector {connector}", 1)
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


def _newest(kafka: str, location: str, moment: datetime | None) -> Decision | None:
    newest: Decision | None = None
    key = location.encode()
    for record in read_to_end(kafka, DECISIONS):
        if record.key != key:
            continue
        try:
            decision = decode(DECISIONS, record.value)
        except NotARecord:
            continue
        if (moment is None or decision.at <= moment) and (newest is None or decision.at >= newest.at):
            newest = decision
    return newest
