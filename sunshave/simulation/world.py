"""One location that lives, with the production core in the loop. Every second: loads step, cars come, follow and go,
fuses are looked at, readings and setpoints travel through a bad network, and the core folds and decides.
"""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from connectors.simulated.installation import Installation, Loads
from connectors.simulated.judge import Judge
from connectors.simulated.network import Faults, Network
from connectors.simulated.outlet import FREE, Order, Outlet
from connectors.simulated.past import Past
from connectors.simulated.power_judge import PowerJudge
from connectors.simulated.registers import Registers
from pipeline.moments import to_moment
from pipeline.records import CHARGERS, FEEDBACK, LIMITS, METERS
from sunshave.simulation.caps import Caps, reaction_s
from sunshave.simulation.controller import Controller, Export
from sunshave.simulation.ideal import LOOK_EVERY_S, Ideal
from sunshave.simulation.loads import Building
from sunshave.simulation.parking import Parking
from sunshave.simulation.reach import Reach
from sunshave.simulation.read import Task
from sunshave.simulation.said import charger_reading, feedback, meter_reading, order_of
from sunshave.simulation.tally import Sample, Tally
from sunshave.simulation.visits import visits
from topology.phases import grid_power_w
from topology.read import read_location
from topology.tree import build_tree

CORE = ""
"""Where readings and answers go; other addresses are connectors."""
SAMPLES = 1440
"""Points of a chart. Fewer: a day is coarser than a minute; more: the report is slow to open."""
CLOCK_OFF_S = 2
"""How much a charger's clock may be off."""


class World:
    """One location. `run` it to the end, or `tick` it second by second."""

    def __init__(self, task: Task, export: Export | None = None) -> None:
        location = read_location(task.document).location
        self.task = task
        self.tree = tree = build_tree(location)
        self.now_s = 0
        self._chance = chance = Random(f"{task.seed} {task.name} world")  # noqa: S311 -- seeded
        self._faults = Faults(**task.site.faults.model_dump())
        self.network = Network(chance, self._faults)
        ways = [chance.choice(socket.ways) for socket in tree.sockets]
        self.installation = Installation(tree, ways)
        self.outlets = [self._outlet(i) for i in range(len(tree.sockets))]
        self._index = {outlet.key: i for i, outlet in enumerate(self.outlets)}
        self.tally = Tally(tree)
        self._parking = Parking(self.outlets, visits(task, tree), self.tally)
        self._building = Building(task, tree)
        self._house: Loads = self.installation.below(self._building.own_a(0))
        self._drawn: list[tuple[int, int, float]] = []
        self._flows = self._flows_of = self._house
        """What flows, and the house's loads with which that was worked out."""
        caps = Caps(task, tree)
        self.reaction_s = reaction_s(task.site, location.control)
        self._past = Past(self.reaction_s)
        self.judge = Judge(self.installation, self._past, self.reaction_s, caps.caps_a)
        self.power_judge = PowerJudge(self.installation, self._past, self.reaction_s, caps.limits_w)
        self._meters = [node for node in tree.nodes if node.meter is not None]
        self.registers = {node.index: Registers(location.timezone) for node in self._meters}
        if tree.root in self.registers:
            self.registers[tree.root].month_peak_w = task.site.month_peak_kw * 1000
        self._powers_of: Loads | None = None
        self._powers_w = [0.0] * len(tree.nodes)
        self._dark_until_s = {node.index: 0 for node in self._meters}
        self._reach = Reach(tree, self.reaction_s)
        self._status = [""] * len(self.outlets)
        self._back_s = -1
        self.controller = Controller(task.name, msgspec.json.encode(task.document), self._ms, export)
        limits = list(caps.records(task.name))
        for record in limits:
            self.controller.hear(LIMITS, record, self._ms)
        self.ideal = Ideal(self.installation, ways, limits, task.start_s, task.site.month_peak_kw * 1000)
        self._sample_every_s = max(1, task.seconds // SAMPLES)

    @property
    def _ms(self) -> int:
        return (self.task.start_s + self.now_s) * 1000

    def _outlet(self, i: int) -> Outlet:
        socket, grid = self.tree.sockets[i], self.tree.location.grid
        volts = grid.voltage_v * socket.use.power_factor / socket.connector.phases
        clock_s = self._chance.randint(-CLOCK_OFF_S, CLOCK_OFF_S)
        return Outlet(socket.name, socket.min_a, socket.max_a, socket.fallback_a, clock_s, volts)

    def tick(self) -> None:
        """One second."""
        self.now_s += 1
        moved = self._parking.move(self.now_s)
        self._go_wrong()
        cars_wh = self._charge()
        if self._building.changes(self.now_s):
            self._house = self.installation.below(self._building.own_a(self.now_s))
        if moved or self.now_s == 1 or self.now_s % LOOK_EVERY_S == 0:
            self.ideal.look(self.now_s, self._house, self.outlets)
        drawn = self._drawn_now()
        if drawn != self._drawn or self._flows_of is not self._house:
            self._drawn, self._flows_of = drawn, self._house
            self._flows = self.installation.flows(self._house, drawn)
        flows = self._flows
        self._past.note(self.now_s, self._house, self._reach.known_s)
        self.judge.look(self.now_s, flows, drawn, self._could_tell)
        self.power_judge.look(self.now_s, self._house, drawn, self._could_tell)
        self._count(flows, cars_wh)
        self._report(flows)
        for to, message in self.network.arriving(self.now_s):
            self._arrive(to, message)
        self._decide()

    # what happens

    def _charge(self) -> float:
        """Every car follows its offer. What they took together, in Wh."""
        cars_wh = 0.0
        for i, outlet in enumerate(self.outlets):
            if outlet.charge is not None:
                taken_wh = outlet.flow(self.now_s)
                if taken_wh:
                    self.tally.took(i, taken_wh)
                    cars_wh += taken_wh
        return cars_wh

    def _drawn_now(self) -> list[tuple[int, int, float]]:
        return [
            (i, o.charge.phases, o.charge.amperes)
            for i, o in enumerate(self.outlets)
            if o.charge is not None and o.charge.amperes > 0
        ]

    def _go_wrong(self) -> None:
        faults, chance = self._faults, self._chance
        if faults.offline_per_hour:
            for outlet in self.outlets:
                if outlet.online(self.now_s) and chance.random() < faults.offline_per_hour / 3600:
                    outlet.offline_until_s = self.now_s + chance.randint(*sorted(faults.offline_s))
                    self.tally.fault("charger_offline", outlet.offline_until_s - self.now_s)
        if faults.meter_outages_per_hour:
            for index, until_s in self._dark_until_s.items():
                if until_s <= self.now_s and chance.random() < faults.meter_outages_per_hour / 3600:
                    self._dark_until_s[index] = self.now_s + chance.randint(*sorted(faults.meter_outage_s))
                    self.tally.fault("meter_outage", self._dark_until_s[index] - self.now_s)
        if faults.restarts_per_hour and not self.controller.away and chance.random() < faults.restarts_per_hour / 3600:
            self._back_s = self.now_s + chance.randint(*sorted(faults.restart_s))
            self.controller.die()
            self.tally.fault("restart", self._back_s - self.now_s)
        if self.controller.away and self.now_s >= self._back_s:
            self.controller.take_over(self._ms)

    # what is measured

    def _count(self, flows: Loads, cars_wh: float) -> None:
        grid = self.tree.location.grid
        second = self.task.start_s + self.now_s
        if flows is not self._powers_of:
            self._powers_of = flows
            self._powers_w = [grid_power_w(grid.type, grid.voltage_v, tuple(flow)) for flow in flows]
        for index, registers in self.registers.items():
            for end_s, demand_w in registers.count(self._powers_w[index], second - 1, second):
                self.tally.quarter(index, int(end_s), demand_w)
        self.tally.second(self._powers_w[self.tree.root], self._building.sun_w, cars_wh)
        if self.now_s % self._sample_every_s == 0:
            self.tally.samples.append(self._sample(flows))

    def _sample(self, flows: Loads) -> Sample:
        newest = self.controller.newest
        return Sample(
            self.now_s,
            [list(load) for load in flows],
            [list(load) for load in self._house],
            [g.limit_a for g in newest.groups] if newest is not None else None,
            [o.current_a for o in self.outlets],
            list(self.tally.offered_a),
        )

    def _report(self, flows: Loads) -> None:
        site, at = self.task.site, None
        if self.now_s % site.meter_every_s == 0 or self.now_s == 1:
            at = to_moment(self._ms)
            for node in self._meters:
                if self._dark_until_s[node.index] <= self.now_s:
                    assert node.meter is not None
                    seen_a = (flows if node.meter.includes_chargers else self._house)[node.index]
                    value = meter_reading(self.task.name, node.meter.id, at, seen_a, self.registers[node.index])
                    self.network.send(self.now_s, CORE, (METERS, value, (node.index, self.now_s)))
        due = self.now_s % site.charger_every_s == 0
        for i, outlet in enumerate(self.outlets):
            if not due and outlet.charge is None and self._status[i] == FREE:
                continue
            status = outlet.status(self.now_s)
            if (due or status != self._status[i]) and outlet.online(self.now_s):
                self._status[i] = status
                value = charger_reading(self.task.name, self.tree.sockets[i], at or to_moment(self._ms), outlet, status)
                self.network.send(self.now_s, CORE, (CHARGERS, value, None))

    # what travels

    def _arrive(self, to: str, message: Any) -> None:
        if to == CORE:
            topic, value, source = message
            self.controller.hear(topic, value, self._ms)
            if source is not None and not self.controller.away:
                node, at_s = source
                self._reach.heard(node, at_s, self.now_s)
            return
        assert isinstance(message, Order)
        i = self._index[to]
        answer = self._answer(i, message)
        value = feedback(self.task.name, self.tree.sockets[i], to_moment(self._ms), message, answer, self.task.start_s)
        self.network.send(self.now_s, CORE, (FEEDBACK, value, None))

    def _answer(self, i: int, order: Order) -> str:
        outlet, faults, chance = self.outlets[i], self._faults, self._chance
        if not outlet.online(self.now_s):
            return "offline"
        rejects = chance.random() < faults.reject
        ignores = chance.random() < faults.ignore
        answer = outlet.take(order, self.now_s, rejects=rejects, ignores=ignores)
        if answer == "rejected":
            self.tally.fault("rejected")
        elif answer == "accepted":
            self._reach.reached(i, self.now_s, ignores)
            if ignores:
                self.tally.fault("ignored")
            if chance.random() < faults.timeout:
                self.tally.fault("timeout")
                return "timeout"
        return answer

    def _decide(self) -> None:
        for setpoint in self.controller.decide(self._ms):
            i = self.tree.socket_of[(setpoint.charger, setpoint.connector)]
            self._reach.asked(i, self.now_s)
            self.tally.told(i, setpoint)
            self.network.send(self.now_s, self.outlets[i].key, order_of(setpoint, self.task.start_s))

    def _could_tell(self, i: int) -> bool:
        return self._reach.could_tell(i, self.outlets[i], self.now_s)
