"""The soak's short form: a kill and a freeze, with garbage all the time, in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts.brokers import Broker
from tests.parts.kafka import Node, running_kafka
from tests.parts.tansu import running_tansu
from tests.soak.chaos import Rest
from tests.soak.run import Soak, soak

SHORT = Soak(
    seed=2,
    faults=2,
    buildings=10,
    backlog_s=10,
    kinds=("kill", "freeze"),
    rest=Rest(settle_s=7.0, calm_s=0.0, answer_s=0.0),
    heal_s=25.0,
)


@contextmanager
def broker_of_its_own(kind: str) -> Iterator[tuple[Broker, list[Node]]]:
    """A broker that nobody else uses, and what of it may be killed: what Tansu keeps is gone when it ends."""
    if kind == "embedded":
        with running_tansu() as bootstrap:
            yield Broker(bootstrap, "embedded", 2.0), []
    else:
        with running_kafka() as node:
            yield Broker(node.bootstrap, "kafka", 6.0), [node]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "kind", [pytest.param("embedded", marks=pytest.mark.embedded), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def test_no_fault_costs_a_record_a_window_or_a_fuse(kind: str, tmp_path: Path) -> None:
    """Whatever is broken, in the order of one seed: the checks of the long run, `make soak`, hold."""
    with broker_of_its_own(kind) as (broker, nodes):
        report = soak(SHORT, broker, nodes, tmp_path)

    assert [] == report.wrong, "\n".join(report.told)
