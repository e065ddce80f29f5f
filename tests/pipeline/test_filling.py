"""The filling itself: it comes to an end whatever is tied, and soft rows bind from a threshold on."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.allocation import EPS_A, Ask, Rows, fill

ROW = 0
SUN = 1


def ask(index: int, low_a: float, high_a: float, threshold_a: float, *, weight: float = 1.0) -> Ask:
    """Somebody on one physical row and one soft one."""
    return Ask(
        index=index,
        low_a=low_a,
        high_a=high_a,
        step_a=0.1,
        weight=weight,
        priority=0,
        order=index,
        uses=[(ROW, 1.0)],
        soft=[(SUN, 3.0)],
        threshold_a=threshold_a,
    )


def filled(room: float, sun: float, *asks: Ask) -> list[float]:
    """What each is given."""
    fill(Rows(["fuse", "sun"], [room, sun]), list(asks))
    return [each.given_a for each in asks]


def test_a_threshold_that_is_all_that_is_wanted_loads_no_sun() -> None:
    """Also where the sun is overdrawn: the row has nobody to stop."""
    assert filled(10.0, -5.0, ask(0, 6.0, 7.0, 7.0)) == [7.0]


def test_one_has_all_as_the_sun_is_used_up_and_the_other_is_below_his_threshold() -> None:
    """12 A of the sun, 3 per ampere: the first rises by 4 to all that he wants, the second to his threshold."""
    assert filled(100.0, 12.0, ask(0, 6.0, 10.0, 6.0), ask(1, 6.0, 32.0, 16.0)) == [10.0, 16.0]


whole = st.sampled_from([0.0, 6.0, 7.0, 8.0, 10.0, 16.0])


@st.composite
def tied(draw: st.DrawFn) -> list[Ask]:
    """A few with round numbers, so that many things happen at one λ."""
    asks = []
    for index in range(draw(st.integers(1, 5))):
        low_a = draw(st.sampled_from([0.0, 6.0, 8.0]))
        high_a = low_a + draw(st.sampled_from([0.0, 1.0, 2.0, 4.0, 10.0, 26.0]))
        asks.append(ask(index, low_a, high_a, min(high_a, draw(whole)), weight=draw(st.sampled_from([0.6, 1.0, 2.0]))))
    return asks


@example(3, -1, [ask(0, 8.0, 12.0, 12.0), ask(1, 6.0, 7.0, 7.0, weight=0.6)])
@given(st.integers(-4, 60), st.integers(-20, 60), tied())
def test_filling_ends_and_leaves_nothing(room: int, sun: int, asks: list[Ask]) -> None:
    """Nobody takes what is not there, and nobody could have a step more."""
    floors_a = [max(each.low_a, each.threshold_a) for each in asks]  # a filling lowers those that are not reached

    given_a = filled(room, sun, *asks)

    used = sum(a - each.low_a for a, each in zip(given_a, asks, strict=True))
    used_sun = sum(3 * max(0.0, a - floor_a) for a, floor_a in zip(given_a, floors_a, strict=True))
    unused = sum(3 * max(0.0, floor_a - a) for a, floor_a in zip(given_a, floors_a, strict=True))
    assert used <= max(0, room) + EPS_A
    assert used_sun <= max(0.0, sun + unused) + EPS_A
    for a, floor_a, each in zip(given_a, floors_a, asks, strict=True):
        assert each.low_a <= a <= each.high_a + EPS_A
        fits = used + 0.1 <= room - EPS_A and a + 0.1 <= each.high_a
        if fits and a + 0.1 <= floor_a:
            raise AssertionError(f"{each} could have a step more below its threshold")
        assert not (fits and a >= floor_a and used_sun + 0.3 <= sun - EPS_A), f"{each} could have a step more"
