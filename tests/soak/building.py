"""A building of the soak: a house on one phase, a billed minute, two chargers whose cars obey what they took.

Times are whole seconds since the fleet began. The house's load moves a little every second, so that a lost reading
shows in the energy of its window; it steps only in calm times: nobody could answer a step while all workers are dead.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from connectors.simulated.battery import Car, Charge
from connectors.simulated.outlet import Order, Outlet
from pipeline.moments import rfc3339

LIMIT_A = 40.0
FALLBACK_A = 6.0
LEASE_S, ACK_S, WINDOW_S = 180, 10, 60
VOLTS = 230.0
NOISE_A = 0.2
"""Below the dead band of decisions; a reading that is lost still shows."""
CHARGER_EVERY_S = 5
REACTION_S = 20
"""How long after the house's own rise an overload is excused: the reading, the decision, the car's fall; and 15 s in
which a rise may be put down to a car's ramp (design §9)."""
SLACK_A = 0.05

Message = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Building:
    """One location and what truly flows in it."""

    name: str
    chance: random.Random
    base_a: float = 4.0
    house_a: float = 4.0
    sockets: dict[str, Outlet] = field(default_factory=dict)
    past_a: deque[float] = field(default_factory=lambda: deque(maxlen=REACTION_S + 1))
    overloads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for letter in "AB":
            key = f"{self.name}-{letter}/1"
            self.sockets[key] = Outlet(key, min_a=6.0, max_a=32.0, fallback_a=FALLBACK_A)

    def document(self) -> dict[str, Any]:
        """What `topology.locations` says of it."""
        connector = {"id": 1, "phases": 1, "rotation": "R", "max_a": 32}
        capacity = {"tariff": "plain", "window_s": WINDOW_S, "cap_kw": 100.0}  # billed, and never what binds
        return {
            "location": self.name,
            "grid": {"type": "TN", "phases": 1, "voltage_v": VOLTS},
            "groups": [{"id": "main", "limit_a": LIMIT_A, "meter": "p1", "capacity": capacity}],
            "meters": [{"id": "p1", "stale_s": 30, "lost_s": 60}],
            "chargers": [
                {"id": key.partition("/")[0], "group": "main", "fallback_a": FALLBACK_A, "connectors": [connector]}
                for key in self.sockets
            ],
            "control": {"lease_s": LEASE_S, "ack_s": ACK_S, "increase_every_s": 5, "turn_s": 120},
        }

    def second(self, now_s: int, calm: bool) -> None:
        """One second passes."""
        if calm and self.chance.random() < 0.01:
            self.base_a = round(self.chance.uniform(1.0, 0.5 * LIMIT_A), 1)
        self.house_a = round(self.base_a + self.chance.uniform(-NOISE_A, NOISE_A), 3)
        for socket in self.sockets.values():
            if self.chance.random() < 0.01 or now_s == 1:
                self._come_or_go(socket)
            socket.flow(now_s)
        self.past_a.append(self.house_a)
        rise_a = self.past_a[-1] - min(self.past_a)
        over_a = self.flow_a - LIMIT_A - rise_a
        if over_a > SLACK_A:
            self.overloads.append(f"{self.name} at {now_s} s: {self.flow_a:.2f} A, {over_a:.2f} A too much")

    @property
    def flow_a(self) -> float:
        """What flows through the main fuse."""
        return self.house_a + sum(socket.current_a for socket in self.sockets.values())

    def meter(self, at_ms: int) -> dict[str, Any]:
        """Its reading now."""
        return {"location": self.name, "meter": "p1", "at": rfc3339(at_ms), "current_a": [round(self.flow_a, 3)]}

    def chargers(self, now_s: int, at_ms: int) -> list[Message]:
        """The readings that are due."""
        return [
            ("telemetry.chargers", self._charger(key, socket, now_s, at_ms))
            for place, (key, socket) in enumerate(self.sockets.items())
            if (now_s + place) % CHARGER_EVERY_S == 0
        ]

    def obey(self, setpoint: dict[str, Any], now_s: int, valid_until_s: float, at_ms: int) -> list[Message]:
        """The dispatcher hands a setpoint to its charger, and answers."""
        socket = self.sockets[f"{setpoint['charger']}/{setpoint['connector']}"]
        if setpoint["seq"] == socket.seq:
            return []  # a repetition
        state = socket.take(Order(setpoint["seq"], setpoint["limit_a"], valid_until_s), now_s)
        answer = {key: setpoint[key] for key in ("location", "charger", "connector", "seq", "limit_a", "fallback_a")}
        more = {"at": rfc3339(at_ms), "state": state, "lease_until": setpoint["valid_until"]}
        return [("ocpp.feedback", answer | more)]

    def _come_or_go(self, socket: Outlet) -> None:
        if socket.charge is not None:
            socket.plug_in(None)
        else:
            car = Car(socket.key, max_a=self.chance.choice([10.0, 16.0, 32.0]), phases=1, energy_wh=1e9)
            socket.plug_in(Charge(car))

    def _charger(self, key: str, socket: Outlet, now_s: int, at_ms: int) -> dict[str, Any]:
        charger, _, connector = key.partition("/")
        return {
            "location": self.name,
            "charger": charger,
            "connector": int(connector),
            "at": rfc3339(at_ms),
            "online": True,
            "status": socket.status(now_s),
            "transaction": str(socket.transaction) if socket.charge is not None else None,
            "current_a": [round(socket.current_a, 3)],
        }
