"""The demo, as a newcomer runs it: the report is there, and nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.parts import used
from tests.parts.waiting import wait_until


def _left_running(folder: Path) -> list[str]:
    """Processes whose command line names the demo's folder or its broker's storage."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            ours = (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in b" ".join(words) or f"SUNSHAVE_DEMO_MARK={folder}".encode() in ours:
            found.append(b" ".join(words).decode(errors="replace"))
    return found


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    used["tansu (demo)"] = ""
    command = [sys.executable, "-m", "sunshave", "demo", "--folder", str(folder), *options]
    environment = {**os.environ, "SUNSHAVE_DEMO_MARK": str(folder)}
    environment.pop("SUNSHAVE_KAFKA", None)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.embedded
@pytest.mark.slow
def test_demo_tells_its_story_and_leaves_only_a_report(tmp_path: Path) -> None:
    """It ends by itself with status 0; cars were given current for reasons; no process is left."""
    demo = _start(tmp_path, "--speed", "30")
    said, errors = demo.communicate(timeout=150)
    assert (0, "") == (demo.returncode, errors)
    assert "fuse main" in said
    given_a = re.findall(
        r"^setpoint,.*charger=GARAGE-1,.* limit_a=([\d.]+),", (tmp_path / "history.lp").read_text(), re.MULTILINE
    )
    assert max(map(float, given_a)) >= 6
    report = (tmp_path / "report.html").read_text()
    assert "Setpoints and why" in report
    assert "accepted" in report
    assert (tmp_path / "history.lp").stat().st_size > 10_000
    assert [] == _left_running(tmp_path)


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_ends_cleanly_when_it_is_told_to(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C in the middle is a good end: a report, status 0, nothing left."""
    demo = _start(tmp_path)
    wait_until(lambda: (tmp_path / "logs" / "meters.log").exists(), 60, "the demo did not start")
    time.sleep(8)
    demo.send_signal(number)
    said, errors = demo.communicate(timeout=60)
    assert (0, "") == (demo.returncode, errors), said
    assert (tmp_path / "report.html").exists()
    assert [] == _left_running(tmp_path)
