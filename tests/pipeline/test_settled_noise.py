"""Setpoints beside a noisy house whose meter speaks every ten seconds, and cars that report after it, one by one.

A reading seems as high as the one before it until all cars have reported; then it turns out what the load was.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.pipeline.run import Core, accepted, by_key, tree_of
from tests.pipeline.trees import moment

CARS = 3
EVERY_S = 10
WARM_S, LONG_S = 600, 4200
MOST_AN_HOUR = 14
"""Eight of them renewals. Where only is noted what a reading seemed when it came, it is 15 to 26."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_reading_turned_out_to_be_is_noise_too(seed: int) -> None:
    """White noise of 1 A on each phase, three cars on a fuse that is too small for them."""
    plug = {"id": 1, "phases": 3, "max_a": 16}
    chargers = [{"id": f"C{n}", "group": "main", "fallback_a": 6, "connectors": [plug]} for n in range(CARS)]
    groups = [{"id": "main", "limit_a": 40, "meter": "p1"}]
    core = Core(tree_of({"location": "site", "groups": groups, "meters": [{"id": "p1"}], "chargers": chargers}))
    dice, limits_a, told = Random(seed), [6.0] * CARS, [0] * CARS
    for now_s in range(LONG_S):
        at = {"location": "site", "at": moment(now_s)}
        if now_s % EVERY_S == 0:
            house_a = [8 + dice.gauss(0, 1) for _ in range(3)]
            core.tell("telemetry.meters", at | {"meter": "p1", "current_a": [a + sum(limits_a) for a in house_a]})
        for n in range(CARS):
            if now_s % EVERY_S == 3 * n + 3:
                car = {"charger": f"C{n}", "connector": 1, "online": True, "status": "Charging", "transaction": "1"}
                core.tell("telemetry.chargers", at | car | {"current_a": [limits_a[n]] * 3})
        decision = core.decide(now_s).decision
        core.tell_all(accepted(sent, now_s) for sent in decision.setpoints)
        views = by_key(decision.connectors)
        limits_a = [views[f"C{n}/1"].limit_a if now_s > EVERY_S else 6.0 for n in range(CARS)]
        for sent in decision.setpoints:
            told[int(sent.charger[1:])] += now_s >= WARM_S

    assert max(told) <= MOST_AN_HOUR * (LONG_S - WARM_S) / 3600
