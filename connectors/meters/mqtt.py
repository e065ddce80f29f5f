"""A topic of an MQTT broker: subscribe, give a reading for each message that has one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import aiomqtt

from connectors.meters.measured import NotAReading
from connectors.meters.mqtt_messages import MqttReader
from connectors.meters.pace import Pace
from connectors.meters.sources import MqttSource
from connectors.meters.tally import Tally
from pipeline.records import MeterReading

KEEPALIVE_S = 15
"""How soon a dead broker is noticed (after one and a half of it). Smaller: pings are a load for a fleet's broker.
Larger: the meters are `lost` before we dial again."""

CONNECT_S = 10.0
"""Smaller: a slow link never connects. Larger: a broker that moved is missed longer."""

QUEUE = 1000
"""Messages of one source that may wait for us. Smaller: a burst is lost. Larger: memory, for values that are old."""


class SecretMissing(RuntimeError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """A password is named that the environment does not have."""


def password(source: MqttSource) -> str | None:
    """The source's password out of the environment. SecretMissing with the variable's name."""
    if source.password_env is None:
        return None
    try:
        return os.environ[source.password_env]
    except KeyError:
        raise SecretMissing(
            f"{source.location}/{source.meter}: `password_env` names {source.password_env}, which the environment lacks"
        ) from None


async def read_mqtt(source: MqttSource, publish: Callable[[MeterReading], None], tally: Tally) -> str:
    """Publish readings until the connection breaks. OSError or aiomqtt.MqttError when it cannot be had or breaks."""
    reader, pace = MqttReader(source), Pace(source.every_s)
    async with aiomqtt.Client(
        source.host,
        source.port,
        username=source.username,
        password=password(source),
        tls_context=ssl.create_default_context() if source.tls else None,
        timeout=CONNECT_S,
        keepalive=KEEPALIVE_S,
        max_queued_incoming_messages=QUEUE,
    ) as client:
        await client.subscribe(reader.subscription, qos=1)
        tally.connected = True
        async for message in client.messages:
            _take(message, reader, publish, tally, pace)
    return "the broker ended the connection"


def _take(
    message: aiomqtt.Message,
    reader: MqttReader,
    publish: Callable[[MeterReading], None],
    tally: Tally,
    pace: Pace,
) -> None:
    """One message: a reading, no news, or a refusal that is counted."""
    payload = message.payload if isinstance(message.payload, bytes | bytearray) else str(message.payload).encode()
    try:
        record = reader.take(str(message.topic), bytes(payload), message.retain, datetime.now(UTC))
    except NotAReading as why:
        tally.refuse(why)
        return
    if record is None or not pace.is_due():
        return
    pace.passed()
    tally.gave()
    publish(record)
