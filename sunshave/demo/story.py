"""What happens in the demo: a building with a main fuse, a garage behind a smaller one, its people, and four cars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.simulated.battery import Car

LOCATION_ID = "brugge-12"

LOCATION: dict[str, Any] = {
    "location": LOCATION_ID,
    "groups": [
        {"id": "main", "limit_a": 32, "margin_a": 1, "meter": "p1"},
        {"id": "garage", "parent": "main", "limit_a": 20},
    ],
    "meters": [{"id": "p1"}],
    "chargers": [
        {"id": "GARAGE-1", "group": "garage", "fallback_a": 6, "connectors": [{"max_a": 16, "rotation": "RST"}]},
        {"id": "GARAGE-2", "group": "garage", "fallback_a": 6, "connectors": [{"max_a": 16, "rotation": "STR"}]},
        {"id": "DRIVE-1", "group": "main", "fallback_a": 6, "connectors": [{"max_a": 16, "rotation": "TRS"}]},
        {
            "id": "DRIVE-2",
            "group": "main",
            "fallback_a": 6,
            "connectors": [{"max_a": 32, "phases": 1, "rotation": "S"}],
        },
    ],
    # Shorter times than the defaults: the story passes ten times faster than life.
    "control": {
        "lease_s": 60,
        "lease_skew_s": 5,
        "ack_s": 10,
        "increase_every_s": 2,
        "settle_s": 15,
        "record_every_s": 2,
    },
}

CARS = (
    Car("GARAGE-1", arrives_s=20, leaves_s=800, energy_wh=60_000),
    Car("GARAGE-2", arrives_s=150, energy_wh=60_000),
    Car("DRIVE-1", arrives_s=260, energy_wh=60_000),
    Car("DRIVE-2", arrives_s=380, phases=1, max_a=32, energy_wh=60_000),
)
LENGTH_S = 1200


@dataclass(frozen=True, slots=True)
class Event:
    """Something in the house: from when until when (story seconds), and what it draws on L1, L2, L3."""

    from_s: float
    until_s: float
    current_a: tuple[float, float, float]
    name: str


HOUSE = (
    Event(0, LENGTH_S * 10, (2.1, 1.4, 1.8), "the fridge, light, and standby"),
    Event(470, 900, (0.0, 10.4, 0.0), "the oven (L2)"),
    Event(560, 700, (5.2, 5.2, 5.2), "the heat pump (all phases)"),
    Event(620, 680, (8.7, 0.0, 0.0), "the kettle (L1)"),
    Event(950, LENGTH_S * 10, (0.0, 0.0, 9.1), "the washing machine (L3)"),
)

TOLD = sorted(
    [(e.from_s, f"on: {e.name}") for e in HOUSE[1:]]
    + [(e.until_s, f"off: {e.name}") for e in HOUSE[1:] if e.until_s <= LENGTH_S]
    + [(c.arrives_s, f"a car plugs in at {c.charger_id}") for c in CARS]
    + [(c.leaves_s, f"the car at {c.charger_id} leaves") for c in CARS if c.leaves_s <= LENGTH_S]
)
"""What a spectator is told, and when (story seconds)."""


def house_a(story_s: float) -> tuple[float, float, float]:
    """What the house draws at a moment of the story, per phase."""
    running = [e.current_a for e in HOUSE if e.from_s <= story_s < e.until_s]
    one, two, three = (sum(a[phase] for a in running) for phase in range(3))
    return one, two, three
