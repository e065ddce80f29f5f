"""Which points are not worth a write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.influx.thinning import OncePerSlot, OnChange

MOMENTS = st.lists(st.integers(0, 200_000), max_size=80)


@given(moments=MOMENTS)
def test_a_meter_is_written_once_in_ten_seconds(moments: list[int]) -> None:
    """However fast it reports, a slot of ten seconds has exactly one point, if it has any."""
    thinning = OncePerSlot(10)
    kept = [at_ms // 10_000 for at_ms in sorted(moments) if thinning.keeps("p1", at_ms)]

    assert sorted({at_ms // 10_000 for at_ms in moments}) == kept


@given(moments=MOMENTS)
def test_thinning_a_replay_keeps_the_same_points(moments: list[int]) -> None:
    """A topic that is read again rewrites the points that are there, and adds none."""
    first, again = OncePerSlot(10), OncePerSlot(10)

    assert [first.keeps("p1", at) for at in moments] == [again.keeps("p1", at) for at in moments]


def test_series_are_thinned_apart() -> None:
    """One meter does not hide another one."""
    thinning = OncePerSlot(10)

    assert [True, True, False] == [thinning.keeps(name, 0) for name in ("p1", "p2", "p1")]


def test_what_says_nothing_new_is_written_every_five_minutes() -> None:
    """The same content once, then again after the refresh."""
    thinning = OnChange(300)
    kept = [second for second in range(0, 1000, 10) if thinning.keeps("garage", second * 1000, (16.0, "fuse"))]

    assert [0, 300, 600, 900] == kept


def test_a_change_is_written_at_once() -> None:
    """A content that differs from the last is written, and the way back as well."""
    thinning = OnChange(300)

    assert [True, False, True, True] == [thinning.keeps("g", second, value) for second, value in enumerate("aaba")]


def test_a_late_point_is_written() -> None:
    """What is older than the last written point says something about another moment."""
    thinning = OnChange(300)
    thinning.keeps("g", 10_000, "a")

    assert thinning.keeps("g", 5_000, "a")


@given(moments=MOMENTS, values=st.data())
def test_between_two_written_points_nothing_changed(moments: list[int], values: st.DataObject) -> None:
    """Filling the last written value forward gives the full series."""
    thinning = OnChange(300)
    shown = None
    for at_ms in sorted(moments):
        value = values.draw(st.sampled_from("abc"))
        if thinning.keeps("g", at_ms, value):
            shown = value
        assert value == shown


def test_memory_is_bounded() -> None:
    """More series than the limit are forgotten: they cost a point each, no more."""
    thinning = OncePerSlot(10, most=100)
    for number in range(1000):
        thinning.keeps(number, 0)

    assert len(thinning._slots) <= 100
