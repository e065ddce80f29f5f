"""The README is true: its commands exist, its examples give what it says, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from sunshave.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(
    {
        line.split("#")[0].strip().removeprefix("$ ")
        for block in CONSOLE
        for line in block.splitlines()
        if line.startswith("$ sunshave ")
    }
)


def test_examples_print_what_the_readme_says() -> None:
    """The example of `sunshave decide` gives exactly the line in the README."""
    block = next(b for b in CONSOLE if "two-cars.jsonl" in b)
    command, expected = block.strip().split("\n", 1)
    python = str(Path(sys.executable).parent)
    runnable = command.removeprefix("$ ").replace(".venv/bin", python)
    done = subprocess.run(["bash", "-c", runnable], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert expected == done.stdout.strip()


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_exists_with_its_options(line: str) -> None:
    """Each sub-command is found, and each option in the README is one of its options."""
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    options = {o for p in command.params for o in getattr(p, "opts", [])}
    assert set() == {w for w in words if w.startswith("--")} - options


def test_make_targets_in_the_readme_exist() -> None:
    """`make demo`, `make test`, `make lint`."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", README):
        if target != "and":
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_to_files_that_are_there() -> None:
    """No relative link in the README or in docs/ is dead."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
