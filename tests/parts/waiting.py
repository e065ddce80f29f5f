"""Waiting for a part that starts: until its port answers, its process ends, or the time is up."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05
"""Between two looks. Less burns the cores that the part needs to start."""


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Return when something listens on the port. TimeoutError, or RuntimeError when the process is gone."""

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(answers, timeout_s, f"port {port} did not open")


def wait_until(condition: Callable[[], T], timeout_s: float, otherwise: str) -> T:
    """The first true answer of a condition. TimeoutError with the text when there is none in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(POLL_S)
    raise TimeoutError(f"{otherwise} within {timeout_s} s")
