"""Messages become readings or refusals; no bytes raise anything else."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.meters.measured import NotAReading
from connectors.meters.mqtt_messages import PAYLOAD_BYTES, MqttReader
from connectors.meters.sources import MqttSource, parse_sources

NOW = datetime(2026, 11, 22, 7, 15, 1, tzinfo=UTC)
OWN = {"location": "brugge-12", "meter": "grid", "at": "2026-11-22T07:15:00Z", "current_a": [1, 2, 3]}


def source(**rest: Any) -> MqttSource:
    """A source of brugge-12/grid on topic t."""
    (made,) = parse_sources(
        [{"location": "brugge-12", "meter": "grid", "type": "mqtt", "host": "h", "topic": "t", **rest}]
    )
    assert isinstance(made, MqttSource)
    return made


def take(payload: bytes, retained: bool = False, **rest: Any) -> Any:
    """What a source makes of one message."""
    return MqttReader(source(**rest)).take("t", payload, retained, NOW)


@pytest.mark.parametrize("format_", ["shelly-pro3em", "homewizard-p1", "sunshave", "dsmr-reader", "shelly-3em-gen1"])
@given(payload=st.binary(max_size=200) | st.sampled_from([b"[" * 50_000, b"1e999", b"{}", b"null", b'"\\ud800"']))
def test_any_payload_is_a_reading_a_refusal_or_no_news(format_: str, payload: bytes) -> None:
    """Somebody else's message on our topic ends nothing."""
    with suppress(NotAReading):
        assert take(payload, format=format_) is None


def test_retained_message_without_a_time_is_refused() -> None:
    """A Shelly's last status before it was unplugged must not look like now."""
    status = json.dumps({f"{p}_{what}": 1.0 for p in "abc" for what in ("current", "act_power", "voltage")}).encode()

    assert take(status, format="shelly-pro3em").at == NOW
    with pytest.raises(NotAReading, match="of any age"):
        take(status, retained=True, format="shelly-pro3em")


def test_retained_values_make_no_round() -> None:
    """Retained split topics come in any order, of any age."""
    reader = MqttReader(source(format="dsmr-reader"))
    for _ in range(2):
        for name in ("timestamp", "phase_currently_delivered_l1"):
            assert reader.take(f"t/{name}", b"2026-11-22T07:15:00Z", True, NOW) is None


def test_record_of_another_meter_is_refused() -> None:
    """A gateway's mistake must not move one building's current to another."""
    with pytest.raises(NotAReading, match=r"gent-3/grid"):
        take(json.dumps({**OWN, "location": "gent-3"}).encode(), format="sunshave")


def test_own_record_with_too_few_phases_is_refused() -> None:
    """A missing phase is never 0 A."""
    with pytest.raises(NotAReading, match="2 phases"):
        take(json.dumps({**OWN, "current_a": [1, 2]}).encode(), format="sunshave")


def test_payload_that_is_too_long_is_refused_unread() -> None:
    """A camera on the wrong topic costs one comparison."""
    with pytest.raises(NotAReading) as refused:
        take(b" " * (PAYLOAD_BYTES + 1), format="sunshave")

    assert refused.value.kind == "overlong"


def test_split_formats_subscribe_below_their_topic() -> None:
    """The others to their topic and nothing else."""
    assert MqttReader(source(format="dsmr-reader")).subscription == "t/#"
    assert MqttReader(source(format="homewizard-p1")).subscription == "t"
