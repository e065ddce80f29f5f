"""The physics that `sunshave simulate` and the fault tests share: registers, what flows where, and who is to blame."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from connectors.simulated.battery import Car, Charge
from connectors.simulated.house import HOUSEHOLD, House
from connectors.simulated.installation import Installation
from connectors.simulated.judge import Judge
from connectors.simulated.network import Faults, Network
from connectors.simulated.outlet import Order, Outlet
from connectors.simulated.past import Past
from connectors.simulated.power_judge import PowerJudge
from connectors.simulated.registers import Registers
from topology.read import read_location
from topology.tree import Tree, build_tree

START_S = int(datetime(2026, 11, 30, 22, 30, tzinfo=UTC).timestamp())
"""Half past eleven in the evening in Brussels, the last of the month."""


def tree(grid: str = "TN", **connector: Any) -> Tree:
    """A garage below a main fuse, with one connector in it."""
    return build_tree(
        read_location(
            {
                "location": "a",
                "grid": {"type": grid},
                "groups": [{"id": "main", "limit_a": 40, "meter": "p1"}, {"id": "g", "parent": "main", "limit_a": 25}],
                "meters": [{"id": "p1"}],
                "chargers": [{"id": "C", "group": "g", "fallback_a": 6, "connectors": [{"max_a": 20, **connector}]}],
            }
        ).location
    )


def test_a_quarter_closes_with_its_average_and_a_month_forgets_its_peak() -> None:
    """3.6 kW for ten minutes of a quarter are 2.4 kW; at local midnight of the first the month begins anew."""
    registers = Registers("Europe/Brussels")

    closed = registers.count(3600, START_S, START_S + 600) + registers.count(0, START_S + 600, START_S + 1799)
    assert [(START_S + 900, 2400.0)] == closed
    assert (2400.0, START_S + 900) == (registers.month_peak_w, registers.month_peak_at_s)
    assert [(START_S + 1800, 0.0)] == registers.count(0, START_S + 1799, START_S + 1800)
    assert (0.0, None) == (registers.month_peak_w, registers.month_peak_at_s)


@pytest.mark.parametrize(
    ("grid", "connector", "phases", "expected"),
    [
        ("TN", {"rotation": "STR"}, 3, [10, 10, 10]),
        ("TN", {"rotation": "STR"}, 2, [0, 10, 10]),
        ("TN", {"rotation": "STR"}, 1, [0, 10, 0]),
        ("TN", {"phases": 1, "rotation": "T"}, 1, [0, 0, 10]),
        ("IT", {"phases": 1, "rotation": "TR"}, 1, [10, 0, 10]),
    ],
)
def test_a_car_loads_the_phases_that_it_is_wired_to(
    grid: str, connector: dict[str, Any], phases: int, expected: list[float]
) -> None:
    """On every fuse above it, on top of what the house draws there."""
    site = tree(grid, **connector)
    installation = Installation(site, [socket.ways[0] for socket in site.sockets])
    house = installation.below([[1.0, 0.0, -2.0], [0.0, 0.5, 0.0]])

    flows = installation.flows(house, [(0, phases, 10.0)])

    assert [[1.0, 0.5, -2.0], [0.0, 0.5, 0.0]] == house
    assert [[h + e for h, e in zip(load, expected, strict=True)] for load in house] == flows


def judged(house_a: list[float], known_s: list[int], reachable: bool, car_a: float = 20.0) -> tuple[float, float]:
    """Avoidable and unavoidable ampere-seconds on L1 of the main fuse (40 A), a second per load of the house."""
    site = tree()
    installation = Installation(site, [site.sockets[0].ways[0]])
    past = Past(3)
    judge = Judge(installation, past, 3, lambda _: [list(node.limit_a) for node in site.nodes])
    drawn = [(0, 3, car_a)]
    for second, (amperes, known) in enumerate(zip(house_a, known_s, strict=True)):
        house = installation.below([[amperes, 0.0, 0.0], [0.0, 0.0, 0.0]])
        flows = installation.flows(house, drawn)
        past.note(second, house, [known, known])
        judge.look(second, flows, drawn, lambda _: reachable)
    found = judge.found.get((0, 0))
    return (found.avoidable_as, found.unavoidable_as) if found else (0.0, 0.0)


def test_watts_are_counted_over_the_phases_and_as_the_grid_has_them() -> None:
    """Sun on one phase makes up for another; three line currents of a delta grid are √3·V·I."""
    for grid, volts in (("TN", 3 * 230), ("IT", 3**0.5 * 230)):
        site = tree(grid)
        installation, past = Installation(site, [site.sockets[0].ways[0]]), Past(0)
        judge = PowerJudge(installation, past, 0, lambda _: {0: 1000.0})
        house = installation.below([[5.0, 0.0, -5.0], [0.0, 0.0, 0.0]])
        for second in range(3600):
            past.note(second, house, [second, second])
            judge.look(second, house, [(0, 3, 10.0)], lambda _: True)

        assert judge.found[0].avoidable_wh == pytest.approx(volts * 10 - 1000)
        assert 0 == judge.found[0].unavoidable_wh


def test_a_rise_is_excused_until_the_controller_could_have_acted_on_it() -> None:
    """5 A too much: excused while the reading known three seconds ago is from before the rise, then avoidable."""
    assert (0.0, 15.0) == judged([10] * 5 + [25] * 3, list(range(8)), reachable=True)
    assert (15.0, 15.0) == judged([10] * 5 + [25] * 6, list(range(11)), reachable=True)


def test_nobody_can_act_on_what_nobody_has_read() -> None:
    """A silent meter excuses for as long as it is silent, and three seconds more."""
    silent = [0, 1, 2, 3, 4, 4, 4, 4, 4, 9, 10, 11, 12, 13]

    assert (10.0, 35.0) == judged([10] * 5 + [25] * 9, [min(k, i) for i, k in enumerate(silent)], reachable=True)


def test_what_cannot_be_told_is_not_to_blame() -> None:
    """A charger that is away, and loads beyond what the cars could give back."""
    assert (0.0, 30.0) == judged([25] * 6, list(range(6)), reachable=False)
    assert (2.0 * 6, 8.0 * 6) == judged([48] * 6, list(range(6)), reachable=True, car_a=2.0)


def test_an_outlet_obeys_its_lease_and_then_falls_back() -> None:
    """The newest setpoint counts; a rejected or ignored one changes nothing, only the latter says so."""
    outlet = Outlet("C/1", min_a=6, max_a=16, fallback_a=8)
    answers = [
        outlet.take(Order(2, 10, 100), 0),
        outlet.take(Order(1, 16, 100), 0),
        outlet.take(Order(3, 12, 100), 0, rejects=True),
        outlet.take(Order(4, 12, 100), 0, ignores=True),
        outlet.take(Order(5, 12, 1), 2),
    ]

    assert ["accepted", "superseded", "rejected", "accepted", "expired"] == answers
    assert (10, 8) == (outlet.allowed_a(99), outlet.allowed_a(100))


def test_an_outlet_on_one_phase_charges_on_one() -> None:
    """And counts its energy so."""
    outlet = Outlet("C/1", min_a=6, max_a=16, fallback_a=0)
    outlet.plug_in(Charge(Car("C", delay_s=0, ramp_a_per_s=100)))
    outlet.take(Order(1, 10, 100, phases=1), 0)

    assert 10 * 230 / 3600 == pytest.approx(outlet.flow(1))
    assert outlet.charge is not None
    assert (10, 0, 0) == outlet.charge.current_a


def test_a_network_without_faults_delivers_everything_at_once_in_order() -> None:
    """And one with them counts what it did."""
    good, bad = Network(Random(1), Faults()), Network(Random(1), Faults(loss=0.5, double=0.5, delay_s=9))
    for network in (good, bad):
        for i in range(200):
            network.send(0, "core", i)

    assert [("core", i) for i in range(200)] == good.arriving(0)
    late = [i for _, i in bad.arriving(9)]
    assert len(late) == 200 - bad.tally["lost"] + bad.tally["doubled"]
    assert late != sorted(late)


def test_loads_change_only_at_their_switches() -> None:
    """Between two of them the same appliances run: what is looked at every ten seconds misses no step."""
    house = House(3, appliances=HOUSEHOLD, flicker_a=0.0)
    start = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
    until = datetime.fromtimestamp(start + 86_400, UTC)
    switches = {int(m.timestamp()) for m in house.switches(datetime.fromtimestamp(start, UTC), until)}
    loads = [house.currents_a(datetime.fromtimestamp(start + s, UTC)) for s in range(86_400 // 4)]
    steps = {int(start) + s for s in range(1, len(loads)) if loads[s] != loads[s - 1]}

    assert steps
    assert set() == steps - switches
