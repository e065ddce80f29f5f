"""Which rotations there are, and which phases each of them loads."""

from __future__ import annotations

import pytest

from topology.phases import default_rotation, grid_power_w, phase_use, rotations, wirings

ROTATIONS = {
    ("TN", 3, 1): "R S T",
    ("TN", 3, 2): "RS RT SR ST TR TS",
    ("TT", 3, 3): "RST RTS SRT STR TRS TSR",
    ("TN", 1, 1): "R",
    ("TN", 2, 2): "RS SR",
    ("IT", 3, 1): "RS ST TR",
    ("IT", 3, 3): "RST RTS SRT STR TRS TSR",
    ("IT", 3, 2): "",
    ("IT", 1, 1): "R",
}


@pytest.mark.parametrize("grid", ROTATIONS, ids=str)
def test_rotations_of_a_grid(grid: tuple[str, int, int]) -> None:
    """Six codes for three phases, six for two, one letter each for one; line pairs on a delta."""
    assert sorted(ROTATIONS[grid].split()) == sorted(rotations(*grid))


USES = {
    # grid, grid phases, charger phases, rotation, phases in use -> amperes per building phase, their sum, power factor
    ("TN", 3, 3, "RST", (0, 1, 2)): ((1, 1, 1), 3, 3),
    ("TN", 3, 3, "STR", (0,)): ((0, 1, 0), 1, 1),
    ("TN", 3, 3, "TRS", (1, 2)): ((1, 1, 0), 2, 2),
    ("TN", 3, 2, "TR", (0, 1)): ((1, 0, 1), 2, 2),
    ("TN", 3, 1, "T", (0,)): ((0, 0, 1), 1, 1),
    ("TN", 3, 1, "unknown", (0,)): ((1, 1, 1), 1, 1),
    ("TN", 3, 2, "unknown", (0, 1)): ((1, 1, 1), 2, 2),
    ("IT", 3, 1, "TR", (0,)): ((1, 0, 1), 2, 1),
    ("IT", 3, 3, "SRT", (0, 1, 2)): ((1, 1, 1), 3, 3**0.5),
    ("TN", 1, 1, "R", (0,)): ((1,), 1, 1),
}


@pytest.mark.parametrize("case", USES, ids=str)
def test_what_an_ampere_of_a_charger_means_for_the_building(case: tuple[str, int, int, str, tuple[int, ...]]) -> None:
    """Each rotation loads the phases that its letters say; an unknown one is booked wherever it may be."""
    grid_type, grid_phases, phases, rotation, used = case
    on, total, power_factor = USES[case]

    use = phase_use(grid_type, grid_phases, wirings(grid_type, grid_phases, phases, rotation), used)

    assert (on, total) == (use.on, use.total)
    assert abs(power_factor - use.power_factor) < 1e-9


def test_default_rotations() -> None:
    """Three phases come as they are; where fewer are, nobody knows which."""
    assert ["unknown", "unknown", "RST"] == [default_rotation(k) for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("grid_type", "current_a", "watts"),
    [("TN", (10.0, -4.0, 0.0), 1380.0), ("IT", (10.0, 10.0, 10.0), 230 * 10 * 3**0.5), ("IT", (10.0,), 2300.0)],
)
def test_power_of_currents(grid_type: str, current_a: tuple[float, ...], watts: float) -> None:
    """V·ΣI on a star; √3·V·I on the lines of a delta; V·I between two lines."""
    assert abs(watts - grid_power_w(grid_type, 230.0, current_a)) < 1e-6
