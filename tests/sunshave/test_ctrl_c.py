"""Ctrl-C ends every command at any moment: no stack trace, status 0 or 130, and nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import pytest

from tests.parts import used

BEGIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sunshave import start
start._leave_when_told()
print("begun", flush=True)
start.run()
"""
"""As installed and begun at a terminal: tests that run in the background may be deaf to Ctrl-C. The line says that
Python has started, before which no program can be polite."""
NOBODY = "127.0.0.1:1"
FILES = {
    "meters.yaml": "- {location: a, meter: m, type: p1-tcp, host: 127.0.0.1, port: 1, variant: fluvius}",
    "location.yaml": "{location: a, groups: [{id: main, limit_a: 40}]}",
    "simulation.yaml": "{hours: 168, copies: 2, location: {location: a, groups: [{id: main, limit_a: 40}]}}",
}

COMMANDS = {
    "worker": ["worker"],
    "dispatcher": ["dispatcher", "--listen", "127.0.0.1:0"],
    "historian": ["historian", "--file", "history.lp"],
    "meters": ["meters", "run", "meters.yaml"],
    "topics": ["topics", "create"],
    "locations": ["locations", "put", "location.yaml"],
    "explain": ["explain", "a"],
    "replay": ["replay"],
    "decide": ["decide"],
    "simulate": ["simulate", "simulation.yaml"],
    "demo": ["demo"],
}


def left_running(mark: Path) -> list[str]:
    """Processes that were started with our mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"SUNSHAVE_MARK={mark}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def interrupted(command: str, folder: Path, after_s: tuple[float, ...], times: int = 1) -> list[tuple[int, str]]:
    """Exit status and standard error of the command, once for every moment; all of them run side by side."""
    folders = [folder / str(moment_s) for moment_s in after_s]
    with ExitStack() as killed:
        begun = [_begun(command, each, killed) for each in folders]
        wait = [threading.Thread(target=_interrupt, args=each) for each in zip(begun, after_s, repeat(times))]
        for thread in wait:
            thread.start()
        for thread in wait:
            thread.join()
        said = [process.communicate(timeout=60)[1].decode() for process in begun]
    return [(process.returncode, each) for process, each in zip(begun, said, strict=True)]


def _begun(command: str, folder: Path, killed: ExitStack) -> subprocess.Popen[bytes]:
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    environment = {**os.environ, "SUNSHAVE_MARK": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    if command not in ("decide", "demo"):
        environment["SUNSHAVE_KAFKA"] = NOBODY
    else:
        environment.pop("SUNSHAVE_KAFKA", None)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", BEGIN, *COMMANDS[command]], cwd=folder, env=environment, **pipes)
    killed.callback(process.kill)
    return process


def _interrupt(process: subprocess.Popen[bytes], after_s: float, times: int) -> None:
    assert process.stdout is not None
    assert b"begun\n" == process.stdout.readline()
    for _ in range(times):
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_ctrl_c_ends_a_command_at_any_moment(command: str, tmp_path: Path) -> None:
    """While it imports, looks for its broker, or works."""
    for status, said in interrupted(command, tmp_path, (0.0, 0.15, 0.5, 1.5)):
        if "no broker answers" not in said:  # that one was done before it was interrupted
            assert status in (0, 130), said
        assert "Traceback" not in said
        assert "Aborted" not in said
    assert [] == left_running(tmp_path)


@pytest.mark.embedded
@pytest.mark.slow
def test_ctrl_c_before_the_first_picture_leaves_nothing(tmp_path: Path) -> None:
    """Broker, topics, worker: whatever the demo has started by then is gone; a second Ctrl-C changes nothing."""
    used["tansu (demo)"] = ""
    for status, said in interrupted("demo", tmp_path, (0.0, 0.5, 1.5, 3.0), times=2):
        assert status in (0, 130), said
        assert "" == said
    assert [] == left_running(tmp_path)
