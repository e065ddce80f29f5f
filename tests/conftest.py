"""What all tests share: the profiles of hypothesis, and the list of real parts that a run used."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import parts

pytest_plugins = ["tests.parts.tansu", "tests.parts.kafka", "tests.parts.brokers", "tests.parts.influxd"]
"""The real parts: `tansu` and `kafka` give the address of an empty broker, `broker` runs a test on both; `influxd` is
InfluxDB."""

settings.register_profile("short", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("SUNSHAVE_HYPOTHESIS", "short"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly which parts a run was made with."""
    names = ", ".join(f"{name} {version}".strip() for name, version in sorted(parts.used.items())) or "none"
    terminalreporter.write_line(f"real parts in this run: {names}")
