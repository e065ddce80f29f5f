"""Field maps: paths, scales, numbers as text, and documents of any shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.meters.fields import Fields, look_up, moment, number
from connectors.meters.formats import FORMATS

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "params", "em:0", "a_current", "a_act_power", "timestamp", "power_l1_w"]), inner
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.a.b", 1),
        ("$.list[1].c", 2),
        ("$.em:0.x", 3),
        ("$.a.missing", None),
        ("$.list[9].c", None),
        ("$.list.b", None),
        ("$.a[0]", None),
        ("$.a.b.c", None),
    ],
)
def test_path_finds_its_value_or_nothing(path: str, expected: int | None) -> None:
    """Names by dots, list entries in brackets; what is not there is None."""
    assert expected == look_up({"a": {"b": 1}, "list": [{}, {"c": 2}], "em:0": {"x": 3}}, path)


@pytest.mark.parametrize("value", [None, True, "x", "NaN", "inf", float("nan"), 10**400, [], {}])
def test_what_is_no_finite_number_is_not_told(value: object) -> None:
    """Neither words nor infinities become amperes."""
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1795335300.5, datetime(2026, 11, 22, 8, 15, 0, 500_000, tzinfo=UTC)),
        ("1795335300", datetime(2026, 11, 22, 8, 15, tzinfo=UTC)),
        ("2026-11-22T07:15:00Z", datetime(2026, 11, 22, 7, 15, tzinfo=UTC)),
        ("2026-11-22T08:15:00", datetime(2026, 11, 22, 7, 15, tzinfo=UTC)),  # HomeWizard: local time without a zone
        (1795335300500, datetime(2026, 11, 22, 8, 15, 0, 500_000, tzinfo=UTC)),
        (261109134558, datetime(2026, 11, 9, 12, 45, 58, tzinfo=UTC)),  # HomeWizard v1: YYMMDDhhmmss
        (999999999999, None),
        ("yesterday", None),
        (1e300, None),
        (None, None),
    ],
)
def test_times_are_read_in_every_spelling(value: object, expected: datetime | None) -> None:
    """Since 1970, RFC 3339, or as a P1 meter writes it; CET where no zone is told."""
    assert expected == moment(value)


def test_scale_brings_kilowatts_into_watts_exactly() -> None:
    """4.321 kW is 4321 W, import less export."""
    fields = Fields.model_validate({"power_w": [{"path": "$.in", "minus": "$.out", "scale": 1000}]})
    said = fields.measured({"in": "4.321", "out": 1})

    assert said is not None
    assert said.phases[0].power_w == 3321.0


def test_document_about_something_else_is_no_reading_and_no_fault() -> None:
    """A status that has nothing of the phases in it is passed over."""
    assert Fields.model_validate({"power_w": ["$.a"]}).measured({"wifi": "site"}) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "power_w"),
        ({"current_a": ["$.a"]}, "signed_current"),
        ({"power_w": ["a.b"]}, "does not begin with"),
        ({"power_w": ["$.a[x]"]}, "cannot be read at"),
        ({"power_w": ["$.a"], "curent_a": ["$.b"]}, "Extra inputs"),
        ({"power_w": ["$.a", "$.b", "$.c", "$.d"]}, "at most 3"),
    ],
)
def test_map_that_cannot_work_is_refused(fields: dict[str, object], reason: str) -> None:
    """When the file is checked, not when the first message comes."""
    with pytest.raises(ValidationError, match=reason):
        Fields.model_validate(fields)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(document=JSON)
def test_document_of_any_shape_never_raises(name: str, document: object) -> None:
    """Whatever JSON a topic brings, the answer is values or none."""
    FORMATS[name].measured(document)
