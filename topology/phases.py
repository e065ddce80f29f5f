"""Phases and rotations: which building phases a connector loads (design §4 `rotation`).

The k-th letter of a rotation is the building phase on which charger phase k is wired, R/S/T = L1/L2/L3 (the codes of
OCPP 1.6 `ConnectorPhaseRotation`). On an IT grid (no neutral) a one-phase charger hangs between two lines and loads
both with its current; currents of two such loads on one line are added without regard to their angle, the safe bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

LETTERS = "RST"
UNKNOWN = "unknown"

Wiring = tuple[tuple[int, ...], ...]
"""For each charger phase, the building phases (0 = L1) that its current flows through."""


def rotations(grid_type: str, grid_phases: int, phases: int) -> tuple[str, ...]:
    """Every rotation that a connector with so many phases can have on such a grid, `unknown` left out."""
    letters = LETTERS[:grid_phases]
    if grid_type == "IT" and grid_phases == 3 and phases == 1:
        return ("RS", "ST", "TR")
    if grid_type == "IT" and phases == 2:
        return ()  # a two-phase charger needs a neutral
    return tuple("".join(p) for p in permutations(letters, phases))


def default_rotation(phases: int) -> str:
    """What a connector has that names none: three phases as they come, else not known."""
    return "RST" if phases == 3 else UNKNOWN


def wiring(grid_type: str, grid_phases: int, phases: int, rotation: str) -> Wiring:
    """The building phases of each charger phase under one known rotation."""
    places = tuple(LETTERS.index(letter) for letter in rotation)
    if grid_type == "IT" and grid_phases == 3 and phases == 1:
        return (places,)
    return tuple((place,) for place in places)


@lru_cache(maxsize=256)
def wirings(grid_type: str, grid_phases: int, phases: int, rotation: str) -> tuple[Wiring, ...]:
    """The wirings that a connector may have: one, or with `unknown` every one that its phases allow.

    Wirings that load the same building phases in the same order are the same; one is kept.
    """
    known = rotations(grid_type, grid_phases, phases) if rotation == UNKNOWN else (rotation,)
    return tuple(dict.fromkeys(wiring(grid_type, grid_phases, phases, r) for r in known))


def letters_missing(grid_type: str, grid_phases: int, phases: int) -> str:
    """A sentence that says which rotations fit, for an error."""
    fitting = rotations(grid_type, grid_phases, phases)
    if not fitting:
        return f"no {phases}-phase charger fits a {grid_phases}-phase {grid_type} grid"
    return f"one of {', '.join(fitting)} or {UNKNOWN}"


@dataclass(frozen=True, slots=True)
class PhaseUse:
    """What one ampere on the charger phases in use means for the building, whichever of the wirings is true.

    on: per building phase the amperes at most (booked where it *may* be); total: their true sum over the building
    phases; power_factor: watts per volt and ampere.
    """

    on: tuple[float, ...]
    total: float
    power_factor: float


@lru_cache(maxsize=4096)
def phase_use(grid_type: str, grid_phases: int, ways: tuple[Wiring, ...], used: tuple[int, ...]) -> PhaseUse:
    """How a connector loads the building when it draws one ampere on each of the charger phases `used`."""
    loads = [unit_load(grid_phases, way, used) for way in ways]
    on = tuple(max(load[p] for load in loads) for p in range(grid_phases))
    delta = grid_type == "IT"
    power_factor = 3**0.5 if delta and len(used) == 3 else float(len(used))
    return PhaseUse(on=on, total=sum(loads[0]), power_factor=power_factor)


def unit_load(grid_phases: int, way: Wiring, used: tuple[int, ...]) -> list[float]:
    """One ampere on each charger phase of `used`, seen on the building phases."""
    load = [0.0] * grid_phases
    for k in used:
        for place in way[k]:
            load[place] += 1.0
    return load


def grid_power_w(grid_type: str, voltage_v: float, current_a: tuple[float, ...]) -> float:
    """The power of signed building currents, summed over the phases, at the nominal voltage (design §9 Limits).

    Star: V·Σ I. IT, line currents: √3·V·I for three equal lines, so V/√3·Σ I; V·I for one phase between two lines.
    """
    if grid_type == "IT" and len(current_a) == 3:
        return voltage_v / 3**0.5 * sum(current_a)
    return voltage_v * sum(current_a)
