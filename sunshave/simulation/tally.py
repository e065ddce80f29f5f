"""The figures of one location's run, collected second by second; `sunshave.simulation.summary` makes them readable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from connectors.simulated.battery import Car
from connectors.simulated.installation import Loads
from pipeline.records import Setpoint
from topology.tree import Tree


@dataclass(slots=True)
class Stay:
    """A car's time at a connector; `until_s` None while it is there."""

    socket: int
    car: Car
    from_s: int
    until_s: int | None = None
    got_wh: float = 0.0


@dataclass(slots=True)
class Sample:
    """One moment of the charts. Flows, house loads and limits: for each group, per phase."""

    at_s: int
    flows_a: Loads
    house_a: Loads
    limits_a: Loads | None
    """As the newest decision said; None before the first."""
    drawn_a: list[float]
    """For each connector what its car draws, on each phase in use."""
    offered_a: list[float]
    """For each connector what it was last told."""


class Tally:
    """Counts what happens at one location."""

    def __init__(self, tree: Tree) -> None:
        self.stays: list[Stay] = []
        self.turned_away = 0
        """Cars that found their connector taken for as long as they would have stayed."""
        self.faults: Counter[str] = Counter()
        self.fault_s: Counter[str] = Counter()
        self.setpoints = self.setpoints_to_cars = 0
        """All, and those to connectors with a car in them; the others only renew leases."""
        self.offered_a = [0.0] * len(tree.sockets)
        self.quarters: dict[int, list[tuple[int, float]]] = {}
        """Metered group -> its closed quarters: end (seconds since 1970), watts."""
        self.import_wh = self.export_wh = self.sun_wh = self.cars_wh = self.cars_sun_wh = 0.0
        self.samples: list[Sample] = []
        self._here: dict[int, Stay] = {}

    def came(self, socket: int, car: Car, now_s: int) -> None:
        """A car plugs in."""
        self._here[socket] = stay = Stay(socket, car, now_s)
        self.stays.append(stay)

    def left(self, socket: int, now_s: int) -> None:
        """It leaves."""
        self._here.pop(socket).until_s = now_s

    def took(self, socket: int, energy_wh: float) -> None:
        """A car took some energy in the last second."""
        self._here[socket].got_wh += energy_wh

    def told(self, socket: int, setpoint: Setpoint) -> None:
        """A setpoint went out."""
        self.setpoints += 1
        self.setpoints_to_cars += socket in self._here
        self.offered_a[socket] = setpoint.limit_a

    def fault(self, kind: str, seconds: int = 0) -> None:
        """Something went wrong, for so long."""
        self.faults[kind] += 1
        self.fault_s[kind] += seconds

    def quarter(self, node: int, end_s: int, demand_w: float) -> None:
        """A metered group's quarter closed."""
        self.quarters.setdefault(node, []).append((end_s, demand_w))

    def second(self, flow_w: float, sun_w: float, cars_wh: float) -> None:
        """One second at the main fuse. What cars take beyond what the sun leaves them comes from the grid."""
        flow_wh = flow_w / 3600
        if flow_wh > 0:
            self.import_wh += flow_wh
        else:
            self.export_wh -= flow_wh
        self.cars_wh += cars_wh
        if sun_w:
            sun_wh = sun_w / 3600
            self.sun_wh += sun_wh
            self.cars_sun_wh += max(0.0, min(cars_wh, sun_wh, cars_wh - flow_wh))
