"""A P1 port over TCP: dial, read for ever, give a reading for each good telegram."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from connectors.meters.measured import NotAReading
from connectors.meters.p1_telegram import read_telegram
from connectors.meters.p1_wire import Framer
from connectors.meters.pace import Pace
from connectors.meters.readings import live_moment, reading
from connectors.meters.sources import P1Source
from connectors.meters.tally import Tally
from pipeline.records import MeterReading

CONNECT_S = 10.0
"""Smaller: a slow mobile link never connects. Larger: a meter that moved to another address is missed longer."""

SILENCE_S = 30.0
"""A port that sends nothing for so long is dialled again: TCP does not notice a peer that lost power. Smaller: a DSMR
2.2 or 4 meter (a telegram every 10 s) that skips one is cut off. Larger: the meter is `lost` before we have even
tried."""

CHUNK_BYTES = 4096
"""What is read at once. Larger: no gain, a telegram is about 1 kB."""


@asynccontextmanager
async def dialled(host: str, port: int) -> AsyncIterator[asyncio.StreamReader]:
    """The bytes of a port. Closed however the block ends. OSError (also its TimeoutError) when it cannot be had."""
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader
    finally:
        writer.transport.abort()  # we never write; a polite close could wait for a peer that is gone


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What arrives, until the peer ends it. TimeoutError after SILENCE_S without a byte."""
    while True:
        async with asyncio.timeout(SILENCE_S):
            data = await reader.read(CHUNK_BYTES)
        if not data:
            return
        yield data


async def read_p1(source: P1Source, publish: Callable[[MeterReading], None], tally: Tally) -> str:
    """Publish readings until the connection ends; says how it ended. OSError when it cannot be had or breaks."""
    framer, pace = Framer(), Pace(source.every_s)
    async with dialled(source.host, source.port) as reader:
        tally.connected = True
        async for data in chunks(reader):
            for telegram in framer.feed(data):
                _take(telegram, source, publish, tally, pace)
    return "the port ended the connection"


def _take(telegram: bytes, source: P1Source, publish: Callable[[MeterReading], None], tally: Tally, pace: Pace) -> None:
    """One telegram: a reading, or a refusal that is counted."""
    if not pace.is_due():
        return
    try:
        said = read_telegram(telegram, source.variant)
        at = live_moment(said.own_time, datetime.now(UTC))
        record = reading(source.location, source.meter, source.phases, said, at)
    except NotAReading as why:
        tally.refuse(why)
        return
    pace.passed()
    tally.gave()
    publish(record)
