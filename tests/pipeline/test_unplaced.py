"""Cars of unknown rotation in a building whose load changes: they keep what they have, and no fuse carries more.

All readings are of one moment, so that nothing is open but where the cars are.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.pipeline.run import Core, accepted, by_key, tree_of
from tests.pipeline.trees import moment

EVERY_S = 6
STEPS = 40
MAX_A = 16.0
HASTY = {"min_change_a": 0, "increase_every_s": 0, "settle_s": 86_400, "turn_s": 86_400}


class Building:
    """One meter, a fuse, and one-phase cars that obey at once; of some it is known where they are."""

    def __init__(self, fuse_a: float, cars: list[tuple[str, int]]) -> None:
        self.fuse_a, self.places = fuse_a, [place for _, place in cars]
        plugs = [{"id": 1, "phases": 1, "rotation": rotation, "max_a": MAX_A} for rotation, _ in cars]
        chargers = [
            {"id": f"C{n}", "group": "main", "fallback_a": 0, "connectors": [plug]} for n, plug in enumerate(plugs)
        ]
        groups = [{"id": "main", "limit_a": fuse_a, "meter": "p1"}]
        site = {"groups": groups, "meters": [{"id": "p1"}], "chargers": chargers, "control": HASTY}
        self.core = Core(tree_of({"location": "site", **site}))
        self.limits_a = [0.0] * len(cars)
        self.now_s = 0

    def on(self, house_a: list[float], drawn_a: list[float]) -> list[float]:
        """What the fuse carries on each phase."""
        places = list(zip(self.places, drawn_a, strict=True))
        return [a + sum(car_a for place, car_a in places if place == phase) for phase, a in enumerate(house_a)]

    def step(self, house_a: list[float], drawn_a: list[float], idle: tuple[int, ...] = ()) -> None:
        """Everybody reports, a decision is made, and all accept. `idle`: where no car is."""
        self.now_s += EVERY_S
        at: dict[str, Any] = {"location": "site", "at": moment(self.now_s)}
        for n, car_a in enumerate(drawn_a):
            car = {"charger": f"C{n}", "connector": 1, "online": True, "status": "Charging", "transaction": "1"}
            status = {"status": "Available", "transaction": None} if n in idle else {}
            self.core.tell("telemetry.chargers", at | car | status | {"current_a": [car_a]})
        self.core.tell("telemetry.meters", at | {"meter": "p1", "current_a": self.on(house_a, drawn_a)})
        decision = self.core.decide(self.now_s).decision
        self.core.tell_all(accepted(sent, self.now_s + 1) for sent in decision.setpoints)
        views = by_key(decision.connectors)
        self.limits_a = [views[f"C{n}/1"].limit_a for n in range(len(drawn_a))]


@pytest.mark.parametrize("fuse_a", [20.0, 40.0])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_car_in_a_quiet_building_keeps_what_it_got(fuse_a: float, place: int) -> None:
    """Its own draw is in what the meter shows, on a phase that is not known: it is no reason to take it back."""
    building = Building(fuse_a, [("unknown", place)])
    house_a = [fuse_a / 2] * 3
    told = []
    for _ in range(STEPS):
        building.step(house_a, building.limits_a)
        told.append(building.limits_a[0])

    assert [min(MAX_A, fuse_a / 2)] * (STEPS - 1) == told[1:]


@pytest.mark.parametrize(("fuse_a", "alone_a"), [(16.0, 9.64), (20.0, 13.0)])
def test_a_car_keeps_what_it_got_when_that_shows_where_it_is(fuse_a: float, alone_a: float) -> None:
    """6 A may be on L1 or on L2, 16 A only on L2: the more it draws, the more is known, and that is no reason to take
    it back."""
    building = Building(fuse_a, [("unknown", 1)])
    told = []
    for _ in range(STEPS):
        building.step([alone_a, 0.0, 0.0], building.limits_a)
        told.append(building.limits_a[0])

    assert [16.0] * (STEPS - 2) == told[2:]


def test_an_idle_connector_of_unknown_rotation_changes_nothing() -> None:
    """Beside it a car is judged as alone: what it draws is in what the meter shows."""
    building = Building(25.0, [("unknown", 2), ("unknown", 1)])
    told = []
    for _ in range(STEPS):
        building.step([11.15, 13.31, 4.61], [building.limits_a[0], 0.0], idle=(1,))
        told.append(building.limits_a[0])

    assert [16.0] * (STEPS - 3) == told[3:]


@pytest.mark.parametrize("seed", range(30))
def test_no_fuse_carries_more_wherever_the_cars_are(seed: int) -> None:
    """Each decision holds for the load that it was made for, while everybody is on his way to it, too."""
    dice = Random(seed)
    cars = [(dice.choice(["unknown", "unknown", *"RST"]), dice.randrange(3)) for _ in range(dice.randint(1, 4))]
    cars = [(rotation, "RST".index(rotation) if rotation != "unknown" else place) for rotation, place in cars]
    building = Building(dice.choice([16.0, 20.0, 25.0, 32.0]), cars)
    house_a = [dice.uniform(0, 8) for _ in range(3)]
    for _ in range(STEPS):
        house_a = [max(0.0, a + dice.choice([0, 0, 0, 2, -2, 8, -8])) if dice.random() < 0.4 else a for a in house_a]
        wishes_a = [dice.choice([MAX_A, MAX_A, 9.0, 3.0]) for _ in cars]
        drawn_a = [min(pair) for pair in zip(building.limits_a, wishes_a, strict=True)]
        granted_a = building.limits_a
        building.step([round(a, 2) for a in house_a], drawn_a)
        on_the_way_a = building.on(house_a, [max(pair) for pair in zip(granted_a, building.limits_a, strict=True)])
        arrived_a = building.on(house_a, building.limits_a)
        before_a = building.on(house_a, granted_a)
        for on_way, there, before, alone in zip(on_the_way_a, arrived_a, before_a, house_a, strict=True):
            assert on_way <= max(building.fuse_a, before) + 0.02
            assert there <= max(building.fuse_a, alone) + 0.02
