"""What a command says to people: one sentence a line, on standard error, always in the same form.

It is click's form, so that a wrong option and a wrong file read alike.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import NoReturn

import click


def error(sentence: object) -> None:
    """`Error: …`."""
    click.echo(f"Error: {sentence}", err=True)


def warning(sentence: object) -> None:
    """`Warning: …`."""
    click.echo(f"Warning: {sentence}", err=True)


def why(problem: OSError) -> str:
    """What the system says of a failure; asyncio writes its own words over it, which name no reason."""
    known = problem.errno is not None and problem.errno > 0
    return os.strerror(problem.errno) if known else problem.strerror or str(problem) or type(problem).__name__


def give_up(sentences: Iterable[object] | str, status: int) -> NoReturn:
    """Say why, and exit."""
    for sentence in [sentences] if isinstance(sentences, str) else sentences:
        error(sentence)
    sys.exit(status)
