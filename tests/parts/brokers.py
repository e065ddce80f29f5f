"""`broker`: the same test on the embedded broker and on a real Apache Kafka."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is, and the `--broker-profile` that a worker needs there."""

    bootstrap: str
    profile: str
    session_timeout_s: float


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.embedded), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each test that takes it runs once on Tansu and once on Apache Kafka."""
    if request.param == "embedded":
        return Broker(request.getfixturevalue("tansu"), "embedded", 2.0)
    return Broker(request.getfixturevalue("kafka"), "kafka", 6.0)
