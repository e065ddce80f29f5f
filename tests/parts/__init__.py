"""The real parts that tests run against: each module finds or installs one, starts it, and stops it.

What is installed is kept in a cache folder outside the repository (`SUNSHAVE_CACHE`, else `~/.cache/sunshave`).
A part that cannot be had is a skip with its reason, and a failure where `CI=true`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

used: dict[str, str] = {}
"""Which real parts this run used: name -> version. Printed at the end of the run."""


def cache() -> Path:
    """The folder that outlives runs."""
    folder = Path(os.environ.get("SUNSHAVE_CACHE", Path.home() / ".cache" / "sunshave"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def installed(name: str, install: Callable[[Path], object]) -> Path:
    """A folder of the cache, made by `install` (in an empty one) where it is not there yet.

    It is complete, or not there at all: an interrupted install leaves nothing. Of several processes that want it one
    installs, and the others wait.
    """
    folder = cache() / name
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = Path(tempfile.mkdtemp(dir=cache(), prefix=f"{name}-"))
            try:
                install(work)
                work.chmod(0o755)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return folder


def missing(part: str, reason: str) -> NoReturn:
    """A part that cannot be had: a skip on a user's machine, a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{part} must run in CI: {reason}")
    pytest.skip(f"{part} cannot be had here: {reason}")


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
