"""A capture is a file of what a meter sent, with a `.json` of the same name beside it: the source, and the records.

`NAME.txt` are the bytes of a P1 port; `NAME.mqtt` are messages, a JSON object {topic, payload} per line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.meters.mqtt_messages import MqttReader
from connectors.meters.p1_telegram import read_telegram
from connectors.meters.p1_wire import Framer
from connectors.meters.readings import live_moment, reading
from connectors.meters.sources import MqttSource, P1Source, parse_sources
from pipeline.moments import parse_moment
from pipeline.records import MeterReading, encode

CAPTURES = Path(__file__).parent / "captures"


@dataclass(frozen=True, slots=True)
class Capture:
    """What was sent, and what is expected of it."""

    source: P1Source | MqttSource
    received_at: datetime
    sent: bytes
    records: list[dict[str, Any]]


def load(path: Path) -> Capture:
    """A capture with what stands beside it."""
    beside = json.loads(path.with_suffix(".json").read_text())
    (source,) = parse_sources([beside["source"]])
    return Capture(source, parse_moment(beside["received_at"]), path.read_bytes(), beside["records"])


def read_p1(source: P1Source, sent: bytes, received_at: datetime) -> list[MeterReading]:
    """The readings of the bytes of a P1 port."""
    said = [read_telegram(telegram, source.variant) for telegram in Framer().feed(sent)]
    return [
        reading(source.location, source.meter, source.phases, each, live_moment(each.own_time, received_at))
        for each in said
    ]


def read_mqtt(source: MqttSource, sent: bytes, received_at: datetime) -> list[MeterReading]:
    """The readings of captured messages."""
    reader = MqttReader(source)
    messages = [json.loads(line) for line in sent.splitlines()]
    answers = [
        reader.take(each["topic"], each["payload"].encode(), each.get("retain", False), received_at)
        for each in messages
    ]
    return [answer for answer in answers if answer is not None]


def records_of(capture: Capture) -> list[dict[str, Any]]:
    """What our reader makes of a capture, as JSON values."""
    if isinstance(capture.source, P1Source):
        given = read_p1(capture.source, capture.sent, capture.received_at)
    else:
        given = read_mqtt(capture.source, capture.sent, capture.received_at)
    return [json.loads(encode(record)) for record in given]
