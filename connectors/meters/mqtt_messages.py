"""MQTT messages of one source become readings. No sockets here: a message is a topic, some bytes and the retain
flag."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from connectors.meters.formats import FORMATS, Format
from connectors.meters.measured import Measured, NotAReading
from connectors.meters.readings import checked, kept_moment, reading
from connectors.meters.rounds import Rounds
from connectors.meters.sources import MqttSource
from pipeline.records import METERS, MeterReading, NotARecord, decode

PAYLOAD_BYTES = 65_536
"""The largest payload that is read. Smaller: some meter's full status might not fit. Larger: a wrong topic (a camera
picture) costs time and memory with every message."""


class MqttReader:
    """Feed it messages; it answers with a reading, or None when a message is no news. NotAReading says why one is
    bad."""

    def __init__(self, source: MqttSource) -> None:
        self._source = source
        self._format = Format((source.fields_,)) if source.fields_ is not None else FORMATS.get(source.format or "")
        first = self._format.first if self._format else None
        self._rounds = Rounds(first, self._format.names()) if self._format and first else None

    @property
    def subscription(self) -> str:
        """What to subscribe to: the source's topic, or for split topics everything below it."""
        return f"{self._source.topic.rstrip('/')}/#" if self._rounds else self._source.topic

    def take(self, topic: str, payload: bytes, retained: bool, received_at: datetime) -> MeterReading | None:
        """One message."""
        if len(payload) > PAYLOAD_BYTES:
            raise NotAReading("overlong", f"a payload of {len(payload)} bytes")
        if self._format is None:
            return self._own_record(payload)
        if self._rounds is not None:
            return self._part(topic, payload, retained, received_at)
        return self._reading(self._format.measured(_document(payload)), retained, received_at)

    def _reading(self, said: Measured | None, retained: bool, received_at: datetime) -> MeterReading | None:
        if said is None:
            return None
        at = kept_moment(said.own_time, received_at, retained)
        return reading(self._source.location, self._source.meter, self._source.phases, said, at)

    def _part(self, topic: str, payload: bytes, retained: bool, received_at: datetime) -> MeterReading | None:
        """One value of a round. Retained ones come in any order and may be of different rounds: no document."""
        assert self._rounds is not None
        assert self._format is not None
        if retained:
            return None
        name = topic.removeprefix(self._source.topic.rstrip("/") + "/")
        document = self._rounds.take(name, payload.decode("utf-8", "replace"))
        return None if document is None else self._reading(self._format.measured(document), False, received_at)

    def _own_record(self, payload: bytes) -> MeterReading:
        """Format `sunshave`: a record of `telemetry.meters`, of this source's meter and no other."""
        try:
            record = decode(METERS, payload)
        except NotARecord as why:
            raise NotAReading("unreadable", str(why)) from None
        assert isinstance(record, MeterReading)
        if (record.location, record.meter) != (self._source.location, self._source.meter):
            raise NotAReading("foreign", f"a record of {record.location}/{record.meter}")
        for told in (record.current_a, record.power_w):
            if told is not None and len(told) != self._source.phases:
                raise NotAReading("incomplete", f"{len(told)} phases, the source says `phases: {self._source.phases}`")
        return checked(record)


def _document(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAReading("unreadable", "the payload is not JSON") from None
