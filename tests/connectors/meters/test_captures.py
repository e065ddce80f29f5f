"""Supporting a meter = adding its capture and the expected record here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.connectors.meters.reading_captures import CAPTURES, load, records_of

FILES = sorted(path for path in CAPTURES.iterdir() if path.suffix in (".txt", ".mqtt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_capture_becomes_the_record_beside_it(path: Path) -> None:
    """Every capture gives exactly the stored records: units, signs, times and all."""
    capture = load(path)

    assert capture.records == records_of(capture)


def test_every_capture_has_its_expected_record() -> None:
    """No capture without an expectation, no expectation without a capture."""
    assert {path.stem for path in CAPTURES.glob("*.json")} == {path.stem for path in FILES}
    assert all(load(path).records for path in FILES)
