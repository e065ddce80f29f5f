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


@pytest.mark.parametrize("address", ["garbage", "a:", "a:b", "a:65536", "a:²", f"a:{'9' * 5000}", "a:-1"])
@pytest.mark.parametrize("option", ["--listen", "--http"])
def test_what_is_no_address_is_refused_by_the_name_of_its_option(option: str, address: str) -> None:
    """Whatever somebody writes for HOST:PORT."""
    result = CliRunner().invoke(main, ["dispatcher", option, address])

    assert 2 == result.exit_code
    assert f"Invalid value for '{option}'" in result.stderr
    assert f"{address!r} is not HOST:PORT\n" in result.stderr


@pytest.mark.parametrize("servers", ["a:1,", ",a:1", "a:1,b:", ":9092", "a:1,,b:2", "a:1,b:x"])
def test_what_is_no_list_of_servers_is_refused(servers: str) -> None:
    """At once; Kafka's client would look for it until a time-out."""
    result = CliRunner().invoke(main, ["replay", "--kafka", servers])

    assert 2 == result.exit_code
    assert "is not HOST:PORT\n" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["decide"], ["simulate"], ["replay"], ["explain", "a", "--file"], ["locations", "check"], ["meters", "check"]],
    ids=" ".join,
)
@pytest.mark.parametrize(("file", "why"), [("gone", "No such file or directory"), (".", "Is a directory")])
def test_file_that_cannot_be_read_is_named_with_the_reason(arguments: list[str], file: str, why: str) -> None:
    """In words, not in numbers of the system."""
    result = CliRunner().invoke(main, [*arguments, file])

    assert 2 == result.exit_code
    assert result.stderr.splitlines()[-1] in (f"Error: cannot read {file}: {why}", f"Error: {file}: {why}")
