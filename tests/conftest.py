"""What all tests share: the profiles of hypothesis, and the list of real parts that a run used."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import parts

pytest_plugins = ["tests.parts.tansu", "tests.parts.kafka", "tests.parts.brokers", "tests.parts.influxd"]
"""The real parts: `tansu` and `kafka` give the address of an empty broker, `broker` runs a test on both; `influxd` is
InfluxDB."""

settings.register_profile("short", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("SUNSHAVE_HYPOTHESIS", "short"))


WAITING = frozenset({"embedded", "kafka", "influxdb", "mosquitto", "node", "slow"})
"""Marks of tests that wait for other processes most of the time."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs all that wait, so that each real part is started once; the other what only computes."""
    for item in items:
        if WAITING & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.xdist_group("waiting"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands over which parts it used."""
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["parts"] = parts.used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over which parts a process used; only where there are several."""
    parts.used.update(getattr(node, "workeroutput", {}).get("parts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly which parts a run was made with."""
    names = ", ".join(f"{name} {version}".strip() for name, version in sorted(parts.used.items())) or "none"
    terminalreporter.write_line(f"real parts in this run: {names}")
