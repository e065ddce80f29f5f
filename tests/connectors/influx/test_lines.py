"""Line protocol: what we write is what a parser that is not ours reads."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from connectors.influx.lines import MAX_TEXT, NoPoint, line, per_phase
from connectors.influx.schema import Kind, Measurement

THING = Measurement("thing", ("a", "b"), {"x": Kind.FLOAT, "y": Kind.FLOAT, "n": Kind.INTEGER, "s": Kind.STRING})
TAGS = st.tuples(*[st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=30)] * 2)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=50)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)  # the parser's C refuses subnormals
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(-9_000_000_000_000, 9_000_000_000_000)


@given(x=FLOATS, n=INTEGERS, s=TEXTS, at_ms=TIMES, code=st.integers(0, 999_999))
def test_every_value_is_read_back(x: float, n: int, s: str, at_ms: int, code: int) -> None:
    """Floats, integers, strings and times come back exactly, with their types."""
    read = parse_line(line(THING, ("one", "two"), {"x": x, "n": n, "s": s}, at_ms, code=code))

    assert {"x": x, "n": n, "s": s} == read["fields"]
    assert (float, int, str) == tuple(type(read["fields"][name]) for name in "xns")
    assert at_ms * 1_000_000 + code == read["time"]


@given(tags=TAGS)
def test_every_tag_is_read_back_or_refused(tags: tuple[str, str]) -> None:
    """A tag that would be stored as something else is refused, all others are escaped."""
    try:
        text = line(THING, tags, {"n": 1}, 0)
    except NoPoint:
        assert any(tag.endswith("\\") for tag in tags)
    else:
        assert "\n" not in text
        if not any("\\" in tag for tag in tags):  # the parser of the test reads \x as x, the server as \x
            assert {"a": tags[0], "b": tags[1]} == parse_line(text)["tags"]


@pytest.mark.parametrize("tag", ["", "x\\", "a\nb", "a\rb", "x" * 2000])
def test_tag_that_the_server_would_change_is_refused(tag: str) -> None:
    """An empty tag, a line break, a backslash at the end, or a tag of kilobytes makes no point."""
    with pytest.raises(NoPoint):
        line(THING, (tag, "b"), {"n": 1}, 0)


def test_whole_number_in_a_float_field_stays_a_float() -> None:
    """The schema decides the type: an integer written first would refuse every later fraction."""
    assert 'thing,a=1,b=2 x=3.0,n=4i,s="5" 1000000' == line(THING, ("1", "2"), {"x": 3, "n": 4.0, "s": 5}, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_missing_value_is_left_out(value: float | None) -> None:
    """NaN, the infinities and None are no values; the other fields are written."""
    assert "thing,a=1,b=2 y=1.0 0" == line(THING, ("1", "2"), {"x": value, "y": 1}, 0)


def test_point_without_any_value_is_refused() -> None:
    """InfluxDB refuses a line without fields."""
    with pytest.raises(NoPoint):
        line(THING, ("1", "2"), {"x": None, "y": math.nan, "n": 2**63}, 0)


def test_flag_becomes_zero_or_one() -> None:
    """Booleans cannot be averaged: a flag is an integer."""
    assert "thing,a=1,b=2 n=1i 0" == line(THING, ("1", "2"), {"n": True}, 0)


def test_line_break_in_a_text_becomes_a_space() -> None:
    """One point is one line, also when an error message has several."""
    assert 'thing,a=1,b=2 s="one two" 0' == line(THING, ("1", "2"), {"s": "one\r\ntwo"}, 0)


def test_long_text_is_cut() -> None:
    """InfluxDB refuses strings of 64 KB."""
    assert "x" * MAX_TEXT == parse_line(line(THING, ("1", "2"), {"s": "x" * 70_000}, 0))["fields"]["s"]


@pytest.mark.parametrize("at_ms", [-62_135_596_800_000, 253_402_300_799_000])
def test_time_that_does_not_fit_is_refused(at_ms: int) -> None:
    """The years 1 and 9999 are valid moments, but no times of InfluxDB."""
    with pytest.raises(NoPoint):
        line(THING, ("1", "2"), {"n": 1}, at_ms)


def test_unknown_field_is_our_own_mistake() -> None:
    """A field that is not in the schema has no type."""
    with pytest.raises(KeyError):
        line(THING, ("1", "2"), {"z": 1}, 0)


def test_values_per_phase_get_a_field_each() -> None:
    """Two phases make two fields; none makes none."""
    assert {"current_l1_a": 1.0, "current_l2_a": 2.0} == per_phase("current_l{p}_a", [1.0, 2.0])
    assert {} == per_phase("current_l{p}_a", None)
