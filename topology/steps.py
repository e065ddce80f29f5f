"""Steps: a charger's limit is a multiple of its step, rounded down where it limits and up where it is a minimum."""

from __future__ import annotations

STEP_EPS = 1e-5
"""In steps: a value this little below a whole step is that step (0.1 A is no binary fraction)."""


def floor_to_step(amperes: float, step_a: float) -> float:
    """Setpoints are rounded down; the result is a decimal number again."""
    return round(int(amperes / step_a + STEP_EPS) * step_a, 6)


def ceil_to_step(amperes: float, step_a: float) -> float:
    """The smallest step that is not below a minimum."""
    return round(-int(STEP_EPS - 1 - amperes / step_a) * step_a, 6) if amperes > 0 else 0.0
