"""A car that takes less than it is offered: what it does not take is found, and it is not asked again and again."""

from __future__ import annotations

from random import Random

import pytest

from tests.pipeline.run import Core, accepted, by_key, tree_of
from tests.pipeline.trees import moment

EVERY_S = 10
LONG_S = 3600


def _told(step_a: float, draw_a: float, noise_a: float) -> list[float]:
    """What a car of so much is told in an hour, beside a fuse that does not bind; its charger measures with noise."""
    plug = {"id": 1, "phases": 3, "max_a": 32, "step_a": step_a}
    chargers = [{"id": "C", "group": "main", "connectors": [plug]}]
    core = Core(tree_of({"location": "site", "groups": [{"id": "main", "limit_a": 63}], "chargers": chargers}))
    dice, limit_a, told = Random(1), 0.0, []
    for now_s in range(0, LONG_S, EVERY_S):
        car = {"charger": "C", "connector": 1, "online": True, "status": "Charging", "transaction": "1"}
        measured_a = max(0.0, min(limit_a, draw_a + dice.gauss(0, noise_a)))
        at = {"location": "site", "at": moment(now_s)}
        core.tell("telemetry.chargers", at | car | {"current_a": [measured_a] * 3})
        decision = core.decide(now_s).decision
        core.tell_all(accepted(sent, now_s + 1) for sent in decision.setpoints)
        limit_a = by_key(decision.connectors)["C/1"].limit_a
        told += [sent.limit_a for sent in decision.setpoints]
    return told


@pytest.mark.parametrize("draw_a", [10.5, 10.8, 10.95, 11.0, 11.2])
@pytest.mark.parametrize(
    ("step_a", "noise_a"), [(0.1, 0), (0.1, 0.15), (0.5, 0), (0.5, 0.1), (1, 0), (1, 0.05), (2, 0)]
)
def test_a_car_that_takes_less_is_told_once(step_a: float, noise_a: float, draw_a: float) -> None:
    """All that it could have, then its draw and the margin, on its step; and renewals of that."""
    told = _told(step_a, draw_a, noise_a)

    assert 32 == told[0]
    assert draw_a + 0.4 < told[-1] <= draw_a + max(1.5, step_a + 1)
    assert len(told) <= 2 + 2 * LONG_S // 450
    assert len(set(told)) <= (8 if noise_a else 2)
