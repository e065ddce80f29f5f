"""A building that lives, with the real core in the loop: only clock, network, cars and chargers are replaced.

Every second: loads step, cars follow, fuses are looked at, readings and setpoints travel, the core folds and decides.
An overload counts as *avoidable* for as much as is neither the house's own rise within the reaction time, nor drawn by
chargers that cannot be reached.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.simulated.battery import Car, Charge
from connectors.simulated.network import Faults, Network
from connectors.simulated.outlet import Order, Outlet
from pipeline.moments import to_ms
from pipeline.records import Setpoint
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import NAME, START_MS, VOLTS, Fuse, Plug, Site, moment

SLACK_A = 0.02
CHARGER_EVERY_S = 5


@dataclass(slots=True)
class World:
    """One building and its faults. `reaction_s`: how long after the house's own rise an overload is excused."""

    site: Site
    faults: Faults
    seed: int
    reaction_s: int
    control: dict[str, Any] = field(default_factory=dict)
    house_step: float = 0.0
    """The chance per second and metered fuse that its house load steps."""
    fallback_a: float = 0.0
    now_s: int = 0
    sockets: dict[str, Outlet] = field(init=False)
    core: Core = field(init=False)
    network: Network = field(init=False)
    chance: random.Random = field(init=False)
    quiet_until_s: int = 0
    blackouts: dict[str, int] = field(default_factory=dict)
    house: deque[dict[str, list[float]]] = field(init=False)
    asked_s: dict[str, deque[int]] = field(init=False)
    reached_s: dict[str, int] = field(default_factory=dict)
    overloads: list[str] = field(default_factory=list)
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=60))

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        for fuse in self.site.fuses:
            if not fuse.metered:
                fuse.house_a = [0.0] * len(fuse.limit_a)  # by contract: what is not measured has no load of its own
            fuse.house_a = [max(a, self._least_a()) for a in fuse.house_a]
        document = self.site.document(**self.control)
        for charger in document["chargers"]:
            charger["fallback_a"] = self.fallback_a
        self.core = Core(tree_of(document))
        self.core.tell_all(("topology.limits", value) for value in self.site.limits())
        self.network = Network(self.chance, self.faults)
        skew_s = int(self.control["lease_skew_s"]) - 4  # a car takes some seconds to come down after its lease
        self.sockets = {p.key: self._socket(p, skew_s) for p in self.site.sockets}
        self.house = deque(maxlen=self.reaction_s + 1)
        self.asked_s = {p.key: deque() for p in self.site.sockets}

    def _socket(self, plug: Plug, skew_s: int) -> Outlet:
        clock_s = self.chance.randint(-skew_s, skew_s)
        return Outlet(plug.key, plug.min_a, plug.max_a, self.fallback_a, clock_s)

    def _least_a(self) -> float:
        """How much the sun may feed in. No meter can tell the sun behind a car of unknown rotation from that car."""
        return 0.0 if any(p.rotation == "unknown" for p in self.site.sockets) else -10.0

    def run(self, seconds: int) -> None:
        """Let it live."""
        for _ in range(seconds):
            self.tick()

    def heal(self, seconds: int) -> None:
        """The faults stop, nobody comes or goes, and it lives on."""
        self.faults = self.network.faults = Faults()
        self.house_step = 0.0
        self.blackouts.clear()
        for socket in self.sockets.values():
            socket.offline_until_s = -1
        for _ in range(seconds):
            self.tick(moving=False)

    def tick(self, moving: bool = True) -> None:
        """One second."""
        self.now_s += 1
        if moving:
            self._happen()
        for socket in self.sockets.values():
            socket.flow(self.now_s)
        self.house.append({f.id: self.site.flow_a(f.id, {}) for f in self.site.fuses})
        self._look()
        self._report()
        for to, message in self.network.arriving(self.now_s):
            self._arrive(to, message)
        self._decide()

    def _happen(self) -> None:
        chance = self.chance
        for plug in self.site.sockets:
            socket = self.sockets[plug.key]
            if chance.random() < 0.004 or self.now_s == 1:
                socket.plug_in(None if socket.charge else Charge(_car(plug, chance)))
            if chance.random() < self.faults.offline_per_hour / 3600:
                socket.offline_until_s = self.now_s + chance.randint(*self.faults.offline_s)
        for fuse in self.site.fuses:
            if fuse.metered:
                self._house_and_meter(fuse)

    def _house_and_meter(self, fuse: Fuse) -> None:
        """A kettle, or a silent meter; never both at once: nobody could know of the kettle."""
        dark = any(until_s > self.now_s for until_s in self.blackouts.values())
        if not dark and self.chance.random() < self.house_step:
            phase = self.chance.randrange(len(fuse.house_a))
            fuse.house_a[phase] = round(self.chance.uniform(self._least_a(), 0.6 * fuse.limit_a[phase]), 2)
            self.quiet_until_s = self.now_s + self.reaction_s
            self.trace.append(f"{self.now_s}: house {fuse.id} is {fuse.house_a}")
        if self.now_s > self.quiet_until_s and self.chance.random() < self.faults.meter_outages_per_hour / 3600:
            self.blackouts[fuse.id] = self.now_s + self.chance.randint(*self.faults.meter_outage_s)
            self.trace.append(f"{self.now_s}: meter of {fuse.id} silent until {self.blackouts[fuse.id]}")

    def _report(self) -> None:
        for i, plug in enumerate(self.site.sockets):
            socket = self.sockets[plug.key]
            if (self.now_s + i) % CHARGER_EVERY_S == 0 and socket.online(self.now_s):
                self.network.send(self.now_s, "core", ("telemetry.chargers", self._charger_reading(plug, socket)))
        draw_a = {key: socket.current_a for key, socket in self.sockets.items()}
        for fuse in self.site.fuses:
            if fuse.metered and self.blackouts.get(fuse.id, -1) <= self.now_s:
                value = {"location": NAME, "meter": f"m-{fuse.id}", "at": moment(self.now_s)}
                value["current_a"] = [round(a, 6) for a in self.site.flow_a(fuse.id, draw_a)]
                self.network.send(self.now_s, "core", ("telemetry.meters", value))

    def _charger_reading(self, plug: Plug, socket: Outlet) -> dict[str, Any]:
        return {
            "location": NAME,
            "charger": plug.charger,
            "connector": plug.connector,
            "at": moment(self.now_s),
            "online": True,
            "status": socket.status(self.now_s),
            "transaction": str(socket.transaction) if socket.charge else None,
            "current_a": [round(socket.current_a, 4)] * plug.phases,
        }

    def _arrive(self, to: str, message: Any) -> None:
        if to == "core":
            topic, value = message
            reason = self.core.tell(topic, value, self.now_s)
            assert reason is None, reason
            return
        socket = self.sockets[to]
        if not socket.online(self.now_s):
            answer = "offline"
        else:
            answer = socket.take(message, self.now_s, rejects=self.chance.random() < self.faults.reject)
            if answer == "accepted":
                self.reached_s[to] = self.now_s
                if self.chance.random() < self.faults.timeout:
                    answer = "timeout"
        self.trace.append(f"{self.now_s}: {to} answers {answer} to {message.limit_a} A ({message.seq})")
        self.network.send(self.now_s, "core", ("ocpp.feedback", self._feedback(to, message, answer)))

    def _feedback(self, key: str, setpoint: Order, state: str) -> dict[str, Any]:
        charger, _, connector = key.partition("/")
        took = state == "accepted"
        return {
            "location": NAME,
            "charger": charger,
            "connector": int(connector),
            "seq": setpoint.seq,
            "at": moment(self.now_s),
            "state": state,
            "limit_a": setpoint.limit_a if took else None,
            "lease_until": moment(setpoint.valid_until_s) if took else None,
            "fallback_a": self.fallback_a,
        }

    def _decide(self) -> None:
        for setpoint in self.core.decide(self.now_s + 0.5).decision.setpoints:
            key = f"{setpoint.charger}/{setpoint.connector}"
            self.asked_s[key].append(self.now_s)
            self.network.send(self.now_s, key, _order(setpoint))
            self.trace.append(f"{self.now_s}: {key} is told {setpoint.limit_a} A ({setpoint.reason}, {setpoint.seq})")

    def _look(self) -> None:
        """Look at every fuse, cap and limit, on every phase; not before the core can have heard of all."""
        if self.now_s <= self.reaction_s:
            return
        for name, over, unit in self._exceeded():
            self.overloads.append(f"at {self.now_s} s {name}: {over:.2f} {unit} too much that could have been avoided")

    def _exceeded(self) -> Iterator[tuple[str, float, str]]:
        draw_a = {key: socket.current_a for key, socket in self.sockets.items()}
        for fuse in self.site.fuses:
            flow = self.site.flow_a(fuse.id, draw_a)
            movable = self._movable_a(fuse)
            past = [seen[fuse.id] for seen in self.house]
            for p in fuse.phases:
                caps = [c for c in (fuse.limit_a[p] - fuse.margin_a, fuse.shaved_a, fuse.outside_a) if c is not None]
                counted = [load[p] if fuse.credit else max(0.0, load[p]) for load in past]
                rise = counted[-1] - min(counted)
                avoidable = min(flow[p] - min(caps) - rise, movable[p])
                if avoidable > SLACK_A:
                    yield f"{fuse.id} L{p + 1}", avoidable, "A"
            if fuse.outside_w is not None:
                rise = sum(past[-1]) - min(sum(load) for load in past)
                avoidable = min(VOLTS * (sum(flow) - rise) - fuse.outside_w, VOLTS * sum(movable))
                if avoidable > SLACK_A * VOLTS * 3:
                    yield fuse.id, avoidable, "W"

    def _movable_a(self, fuse: Fuse) -> list[float]:
        """What cars below a fuse draw whose chargers could have been told otherwise within the reaction time."""
        inside = self.site.below(fuse.id)
        total = [0.0] * self.site.grid_phases
        for plug in self.site.sockets:
            if plug.group in inside and self._reachable(plug.key):
                current_a = self.sockets[plug.key].current_a
                total = [t + current_a * on for t, on in zip(total, self.site.true_on(plug), strict=True)]
        return total

    def _reachable(self, key: str) -> bool:
        """Unless it was told something within the reaction time and none of it got through."""
        since_s = self.now_s - self.reaction_s
        asked = self.asked_s[key]
        while asked and asked[0] < since_s:
            asked.popleft()
        return not asked or self.reached_s.get(key, -1) >= since_s

    def explain(self) -> str:
        """The seed and what happened last, for a failing test."""
        return "\n".join([f"seed {self.seed}, site {self.site.seed}", *self.overloads[:10], *self.trace])


def _order(setpoint: Setpoint) -> Order:
    valid_until_s = (to_ms(setpoint.valid_until) - START_MS) / 1000
    return Order(setpoint.seq, setpoint.limit_a, valid_until_s, setpoint.phases)


def _car(plug: Plug, chance: random.Random) -> Car:
    """It never has enough, and begins at once."""
    max_a = chance.choice([10.0, 16.0, 32.0, 32.0])
    return Car(
        plug.charger,
        max_a=max_a,
        phases=plug.phases,
        energy_wh=float("inf"),
        min_a=plug.min_a,
        delay_s=0.0,
        ramp_a_per_s=2.0,
    )
