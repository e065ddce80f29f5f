"""Runs of meter readings: the same state as one by one, whatever the batch that they came in."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.emission import Batch
from pipeline.engine import Engine
from pipeline.moments import rfc3339
from pipeline.records import LOCATIONS, METERS
from tests.pipeline.test_engine import Record

NOW_MS = 1_795_333_500_000
DOCUMENT: dict[str, Any] = {
    "location": "home",
    "timezone": "Europe/Brussels",
    "grid": {"type": "TN", "phases": 2, "voltage_v": 230},
    "groups": [
        {"id": "main", "limit_a": 40, "meter": "p1", "capacity": {"tariff": "be-vlaanderen-lv"}},
        {"id": "roof", "parent": "main", "limit_a": 40, "meter": "sun"},
    ],
    "meters": [{"id": "p1"}, {"id": "sun"}],
}

amperes = st.lists(st.floats(-60, 60, width=16), min_size=1, max_size=3)
wh = st.one_of(st.none(), st.integers(0, 50_000).map(float))


@st.composite
def values(draw: st.DrawFn) -> object:
    """Readings of two hours, in any order, doubled and contradicting each other; some are none."""
    if draw(st.integers(0, 20)) == 0:
        return draw(st.sampled_from([None, b"garbage", b"{}", b"[]"]))
    at_ms = NOW_MS + 1000 * draw(st.one_of(st.integers(-3600, 3620), st.integers(-90, 20)))
    current_a, power_w = draw(st.one_of(st.tuples(amperes, st.none()), st.tuples(st.none(), amperes)))
    energy = {"import_wh": draw(wh), "demand_w": draw(wh), "month_peak_w": draw(wh)}
    return {
        "location": draw(st.sampled_from(["home"] * 9 + ["away"])),
        "meter": draw(st.sampled_from(["p1", "p1", "sun", "none"])),
        "at": rfc3339(at_ms),
        "current_a": current_a and (current_a * 2)[:2] if draw(st.integers(0, 9)) else current_a,
        "power_w": power_w and (power_w * 2)[:2],
        **energy,
    }


def folded(records: list[Record], cuts: set[int]) -> tuple[bytes | None, list[tuple[int, str]]]:
    """The state that is kept, and the dead letters, of records polled in batches that end at the cuts."""
    engine = Engine(0, "host:1:1", {}, NOW_MS)
    document = Record(b"home", json.dumps(DOCUMENT).encode(), 0, NOW_MS)
    engine.fold(Batch(LOCATIONS, 0, [document], 1), NOW_MS)
    ends = [*sorted(cuts), len(records)]
    for start, end in zip([0, *ends], ends, strict=False):
        if start < end:
            engine.fold(Batch(METERS, 0, records[start:end], len(records)), NOW_MS)
    engine.save()
    out = engine.take()
    return dict(out.kept).get(b"home"), sorted((letter.offset, letter.reason) for letter in out.letters)


@given(st.lists(values(), min_size=1, max_size=60), st.data())
def test_where_a_batch_ends_changes_nothing(found: list[object], data: st.DataObject) -> None:
    """A replay folds record by record what the worker folded by the thousand: state and dead letters are the same."""
    raws = [v if isinstance(v, bytes) or v is None else json.dumps(v).encode() for v in found]
    keys = st.sampled_from([b"home"] * 20 + [b"away", None])
    records = [Record(data.draw(keys), raw, n, NOW_MS) for n, raw in enumerate(raws)]
    cuts = data.draw(st.sets(st.integers(0, len(records))))

    assert folded(records, set(range(len(records)))) == folded(records, cuts)
    assert folded(records, set(range(len(records)))) == folded(records, set())


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 9)), min_size=40, max_size=120))
def test_an_hour_in_one_run_is_billed_as_reading_by_reading(steps: list[tuple[int, float]]) -> None:
    """Registers and powers in their order, across quarters and gaps: the same energy to the watt-millisecond."""
    records, at_ms, register_wh = [], NOW_MS - 3_600_000, 1000.0
    for n, (seconds, ampere) in enumerate(steps):
        at_ms += seconds * 1000
        register_wh += ampere
        value = {"location": "home", "meter": "p1", "at": rfc3339(at_ms), "current_a": [ampere] * 2}
        value |= {"import_wh": register_wh} if n % 3 else {}
        records.append(Record(b"home", json.dumps(value).encode(), n, at_ms))

    assert folded(records, set(range(len(records)))) == folded(records, set())
