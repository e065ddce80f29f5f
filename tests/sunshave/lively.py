"""A site on which everything happens within seconds, for histories: obedient chargers, a noisy house, sun, windows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, FEEDBACK, METERS, SETPOINTS
from tests.parts.stream import Stream, again_and_again, now_ms
from tests.parts.tail import Tail

BEAT_S = 0.25
"""Between two readings of each device."""


def lively_site(name: str, limit_a: float = 25, cap_kw: float = 12.0) -> dict[str, Any]:
    """Three phases, a sub-fuse, a billed window of a minute, a car that lives on the sun."""
    connector = {"id": 1, "max_a": 16}
    return {
        "location": name,
        "groups": [
            {
                "id": "main",
                "limit_a": limit_a,
                "meter": "p1",
                "capacity": {"tariff": "plain", "window_s": 60, "cap_kw": cap_kw, "reaction_s": 5},
            },
            {"id": "garage", "parent": "main", "limit_a": 20},
            {"id": "roof", "parent": "main", "limit_a": 20, "mode": "solar_only", "solar": {"enable_s": 2}},
        ],
        "meters": [{"id": "p1", "stale_s": 5, "lost_s": 10}],
        "chargers": [
            {"id": f"{name}-A", "group": "garage", "fallback_a": 0, "connectors": [connector]},
            {"id": f"{name}-B", "group": "garage", "fallback_a": 6, "connectors": [{**connector, "rotation": "STR"}]},
            {"id": f"{name}-C", "group": "roof", "fallback_a": 0, "connectors": [{**connector, "phases": 1}]},
        ],
        "control": {"lease_s": 20, "ack_s": 3, "increase_every_s": 1, "settle_s": 3, "turn_s": 10, "record_every_s": 3},
    }


@dataclass
class Lively:
    """The devices of such a site. The dice are seeded, the clock is not."""

    stream: Stream
    name: str
    house_a: float = 5.0
    draws_a: dict[str, float] = field(default_factory=lambda: dict.fromkeys("ABC", 0.0))
    limits_a: dict[str, float] = field(default_factory=lambda: dict.fromkeys("ABC", 0.0))
    register_wh: float = 1000.0
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def beat(self, tail: Tail | None = None) -> None:
        """Answers to new setpoints come somewhere between the readings, as it happens."""
        at = rfc3339(now_ms())
        for car in "ABC":
            if tail is not None:
                self._answer(tail, at)
            drawn_a = self.draws_a[car] = min(self.limits_a[car], 9.0 if car == "A" else 16.0)
            phases = 1 if car == "C" else 3
            reading = {"charger": f"{self.name}-{car}", "connector": 1, "online": True, "status": "Charging"}
            more = {"location": self.name, "at": at, "transaction": "1", "current_a": [drawn_a] * phases}
            self.stream.put(CHARGERS, self.name, reading | more)
        noise = self.dice.choice([0.0, 0.0, 0.3, 3.0, -12.0])
        cars_a = self.draws_a["A"] + self.draws_a["B"]
        current_a = [self.house_a + noise + cars_a + self.draws_a["C"], noise + cars_a, noise + cars_a]
        self.register_wh += max(0.0, sum(current_a)) * 230 * BEAT_S / 3600
        meter = {"location": self.name, "meter": "p1", "at": at, "current_a": current_a, "import_wh": self.register_wh}
        self.stream.put(METERS, self.name, meter)
        if self.dice.random() < 0.05:
            self.stream.put(METERS, self.name, {"location": self.name, "meter": "p9", "at": at, "current_a": [1]})

    def _answer(self, tail: Tail, at: str) -> None:
        for seen in tail.poll(0):
            setpoint = seen.value
            if setpoint is not None and setpoint["location"] == self.name:
                charger = setpoint["charger"]
                self.limits_a[charger[-1]] = setpoint["limit_a"]
                answer = {k: setpoint[k] for k in ("location", "charger", "connector", "seq", "limit_a", "fallback_a")}
                answer |= {"at": at, "state": "accepted", "lease_until": setpoint["valid_until"]}
                self.stream.put(FEEDBACK, self.name, answer)

    @contextmanager
    def living(self) -> Iterator[None]:
        """Beat after beat, until the block ends."""
        tail = Tail(self.stream.broker.bootstrap, [SETPOINTS])
        with closing(tail), again_and_again(lambda: self.beat(tail), BEAT_S):
            yield
