"""What cars drew at meter readings: what is kept of it gives the same as working it out anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws import Course, draws_at, total_at
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


@given(reports=reports, moments=st.lists(st.integers(0, 64), min_size=1, max_size=8, unique=True))
def test_a_course_gives_at_every_reading_what_a_new_one_gives(
    reports: list[tuple[str, int, float | None]], moments: list[int]
) -> None:
    """For every car, whatever it reported and when, at, before and after the meter's readings."""
    core = Core(tree_of(_location()))
    for name, at_s, amperes in sorted(reports, key=lambda r: r[1]):
        value = {"location": "site", "charger": name, "connector": 1, "at": moment(at_s), "online": True}
        current_a = None if amperes is None else [amperes] * len(CARS[name])
        core.tell("telemetry.chargers", value | {"status": "Charging", "current_a": current_a})
    points = [MeterPoint(START_MS + half * 500, (20.0, 20.0, 20.0), 13800.0) for half in sorted(moments)]
    facts = gather(core.tree, core.state, meter_ages(core.tree, core.state, START_MS), START_MS + 33_000, {})
    walked = [Course(fact) for fact in facts]

    for point in points:
        new = [Course(fact) for fact in facts]
        assert draws_at(core.tree, point, new) == draws_at(core.tree, point, walked)
        assert total_at(core.tree, point, new) == total_at(core.tree, point, walked)
