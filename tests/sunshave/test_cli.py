"""The command line explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sunshave.cli import COMMANDS, main

COMMAND = Path(sys.executable).with_name("sunshave")


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Every command and sub-command, with the words that call it."""
    context = click.Context(main)
    for name in sorted(COMMANDS):
        command = main.get_command(context, name)  # type: ignore[attr-defined]
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for sub, inner in sorted(command.commands.items()):
                yield f"{name} {sub}", inner


ALL = dict(every_command())


@pytest.mark.parametrize("words", ALL)
def test_every_command_and_option_has_help(words: str) -> None:
    """A command says what it does, an option what it is for; `--help` ends with 0."""
    command = ALL[words]

    result = CliRunner().invoke(main, [*words.split(), "--help"])

    assert (0, "") == (result.exit_code, result.stderr)
    assert (command.help or "").strip()
    without = [p.name for p in command.params if isinstance(p, click.Option) and not p.help and not p.hidden]
    assert [] == without


@pytest.mark.parametrize("words", ALL)
def test_every_argument_is_explained_in_the_help(words: str) -> None:
    """Click has no help for arguments, so the text of the command names each."""
    command = ALL[words]
    metavars = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    names = [re.findall(r"\w+", metavar)[0] for metavar in metavars]

    assert [] == [name for name in names if name not in (command.help or "")]


def test_the_list_of_commands_is_complete() -> None:
    """Every module of `sunshave/commands` is a command, and every command is in `--help`."""
    folder = Path(__file__).parents[2] / "sunshave" / "commands"
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}

    listed = CliRunner().invoke(main, ["--help"]).output

    assert modules == set(COMMANDS)
    assert [] == [name for name in COMMANDS if name not in listed]


def test_environment_variables_are_named_ours() -> None:
    """Settings come from SUNSHAVE_… and nothing else."""
    names = [p.envvar for c in ALL.values() for p in c.params if p.envvar]

    assert names
    assert [] == [name for name in names if not str(name).startswith("SUNSHAVE_")]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([], 2, "Usage"),
        (["--version"], 0, ""),
        (["decide", "--colour"], 2, "--colour"),
        (["paint"], 2, "paint"),
    ],
)
def test_the_installed_command_starts_and_ends(arguments: list[str], status: int, told: str) -> None:
    """A wrong call is a sentence on standard error and status 2, without a stack trace."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)

    assert status == done.returncode
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert arguments != ["--version"] or version("sunshave") in done.stdout
