"""Shares are max-min fair: held against an independent linear program (HiGHS through scipy)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from tests.pipeline.run import by_key
from tests.pipeline.test_properties import fresh
from tests.pipeline.trees import Plug, Row, Site

FINE_A = 0.001
"""A step so small that what rounding moves from one car to another stays below `CLOSE_A`."""
CLOSE_A = 0.02
SLACK = 1e-6

Vector = NDArray[np.float64]


def max_min(plugs: list[Plug], rows: list[Row]) -> dict[str, float]:
    """Lexicographic max-min of amperes per weight: raise the lowest together, fix those that cannot rise, repeat.

    Everybody has at least his minimum; the program knows nothing of levels, events or filling.
    """
    rows = [row for row in rows if any(row.per_a.get(p.key) for p in plugs)]
    weights = np.array([p.weight for p in plugs])
    coefficients = np.array([[row.per_a.get(p.key, 0.0) for p in plugs] for row in rows])
    rooms = np.array([row.room for row in rows])
    low, high = [p.lowest_a for p in plugs], [p.highest_a for p in plugs]
    free = list(range(len(plugs)))
    while free:
        level = _highest_level(coefficients, rooms, low, high, weights, free)
        floor = [max(low[k], weights[k] * level - SLACK) if k in free else low[k] for k in range(len(plugs))]
        stuck = [
            k for k in free if _most(coefficients, rooms, floor, high, k) <= max(low[k], weights[k] * level) + 1e-5
        ]
        assert stuck, "somebody is always stuck at the highest common level"
        for k in stuck:
            low[k] = high[k] = max(low[k], min(high[k], weights[k] * level))
            low[k] -= SLACK
        free = [k for k in free if k not in stuck]
    return {p.key: float(high[k]) for k, p in enumerate(plugs)}


def _highest_level(
    coefficients: Vector, rooms: Vector, low: list[float], high: list[float], weights: Vector, free: list[int]
) -> float:
    """The largest t with a_k >= weight_k·t for all that are free (and every row kept)."""
    count = len(low)
    above = np.zeros((len(free), count + 1))
    for i, k in enumerate(free):
        above[i, k], above[i, count] = -1.0, weights[k]
    keep = np.hstack([coefficients, np.zeros((len(rooms), 1))])
    bounds = [*zip(low, high, strict=True), (0, None)]
    objective = np.append(np.zeros(count), -1.0)
    found = linprog(objective, A_ub=np.vstack([keep, above]), b_ub=np.append(rooms, np.zeros(len(free))), bounds=bounds)
    assert found.status == 0, found.message
    return float(found.x[count])


def _most(coefficients: Vector, rooms: Vector, low: list[float], high: list[float], k: int) -> float:
    """The most that one car can have while all others keep what they have."""
    objective = np.zeros(len(low))
    objective[k] = -1.0
    found = linprog(objective, A_ub=coefficients, b_ub=rooms, bounds=list(zip(low, high, strict=True)))
    assert found.status == 0, found.message
    return float(found.x[k])


sites = st.builds(
    Site,
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(1, 6),
    plugs=st.integers(1, 9),
    one_class=st.just(True),
    step_a=st.just(FINE_A),
)


@given(sites)
def test_shares_are_those_of_an_independent_linear_program(site: Site) -> None:
    """Within one priority all cars that have their minimum get the max-min fair amperes per weight."""
    views = by_key(fresh(site).decide(1).decision.connectors)
    served = [p for p in site.sockets if views[p.key].target_a > 0]

    expected = max_min(served, site.rows()) if served else {}

    for key, amperes in expected.items():
        assert abs(amperes - views[key].target_a) <= CLOSE_A, (key, expected, {k: v.target_a for k, v in views.items()})


@given(
    st.builds(
        Site,
        seed=st.integers(0, 2**32 - 1),
        groups=st.integers(1, 6),
        plugs=st.integers(1, 7),
        one_class=st.just(True),
    )
)
def test_rounding_takes_no_more_than_one_step_of_a_fair_share(site: Site) -> None:
    """On real steps nobody has less than his fair share rounded down."""
    views = by_key(fresh(site).decide(1).decision.connectors)
    served = [p for p in site.sockets if views[p.key].target_a > 0]

    expected = max_min(served, site.rows()) if served else {}

    for plug in served:
        assert views[plug.key].target_a > expected[plug.key] - plug.step_a - 1e-3, (plug, expected)
