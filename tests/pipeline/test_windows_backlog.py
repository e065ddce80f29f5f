"""Windows that close while nobody decides: a backlog that is read, or one question after a week."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finished import MOST_FINISHED, WHOLE_WINDOWS
from pipeline.meter_fold import fold_meters
from pipeline.records import METERS, MeterReading, decode
from pipeline.state import LocationState, decode_state, encode_state, new_state
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import START_MS, moment
from topology.tree import Tree

DAY_S = 86_400
CAPACITIES: dict[str, tuple[str, dict[str, Any], int]] = {
    # name: (time zone, capacity, days)
    "Flanders": ("Europe/Brussels", {"tariff": "be-vlaanderen-lv", "cap_kw": 3}, 2),
    "Flanders over the end of a month": ("Europe/Brussels", {"tariff": "be-vlaanderen-lv", "cap_kw": 3}, 8),
    "Norway over the end of a month": ("Europe/Oslo", {"tariff": "no-kapasitetsledd", "cap_kw": 1}, 12),
    "five minutes": ("Europe/Brussels", {"tariff": "plain", "window_s": 300, "cap_kw": 1}, 1),
}


def _tree(zone: str, capacity: dict[str, Any]) -> Tree:
    group = {"id": "main", "limit_a": 400, "meter": "p1", "capacity": capacity}
    return tree_of({"location": "w", "timezone": zone, "groups": [group], "meters": [{"id": "p1"}]})


def _reading(at_s: float, power_w: float, **fields: float | None) -> dict[str, Any]:
    return {"location": "w", "meter": "p1", "at": moment(at_s), "power_w": [power_w, 0.0, 0.0], **fields}


def _readings(seed: int, days: int, *, registers: bool, every_s: int = 150) -> list[tuple[int, dict[str, Any]]]:
    chance = random.Random(seed)
    readings, wh, power_w = [], 5_000_000.0, 500.0
    for at_s in range(0, days * DAY_S + 1, every_s):
        readings.append((at_s, _reading(at_s, power_w, import_wh=round(wh, 1) if registers else None)))
        wh += power_w * every_s / 3600
        power_w = chance.choice([power_w, power_w, chance.uniform(0, 9000)])
    return readings


def _folded(tree: Tree, readings: list[tuple[int, dict[str, Any]]], length: int) -> LocationState:
    """The state after a backlog, read in runs of so many readings."""
    state = new_state()
    for i in range(0, len(readings), length):
        run: list[tuple[MeterReading, int]] = []
        for at_s, value in readings[i : i + length]:
            record = decode(METERS, json.dumps(value).encode())
            assert isinstance(record, MeterReading)
            run.append((record, START_MS + at_s * 1000))
        assert fold_meters(tree, state, run) == {}
    return state


@pytest.mark.parametrize("registers", [True, False])
@pytest.mark.parametrize("name", CAPACITIES)
def test_a_backlog_gives_the_windows_and_peaks_of_decisions_in_time(name: str, registers: bool) -> None:
    """One decision after days publishes what a decision after each window did, and stands where that stands."""
    zone, capacity, days = CAPACITIES[name]
    tree = _tree(zone, capacity)
    readings = _readings(7, days, registers=registers)
    window_s = {"no-kapasitetsledd": 3600, "plain": 300}.get(capacity["tariff"], 900)
    in_time, expected = Core(tree), {}
    for at_s, value in readings:
        in_time.tell_all([(METERS, value)])
        if at_s % window_s == 0:
            expected |= {w.start: w for w in in_time.decide(at_s + 1).windows}
    last = in_time.decide(days * DAY_S + 2).decision.groups[0].window
    backlog = Core(tree, _folded(tree, readings, 100))
    outcome = backlog.decide(days * DAY_S + 2)

    assert [] == [w for w in outcome.windows if expected[w.start] != w]
    assert last == outcome.decision.groups[0].window
    if days * DAY_S <= 400 * window_s:
        assert list(expected.values()) == outcome.windows
    assert [] == backlog.decide(days * DAY_S + 3).windows


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([5, 60, 890, 4000, 90_000]), st.integers(0, 5000)), min_size=2, max_size=60
    ),
    kinds=st.sampled_from(["register", "power", "register at times", "demand"]),
    length=st.integers(1, 60),
)
def test_a_backlog_gives_the_same_state_in_runs_of_any_length(
    steps: list[tuple[int, int]], kinds: str, length: int
) -> None:
    """Over days, with silences longer than readings are kept for: one by one or all at once."""
    tree = _tree("Europe/Brussels", {"tariff": "be-vlaanderen-lv"})
    readings, at_s, wh = [], 0, 0.0
    for n, (seconds, watts) in enumerate(steps):
        at_s += seconds
        wh += watts / 10
        register = wh if kinds == "register" or (kinds == "register at times" and n % 3) else None
        demand = float(watts) if kinds == "demand" else None
        readings.append((at_s, _reading(at_s, watts, import_wh=register, demand_w=demand)))

    assert encode_state(_folded(tree, readings, 1)) == encode_state(_folded(tree, readings, length))


def test_a_year_without_a_decision_keeps_its_highest_quarter_and_not_its_size() -> None:
    """A state has room for some hundreds of windows; the peak of a spring is billed in autumn all the same."""
    tree = _tree("Europe/Berlin", {"tariff": "de-rlm", "cap_kw": 1})
    readings, wh = [], 0.0
    for hour in range(38 * 24, 330 * 24):
        wh += 5_000 if hour == 70 * 24 else 100
        readings.append((hour * 3600, _reading(hour * 3600, 100, import_wh=wh)))
    state = _folded(tree, readings, 1000)
    core = Core(tree, decode_state(encode_state(state)))
    outcome = core.decide(readings[-1][0] + 1)

    assert len(state.meters["p1"].finished) <= MOST_FINISHED
    assert len(outcome.windows) <= MOST_FINISHED + 100
    window = outcome.decision.groups[0].window
    assert window is not None
    assert 5_000 == pytest.approx(window.month_peak_w)
    assert {} == core.state.meters["p1"].finished
    assert len(encode_state(core.state)) < 5_000


def test_one_question_after_a_silent_year_is_answered_with_some_hundreds_of_windows() -> None:
    """What a register counted in a year of silence is spread over its 35,000 quarters; the newest are published, and
    those with readings: it says nothing of the peaks of the months in between."""
    core = Core(_tree("Europe/Brussels", {"tariff": "be-vlaanderen-lv"}))
    core.tell_all([(METERS, _reading(0, 0, import_wh=0)), (METERS, _reading(900, 0, import_wh=1500))])
    core.tell_all([(METERS, _reading(365 * DAY_S, 0, import_wh=26_278_500))])
    windows = core.decide(365 * DAY_S + 1).windows

    assert 2 + WHOLE_WINDOWS == len(windows)
    assert (6000, 3000) == (windows[0].demand_w, pytest.approx(windows[-1].demand_w, abs=1))
    assert 3000 == pytest.approx(windows[-1].mean12_w, abs=1)
