"""Two hours of a location as records of every topic: what the historian reads, and what the dashboards draw."""

from __future__ import annotations

import math
from collections.abc import Iterator

from connectors.influx import points
from connectors.influx.recorder import Line, Recorder, Source
from pipeline import records
from pipeline.moments import to_moment
from pipeline.records import (
    Alarm,
    ChargerReading,
    ClosedWindow,
    ConnectorView,
    DeadLetter,
    Decision,
    Feedback,
    GroupView,
    MeterReading,
    Setpoint,
    WindowView,
)

LOCATION = "brugge-12"
CHARGERS = ("CP-1", "CP-2")
LENGTH_S = 7200
STEP_S = 10
QUARTER_S = 900


def sources(start_ms: int) -> Iterator[Source]:
    """The records as Kafka gives them: each arrives 200 ms after its moment."""
    for offset, (topic, at_ms, record) in enumerate(_records(start_ms)):
        yield Source(topic, 0, offset, at_ms + 200, LOCATION.encode(), records.encode(record))


def lines(start_ms: int) -> list[Line]:
    """What the historian makes of them, of a meter that falls silent at once, and of itself."""
    recorder = Recorder()
    roof = records.encode(meter(start_ms, 1.0, "roof"))
    found = recorder.lines(Source(records.METERS, 0, 0, start_ms, LOCATION.encode(), roof))
    found += [line for source in sources(start_ms) for line in recorder.lines(source)]
    for at_ms in range(start_ms, start_ms + LENGTH_S * 1000, STEP_S * 1000):
        own = [points.historian("host:7", at_ms, 0.4, {"points": 9}), points.lag(records.METERS, 0, at_ms, 12)]
        found += recorder.own(own)
    return found


def meter(at_ms: int, current_a: float = 10.0, name: str = "p1") -> MeterReading:
    """A reading of three phases with registers."""
    return MeterReading(
        location=LOCATION,
        meter=name,
        at=to_moment(at_ms),
        current_a=[current_a, current_a - 2, -1.0],
        power_w=[current_a * 230, (current_a - 2) * 230, -230.0],
        voltage_v=[230.1, 229.8, 230.4],
        import_wh=1_234_567.0 + at_ms / 3600,
        export_wh=89_012.0,
        demand_w=812.0,
        month_peak_w=4310.0,
    )


def charger(at_ms: int, name: str, current_a: float = 10.0) -> ChargerReading:
    """A reading of a charging connector."""
    return ChargerReading(
        location=LOCATION,
        charger=name,
        connector=1,
        at=to_moment(at_ms),
        online=True,
        status="Charging",
        transaction=36589,
        current_a=[current_a] * 3,
        power_w=current_a * 690,
        energy_wh=812_345.0 + at_ms / 1000,
        offered_a=13.0,
        soc_pct=54.0,
    )


def setpoint(at_ms: int, name: str) -> Setpoint:
    """A setpoint for a quarter of an hour."""
    return Setpoint(
        location=LOCATION,
        charger=name,
        connector=1,
        seq=at_ms,
        decision=f"d-{at_ms}",
        issued_at=to_moment(at_ms),
        valid_until=to_moment(at_ms + QUARTER_S * 1000),
        limit_a=13.0,
        phases=3,
        fallback_a=6.0,
        reason="fuse garage L2",
    )


def feedback(at_ms: int, name: str, state: records.FeedbackState, seq: int) -> Feedback:
    """The answer to a setpoint."""
    accepted = state == "accepted"
    return Feedback(
        location=LOCATION,
        charger=name,
        connector=1,
        seq=seq,
        at=to_moment(at_ms),
        state=state,
        limit_a=13.0 if accepted else None,
        lease_until=to_moment(at_ms + QUARTER_S * 1000) if accepted else None,
        error=None if state in ("sent", "accepted") else 'no "profile", says it',
    )


def decision(
    at_ms: int, limit_a: float = 13.0, *, alarms: tuple[Alarm, ...] = (), window_s: int = QUARTER_S
) -> Decision:
    """A decision over two groups and two connectors, within a billed window: 4,320 W have been drawn in it."""
    start_ms = at_ms - at_ms % (window_s * 1000)
    window = WindowView(
        start=to_moment(start_ms),
        end=to_moment(start_ms + window_s * 1000),
        used_wh=(at_ms - start_ms) / 1000 * 1.2,
        cap_w=4000.0,
        allowed_w=5200.5,
        forecast_w=900.0,
        month_peak_w=4310.0,
        cost_of_1kw_eur=3.37,
    )
    return Decision(
        location=LOCATION,
        decision=f"d-{at_ms}",
        at=to_moment(at_ms),
        inputs={"telemetry.meters": (0, 1)},
        groups=[_group("main", 25.0, window), _group("garage", 16.0, None)],
        connectors=[
            _connector("CP-1", "charging", limit_a, "fuse garage L2"),
            _connector("CP-2", "waiting", 0.0, "waiting"),
        ],
        setpoints=[],
        alarms=list(alarms),
        worker="host:1:1",
    )


def window(start_ms: int, demand_w: float = 3250.0, *, revision: int = 0) -> ClosedWindow:
    """A closed quarter."""
    return ClosedWindow(
        location=LOCATION,
        group="main",
        start=to_moment(start_ms),
        end=to_moment(start_ms + QUARTER_S * 1000),
        import_wh=demand_w / 4,
        demand_w=demand_w,
        source="register",
        complete=True,
        revision=revision,
        cap_w=4000.0,
        month=f"{to_moment(start_ms):%Y-%m}",
        month_peak_w=4310.0,
        mean12_w=3980.0,
        cost_eur=14.51,
    )


def dead_letter() -> DeadLetter:
    """A record that nobody could read."""
    return DeadLetter(
        topic="telemetry.meters", partition=3, offset=77, reason="unreadable: JSON is malformed", value=b"{"
    )


def _group(name: str, limit_a: float, view: WindowView | None) -> GroupView:
    return GroupView(
        group=name,
        limit_a=[limit_a] * 3,
        limited_by=["fuse", "fuse", "peak_shaving"],
        unmanaged_a=[0.0, 3.0, 0.0],
        headroom_a=[limit_a, limit_a - 3, limit_a],
        overload_a=[0.0] * 3,
        reserved_a=[6.0] * 3,
        excess_a=2.5,
        window=view,
        meter_state="fresh",
    )


def _connector(name: str, state: str, limit_a: float, binding: str) -> ConnectorView:
    return ConnectorView(
        charger=name,
        connector=1,
        state=state,  # type: ignore[arg-type]
        wanted_a=16.0,
        target_a=13.0,
        limit_a=limit_a,
        reserved_a=6.0,
        binding=binding,
    )


def _records(start_ms: int) -> Iterator[tuple[str, int, object]]:
    for at_ms in range(start_ms, start_ms + LENGTH_S * 1000, STEP_S * 1000):
        current_a = 12 + 8 * math.sin(at_ms / 600_000)
        yield records.METERS, at_ms, meter(at_ms, current_a)
        for name in CHARGERS:
            yield records.CHARGERS, at_ms, charger(at_ms, name, max(0.0, current_a - 4))
        yield records.DECISIONS, at_ms, decision(at_ms, round(current_a, 1))
        if at_ms % (QUARTER_S * 1000) < STEP_S * 1000:
            yield from _quarterly(at_ms)


def _quarterly(at_ms: int) -> Iterator[tuple[str, int, object]]:
    for name, state in zip(CHARGERS, ("accepted", "rejected"), strict=True):
        yield records.SETPOINTS, at_ms, setpoint(at_ms, name)
        yield records.FEEDBACK, at_ms, feedback(at_ms, name, "sent", at_ms)
        yield records.FEEDBACK, at_ms + 150, feedback(at_ms + 150, name, state, at_ms)  # type: ignore[arg-type]
    quarter_ms = at_ms - at_ms % (QUARTER_S * 1000)
    yield records.WINDOWS, at_ms, window(quarter_ms - QUARTER_S * 1000, 3000.0 + at_ms // 900_000 % 4 * 500)
    yield records.DEADLETTERS, at_ms, dead_letter()
