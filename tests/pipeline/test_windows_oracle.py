"""Billed windows against a slow, obvious computation: energies, peaks and thresholds, whatever happens to readings."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import METERS, ClosedWindow
from pipeline.state import decode_state, encode_state
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import START_MS, moment

DAY_S = 86_400


def _core(zone: str = "Europe/Brussels", **capacity: Any) -> Core:
    group = {"id": "main", "limit_a": 400, "meter": "p1", "capacity": capacity}
    return Core(tree_of({"location": "w", "timezone": zone, "groups": [group], "meters": [{"id": "p1"}]}))


def _reading(at_s: float, power_w: float, **fields: Any) -> dict[str, Any]:
    return {"location": "w", "meter": "p1", "at": moment(at_s), "power_w": [power_w, 0.0, 0.0], **fields}


def _register_at(readings: list[tuple[int, float]], at_s: int) -> tuple[float, int]:
    """The register at a moment, on the line between its neighbours, and how far they are apart (seconds)."""
    times = [t for t, _ in readings]
    i = bisect_left(times, at_s)
    if times[i] == at_s:
        return readings[i][1], 0
    (t0, w0), (t1, w1) = readings[i - 1], readings[i]
    return w0 + (w1 - w0) * (at_s - t0) / (t1 - t0), t1 - t0


@given(
    seed=st.integers(0, 2**32 - 1),
    window_s=st.sampled_from([300, 900, 1800, 3600]),
    every_s=st.sampled_from([5, 10, 47, 300]),
    loss=st.sampled_from([0.0, 0.3, 0.9]),
    delay_s=st.sampled_from([0, 20, 2000]),
)
def test_registers_give_every_window_whatever_happens_to_readings(
    seed: int, window_s: int, every_s: int, loss: float, delay_s: int
) -> None:
    """Lost, late, doubled and disordered readings: in the end each window is what those that came through say."""
    chance = random.Random(seed)
    core = _core(tariff="plain", window_s=window_s, cap_kw=9)
    every_s, length_s = max(every_s, window_s // 60), 8 * window_s
    register_wh, power_w, sent, kept = 5_000_000.0, 500.0, [], []
    for at_s in range(-17, length_s, every_s):
        if chance.random() >= loss:
            kept.append((at_s, round(register_wh, 1)))
            copies = range(1 + (chance.random() < 0.2))
            sent += [(at_s + chance.randint(0, delay_s), at_s, round(register_wh, 1), power_w) for _ in copies]
        register_wh += power_w * every_s / 3600
        power_w = chance.choice([power_w, power_w, chance.uniform(0, 9000)])
    newest: dict[datetime, ClosedWindow] = {}
    decided_s = 0.0
    for received_s, at_s, wh, watts in sorted(sent):
        assert core.tell(METERS, _reading(at_s, watts, import_wh=wh), received_s) is None
        if received_s >= decided_s + window_s / 4:
            decided_s = received_s + chance.uniform(0, 5)
            newest |= {w.start: w for w in core.decide(decided_s).windows}
    newest |= {w.start: w for w in core.decide(max(decided_s, length_s) + 120).windows}

    for start_s in range(0, length_s, window_s):
        if kept and kept[0][0] <= start_s and start_s + window_s <= kept[-1][0]:
            (first, apart0), (last, apart1) = _register_at(kept, start_s), _register_at(kept, start_s + window_s)
            window = newest[datetime.fromtimestamp(START_MS / 1000 + start_s, UTC)]
            assert last - first == pytest.approx(window.import_wh, abs=0.01)
            assert (max(apart0, apart1) <= 60) == window.complete


TARIFFS: dict[str, tuple[str, dict[str, Any], int, int]] = {
    # name: (time zone, capacity, first day from 24 November 2026, days)
    "Flanders in autumn, with the hour that comes twice": ("Europe/Brussels", {"tariff": "be-vlaanderen-lv"}, -31, 4),
    "Flanders in spring, without an hour": ("Europe/Brussels", {"tariff": "be-vlaanderen-lv"}, 123, 4),
    "Flemish high voltage": ("Europe/Brussels", {"tariff": "be-vlaanderen-hv", "access_kw": 20}, 4, 5),
    "Norway over the end of a month": ("Europe/Oslo", {"tariff": "no-kapasitetsledd"}, 1, 12),
    "Norway with the hour that comes twice": ("Europe/Oslo", {"tariff": "no-kapasitetsledd"}, -33, 10),
    "Germany over New Year": ("Europe/Berlin", {"tariff": "de-rlm"}, 35, 4),
    "half hours, three days of a year": (
        "Pacific/Auckland",
        {"tariff": "plain", "window_s": 1800, "statistic": "mean_of_3_days", "period": "year"},
        33,
        9,
    ),
}


@cache
def _local(at_s: int, zone: str) -> datetime:
    return datetime.fromtimestamp(START_MS / 1000 + at_s, UTC).astimezone(ZoneInfo(zone))


def _peak_and_threshold(
    zone: str, capacity: dict[str, Any], averages: dict[int, float], start_s: int
) -> tuple[float | None, float]:
    """From every window of the period, by trying: what counts, and the highest average that leaves it as it is."""
    monthly = capacity["tariff"] != "de-rlm" and capacity.get("period") != "year"
    three = capacity["tariff"] == "no-kapasitetsledd" or capacity.get("statistic") == "mean_of_3_days"

    def same(one: datetime, other: datetime) -> bool:
        return one.year == other.year and (not monthly or one.month == other.month)

    days: dict[Any, float] = defaultdict(float)
    for at_s, w in averages.items():
        if same(_local(at_s, zone), _local(start_s, zone)):
            day = _local(at_s, zone).date()
            days[day] = max(days[day], w)

    def total(tried: float) -> float:
        today = _local(start_s, zone).date()
        tried_days = {**days, today: max(days.get(today, 0.0), tried)}
        return sum(sorted(tried_days.values(), reverse=True)[: 3 if three else 1])

    free = [w for w in [0.0, *days.values()] if total(w) == total(0.0)]
    floor_w = 2500.0 if capacity["tariff"] == "be-vlaanderen-lv" else 0.0
    counted = sorted(days.values(), reverse=True)[: 3 if three else 1]
    return (sum(counted) / len(counted) if counted else None), max(floor_w, *free)


@pytest.mark.parametrize("name", TARIFFS)
@pytest.mark.parametrize("seed", range(2))
def test_peaks_and_thresholds_are_those_of_all_windows_of_the_period(name: str, seed: int) -> None:
    """At the beginning of every window, from the state as a worker would read it back."""
    zone, capacity, first_day, days = TARIFFS[name]
    chance = random.Random(seed)
    core = _core(zone, **capacity)
    window_s = {"no-kapasitetsledd": 3600, "plain": 1800}.get(capacity["tariff"], 900)
    averages: dict[int, float] = {}
    register_wh = 0.0
    for start_s in range(first_day * DAY_S, (first_day + days) * DAY_S, window_s):
        core.tell_all([(METERS, _reading(start_s, 0, import_wh=register_wh))])
        window = core.decide(start_s + 1).decision.groups[0].window
        assert window is not None
        peak_w, threshold_w = _peak_and_threshold(zone, capacity, averages, start_s)
        assert peak_w == pytest.approx(window.month_peak_w, abs=0.01)
        assert threshold_w == pytest.approx(window.threshold_w, abs=0.01)
        averages[start_s] = chance.choice([100.0, 500.0, chance.uniform(0, 9000)])
        register_wh += averages[start_s] * window_s / 3600
        if chance.random() < 0.05:
            core.state = decode_state(encode_state(core.state))
