"""`sunshave explain --file`: the newest decision of a file in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sunshave.cli import main
from tests.sunshave.test_replay_file import run, site


@pytest.mark.parametrize("answered", [True, False])
def test_a_file_is_explained_whether_it_has_answers_or_not(tmp_path: Path, answered: bool) -> None:
    """Each connector in sentences; without answers the file is decided first."""
    lines = [line for line in run(site(cap_kw=5.0), seconds=60) if answered or '"decisions"' not in line]
    file = tmp_path / "run.jsonl"
    file.write_text("\n".join(lines))

    done = CliRunner().invoke(main, ["explain", "home", "A", "--file", str(file)])

    assert (0, "") == (done.exit_code, done.stderr)
    title, sentence = done.stdout.splitlines()[:2]
    assert title.startswith("home at 2026-11-22 08:00:51 UTC")
    assert "A/1 may draw" in sentence
    assert "held at 5000 W" in sentence


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [(["home", "--file", "no/such/file"], 2, "no/such/file"), (["nowhere"], 1, "no decision of location nowhere")],
)
def test_what_cannot_be_explained_is_said_in_a_sentence(
    tmp_path: Path, arguments: list[str], status: int, told: str
) -> None:
    """A file that is not there is 2, a location without a decision 1."""
    file = tmp_path / "run.jsonl"
    file.write_text("")
    more = [] if "--file" in arguments else ["--file", str(file)]

    done = CliRunner().invoke(main, ["explain", *arguments, *more])

    assert (status, "", 1) == (done.exit_code, done.stdout, len(done.stderr.splitlines()))
    assert told in done.stderr
