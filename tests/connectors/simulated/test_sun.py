"""The simulated sun: night is dark, summer is brighter than winter, clouds come and go smoothly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulated.sun import Sun

MOMENTS = st.integers(0, 365 * 86_400).map(lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second))


def energy_wh(sun: Sun, day: datetime) -> float:
    """What a day gives."""
    return sum(sun.power_w(day + timedelta(minutes=n)) for n in range(1440)) / 60


@given(seed=st.integers(0, 2**32), at=MOMENTS)
def test_power_is_within_the_roof(seed: int, at: datetime) -> None:
    """Never negative, never above the peak, the same each time; the phases share it."""
    sun = Sun(seed)

    assert 0 <= sun.power_w(at) <= sun.peak_w
    assert sun.power_w(at) == Sun(seed).power_w(at)
    assert sum(sun.currents_a(at)) * sun.voltage_v == pytest.approx(sun.power_w(at))


def test_night_is_dark() -> None:
    """Also in June."""
    assert (0.0, 0.0, 0.0) == Sun(1).currents_a(datetime(2026, 6, 21, 0, 0, tzinfo=UTC))


def test_summer_gives_more_than_winter() -> None:
    """In Bruges about ten times as much on a clear day, never less than twice with clouds."""
    summer, winter = datetime(2026, 6, 21, tzinfo=UTC), datetime(2026, 12, 21, tzinfo=UTC)

    assert all(energy_wh(Sun(seed), summer) > 2 * energy_wh(Sun(seed), winter) > 0 for seed in range(5))


def test_solar_noon_is_where_the_longitude_says() -> None:
    """The highest sun of an equinox in Bruges comes at about 12:00 − 3.2°/15 h = 11:47 UTC."""
    day = datetime(2026, 3, 20, tzinfo=UTC)
    heights = {minute: Sun(1)._height(day + timedelta(minutes=minute)) for minute in range(1440)}
    noon = max(heights, key=lambda minute: heights[minute])

    assert 11 * 60 + 47 == pytest.approx(noon, abs=1)
    assert 0.62 == pytest.approx(heights[noon], abs=0.02)  # sin(90° − 51.2°)


def test_one_phase_inverter_feeds_its_phase() -> None:
    """All of it, and the others get nothing."""
    l1, l2, l3 = Sun(1, phases=(2,)).currents_a(datetime(2026, 6, 21, 12, tzinfo=UTC))

    assert (0.0, 0.0) == (l1, l3)
    assert l2 > 0


def test_clouds_pass_without_jumps() -> None:
    """From one second to the next the power changes by less than a hundredth of the peak."""
    sun, noon = Sun(3), datetime(2026, 6, 21, 11, tzinfo=UTC)
    powers = [sun.power_w(noon + timedelta(seconds=n)) for n in range(7200)]

    assert max(abs(b - a) for a, b in pairwise(powers)) < sun.peak_w / 100
    assert max(powers) > 2 * min(powers)
