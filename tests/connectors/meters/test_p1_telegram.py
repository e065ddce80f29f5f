"""One telegram: what is read, and that a bad one is refused with its reason and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.meters.measured import Measured, NotAReading, Phase
from connectors.meters.p1_telegram import Variant, read_telegram
from tests.connectors.meters.telegrams import BELGIAN, DUTCH, changed, telegram


def test_changed_byte_is_a_wrong_checksum() -> None:
    """A digit that fell over on the line is never believed."""
    with pytest.raises(NotAReading, match="CRC") as refused:
        read_telegram(BELGIAN.replace(b"008.83", b"000.83"), "fluvius")

    assert refused.value.kind == "checksum"


@pytest.mark.parametrize("variant", ["fluvius", "dsmr5", "dsmr4", "dsmr2.2"])
@given(noise=st.binary(max_size=400))
def test_random_bytes_are_refused(variant: Variant, noise: bytes) -> None:
    """No bytes raise anything but the refusal; with a CRC none pass by chance."""
    try:
        said = read_telegram(b"/" + noise + b"!28EE\r\n", variant)
    except NotAReading:
        return
    assert variant == "dsmr2.2"
    assert isinstance(said, Measured)


LINES = st.sampled_from(["1-0:31.7.0", "1-0:21.7.0", "1-0:1.8.1", "0-0:1.0.0", "1-0:1.6.0", "1-0:1.4.0"])
VALUES = st.text(alphabet="()*.:-0123456789NaInfkWSx", max_size=25)


@given(lines=st.lists(st.tuples(LINES, VALUES), min_size=1, max_size=6))
def test_malformed_lines_with_a_right_checksum_are_refused(lines: list[tuple[str, str]]) -> None:
    """A meter with broken firmware sends a good CRC of nonsense: refused or read, never an exception of the parser."""
    whole = telegram(*(f"{code}({value})" for code, value in lines))
    with suppress(NotAReading):
        assert isinstance(read_telegram(whole, "fluvius"), Measured)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_words_that_decimal_takes_for_numbers_are_refused(value: str) -> None:
    """`Decimal("NaN")` is a number to the parser, not to us."""
    with pytest.raises(NotAReading, match="not a finite number"):
        read_telegram(changed(BELGIAN, ("1-0:31.7.0(008.83*A)", f"1-0:31.7.0({value}*A)")), "fluvius")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0-0:96.13.0()", "0-0:96.13.0(tampered(with)"),
        ("0-0:96.13.0()", "0-0:98.1.0(13)(1-0:1.6.0)"),
        ("0-0:96.13.0()", "0-1:24.2.3(no gas)"),
    ],
    ids=["text message", "13 month peaks", "gas"],
)
def test_line_that_we_do_not_use_may_be_malformed(old: str, new: str) -> None:
    """A gas meter's or a text's trouble never costs the currents."""
    assert read_telegram(BELGIAN, "fluvius") == read_telegram(changed(BELGIAN, (old, new)), "fluvius")


def test_unset_peak_time_is_no_time() -> None:
    """632525252525W means that there is no peak yet."""
    whole = changed(BELGIAN, ("1-0:1.6.0(261109134558W)(04.479*kW)", "1-0:1.6.0(632525252525W)(00.000*kW)"))
    said = read_telegram(whole, "fluvius")

    assert (0.0, None) == (said.month_peak_w, said.month_peak_at)


def test_summer_and_winter_hour_differ() -> None:
    """The hour that the clocks repeat is told apart by S and W."""
    times = [
        read_telegram(changed(DUTCH, ("0-0:1.0.0(261122081500W)", f"0-0:1.0.0(261025023000{flag})")), "dsmr5").own_time
        for flag in "SW"
    ]

    assert ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"] == [str(t.isoformat()) for t in times if t]


def test_dsmr_2_tells_the_totals_of_one_phase() -> None:
    """No CRC, no time, no phases: the total is that of L1, and the others are unknown, not zero."""
    whole = telegram("1-0:1.8.1(00100.000*kWh)", "1-0:1.8.2(00200.000*kWh)", "1-0:1.7.0(0000.98*kW)", crc=False)
    said = read_telegram(whole, "dsmr2.2")

    assert Measured(phases=(Phase(power_w=980.0), Phase(), Phase()), import_wh=300_000.0) == said


def test_one_tariff_alone_is_no_register() -> None:
    """It would jump when the tariff changes, and the window would count energy that nobody used."""
    said = read_telegram(changed(BELGIAN, ("1-0:1.8.2(000270.014*kWh)", "")), "fluvius")

    assert said.import_wh is None
