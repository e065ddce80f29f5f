"""`sunshave decide`: the pipeline without Kafka (design §8)."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from sunshave.dialogue import Dialogue


@click.command()
@click.argument("file", required=False, default="-", metavar="[FILE]")
def decide(file: str) -> None:
    """Decide from JSON lines, without Kafka: to try a configuration, file a bug, embed, or test from outside.

    FILE (or standard input) has a line per record, {"topic": "telemetry.meters", "value": {…}}, and a line
    {"now": "2026-11-22T08:00:02.000Z"} wherever a decision is asked for. Each of those is answered with one line,
    {"decisions": […], "windows": […]}; a bad record with {"deadletter": {…}} before that. The clock is only what `now`
    says. A line may have the "key" of its record, too: a location is removed by a null value with its key.

    Exit status: 0; 2 when a location was refused or FILE cannot be read.
    """
    try:
        stream: BinaryIO = sys.stdin.buffer if file == "-" else open(file, "rb")  # noqa: SIM115 -- closed below
    except OSError as problem:
        raise click.UsageError(f"cannot read {file}: {problem.strerror}") from None
    try:
        status = _converse(stream)
    except OSError as problem:
        raise click.UsageError(f"cannot read {file}: {problem.strerror}") from None
    finally:
        if file != "-":
            stream.close()
    sys.exit(status)


def _converse(stream: BinaryIO) -> int:
    dialogue = Dialogue()
    for line in stream:
        if line.strip():
            for answer in dialogue.hear(line):
                _say(answer)
    for answer in dialogue.end():
        _say(answer)
    return 2 if dialogue.refused else 0


def _say(answer: bytes) -> None:
    sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()
