"""Tariffs: what a period comes to, from which average on a kilowatt costs, and how much."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.tariffs import (
    TARIFFS,
    billed_w,
    cost_eur,
    cost_of_1kw_eur,
    local_day,
    mean_of_months,
    tariff_of,
    threshold_w,
)
from tests.pipeline.trees import START_MS
from topology.location import Capacity
from topology.read import read_location

NORWAY = Capacity(tariff="no-kapasitetsledd", eur_per_kw_year=60)
STAIRS = Capacity(tariff="no-kapasitetsledd", steps=((0, 150), (2, 250), (5, 400), (10, 700)))
HIGH_VOLTAGE = Capacity(
    tariff="be-vlaanderen-hv", access_kw=20, eur_per_kw_year=48, access_eur_per_kw_year=36, overshoot_factor=1.5
)
DAYS = [f"2026-11-{day:02}" for day in range(1, 8)]

averages = st.floats(min_value=100, max_value=20_000)
months = st.dictionaries(st.sampled_from(DAYS), averages, min_size=3)


def _three(capacity: Capacity, days_w: dict[str, float]) -> float:
    """The mean of the three highest days, the long way."""
    best = sorted(days_w.values())
    assert capacity.tariff == "no-kapasitetsledd"
    return sum(best[-3:]) / len(best[-3:])


def _with(days_w: dict[str, float], day: str, average_w: float) -> dict[str, float]:
    return {**days_w, day: max(days_w.get(day, 0.0), average_w)}


@given(days_w=months, day=st.sampled_from(DAYS))
def test_three_days_cost_more_from_the_threshold_on_and_not_below(days_w: dict[str, float], day: str) -> None:
    """An hour up to the threshold leaves the mean of the three highest days as it is; one above raises it."""
    from_w = threshold_w(tariff_of(NORWAY), NORWAY, days_w, day)

    assert _three(NORWAY, days_w) == pytest.approx(_three(NORWAY, _with(days_w, day, from_w)))
    assert _three(NORWAY, days_w) + 30 < _three(NORWAY, _with(days_w, day, from_w + 100))
    assert _three(NORWAY, days_w) == pytest.approx(billed_w(tariff_of(NORWAY), days_w))


@given(days_w=months, day=st.sampled_from(DAYS))
def test_a_step_is_left_above_the_threshold_and_not_below(days_w: dict[str, float], day: str) -> None:
    """With price steps an hour up to the threshold costs nothing; 3 % more of the three hours costs the next step."""
    assume(_three(STAIRS, days_w) < 10_000)
    before = cost_eur(STAIRS, _three(STAIRS, days_w), 0)
    from_w = threshold_w(tariff_of(STAIRS), STAIRS, days_w, day)
    above_w = from_w + 0.03 * 3 * 10_000

    assert before == cost_eur(STAIRS, _three(STAIRS, _with(days_w, day, from_w - 1)), 0)
    assert before < cost_eur(STAIRS, _three(STAIRS, _with(days_w, day, above_w)), 0)


def test_a_month_begins_at_the_end_of_its_lowest_step() -> None:
    """The lowest step is paid anyway: the first hour of a month may use it, but for the margin."""
    assert 1960 == threshold_w(tariff_of(STAIRS), STAIRS, {}, DAYS[0])
    assert 0 == threshold_w(tariff_of(NORWAY), NORWAY, {}, DAYS[0])


def test_a_flemish_year_of_floored_months() -> None:
    """The mean of twelve months, each at least 2.5 kW: the regulator's kind of example, 53.472 / 12 = 4.456 kW."""
    peaks = [2.1, 1.9, 4.2, 5.6, 6.2, 5.172, 4.4, 2.5, 3.9, 5.3, 6.8, 4.4]
    by_month = {f"2026-{i + 1:02}": kw * 1000 for i, kw in enumerate(peaks)}

    assert 4456 == pytest.approx(mean_of_months(by_month, "2026-12", 2500), abs=0.5)


CASES: dict[str, tuple[Capacity, float, float, float, float]] = {
    # name: (capacity, peak_w, highest of twelve months, cost of the period, cost of one more kilowatt)
    "Flanders, low voltage": (Capacity(), 4000, 0, 4 * 40.4 / 12, 40.4 / 12),
    "Flanders, below the floor": (Capacity(), 1000, 0, 2.5 * 40.4 / 12, 40.4 / 12),
    "Flanders, within the access power": (HIGH_VOLTAGE, 15_000, 15_000, 15 * 4 + 20 * 3, 4),
    "Flanders, above the access power": (HIGH_VOLTAGE, 25_000, 25_000, 25 * 4 + (20 + 1.5 * 5) * 3, 4 + 1.5 * 36),
    "Flanders, an earlier month was above": (HIGH_VOLTAGE, 22_000, 25_000, 22 * 4 + (20 + 1.5 * 5) * 3, 4),
    "Flanders, no access power said": (Capacity(tariff="be-vlaanderen-hv", eur_per_kw_year=48), 9000, 0, 36, 4),
    "Norway by the kilowatt": (NORWAY, 4000, 0, 20, 5),
    "Norway by steps": (STAIRS, 4000, 0, 250, 150),
    "Norway, the last step": (STAIRS, 11_000, 0, 700, 0),
    "Germany by the year": (Capacity(tariff="de-rlm", eur_per_kw_year=100), 80_000, 0, 8000, 100),
    "plain by the year": (Capacity(tariff="plain", period="year", floor_kw=10, eur_per_kw_year=30), 5000, 0, 300, 30),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_peak_costs(name: str) -> None:
    """Each tariff's bill, and what one more kilowatt of the peak adds in all bills that it stays in."""
    capacity, peak_w, highest_w, cost, more = CASES[name]

    assert cost == pytest.approx(cost_eur(capacity, peak_w, highest_w))
    assert more == pytest.approx(cost_of_1kw_eur(capacity, peak_w, highest_w))


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/Brussels", "2026-11-24"), ("Pacific/Auckland", "2026-11-25"), ("America/Los_Angeles", "2026-11-24")],
)
def test_a_day_is_the_locations_own(zone: str, day: str) -> None:
    """15:00 UTC is another date in Auckland."""
    assert day == local_day(START_MS + 7 * 3_600_000, zone)


@pytest.mark.parametrize("keys", [{"window_s": 1800}, {"statistic": "mean_of_3_days"}, {"period": "year"}])
def test_only_the_plain_tariff_is_the_locations_to_define(keys: dict[str, Any]) -> None:
    """What a regulator has laid down no location can change."""
    assert tariff_of(Capacity(tariff="de-rlm")) == tariff_of(Capacity(tariff="de-rlm", **keys))
    assert tariff_of(Capacity(tariff="plain")) != tariff_of(Capacity(tariff="plain", **keys))


PAGE = (Path(__file__).parents[2] / "docs" / "tariffs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"^capacity: .*$", PAGE, re.MULTILINE))
def test_the_pages_examples_are_accepted_without_a_warning(example: str) -> None:
    """What docs/tariffs.md shows can be copied."""
    group = {"id": "main", "limit_a": 100, "meter": "p1", **yaml.safe_load(example)}

    assert () == read_location({"location": "w", "groups": [group], "meters": [{"id": "p1"}]}).warnings


def test_the_page_names_every_tariff_and_key() -> None:
    """No key of `capacity` that belongs to a tariff is left out of docs/tariffs.md."""
    elsewhere = {"tariff", "cap_kw", "follow_month_peak", "reaction_s", "bursts"}
    named = set(re.findall(r"^\| `([a-z_-]+)`", PAGE, re.MULTILINE))

    assert set(TARIFFS) | {f.name for f in fields(Capacity)} - elsewhere == named - {"tariff"}
