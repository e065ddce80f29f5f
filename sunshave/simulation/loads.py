"""What a building draws besides its cars, and what its roof gives, second by second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

from connectors.simulated import house as appliances
from connectors.simulated.house import FLICKER_S, House
from connectors.simulated.installation import Loads
from connectors.simulated.sun import Sun
from sunshave.simulation.plan import HouseLoad, SolarRoof
from sunshave.simulation.read import Task
from sunshave.simulation.visits import days, second_of
from topology.phases import grid_power_w
from topology.tree import Tree

APPLIANCES = {
    "kettle": appliances.KETTLE,
    "oven": appliances.OVEN,
    "hob": appliances.HOB,
    "washing_machine": appliances.WASHING,
    "heat_pump": appliances.HEAT_PUMP,
    "lift": appliances.LIFT,
}
Source = Callable[[datetime], tuple[float, ...]]


class Building:
    """The loads of all groups. They change when something is switched, and every ten seconds with sun and flicker."""

    def __init__(self, task: Task, tree: Tree) -> None:
        self._task = task
        self._tree = tree
        self._zone = ZoneInfo(tree.location.timezone)
        self._sources: list[tuple[int, Source]] = []
        """Group, and amperes per phase at a moment."""
        self._switches: set[int] = set()
        self.sun_w = 0.0
        """What all roofs give now."""
        self._roofs: list[tuple[int, Sun]] = []
        for i, load in enumerate(task.site.house):
            self._add_house(i, load)
        for i, roof in enumerate(task.site.sun):
            self._add_roof(i, roof)

    def changes(self, now_s: int) -> bool:
        """Whether the loads are other ones from this second on."""
        return now_s % FLICKER_S == 0 or now_s in self._switches

    def own_a(self, now_s: int) -> Loads:
        """What hangs directly in each group, signed."""
        at = datetime.fromtimestamp(self._task.start_s + now_s, UTC)
        own = [[0.0] * self._tree.phases for _ in self._tree.nodes]
        sun_a = [0.0] * self._tree.phases
        for node, source in self._sources:
            for phase, amperes in enumerate(source(at)[: self._tree.phases]):
                own[node][phase] += amperes
        for node, sun in self._roofs:
            for phase, amperes in enumerate(sun.currents_a(at)[: self._tree.phases]):
                own[node][phase] -= amperes
                sun_a[phase] += amperes
        grid = self._tree.location.grid
        self.sun_w = grid_power_w(grid.type, grid.voltage_v, tuple(sun_a))
        return own

    def _node(self, group: str | None) -> int:
        return self._tree.root if group is None else self._tree.node_of[group]

    def _add_house(self, i: int, load: HouseLoad) -> None:
        node = self._node(load.group)
        used = tuple(APPLIANCES[name] for name in load.appliances)
        l1, l2, l3 = (*load.base_a, 0.0, 0.0)[:3]
        for k in range(load.households):
            seed = Random(f"{self._task.seed} {self._task.name} house {i} {k}").getrandbits(32)  # noqa: S311 -- seeded
            home = House(seed, self._zone.key, used, load.scale, (l1, l2, l3), load.flicker_a)
            self._sources.append((node, _turned(home.currents_a, k % self._tree.phases)))
            start, end = (datetime.fromtimestamp(self._task.start_s + s, UTC) for s in (0, self._task.seconds))
            self._switches |= {int(moment.timestamp()) - self._task.start_s for moment in home.switches(start, end)}
        for step in load.steps:
            spells = list(self._spells(step.from_, step.until))
            self._switches |= {second for spell in spells for second in spell}
            self._sources.append((node, self._stepped(spells, step.current_a)))

    def _spells(self, from_s: int, until_s: int) -> Iterator[tuple[int, int]]:
        for day in days(self._task, self._zone, before=1):
            end_s = until_s if until_s > from_s else until_s + 86_400
            yield tuple(second_of(self._task, self._zone, day, s) for s in (from_s, end_s))  # type: ignore[misc]

    def _stepped(self, spells: list[tuple[int, int]], current_a: tuple[float, ...]) -> Source:
        nothing = (0.0,) * len(current_a)

        def source(at: datetime) -> tuple[float, ...]:
            second = int(at.timestamp()) - self._task.start_s
            return current_a if any(begin <= second < end for begin, end in spells) else nothing

        return source

    def _add_roof(self, i: int, roof: SolarRoof) -> None:
        seed = Random(f"{self._task.seed} {self._task.name} sun {i}").getrandbits(32)  # noqa: S311 -- seeded
        grid = self._tree.location.grid
        phases = tuple(p for p in roof.phases if p <= grid.phases)
        sun = Sun(
            seed, roof.peak_kw * 1000, phases, roof.latitude_deg, roof.longitude_deg, grid.voltage_v, clear=roof.clear
        )
        self._roofs.append((self._node(roof.group), sun))


def _turned(source: Source, by: int) -> Source:
    """The same on other phases: not every flat has its oven on L2."""
    if by == 0:
        return source

    def turned(at: datetime) -> tuple[float, ...]:
        current_a = source(at)
        return (*current_a[by:], *current_a[:by])

    return turned
