"""The ideal controller of `sunshave simulate`: what it delivers can be worked out by hand, and no fault changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sunshave.test_simulate import FAULTS, SMALL
from tests.sunshave.test_simulate_world import lived, world

QUIET = {"flicker_a": 0, "base_a": [5, 5, 5]}
CARS = [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": 30}]
"""Two 16 A cars (one at each charger) that never have enough, for three quarters of an hour."""
HOURS = 0.75


def located(**more: Any) -> dict[str, Any]:
    """The small building with something else in its location."""
    return {**SMALL["location"], **more}


def ideal_kwh(folder: Path, **more: Any) -> float:
    """What an ideal controller delivers in the small building, changed."""
    found = lived(world(folder, **{"cars": CARS, "house": [QUIET], **more}))["ideal_kwh"]
    assert isinstance(found, float)
    return found


def test_a_fuse_is_filled_and_never_more(tmp_path: Path) -> None:
    """25 A less the house's 5 A on three phases, from the first second to the last."""
    assert ideal_kwh(tmp_path) == pytest.approx(20 * 3 * 0.230 * HOURS, rel=0.001)


def test_it_knows_each_car(tmp_path: Path) -> None:
    """What one car cannot take, by its rating or its phases, is the other's at once."""
    cars = [
        {**CARS[0], "charger": "CP-1", "max_a": 7.04, "phases": 1},
        {**CARS[0], "charger": "CP-2", "max_a": 32},
    ]

    assert ideal_kwh(tmp_path, cars=cars) == pytest.approx((7 + 3 * 13) * 0.230 * HOURS, rel=0.001)


def test_without_limits_everybody_has_what_he_wants(tmp_path: Path) -> None:
    """And no more than that, although it only looks once a minute."""
    cars = [{**CARS[0], "energy_kwh": 3.333}]
    summary = lived(world(tmp_path, cars=cars, location=located(groups=[{"id": "main", "limit_a": 60, "meter": "p1"}])))

    assert 2 * 3.333 == summary["ideal_kwh"]
    assert summary["share_of_ideal"] == pytest.approx(1, abs=0.001)


def test_limits_from_outside_hold_for_it_too(tmp_path: Path) -> None:
    """In amperes per phase, and in watts over the phases: each for half of the time."""
    limits = [
        {"source": "a", "from": "17:00", "until": "17:20", "limit_a": 17},
        {"source": "w", "from": "17:20", "until": "17:50", "limit_w": 10_350},
    ]
    expected = 12 * 3 * 0.230 * 0.25 + (10.350 - 3 * 5 * 0.230) * 0.5

    assert ideal_kwh(tmp_path, limits=limits) == pytest.approx(expected, rel=0.005)


def test_the_billed_average_holds_for_it_too(tmp_path: Path) -> None:
    """Quarters of 10 kW, of which the house needs 3.45: all that is left goes into the cars, and not a watt more."""
    groups = [{"id": "main", "limit_a": 40, "meter": "p1", "capacity": {"cap_kw": 10}}]
    run = world(tmp_path, cars=CARS, house=[QUIET], location=located(groups=groups))
    summary = lived(run)

    first_quarter_kwh = 10 * 0.25 - 3.45 * 0.25
    assert summary["ideal_kwh"] == pytest.approx(first_quarter_kwh * 3 + (10 - 3.45) * 5 / 60, rel=0.07)
    assert 9_900 < run.ideal.registers[0].month_peak_w < 10_010


def test_solar_only_cars_get_the_excess_after_their_timer(tmp_path: Path) -> None:
    """12 A of excess on each phase for a car that waits for it for a minute."""
    groups = [{"id": "main", "limit_a": 25, "meter": "p1", "mode": "solar_only"}]
    sun = {"flicker_a": 0, "base_a": [-12, -12, -12]}
    cars = [{**CARS[0], "charger": "CP-1"}]

    assert ideal_kwh(tmp_path, cars=cars, house=[sun], location=located(groups=groups)) == pytest.approx(
        12 * 3 * 0.230 * (HOURS - 1 / 60), rel=0.001
    )


def test_no_fault_changes_it(tmp_path: Path) -> None:
    """The same cars and loads are the same measure, however bad the network; what is delivered is less with it."""
    calm, bad = (lived(world(tmp_path, faults=faults)) for faults in ({}, FAULTS))

    assert calm["ideal_kwh"] == bad["ideal_kwh"] > 0
    assert bad["energy_kwh"] < calm["energy_kwh"] <= calm["ideal_kwh"]


def test_it_knows_how_an_unknown_charger_is_wired(tmp_path: Path) -> None:
    """A fuse with room on two phases only: who knows on which one a charger hangs uses it."""
    charger = {"id": "CP-1", "group": "main", "fallback_a": 0, "connectors": [{"phases": 1, "max_a": 16}]}
    site = {"chargers": [charger], "groups": [{"id": "main", "limit_a": [20, 22, 24], "meter": "p1"}]}
    run = world(tmp_path, cars=CARS, house=[{**QUIET, "base_a": [10, 10, 10]}], location=located(**site))
    amperes = [10, 12, 14][run.installation.places(0, 1)[0]]

    assert lived(run)["ideal_kwh"] == pytest.approx(amperes * 0.230 * HOURS, rel=0.001)


STARVED = {
    "hours": 2,
    "cars": [{"arrives": "17:05", "leaves": "23:00", "energy_kwh": 200}],
    "house": [{"appliances": ["kettle", "oven", "hob", "heat_pump"]}],
    "location": located(
        groups=[{"id": "main", "limit_a": 32, "meter": "p1"}],
        chargers=[{**SMALL["location"]["chargers"][0], "id": f"CP-{k}"} for k in (1, 2, 3, 4)],
    ),
}
"""Four cars that never have enough, in a house that cooks and heats: every ampere that is not given shows."""


@pytest.mark.parametrize(
    ("faults", "least"), [({}, 0.935), (FAULTS, 0.70)], ids=["without faults", "with all faults at once"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_delivered_is_near_the_ideal(faults: dict[str, Any], least: float, seed: int, tmp_path: Path) -> None:
    """More than a sound controller of moderate cleverness delivers."""
    share = lived(world(tmp_path, **STARVED, faults=faults, seed=seed))["share_of_ideal"]

    assert least < share <= 1
