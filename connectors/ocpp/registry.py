"""Which chargers exist: what `topology.locations` says of each, found by its OCPP identity.

Chargers write their identity in any letter case and behind any path (facts: Wallbox, Alfen), so the last segment of
the path is compared without regard to case; everywhere else the spelling of the location is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from urllib.parse import unquote

from topology.location import Charger, Connector, Location


@dataclass(frozen=True, slots=True)
class ConnectorPlate:
    """What a connector can do, in its own frame. `phase_v` turns the watts of one phase into its amperes."""

    id: int
    phases: int
    min_a: float
    max_a: float
    phase_v: float


@dataclass(frozen=True, slots=True)
class Plate:
    """What the location says of a charger. `fallback_a` None: what it does without us is not known."""

    location: str
    id: str
    fallback_a: float | None
    connectors: tuple[ConnectorPlate, ...]

    def connector(self, number: int) -> ConnectorPlate | None:
        """The connector of that number, if there is one."""
        return next((c for c in self.connectors if c.id == number), None)


def plates(location: Location) -> Iterator[Plate]:
    """The chargers of a location."""
    for charger in location.chargers:
        yield _plate(location, charger)


def _plate(location: Location, charger: Charger) -> Plate:
    connectors = tuple(_connector(location, connector) for connector in charger.connectors)
    return Plate(location.location, charger.id, charger.fallback_a, connectors)


def _connector(location: Location, connector: Connector) -> ConnectorPlate:
    grid = location.grid
    # On a delta a three-phase charger takes sqrt(3)·V·I, so a third of its power is V/sqrt(3) times the line current.
    phase_v = grid.voltage_v / sqrt(3) if grid.type == "IT" and connector.phases == 3 else grid.voltage_v
    return ConnectorPlate(connector.id, connector.phases, connector.min_a, connector.max_a, phase_v)


def identity(path: str) -> str:
    """The charger that a WebSocket path names: its last segment, without a trailing slash or a query."""
    return unquote(path.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1])


class Registry:
    """The chargers of all locations; the newest record of a location replaces what it said before."""

    def __init__(self) -> None:
        self._plates: dict[str, Plate] = {}

    def put(self, name: str, location: Location | None) -> set[str]:
        """Take in a location's record (None: it is removed). Gives the chargers whose plate changed or went."""
        before = {key: plate for key, plate in self._plates.items() if plate.location == name}
        after = {plate.id.casefold(): plate for plate in plates(location)} if location else {}
        for key in before.keys() - after.keys():
            del self._plates[key]
        self._plates.update(after)
        gone = {plate.id for key, plate in before.items() if after.get(key) != plate}
        return gone | {plate.id for key, plate in after.items() if before.get(key) != plate}

    def find(self, charger: str) -> Plate | None:
        """The charger of that identity, in any letter case."""
        return self._plates.get(charger.casefold())

    def __len__(self) -> int:
        return len(self._plates)
