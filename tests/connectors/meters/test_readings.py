"""Signs, sizes, missing phases and times: what is concluded from what a meter said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.meters.measured import Measured, NotAReading, Phase
from connectors.meters.p1_telegram import read_telegram
from connectors.meters.readings import (
    CLOCK_TRUST_S,
    checked,
    kept_moment,
    live_moment,
    reading,
    signed_current_a,
)
from pipeline.records import METERS, MeterReading, decode, encode
from tests.connectors.meters.telegrams import DUTCH, changed

NOW = datetime(2026, 11, 22, 7, 15, 1, tzinfo=UTC)


def second(seconds: float) -> datetime:
    """So many seconds from NOW."""
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("phase", "signed", "expected_a"),
    [
        (Phase(16.0, 3702.0, 231.4), False, 16.0),  # what is reported includes the reactive part
        (Phase(5.0, 1357.0, 230.0), False, 5.9),  # a whole ampere that was truncated: P/U is finer
        (Phase(4.0, -974.0, 233.0), False, -4.18),  # export: the sign of the power
        (Phase(9.0, -230.0, 230.0), False, -1.0),  # reactive current is no export
        (Phase(-4.0, -974.0, 233.0), True, -4.18),  # a meter that signs its current says the same
        (Phase(2.0, 0.0, 230.0), False, 2.0),  # no power: reactive, and the fuse carries it
        (Phase(None, 460.0, 230.0), False, 2.0),
        (Phase(None, 460.0, None), False, 2.0),  # no voltage: the nominal one
        (Phase(-3.0, None, 230.0), True, -3.0),
        (Phase(0.0, None, None), False, 0.0),
        (Phase(None, None, 230.0), False, None),
    ],
)
def test_current_has_the_sign_of_the_power(phase: Phase, signed: bool, expected_a: float | None) -> None:
    """Import: the larger of I and P/U. Export: P/U."""
    assert expected_a == signed_current_a(phase, signed)


def test_current_without_direction_is_refused() -> None:
    """Guessing a direction is wrong by twice the current."""
    with pytest.raises(NotAReading, match="direction is unknown"):
        signed_current_a(Phase(4.0, None, 230.0), signed=False)


@given(
    current_a=st.floats(0, 200),
    power_w=st.floats(-46_000, 46_000),
    voltage_v=st.floats(200, 260),
)
def test_current_never_understates_import_nor_overstates_export(
    current_a: float, power_w: float, voltage_v: float
) -> None:
    """The fuse sees no less than what is known to flow, the solar modes no more than what is given away."""
    result_a = signed_current_a(Phase(current_a, power_w, voltage_v), signed=False)

    assert result_a is not None
    assert result_a >= power_w / voltage_v - 0.0005
    assert power_w < 0 or result_a >= current_a


@pytest.mark.parametrize("line", ["1-0:51.7.0(004*A)", "1-0:41.7.0(00.000*kW)"])
def test_phase_with_half_of_its_values_is_still_known(line: str) -> None:
    """Current or power may be missing where the other tells enough: then there is none of it for any phase."""
    whole = changed(DUTCH, (line, ""))
    said = read_telegram(whole, "dsmr5")
    if "41.7.0" in line:  # without the import line nothing tells the direction of the 4 A
        with pytest.raises(NotAReading, match="direction is unknown"):
            reading("brugge-12", "p1", 3, said, NOW)
    else:
        assert reading("brugge-12", "p1", 3, said, NOW).current_a == [16.0, -4.18, 3.003]


def test_missing_phase_is_refused_and_never_zero() -> None:
    """A 3x230 V meter has no L2 current: nobody may think that L2 is free."""
    whole = changed(DUTCH, ("1-0:51.7.0(004*A)", ""), ("1-0:41.7.0(00.000*kW)", ""), ("1-0:42.7.0(00.974*kW)", ""))
    with pytest.raises(NotAReading, match=r"L2 is missing, which is not 0 A; a meter with one phase needs `phases: 1`"):
        reading("brugge-12", "p1", 3, read_telegram(whole, "dsmr5"), NOW)


def test_meter_with_one_phase_gives_one_phase() -> None:
    """With `phases: 1` the arrays have one entry."""
    said = Measured(phases=(Phase(8.0, 1840.0, 230.0), Phase(), Phase()))
    record = reading("gent-3", "p1", 1, said, NOW)

    assert ([8.0], [1840.0], [230.0]) == (record.current_a, record.power_w, record.voltage_v)


def test_load_on_a_phase_that_should_not_be_there_is_refused() -> None:
    """`phases: 1` on a three-phase meter would hide two phases."""
    said = Measured(phases=(Phase(8.0, 1840.0), Phase(0.0, 0.0), Phase(3.0, 690.0)))

    with pytest.raises(NotAReading, match="a load on L3"):
        reading("gent-3", "p1", 1, said, NOW)


def test_power_alone_leaves_the_current_to_the_pipeline() -> None:
    """It knows the grid's own voltage; we do not."""
    record = reading("gent-3", "p1", 1, Measured(phases=(Phase(power_w=980.0),)), NOW)

    assert (None, [980.0]) == (record.current_a, record.power_w)


@pytest.mark.parametrize(
    ("own_s", "expected_s"),
    [
        (-0.4, -0.4),
        (-CLOCK_TRUST_S, -CLOCK_TRUST_S),
        (-CLOCK_TRUST_S - 1, 0),  # slow clock: it must not look stale
        (0.5, 0),  # fast clock: never in the future
        (3600, 0),
    ],
)
def test_clock_of_a_live_meter_is_believed_within_bounds(own_s: float, expected_s: float) -> None:
    """The meter's own time where it can be right, ours where it cannot."""
    assert second(expected_s) == live_moment(second(own_s), NOW)


def test_meter_without_a_clock_gets_our_time() -> None:
    """DSMR 2.2 tells none."""
    assert live_moment(None, NOW) == NOW


def test_old_message_stays_old() -> None:
    """What a broker kept through the night looks as old as it is."""
    assert second(-30_000) == kept_moment(second(-30_000), NOW, retained=True)


@pytest.mark.parametrize("own_time", [None, datetime(1970, 1, 1, 0, 7, tzinfo=UTC)], ids=["no time", "since boot"])
def test_retained_message_without_a_time_is_refused(own_time: datetime | None) -> None:
    """It may be from last year."""
    with pytest.raises(NotAReading, match="of any age"):
        kept_moment(own_time, NOW, retained=True)

    assert kept_moment(own_time, NOW, retained=False) == NOW


def test_message_from_the_future_gets_our_time() -> None:
    """A device whose clock is fast is not dead-lettered for it."""
    assert kept_moment(second(60), NOW, retained=False) == NOW


@pytest.mark.parametrize(
    ("peak_at", "expected_w"),
    [
        ("2026-11-09T12:45:58+00:00", 4479.0),
        ("2026-10-09T12:45:58+00:00", None),  # last month's
        ("2026-10-31T23:00:00+00:00", None),  # the quarter that ended at local midnight of the first
        ("2026-10-31T23:15:00+00:00", 4479.0),
        ("2025-11-09T12:45:58+00:00", None),
    ],
)
def test_month_peak_of_another_month_is_left_out(peak_at: str, expected_w: float | None) -> None:
    """A meter that still shows October's peak on the first of November does not raise November's cap."""
    said = Measured(phases=(Phase(power_w=1.0),), month_peak_w=4479.0, month_peak_at=datetime.fromisoformat(peak_at))

    assert expected_w == reading("gent-3", "p1", 1, said, NOW).month_peak_w


@pytest.mark.parametrize(
    "said",
    [
        Measured(phases=(Phase(power_w=float("nan")),)),
        Measured(phases=(Phase(power_w=1.0),), import_wh=float("inf")),
        Measured(phases=(Phase(power_w=1.0),), import_wh=-5.0),
        Measured(phases=(Phase(power_w=1.0, voltage_v=-230.0),)),
    ],
)
def test_what_would_be_no_record_is_refused_here(said: Measured) -> None:
    """Nothing goes out that the pipeline would only put aside."""
    with pytest.raises(NotAReading) as refused:
        reading("gent-3", "p1", 1, said, NOW)

    assert refused.value.kind == "invalid"


def test_reading_passes_the_topic_unchanged() -> None:
    """What is published is read back equal."""
    record = reading("brugge-12", "p1", 3, read_telegram(DUTCH, "dsmr5"), NOW)

    assert isinstance(record, MeterReading)
    assert record == decode(METERS, encode(record)) == checked(record)
