"""The bounds of what cars drew at meter readings: the quick walk gives what the slow look at each reading gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws import between_reports, bounds_at, draws_at, sum_of
from pipeline.facts import gather, meter_ages
from pipeline.state import MeterPoint
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import START_MS, moment

CARS = {"A": "RST", "B": "TRS", "C": "S"}


def _location() -> dict[str, Any]:
    chargers = [
        {"id": name, "group": "main", "connectors": [{"id": 1, "phases": len(r), "rotation": r, "max_a": 16}]}
        for name, r in CARS.items()
    ]
    groups = [{"id": "main", "limit_a": 63, "meter": "p1"}]
    return {"location": "site", "groups": groups, "meters": [{"id": "p1"}], "chargers": chargers}


reports = st.lists(
    st.tuples(st.sampled_from(sorted(CARS)), st.integers(0, 30), st.none() | st.sampled_from([0.0, 6.5, 9.0, 16.0])),
    max_size=12,
)


@given(reports=reports, moments=st.lists(st.integers(0, 32), min_size=1, max_size=8, unique=True))
def test_walking_through_the_reports_gives_the_sum_of_single_draws(
    reports: list[tuple[str, int, float | None]], moments: list[int]
) -> None:
    """For every car, whatever it reported and when, at, before and after the meter's readings."""
    core = Core(tree_of(_location()))
    for name, at_s, amperes in sorted(reports, key=lambda r: r[1]):
        value = {"location": "site", "charger": name, "connector": 1, "at": moment(at_s), "online": True}
        current_a = None if amperes is None else [amperes] * len(CARS[name])
        core.tell("telemetry.chargers", value | {"status": "Charging", "current_a": current_a})
    points = [MeterPoint(START_MS + s * 1000, (20.0, 20.0, 20.0), 13800.0) for s in sorted(moments)]
    facts = gather(core.tree, core.state, meter_ages(core.tree, core.state, START_MS), START_MS + 33_000)

    walked = between_reports(3, points, facts)

    for point, bounds in zip(points, walked, strict=True):
        looked = sum_of(core.tree, draws_at(core.tree, point, facts))
        assert pytest.approx(looked.least_a) == bounds.least_a
        assert pytest.approx(looked.most_a) == bounds.most_a
        assert pytest.approx(looked.risen_a) == bounds.risen_a
    assert walked == bounds_at(core.tree, points, facts, draws_at(core.tree, points[-1], facts)) or len(points) == 1
