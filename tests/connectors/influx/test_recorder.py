"""Records to lines: what of each topic is stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from connectors.influx.recorder import TOPICS, Recorder, Source
from connectors.influx.schema import MEASUREMENTS, Database, Kind
from pipeline import records
from pipeline.records import Alarm
from tests.connectors.influx import day

START_MS = 1_795_305_600_000  # 2026-11-22T00:00:00Z
TYPES = {Kind.FLOAT: float, Kind.INTEGER: int, Kind.STRING: str}


def source(topic: str, record: Any, arrived_ms: int = START_MS, offset: int = 7) -> Source:
    return Source(topic, 3, offset, arrived_ms, b"key", record if record is None else records.encode(record))


def read(recorder: Recorder, topic: str, record: Any, arrived_ms: int = START_MS) -> list[dict[str, Any]]:
    """The points of one record, without the counts that any record may bring with it."""
    found = [parse_line(line.text) for line in recorder.lines(source(topic, record, arrived_ms))]
    return [point for point in found if point["measurement"] not in ("flow", "outcome", "fleet", "pipeline_worker")]


def test_every_line_of_a_day_obeys_the_schema() -> None:
    """Tags, fields and types of all that is written are those of the table; each measurement occurs."""
    seen = set()
    for line in day.lines(START_MS):
        read_back = parse_line(line.text)
        measurement = MEASUREMENTS[read_back["measurement"]]
        seen.add(measurement.name)
        assert set(measurement.tags) == set(read_back["tags"])
        assert line.database is measurement.database
        for name, value in read_back["fields"].items():
            assert TYPES[measurement.fields[name]] is type(value), f"{measurement.name}.{name}"

    assert set(MEASUREMENTS) == seen


def test_meter_reading_is_stored_per_phase_with_its_delay() -> None:
    """Signed currents per phase, the power also as a sum, and how late the reading came."""
    [point] = read(Recorder(), records.METERS, day.meter(START_MS), START_MS + 250)

    assert START_MS * 1_000_000 == point["time"]
    assert {"location": day.LOCATION, "meter": "p1"} == point["tags"]
    assert (10.0, 8.0, -1.0) == tuple(point["fields"][f"current_l{phase}_a"] for phase in (1, 2, 3))
    assert 2300.0 + 1840.0 - 230.0 == point["fields"]["power_w"]
    assert 0.25 == point["fields"]["delay_s"]


def test_missing_values_of_a_reading_are_left_out() -> None:
    """A meter without power has no power field, and no zero."""
    reading = records.MeterReading(location="a", meter="m", at=day.meter(START_MS).at, current_a=[1.0])
    [point] = read(Recorder(), records.METERS, reading)

    assert {"current_l1_a", "delay_s"} == set(point["fields"])


def test_state_of_one_millisecond_does_not_hide_another() -> None:
    """A `sent` and its `accepted` in the same millisecond are two points: the code lies in the nanoseconds."""
    recorder = Recorder()
    sent = read(recorder, records.FEEDBACK, day.feedback(START_MS, "CP-1", "sent", 5))
    accepted = read(recorder, records.FEEDBACK, day.feedback(START_MS, "CP-1", "accepted", 5))

    assert [0, 1] == [point["time"] - START_MS * 1_000_000 for point in (*sent, *accepted)]


def test_feedback_tells_how_long_the_charger_took() -> None:
    """The time from `sent` to the terminal state of the same setpoint."""
    recorder = Recorder()
    read(recorder, records.FEEDBACK, day.feedback(START_MS, "CP-1", "sent", 5))
    [point] = read(recorder, records.FEEDBACK, day.feedback(START_MS + 320, "CP-1", "accepted", 5))
    [unknown] = read(recorder, records.FEEDBACK, day.feedback(START_MS + 400, "CP-1", "accepted", 6))

    assert 0.32 == point["fields"]["latency_s"]
    assert "latency_s" not in unknown["fields"]


def test_decision_that_says_nothing_new_is_not_written() -> None:
    """Same content, other name and moment: nothing; after five minutes all of it once more."""
    recorder = Recorder()
    first = read(recorder, records.DECISIONS, day.decision(START_MS))
    second = read(recorder, records.DECISIONS, day.decision(START_MS + 900_000))
    quiet = [
        len(read(recorder, records.DECISIONS, day.decision(START_MS + 900_000 + step))) for step in (1, 10_000, 50_000)
    ]

    assert 5 == len(first) == len(second)
    assert [1, 1, 1] == quiet, "only the group whose window goes on"


@pytest.mark.parametrize("window_s", [900, 1800, 3600])
def test_running_window_is_shown_as_what_it_would_be_billed_as(window_s: int) -> None:
    """Its energy so far over its whole length, for its group and for the location, however long the tariff's windows
    are; two thirds of it have gone at 4,320 W."""
    decision = day.decision(START_MS + window_s * 1000 * 2 // 3, window_s=window_s)
    points = read(Recorder(), records.DECISIONS, decision)
    shown = {p["measurement"]: p["fields"] for p in points if p["tags"].get("group") != "garage"}

    assert 2880.0 == pytest.approx(shown["decision_group"]["window_demand_w"])
    assert 2880.0 == pytest.approx(shown["location_state"]["demand_w"])


def test_running_window_that_does_not_say_its_end_is_a_quarter() -> None:
    """As in decisions from before it was said."""
    decision = day.decision(START_MS + 600_000)
    windows = [g.window and msgspec.structs.replace(g.window, end=None) for g in decision.groups]
    groups = [msgspec.structs.replace(g, window=w) for g, w in zip(decision.groups, windows, strict=True)]
    points = read(Recorder(), records.DECISIONS, msgspec.structs.replace(decision, groups=groups))

    assert [2880.0] == [p["fields"]["demand_w"] for p in points if p["measurement"] == "location_state"]


def test_change_of_one_connector_writes_that_connector() -> None:
    """What did not change is not written again."""
    recorder = Recorder()
    read(recorder, records.DECISIONS, day.decision(START_MS))
    changed = read(recorder, records.DECISIONS, day.decision(START_MS, limit_a=9.0))

    assert [{"location": day.LOCATION, "charger": "CP-1", "connector": "1"}] == [point["tags"] for point in changed]
    assert 9.0 == changed[0]["fields"]["limit_a"]


def test_location_is_rolled_up_once_a_minute_and_on_an_alarm() -> None:
    """One line per location and minute, and one at once when the alarms change."""
    recorder = Recorder()
    alarm = Alarm(kind="overload", text="L2 of garage", group="garage")
    moments = dict.fromkeys(range(0, 130, 10), ()) | {70: (alarm,)}
    written = [
        second
        for second, alarms in sorted(moments.items())
        if any(
            point["measurement"] == "location_state"
            for point in read(recorder, records.DECISIONS, day.decision(START_MS + second * 1000, alarms=alarms))
        )
    ]

    assert [0, 60, 70, 80] == written


def test_location_that_decides_no_more_keeps_ageing() -> None:
    """Silence is news: the age of meter and decision are written on, for an hour."""
    recorder = Recorder()
    read(recorder, records.METERS, day.meter(START_MS))
    read(recorder, records.DECISIONS, day.decision(START_MS + 10_000))

    assert [] == recorder.silent(START_MS + 30_000)
    [line] = recorder.silent(START_MS + 310_000)
    assert {"meter_age_s": 310.0, "decision_age_s": 300.0} == parse_line(line.text)["fields"]
    assert [] == recorder.silent(START_MS + 320_000)
    assert [] == recorder.silent(START_MS + 4_000_000)


def test_quarter_and_month_go_to_the_history() -> None:
    """A closed window is a point at its start and one in its month, at noon UTC of the first day."""
    lines = Recorder().lines(source(records.WINDOWS, day.window(START_MS)))
    quarter, month = (parse_line(line.text) for line in lines)

    assert [Database.HISTORY] * 2 == [line.database for line in lines]
    assert START_MS * 1_000_000 == quarter["time"]
    assert {"used_wh": 812.5, "demand_w": 3250.0, "cap_w": 4000.0, "month_peak_w": 4310.0, "complete": 1} == quarter[
        "fields"
    ]
    assert 1_793_534_400_000_000_000 == month["time"]  # 2026-11-01T12:00:00Z
    assert {"peak_w": 4310.0, "mean12_w": 3980.0, "cost_eur": 14.51, "month": "2026-11"} == month["fields"]


def test_revision_overwrites_its_window() -> None:
    """Late data change a window: same tags and time, so the newest value wins."""
    recorder = Recorder()
    first = read(recorder, records.WINDOWS, day.window(START_MS))
    second = read(recorder, records.WINDOWS, day.window(START_MS, 3300.0, revision=1))

    assert [(point["tags"], point["time"]) for point in first] == [(point["tags"], point["time"]) for point in second]


def test_dead_letters_have_a_short_list_of_reasons() -> None:
    """What anybody may write into a record does not become a tag."""
    recorder = Recorder()
    strange = records.DeadLetter(topic="x" * 9999, partition=0, offset=1, reason="because: of it", value=None)

    assert [{"topic": "telemetry.meters", "reason": "unreadable"}] == [
        point["tags"] for point in read(recorder, records.DEADLETTERS, day.dead_letter())
    ]
    assert [{"topic": "other", "reason": "other"}] == [
        point["tags"] for point in read(recorder, records.DEADLETTERS, strange)
    ]


def test_reading_from_the_future_is_not_stored() -> None:
    """More than ten seconds ahead of its arrival: the workers refuse it, and a shard of its own would stay for ever."""
    recorder = Recorder()

    assert [] == read(recorder, records.METERS, day.meter(START_MS + 10_001))
    assert 1 == len(read(recorder, records.METERS, day.meter(START_MS + 10_000)))
    assert {records.METERS: 1} == +recorder.skipped


def test_tombstone_of_a_setpoint_is_no_mistake() -> None:
    """A null in the compacted topic removes a connector; nothing is written or counted."""
    recorder = Recorder()

    assert [] == recorder.lines(source(records.SETPOINTS, None))
    assert not +recorder.skipped


@pytest.mark.parametrize("topic", TOPICS)
@given(value=st.binary(max_size=60) | st.sampled_from([b"null", b"[]", b"{}", b'{"location":"a b"}']))
def test_no_bytes_stop_the_historian(topic: str, value: bytes) -> None:
    """Whatever lies in a topic is a record, or counted and skipped."""
    recorder = Recorder()
    lines = recorder.lines(Source(topic, 0, 0, START_MS, None, value))

    assert bool(lines) != bool(recorder.skipped[topic])


def test_replay_gives_the_same_lines() -> None:
    """The same records give the same bytes: reading a topic again changes nothing."""
    assert [line.text for line in day.lines(START_MS)] == [line.text for line in day.lines(START_MS)]
