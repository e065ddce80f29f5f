"""Whatever is said to `sunshave decide`, it answers, and goes on."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sunshave.dialogue import Dialogue
from tests.sunshave.test_decide import CHARGER, LOCATION, METER, line

AT = "2026-11-24T08:00:00Z"
RECORDS: dict[str, dict[str, Any]] = {
    "telemetry.meters": {**METER, "power_w": [1, 2, 3], "voltage_v": [230, 230, 230], "import_wh": 5, "export_wh": 6,
                         "demand_w": 7, "month_peak_w": 8},
    "telemetry.chargers": {**CHARGER, "transaction": "7", "power_w": 1, "energy_wh": 2, "offered_a": 3, "soc_pct": 4},
    "topology.limits": {"location": "brugge-12", "group": "main", "source": "dso", "from": AT, "until": None,
                        "limit_a": 12, "limit_w": 9000},
    "ocpp.feedback": {"location": "brugge-12", "charger": "CP-1", "connector": 1, "seq": 1795507201000, "at": AT,
                      "state": "accepted", "limit_a": 13, "lease_until": "2026-11-24T08:15:00Z", "fallback_a": 0},
}  # fmt: skip
WITH_WINDOW = {
    **LOCATION,
    "timezone": "America/New_York",
    "groups": [{**LOCATION["groups"][0], "capacity": {"tariff": "plain", "cap_kw": 4}, "mode": "solar_only"}],
}

numbers = st.sampled_from([0, -1, 1e-9, 1e12, -1e12, 1e308, -1e308, 10**15, 2**53, 2**63, 2**64, 10**40, 0.1, True])
moments = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-24T08:00:05+14:00", "2026-11-24", "1970-01-01T00:00:00Z"]
)
anything = st.recursive(
    st.none() | numbers | moments | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@st.composite
def bent(draw: st.DrawFn) -> str:
    """A record with one or two fields replaced by anything."""
    topic = draw(st.sampled_from(sorted(RECORDS)))
    value = deepcopy(RECORDS[topic])
    for _ in range(draw(st.integers(1, 2))):
        value[draw(st.sampled_from(sorted(value)))] = draw(anything)
    return line(topic, value)


def answers(dialogue: Dialogue, text: str) -> list[dict[str, Any]]:
    """The answers to one line, each of which must be JSON."""
    return [json.loads(answer) for answer in dialogue.hear(text.encode(errors="surrogatepass"))]


@given(lines=st.lists(bent() | st.text(max_size=40), max_size=8), seconds=st.lists(st.integers(0, 1000), max_size=3))
def test_bent_records_are_folded_or_answered_and_end_nothing(lines: list[str], seconds: list[int]) -> None:
    """After any lines a good reading is still decided on, and no limit is out of its range."""
    dialogue = Dialogue()
    assert [] == answers(dialogue, line("topology.locations", WITH_WINDOW))
    for text in lines:
        answers(dialogue, text)
    for second in sorted(seconds):
        now = f"2026-11-24T08:{second // 60:02}:{second % 60:02}Z"
        said = answers(dialogue, json.dumps({"now": now}))
        for connector in said[-1]["decisions"][0]["connectors"]:
            assert connector["limit_a"] == 0 or 6 <= connector["limit_a"] <= 16
            assert connector["reserved_a"] is not None


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_answered(text: bytes) -> None:
    """A line is a record, a moment, or a dead letter."""
    dialogue = Dialogue()
    if not text.strip():
        return
    said = [*dialogue.hear(text), *dialogue.hear(b'{"now": "2026-11-24T08:00:00Z"}')]

    assert all(set(json.loads(answer)) <= {"deadletter", "decisions", "windows"} for answer in said)


@given(moments | st.text(max_size=30))
def test_any_now_is_decided_or_refused(now: str) -> None:
    """A moment at the ends of the calendar is no reason to stop."""
    dialogue = Dialogue()
    answers(dialogue, line("topology.locations", WITH_WINDOW))
    answers(dialogue, line("telemetry.chargers", {**CHARGER, "at": "1980-01-01T00:00:00Z"}))

    said = [*answers(dialogue, json.dumps({"now": now})), *(json.loads(a) for a in dialogue.end())]

    assert all(set(answer) <= {"deadletter", "decisions", "windows"} for answer in said)
