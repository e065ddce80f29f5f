"""A load that wanders: raises leave free what comes back, steps are no noise, a quiet house loses nothing."""

from __future__ import annotations

import random

from pipeline.state import Wander
from pipeline.wander import ENOUGH, kept_free_a, noted


def _wander(loads: list[float]) -> Wander:
    wander: Wander | None = None
    for load in loads:
        wander = noted(wander, (load,), (load,))
    assert wander is not None
    return wander


def test_quiet_load_keeps_nothing_free() -> None:
    """Whoever draws the same for ever is believed."""
    assert (0.0,) == kept_free_a(_wander([7.0] * 100))


def test_few_readings_are_no_noise() -> None:
    """Before there are enough readings, raises are not held back."""
    assert (0.0,) == kept_free_a(_wander([5.0, 9.0] * (ENOUGH // 2)))


def test_noise_keeps_free_what_comes_back() -> None:
    """With a spread of 0.5 A about 1 A above the level is kept free, whatever the newest reading says."""
    chance = random.Random(7)
    wander = _wander([10 + chance.gauss(0, 0.5) for _ in range(400)])
    (free,) = kept_free_a(wander)
    assert 10.3 < wander.load_a[0] + free < 11.7


def test_step_is_no_noise() -> None:
    """A kettle of 9 A in a quiet house leaves next to nothing free once the level has followed."""
    (free,) = kept_free_a(_wander([3.0] * 60 + [12.0] * 40))
    assert free < 0.1
