"""What the others will still draw in the billed window, and what it is good for: the cap is held in few setpoints."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.forecast import KEPT, forecast, noted
from pipeline.records import CHARGERS, METERS
from pipeline.state import Past
from tests.pipeline.run import Core, accepted, tree_of
from tests.pipeline.trees import moment

LONG_S, SHORT_S = 600.0, 30.0


def _past(values: list[tuple[float, float]]) -> Past | None:
    past: Past | None = None
    for at_s, watts in values:
        past = noted(past, round(at_s * 1000), watts)
    return past


def _expected(values: list[tuple[float, float]], left_s: float, moves_w: float = 0.0) -> float:
    at_s, watts = values[-1]
    return forecast(_past(values[:-1]), round(at_s * 1000), watts, left_s, (0.0, moves_w)).rest_w


def _back_w(values: list[tuple[float, float]], left_s: float) -> float:
    at_s, watts = values[-1]
    return forecast(_past(values[:-1]), round(at_s * 1000), watts, left_s, (0.0, 0.0)).back_w


def test_without_history_it_is_the_last_value() -> None:
    """After less than half a minute, and after a gap, nothing better is known."""
    assert 700 == _expected([(t, 400.0) for t in range(20)] + [(20, 700.0)], LONG_S)
    assert 700 == _expected([(t, 400.0) for t in range(100)] + [(140, 700.0)], LONG_S)
    assert 700 == _expected([(0, 400.0), (300, 500.0), (600, 700.0)], LONG_S)


def test_it_is_the_highest_of_the_last_three_ten_second_means() -> None:
    """400 W, ten seconds of 900, ten of 500: one second of 5 kW in the running ten does not count yet."""
    values = [(t, 400.0) for t in range(30)] + [(t, 900.0) for t in range(30, 40)] + [(t, 500.0) for t in range(40, 53)]

    assert 900 == _expected([*values, (53, 5000.0)], LONG_S)
    assert 500 == _expected([(t, 400.0) for t in range(20)] + [(t, 500.0) for t in range(20, 65)], LONG_S)


def test_near_the_end_a_rise_counts_at_once() -> None:
    """In the last minute of the window there is no time to make up for it."""
    values = [(t, 400.0) for t in range(60)] + [(60, 2400.0)]

    assert 400 == _expected(values, LONG_S)
    assert 2400 == _expected(values, SHORT_S)
    assert 400 == _expected(values, SHORT_S, moves_w=2100.0), "its noise is no rise"


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(-9000, 9000)), min_size=1, max_size=80))
def test_it_is_never_beyond_what_was_seen(steps: list[tuple[int, float]]) -> None:
    """Between the lowest and the highest value, whatever the readings' times; and small in the state."""
    values, at_s = [], 0
    for step_s, watts in steps:
        at_s += step_s
        values.append((float(at_s), watts))
    past = _past(values)

    assert min(w for _, w in values) - 1 <= _expected(values, LONG_S) <= max(w for _, w in values) + 1
    assert len(msgspec.msgpack.encode(past)) <= 60 + 3 * KEPT


def test_it_is_never_below_the_last_value_at_the_end() -> None:
    """Falling or rising, in the last minute the last value is the least that is expected."""
    assert 800 == _expected([(t, 800.0) for t in range(40)] + [(40, 300.0)], SHORT_S)


def _minutes(*means_w: float) -> list[tuple[float, float]]:
    """A reading each second, with a new mean every ten seconds; and one more."""
    return [(t, means_w[t // 10]) for t in range(10 * len(means_w))] + [(10 * len(means_w), means_w[-1])]


def test_a_raise_counts_with_the_highest_of_the_noise_of_the_last_minutes() -> None:
    """Means that move by 100 W: the 700 of two minutes ago comes back, and a new highest is a move above it."""
    noise = [500, 600, 700, *[600, 500] * 5, 500, 500]

    assert 700 + 100 == _back_w(_minutes(*noise), LONG_S)
    assert 600 + 100 == _back_w(_minutes(*noise), 250.0), "near the end it looks back for less"


def test_a_step_that_is_over_is_not_kept_free() -> None:
    """A kettle of 2 kW a minute ago, in a quiet house."""
    assert 400 == _back_w(_minutes(*[400] * 6, *[2400] * 6, *[400] * 4), LONG_S)


def _closed_loop(hours: float) -> tuple[list[float], int]:
    """A noisy house with a kettle now and then, a car, a cap of 4 kW: the quarters after the first, the setpoints."""
    chance = random.Random(7)
    group = {"id": "main", "limit_a": 25, "meter": "p1", "capacity": {"tariff": "plain", "cap_kw": 4}}
    connector = {"max_a": 32, "phases": 1, "rotation": "R"}
    chargers = [{"id": "A", "group": "main", "fallback_a": 0, "connectors": [connector]}]
    core = Core(tree_of({"location": "w", "groups": [{**group}], "meters": [{"id": "p1"}], "chargers": chargers}))
    limit_a = draw_a = kettle_w = register_wh = 0.0
    quarters, told, on_its_way = [0.0], 0, []
    for t in range(1, round(hours * 3600) + 1):
        draw_a += max(-6.0, min(2.0, (limit_a if limit_a >= 6 else 0.0) - draw_a))
        if t % 300 == 0:
            kettle_w = chance.choice([0.0, 0.0, 0.0, 2000.0])
        power_w = 260 + kettle_w + chance.gauss(0, 60) + 230 * draw_a
        register_wh += power_w / 3600
        quarters[-1] += power_w / 900
        if t % 900 == 0:
            quarters.append(0.0)
        reading: dict[str, Any] = {"location": "w", "at": moment(t)}
        power = {"power_w": [power_w, 0, 0], "import_wh": round(register_wh)}
        core.tell_all([(METERS, {**reading, "meter": "p1", **power})])
        if t % 10 == 0:
            status = {"online": True, "status": "Charging", "transaction": "1", "current_a": [draw_a]}
            core.tell_all([(CHARGERS, {**reading, "charger": "A", "connector": 1, **status})])
        for setpoint in [s for due, s in on_its_way if due == t]:
            core.tell_all([accepted(setpoint, t)])
            limit_a = setpoint.limit_a
        setpoints = core.decide(t + 0.5).decision.setpoints
        on_its_way = [(due, s) for due, s in on_its_way if due > t] + [(t + 2, s) for s in setpoints]
        told += len(setpoints)
    return [w / 4000 for w in quarters[1:-1]], told


def test_the_cap_is_held_within_one_per_cent_and_used_in_few_setpoints() -> None:
    """Quarter by quarter between 0.985 and 1.01 of the cap; following every noise took a hundred setpoints an hour."""
    shares, told = _closed_loop(1.0)

    assert 3 == len(shares)
    assert all(0.985 <= share <= 1.01 for share in shares), shares
    assert told <= 40
