"""Bursts in a closed loop: a house under a cap that carries no three-phase minimum as an average."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.pipeline.run import Core, accepted, tree_of
from tests.pipeline.trees import moment

CAP_W = 2500.0
QUARTER_S = 900
VOLTS = 230.0


@dataclass(slots=True)
class Run:
    """What happened: the demand of each quarter in watts, the starts in it, and what the car got (Wh)."""

    demand_w: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    car_wh: float = 0.0
    seen_a: list[float] = field(default_factory=list)


def _house(seed: int) -> Callable[[int], float]:
    """400 to 600 W with a kettle now and then; called for one second after the other."""
    chance = random.Random(seed)
    house_w, kettle_until_s = 500.0, 0

    def draws_w(now_s: int) -> float:
        nonlocal house_w, kettle_until_s
        if chance.random() < 0.001:
            kettle_until_s = now_s + 120
        house_w = min(600.0, max(400.0, house_w + chance.uniform(-20, 20)))
        return house_w + (1500.0 if now_s < kettle_until_s else 0.0)

    return draws_w


def _live(house: Callable[[int], float], bursts: bool, quarters: int = 4, cars: int = 1, cap_w: float = CAP_W) -> Run:
    """A house, and cars that follow within two seconds."""
    core = Core(tree_of(_location(bursts, cars, cap_w)))
    run, limits_a, import_wh = Run(), [0.0] * cars, 0.0
    for now_s in range(quarters * QUARTER_S):
        if now_s % QUARTER_S == 0:
            run.demand_w.append(0.0)
            run.starts.append(0)
        draw_w = house(now_s)
        current_a = [draw_w / VOLTS + sum(limits_a), sum(limits_a), sum(limits_a)]
        import_wh += VOLTS * sum(current_a) / 3600
        run.car_wh += 3 * VOLTS * sum(limits_a) / 3600
        run.demand_w[-1] += VOLTS * sum(current_a) / QUARTER_S
        run.seen_a.append(sum(limits_a))
        value = {"location": "site", "meter": "p1", "at": moment(now_s), "current_a": current_a}
        core.tell("telemetry.meters", value | {"import_wh": import_wh})
        if now_s % 10 == 0:
            for k, limit_a in enumerate(limits_a):
                core.tell("telemetry.chargers", _reading(k, now_s, limit_a))
        for setpoint in core.decide(now_s + 0.5).decision.setpoints:
            k = int(setpoint.charger)
            run.starts[-1] += limits_a[k] == 0 and setpoint.limit_a > 0
            limits_a[k] = setpoint.limit_a
            core.tell(*accepted(setpoint, now_s + 0.8))
    return run


def _location(bursts: bool, cars: int, cap_w: float) -> dict[str, Any]:
    capacity = {"tariff": "plain", "cap_kw": cap_w / 1000, "follow_month_peak": False, "bursts": bursts}
    main = {"id": "main", "limit_a": 25, "meter": "p1", "capacity": capacity}
    chargers = [
        {"id": str(k), "group": "main", "fallback_a": 0, "connectors": [{"id": 1, "max_a": 16}]} for k in range(cars)
    ]
    return {"location": "site", "groups": [main], "meters": [{"id": "p1"}], "chargers": chargers}


def _reading(k: int, now_s: int, limit_a: float) -> dict[str, Any]:
    status = "Charging" if limit_a else "SuspendedEVSE"
    value = {"location": "site", "charger": str(k), "connector": 1, "at": moment(now_s), "online": True}
    return value | {"status": status, "transaction": "t", "current_a": [limit_a] * 3}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cars", [1, 2])
def test_a_burst_uses_the_window_and_no_more(seed: int, cars: int) -> None:
    """The cap is held within 1 %, hardly any energy is left, and each car is started at most once per window."""
    run = _live(_house(seed), bursts=True, cars=cars)

    assert max(run.demand_w) <= 1.01 * CAP_W
    assert min(run.demand_w) >= 0.9 * CAP_W
    assert max(run.starts) <= cars


def test_a_car_runs_in_the_last_part_of_the_window() -> None:
    """What a kettle needs is known only when it has drawn it: first the house, then the car."""
    run = _live(_house(1), bursts=True, quarters=1)

    assert 0.0 == max(run.seen_a[:400])
    assert 6.0 == min(run.seen_a[600:820])


@pytest.mark.parametrize(("off_s", "again_s"), [(600, 760), (500, 720)])
def test_what_a_kettle_drew_is_kept_for_it(off_s: int, again_s: int) -> None:
    """A kettle that was on during the burst and comes back until the end of the window does not break the cap."""
    cap_w = 3200.0

    def draws_w(now_s: int) -> float:
        second = now_s % QUARTER_S
        return 2500.0 if 290 <= second < off_s or second >= again_s else 300.0

    run = _live(draws_w, bursts=True, quarters=2, cap_w=cap_w)

    assert max(run.demand_w) <= 1.01 * cap_w
    assert [1, 1] == run.starts


@pytest.mark.parametrize(("house_w", "kettle_w", "on_s", "off_s"), [(700, 1000, 300, 600), (700, 679, 690, 860)])
def test_a_car_that_was_stopped_at_the_end_of_its_window_waits_for_the_next(
    house_w: float, kettle_w: float, on_s: int, off_s: int
) -> None:
    """Also where the cap carries it as an average: it is not started a second time for the last seconds."""
    run = _live(
        lambda now_s: house_w + kettle_w * (on_s <= now_s % QUARTER_S < off_s), bursts=True, quarters=1, cap_w=5200.0
    )

    assert [1] == run.starts
    assert 0.0 == min(run.seen_a[820:])


def test_without_bursts_a_car_is_started_again_and_again() -> None:
    """What the option is for: an allowance that is followed from second to second starts a car many times."""
    starts = [n for seed in range(4) for n in _live(_house(seed), bursts=False).starts]

    assert max(starts) > 1
