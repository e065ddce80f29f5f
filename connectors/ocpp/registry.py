"""Which chargers exist: what `topology.locations` says of each, found by its OCPP identity.

Chargers write their identity in any letter case and behind any path (facts: Wallbox, Alfen), so the last segment of
the path is compared without regard to case; everywhere else the spelling of the location is used.

Where several locations have a charger, the newest document counts. What a location had, and no location has any more,
is *leaving*: it stays until it was told so (`connectors.ocpp.leaving`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, sqrt
from urllib.parse import unquote

from pipeline.records import Setpoint
from topology.location import Charger, Connector, Control, Location


@dataclass(frozen=True, slots=True)
class ConnectorPlate:
    """What a connector can do, in its own frame. `phase_v` turns the watts of one phase into its amperes."""

    id: int
    phases: int
    min_a: float
    max_a: float
    phase_v: float
    leaving: bool = False
    """No location has it any more."""


@dataclass(frozen=True, slots=True)
class Plate:
    """What the location says of a charger. `fallback_a` None: what it does without us is not known."""

    location: str
    id: str
    fallback_a: float | None
    connectors: tuple[ConnectorPlate, ...]
    lease_skew_s: float = Control().lease_skew_s

    @property
    def leaving(self) -> frozenset[int]:
        """Its connectors that no location has any more."""
        return frozenset(c.id for c in self.connectors if c.leaving)

    def connector(self, number: int) -> ConnectorPlate | None:
        """The connector of that number, if there is one."""
        return next((c for c in self.connectors if c.id == number), None)


def plates(location: Location) -> Iterator[Plate]:
    """The chargers of a location."""
    for charger in location.chargers:
        yield _plate(location, charger)


def _plate(location: Location, charger: Charger) -> Plate:
    connectors = tuple(_connector(location, connector) for connector in charger.connectors)
    return Plate(location.location, charger.id, charger.fallback_a, connectors, location.control.lease_skew_s)


def _connector(location: Location, connector: Connector) -> ConnectorPlate:
    grid = location.grid
    # On a delta a three-phase charger takes sqrt(3)·V·I, so a third of its power is V/sqrt(3) times the line current.
    phase_v = grid.voltage_v / sqrt(3) if grid.type == "IT" and connector.phases == 3 else grid.voltage_v
    return ConnectorPlate(connector.id, connector.phases, connector.min_a, connector.max_a, phase_v)


def identity(path: str) -> str:
    """The charger that a WebSocket path names: its last segment, without a trailing slash or a query."""
    return unquote(path.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1])


def _left(before: Plate | None, after: Plate | None) -> Plate | None:
    """What counts: what is there now, and what the same location had before."""
    if before is None or (after is not None and (before.location, before.id) != (after.location, after.id)):
        return after
    there = {connector.id for connector in after.connectors} if after is not None else set()
    leaving = tuple(replace(c, leaving=True) for c in before.connectors if c.id not in there)
    plate = after or replace(before, connectors=())
    return replace(plate, connectors=plate.connectors + leaving)


def _remembered(setpoint: Setpoint) -> Plate:
    """What a setpoint says of a connector of which nothing else is known."""
    connector = ConnectorPlate(setpoint.connector, setpoint.phases, 0.0, inf, 230.0, leaving=True)
    return Plate(setpoint.location, setpoint.charger, setpoint.fallback_a, (connector,))


class Registry:
    """The chargers of all locations, and those that are leaving."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, Plate]] = {}
        """What each location has; the newest document last."""
        self._plates: dict[str, Plate] = {}
        """What counts for each charger."""

    def put(self, name: str, location: Location | None) -> set[str]:
        """Take in a location's record (None: it is removed). Gives the chargers whose plate changed or went."""
        before = self._places.pop(name, {})
        after = {plate.id.casefold(): plate for plate in plates(location)} if location else {}
        if location is not None:
            self._places[name] = after
        return set().union(*(self._settle(key) for key in before.keys() | after.keys()))

    def leave(self, setpoint: Setpoint) -> set[str]:
        """A setpoint that lives, for a connector that no location has. Gives its charger, if it can still be told."""
        key = setpoint.charger.casefold()
        plate = self._plates.get(key)
        if plate is None:
            self._plates[key] = _remembered(setpoint)
        elif (plate.location, plate.id) == (setpoint.location, setpoint.charger):
            self._plates[key] = replace(plate, connectors=plate.connectors + _remembered(setpoint).connectors)
        else:
            return set()
        return {setpoint.charger}

    def forget(self, charger: str, connectors: frozenset[int]) -> Plate:
        """Connectors that have left. A charger without any goes, too; gives what is left of it."""
        before = self._plates.pop(charger.casefold())
        rest = replace(before, connectors=tuple(c for c in before.connectors if c.id not in connectors))
        if rest.connectors:
            self._plates[charger.casefold()] = rest
        return rest

    def find(self, charger: str) -> Plate | None:
        """The charger of that identity, in any letter case."""
        return self._plates.get(charger.casefold())

    def has(self, location: str) -> bool:
        """Whether there is such a location."""
        return location in self._places

    def _settle(self, key: str) -> set[str]:
        """Find anew what counts for a charger. Gives it, if that changed."""
        before = self._plates.get(key)
        plate = _left(before, next((p[key] for p in reversed(self._places.values()) if key in p), None))
        if plate is not None:
            self._plates[key] = plate
        return {each.id for each in (before, plate) if each is not None} if plate != before else set()
