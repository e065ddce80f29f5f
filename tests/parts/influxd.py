"""A real InfluxDB 1.8: built once from its Go module into the cache, then ready in about a second.

Flux stays off: nothing here needs it, and compiling its library makes a start take 5 s.
Production and compose run 2.7; what the historian and the dashboards use (`/api/v2/write`, InfluxQL) is the same there.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.parts import free_port, installed, missing, used
from tests.parts.waiting import wait_for_port, wait_until

VERSION = "1.8.10"
BUILD_S = 900.0
"""90 s on two idle cores. Less fails on a loaded machine."""
START_S = 30.0
"""Ready in a second; less fails when two cores build something else."""
STOP_S = 20.0
"""A clean stop takes a second; after this it is killed."""

_CONFIG = """reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{data}/meta"
[data]
  dir = "{data}/data"
  wal-dir = "{data}/wal"
  index-version = "tsi1"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
"""


class Node:
    """One InfluxDB with its folder: start, stop, kill, and start again with what it had saved."""

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        self.port = free_port()
        self._config = folder / "influxdb.conf"
        self._config.write_text(
            _CONFIG.format(rpc=free_port(), port=self.port, data=folder, auth=str(auth).lower()), encoding="utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What SUNSHAVE_INFLUX_URL is set to."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        self._process = subprocess.Popen(
            [str(_binary()), "-config", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port, self._process, START_S)
        wait_until(self._pings, START_S, "influxd did not answer /ping")

    def stop(self, *, by: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal, and return when it is gone."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def query(self, influxql: str, database: str = "", *, user: str = "", password: str = "") -> list[dict[str, Any]]:
        """The series of an answer (`name`, `tags`, `columns`, `values`). AssertionError with the server's words."""
        form = urllib.parse.urlencode({"q": influxql, "db": database, "epoch": "ms"}).encode()
        request = urllib.request.Request(f"{self.url}/query", form)
        if user:
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as problem:
            raise AssertionError(f"{influxql}: {problem.read().decode()}") from None
        result = answer.get("results", [{}])[0]
        error = answer.get("error") or result.get("error")
        assert not error, f"{influxql}: {error}"
        return list(result.get("series", []))

    def rows(self, influxql: str, database: str = "sunshave") -> list[dict[str, Any]]:
        """The rows of a statement's answer, as dictionaries with the tags in them."""
        return [
            {**series.get("tags", {}), **dict(zip(series["columns"], values, strict=True))}
            for series in self.query(influxql, database)
            for values in series["values"]
        ]

    def _pings(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as response:
                return bool(response.status == 204)
        except OSError:
            return False


@pytest.fixture(scope="session")
def shared_influxd() -> Iterator[Node]:
    """One that lives as long as the test run."""
    with running_influxd() as node:
        yield node


@pytest.fixture
def influxd(shared_influxd: Node) -> Node:
    """With the two databases of sunshave, empty."""
    for name in ("sunshave", "sunshave_history"):
        shared_influxd.query(f'DROP DATABASE "{name}"')
        shared_influxd.query(f'CREATE DATABASE "{name}"')
    return shared_influxd


@contextmanager
def running_influxd(*, auth: bool = False) -> Iterator[Node]:
    """A node of one's own, that a test may stop and start again."""
    _binary()
    folder = Path(tempfile.mkdtemp(prefix="sunshave-influxd-"))
    node = Node(folder, auth=auth)
    try:
        node.start()
        yield node
    finally:
        node.stop(by=signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _binary() -> Path:
    """The server."""
    binary = installed(f"influxd-{VERSION}", _build) / "influxd"
    used["influxdb"] = VERSION
    return binary


def _build(work: Path) -> None:
    if shutil.which("go") is None:
        missing("InfluxDB", "there is no go on the PATH")
    try:
        result = subprocess.run(
            ["go", "install", f"github.com/influxdata/influxdb/cmd/influxd@v{VERSION}"],
            env={**os.environ, "GOBIN": str(work)},
            cwd=work,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
        )
    except subprocess.TimeoutExpired:
        missing("InfluxDB", f"go was not done in {BUILD_S} s")
    if result.returncode:
        missing("InfluxDB", f"go could not build it: {result.stderr[-400:].strip()}")
