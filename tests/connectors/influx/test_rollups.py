"""What is counted over all records: the fleet's boards read nothing else."""

from __future__ import annotations

from typing import Any

from line_protocol_parser import parse_line

from connectors.influx.recorder import Recorder, Source
from pipeline import records
from tests.connectors.influx import day

START_MS = 1_795_305_600_000  # 2026-11-22T00:00:00Z
SLOT_MS = 10_000


def points(lines: list[Any], measurement: str) -> list[dict[str, Any]]:
    """The points of one measurement."""
    found = [parse_line(line.text) for line in lines]
    return [point for point in found if point["measurement"] == measurement]


def heard(recorder: Recorder, topic: str, record: Any, at_ms: int, partition: int = 3) -> list[Any]:
    """The lines of one record that arrives 100 ms after its moment."""
    value = record if record is None or isinstance(record, bytes) else records.encode(record)
    return recorder.lines(Source(topic, partition, 7, at_ms + 100, b"key", value))


def decided(recorder: Recorder, minutes: float, step_ms: int = SLOT_MS) -> list[Any]:
    """What a location that decides every ten seconds brings."""
    lines = []
    for at_ms in range(START_MS, START_MS + round(minutes * 60_000), step_ms):
        lines += heard(recorder, records.METERS, day.meter(at_ms), at_ms)
        lines += heard(recorder, records.CHARGERS, day.charger(at_ms, "CP-1"), at_ms)
        lines += heard(recorder, records.DECISIONS, day.decision(at_ms), at_ms)
    return lines


def test_fleet_counts_connectors_groups_and_meters_of_a_partition() -> None:
    """Two connectors by state, two groups by how full they are, what the cars draw."""
    point = points(decided(Recorder(), 3), "fleet")[-1]

    assert {"partition": "3"} == point["tags"]
    expected = {"ev_power_w": 6900.0, "locations": 1, "charging": 1, "waiting": 1, "available": 0, "offline": 0}
    expected |= {"faulted": 0, "over_limit": 0, "stale_meters": 0, "use_over": 0}
    expected |= {"use_0_50": 1, "use_50_80": 1, "use_80_95": 0, "use_95_100": 0}
    assert expected == point["fields"]


def test_fleet_is_not_told_before_every_location_can_have_decided() -> None:
    """Numbers that grow from nothing after each start would look like an outage."""
    first = points(decided(Recorder(), 3), "fleet")[0]

    assert 60_000 <= first["time"] / 1_000_000 - START_MS <= 70_000


def test_meter_that_is_silent_is_counted() -> None:
    """After the default of `stale_s`."""
    recorder = Recorder()
    heard(recorder, records.METERS, day.meter(START_MS, name="roof"), START_MS)

    assert 1 == points(decided(recorder, 3), "fleet")[-1]["fields"]["stale_meters"]


def test_partition_that_somebody_else_reads_is_forgotten() -> None:
    """Its locations would be counted twice."""
    recorder = Recorder()
    decided(recorder, 3)
    recorder.forget(records.DECISIONS, 3)
    at_ms = START_MS + 200_000

    assert [] == points(heard(recorder, records.DECISIONS, day.decision(at_ms), at_ms), "fleet")


def test_worker_is_counted_by_its_decisions() -> None:
    """Six decisions in a slot of ten seconds, of one location; the slot that was met half over is not told."""
    lines = decided(Recorder(), 1, step_ms=2000)
    told = points(lines, "pipeline_worker")

    assert {"worker": "host:1:1", "partition": "3"} == told[0]["tags"]
    assert {"decisions": 5, "setpoints": 0, "locations": 1} == told[0]["fields"]
    assert START_MS + SLOT_MS == told[0]["time"] / 1_000_000


def test_records_are_counted_by_topic_with_how_late_they_are() -> None:
    """Also those that cannot be read."""
    recorder = Recorder()
    lines = []
    for at_ms in range(START_MS, START_MS + 60_000, 1000):
        lines += heard(recorder, records.METERS, day.meter(at_ms), at_ms)
        lines += heard(recorder, records.METERS, b"{", at_ms)
    told = points(lines, "flow")

    assert {"topic": records.METERS, "partition": "3"} == told[0]["tags"]
    assert {"records": 20, "delay_p95_s": 0.1} == told[0]["fields"]


def test_outcomes_of_setpoints_are_counted_by_state() -> None:
    """In the slot in which Kafka got them."""
    recorder = Recorder()
    lines = []
    for at_ms in range(START_MS, START_MS + 40_000, 1000):
        lines += heard(recorder, records.FEEDBACK, day.feedback(at_ms, "CP-1", "accepted", at_ms), at_ms)
        if at_ms % 5000 == 0:
            lines += heard(recorder, records.FEEDBACK, day.feedback(at_ms, "CP-2", "rejected", at_ms), at_ms)

    assert [("accepted", 10), ("rejected", 2)] == [
        (point["tags"]["state"], point["fields"]["count"]) for point in points(lines, "outcome")
    ][:2]


def test_reading_again_gives_the_same_lines() -> None:
    """A replay rewrites points, it adds none."""
    assert [line.text for line in decided(Recorder(), 3)] == [line.text for line in decided(Recorder(), 3)]
