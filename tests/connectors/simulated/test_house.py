"""The simulated house: pure, believable, and the same in any order of asking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connectors.simulated.house import BASE_A, FLICKER_A, House

DAY = datetime(2026, 11, 22, tzinfo=UTC)
MOMENTS = st.integers(0, 365 * 86_400).map(lambda second: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second))


@given(seed=st.integers(0, 2**32), at=MOMENTS)
def test_same_seed_and_moment_give_the_same_amperes(seed: int, at: datetime) -> None:
    """Asked again, by another house object, in another order: nothing is remembered."""
    before = House(seed).currents_a(at)
    House(seed + 1).currents_a(at)
    House(seed).currents_a(at + timedelta(days=1))

    assert before == House(seed).currents_a(at)


@given(seed=st.integers(0, 2**32), at=MOMENTS)
def test_house_draws_within_reason(seed: int, at: datetime) -> None:
    """Never less than its base load, never more than all appliances together."""
    for current_a, base_a in zip(House(seed).currents_a(at), BASE_A, strict=True):
        assert base_a <= current_a <= base_a + FLICKER_A + 8.7 + 10.4 + 6.1 + 9.1 + 4.3


def test_each_phase_sees_an_appliance_within_a_day() -> None:
    """The steps that the allocator must answer really come."""
    day = [House(seed=1).currents_a(DAY + timedelta(seconds=30 * n)) for n in range(2880)]

    assert all(max(phase) > 4 + min(phase) for phase in zip(*day, strict=True))


def test_houses_differ_by_seed() -> None:
    """A street is not one house many times."""
    evenings = {House(seed).currents_a(DAY + timedelta(hours=17, minutes=40)) for seed in range(20)}

    assert 20 == len(evenings)
