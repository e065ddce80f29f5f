"""Several cars of unknown rotation: what is taken off a meter, beside all choices of their rotations by brute force."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws import FITS_A, Course, draws_at
from pipeline.facts import gather, meter_ages
from pipeline.state import MeterPoint
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import START_MS, moment

SURE = 4
"""Cars up to which every choice of rotations is looked at."""
amperes = st.sampled_from([0.0, 6.0, 7.3, 9.0, 11.9, 12.0, 16.0])
cars = st.lists(st.tuples(amperes, st.integers(0, 2)), min_size=2, max_size=6)
house = st.tuples(*[st.sampled_from([0.0, 0.4, 3.0, 7.0, 12.0])] * 3)


def _location(size: int) -> dict[str, Any]:
    connector = {"id": 1, "phases": 1, "rotation": "unknown", "max_a": 16}
    chargers = [{"id": f"C{n}", "group": "main", "connectors": [connector]} for n in range(size)]
    groups = [{"id": "main", "limit_a": 200, "meter": "p1"}]
    return {"location": "site", "groups": groups, "meters": [{"id": "p1"}], "chargers": chargers}


def _drawn(cars: list[tuple[float, int]], house: tuple[float, ...]) -> list[float]:
    return [sum(a for a, place in cars if place == phase) for phase in range(len(house))]


def _taken_off(cars: list[tuple[float, int]], house: tuple[float, ...]) -> list[float]:
    """By the core, of readings of one moment. `cars`: what each draws, and on which phase."""
    core = Core(tree_of(_location(len(cars))))
    for n, (each_a, _) in enumerate(cars):
        value = {"location": "site", "charger": f"C{n}", "connector": 1, "at": moment(0), "online": True}
        core.tell("telemetry.chargers", value | {"status": "Charging", "current_a": [each_a]})
    meter = tuple(a + b for a, b in zip(house, _drawn(cars, house), strict=True))
    facts = gather(core.tree, core.state, meter_ages(core.tree, core.state, START_MS), START_MS, {})
    found = draws_at(core.tree, MeterPoint(START_MS, meter, 0.0), [Course(fact) for fact in facts])
    for draw in found:  # nobody is said to draw more than he said
        assert max(draw.taken_off) <= draw.total_a + 1e-9
    return [sum(draw.taken_off[phase] for draw in found) for phase in range(3)]


@given(cars=cars, house=house)
def test_no_more_is_taken_off_than_the_cars_draw_and_no_less_than_is_certain(
    cars: list[tuple[float, int]], house: tuple[float, ...]
) -> None:
    drawn, taken_off = _drawn(cars, house), _taken_off(cars, house)
    shown = [a + b for a, b in zip(house, drawn, strict=True)]

    assert all(a <= b + 1e-6 for a, b in zip(taken_off, drawn, strict=True))
    if len(cars) <= SURE:
        certain = [float("inf")] * 3
        for places in product(range(3), repeat=len(cars)):
            loads = _drawn([(a, place) for (a, _), place in zip(cars, places, strict=True)], house)
            needs = _drawn([(max(0.0, a - FITS_A), p) for (a, _), p in zip(cars, places, strict=True)], house)
            if all(a <= b + 1e-9 for a, b in zip(needs, shown, strict=True)):
                certain = [min(a, b) for a, b in zip(certain, loads, strict=True)]
        assert certain == pytest.approx(taken_off)


def test_two_cars_that_could_each_be_the_other_are_known_together() -> None:
    """Each may be on L1 or L2, so alone nothing is certain of either."""
    assert [12.0, 12.0, 0.0] == pytest.approx(_taken_off([(12.0, 0), (12.0, 1)], (1.0, 1.0, 1.0)))
    assert [12.0, 0.0, 0.0] == pytest.approx(_taken_off([(12.0, 0), (12.0, 0)], (1.0, 12.0, 1.0)))
