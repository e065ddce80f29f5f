"""The schema covers the records."""

from __future__ import annotations

from typing import get_args, get_type_hints

from connectors.influx.schema import (
    CONNECTOR_CODES,
    FEEDBACK_CODES,
    MEASUREMENTS,
    METER,
    STATUS_CODES,
    Kind,
)
from pipeline.records import ConnectorView, FeedbackState, Status


def test_every_state_has_a_code() -> None:
    """A state that the records know and the schema does not would stop the historian."""
    assert set(get_args(Status)) == set(STATUS_CODES)
    assert set(get_args(FeedbackState)) == set(FEEDBACK_CODES)
    assert set(get_args(get_type_hints(ConnectorView)["state"])) == set(CONNECTOR_CODES)


def test_codes_are_distinct() -> None:
    """Two states with one code would be one point."""
    for codes in (STATUS_CODES, FEEDBACK_CODES, CONNECTOR_CODES):
        assert len(codes) == len(set(codes.values()))


def test_no_name_is_one_that_influxdb_keeps_for_itself() -> None:
    """A tag named time is refused, a field named time is dropped without a word."""
    for measurement in MEASUREMENTS.values():
        assert not {"time", "_field", "_measurement"} & {*measurement.tags, *measurement.fields}


def test_measured_quantities_are_floats() -> None:
    """A name that ends in a unit is a float, also when its values are whole."""
    units = ("_a", "_w", "_v", "_wh", "_s", "_pct", "_eur")
    for measurement in MEASUREMENTS.values():
        for name, kind in measurement.fields.items():
            assert (kind is Kind.FLOAT) == name.endswith(units), f"{measurement.name}.{name}"


def test_per_phase_fields_exist_for_three_phases() -> None:
    """`{p}` stands for 1, 2 and 3."""
    assert {"current_l1_a", "current_l2_a", "current_l3_a"} <= METER.fields.keys()
