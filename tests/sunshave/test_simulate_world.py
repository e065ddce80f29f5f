"""The closed loop of `sunshave simulate`: what it measures is true, and the examples end well under faults."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from sunshave.simulation.controller import Controller
from sunshave.simulation.read import read_simulation
from sunshave.simulation.summary import location_summary
from sunshave.simulation.trace import trace_of
from sunshave.simulation.world import World
from tests.sunshave.test_simulate import EXAMPLES, FAULTS, SMALL


def world(folder: Path, **more: Any) -> World:
    """The small building, changed."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **more}))
    return World(read_simulation(path).tasks[0])


def lived(run: World, seconds: int | None = None) -> dict[str, Any]:
    """Its summary after so long."""
    for _ in range(run.task.seconds if seconds is None else seconds):
        run.tick()
    return location_summary(run)


def test_every_kind_of_fault_is_in_the_summary(tmp_path: Path) -> None:
    """Counted, with how long it lasted where it lasts."""
    faults = lived(world(tmp_path, faults=FAULTS | {"reject": 0.5}))["faults"]

    events = {"charger_offline", "ignored", "meter_outage", "rejected", "restart", "timeout"}
    assert events == set(faults["events"])
    assert {"charger_offline", "meter_outage", "restart"} == set(faults["seconds"])
    assert all(faults["messages"][kind] > 100 for kind in ("lost", "doubled", "late"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_fuse_is_overloaded_that_could_have_been_spared(seed: int, tmp_path: Path) -> None:
    """With every fault at once."""
    overload = lived(world(tmp_path, faults=FAULTS, seed=seed))["overload"]

    assert 0 == overload["avoidable_as"], overload


def test_an_overload_that_could_have_been_spared_is_found(tmp_path: Path) -> None:
    """The judge is no rubber stamp: a charger that takes what it was not told is the controller's fault."""
    run = world(tmp_path, house=[])
    lived(run, 600)
    for outlet in run.outlets:
        assert outlet.charge is not None
        outlet.limit_a = outlet.max_a = 32.0
        outlet.lease_until_s, outlet.seq = 1e9, 2**62
        outlet.charge = type(outlet.charge)(type(outlet.charge.car)("CP", max_a=32.0, energy_wh=1e6))

    overload = lived(run, 120)["overload"]

    assert 39 == pytest.approx(max(where["worst_a"] for where in overload["where"]), abs=0.1)
    assert overload["avoidable_as"] > 1000


LIMIT_W: dict[str, Any] = {"source": "dso", "from": "17:20", "until": "17:40", "limit_w": 6900}
"""10 A on each phase for all together; the two cars alone would take 22 A."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_limit_in_watts_is_broken_that_could_have_been_held(seed: int, tmp_path: Path) -> None:
    """With lost, late and refused messages, outages and restarts, and a house that comes and goes below it."""
    cars = [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": 30}]
    run = world(tmp_path, faults=FAULTS, seed=seed, limits=[LIMIT_W], cars=cars)
    above = lived(run)["above_limit_w"]

    assert 0 == above["avoidable_wh"], above


def test_a_limit_in_watts_that_nobody_holds_is_found(tmp_path: Path) -> None:
    """Of two cars with 25 A on each phase, 15 A are too much: for 20 minutes, less the time to react."""
    cars = [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": 30}]
    run = world(tmp_path, limits=[LIMIT_W], cars=cars, house=[])
    run.controller = Controller(run.task.name, msgspec.json.encode(run.task.document), run.task.start_s * 1000)
    above = lived(run)["above_limit_w"]

    over_w = 25 * 3 * 230 - LIMIT_W["limit_w"]
    assert above["avoidable_wh"] == pytest.approx(over_w * (1200 - run.reaction_s) / 3600, rel=0.01)
    assert above["avoidable_wh"] + above["unavoidable_wh"] == pytest.approx(over_w * 1200 / 3600, rel=0.001)
    assert [("main", 1200)] == [(where["group"], where["seconds"]) for where in above["where"]]


def test_what_the_house_draws_above_a_limit_in_watts_is_nobodys_fault(tmp_path: Path) -> None:
    """A load that alone is too much: the cars stop for it within the time to react."""
    step = {"from": "17:25", "until": "17:35", "current_a": [40, 0, 0]}
    cars = [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": 30}]
    house = [{"flicker_a": 0, "base_a": [0, 0, 0], "steps": [step]}]
    above = lived(world(tmp_path, limits=[LIMIT_W], cars=cars, house=house))["above_limit_w"]

    assert 0 == above["avoidable_wh"]
    assert above["unavoidable_wh"] > (40 * 230 - LIMIT_W["limit_w"]) * 600 / 3600


def test_what_the_house_does_is_not_the_controllers_fault(tmp_path: Path) -> None:
    """A load that alone is too much for the fuse."""
    step = {"from": "17:20", "until": "17:40", "current_a": [40, 0, 0]}
    overload = lived(world(tmp_path, house=[{"flicker_a": 0, "base_a": [0, 0, 0], "steps": [step]}]))["overload"]

    assert 0 == overload["avoidable_as"]
    assert overload["unavoidable_as"] >= 15 * 1200


def test_energy_adds_up(tmp_path: Path) -> None:
    """What the grid gives is what cars and house take; each car's part is what its connector counted."""
    run = world(tmp_path, house=[{"flicker_a": 0, "base_a": [1, 2, 3]}])
    summary = lived(run)

    house_kwh = 6 * 230 / 1000
    assert summary["grid"]["import_kwh"] == pytest.approx(summary["energy_kwh"] + house_kwh, abs=0.01)
    assert summary["energy_kwh"] == pytest.approx(sum(car["got_kwh"] for car in summary["cars"]), abs=0.01)
    assert summary["energy_kwh"] == pytest.approx(sum(o.meter_wh for o in run.outlets) / 1000, abs=0.01)
    assert run.registers[0].import_wh == pytest.approx(1000 * summary["grid"]["import_kwh"], abs=1)


def test_the_report_shows_hours_where_hours_are_billed(tmp_path: Path) -> None:
    """The average and the cap of the whole hour; elsewhere those of the meter's quarters."""
    groups = [{"id": "main", "limit_a": 25, "meter": "p1", "capacity": {"tariff": "no-kapasitetsledd", "cap_kw": 5}}]
    location = {**SMALL["location"], "groups": groups}
    house = [{"flicker_a": 0, "base_a": [5, 5, 5]}]
    hourly = world(tmp_path, hours=1.1, cars=[], house=house, location=location)
    quarterly = world(tmp_path, hours=1.1, cars=[], house=house)
    lived(hourly)
    lived(quarterly)

    [hours] = trace_of(hourly).averages
    ended = [datetime(2026, 11, 24, 17, tzinfo=UTC)]
    assert ("main", 3600, ended, [5000.0]) == (hours.group, hours.length_s, hours.ends, hours.cap_w)
    assert [3450] == pytest.approx(hours.watts, abs=2)  # registers count whole watt-hours
    assert [(900, [3450] * 4)] == [(a.length_s, a.watts) for a in trace_of(quarterly).averages]


def test_two_equal_cars_fare_alike(tmp_path: Path) -> None:
    """25 A for two cars that would take 32: each half of it, or all that it wants."""
    cars = [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": 30}]
    summary = lived(world(tmp_path, cars=cars, house=[]))

    assert summary["fairness"]["jain"] > 0.99
    assert {25 * 0.73 * 0.69 < car["got_kwh"] * 2 < 25 * 0.75 * 0.69 for car in summary["cars"]} == {True}


@pytest.mark.parametrize(("example", "hours"), [("home.yaml", 1.2), ("apartments.yaml", 0.75), ("depot.yaml", 0.4)])
def test_the_examples_run_and_no_overload_could_have_been_avoided(example: str, hours: float) -> None:
    """Their first hours, with the faults that they have."""
    simulation = read_simulation(EXAMPLES / example, hours=hours)
    summary = lived(World(simulation.tasks[0]))

    assert () == simulation.warnings
    assert 0 == summary["overload"]["avoidable_as"], summary["overload"]
    assert summary["energy_kwh"] > 0
