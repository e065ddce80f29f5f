"""All sources at once, each for ever: when a connection ends, it is dialled again after a pause that grows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import aiomqtt

from connectors.meters.mqtt import read_mqtt
from connectors.meters.p1_tcp import read_p1
from connectors.meters.pace import Backoff
from connectors.meters.sources import P1Source, Source
from connectors.meters.tally import Tally
from pipeline.records import MeterReading

log = logging.getLogger(__name__)

Publish = Callable[[MeterReading], None]
"""Takes a reading and returns at once; what becomes of it is its own affair (`publisher`)."""


async def feed(sources: Iterable[Source], publish: Publish, tallies: Iterable[Tally]) -> None:
    """Read every source until cancelled. One that fails disturbs no other."""
    async with asyncio.TaskGroup() as group:
        for source, tally in zip(sources, tallies, strict=True):
            group.create_task(_for_ever(source, publish, tally), name=f"{source.location}/{source.meter}")


def tallies_of(sources: Iterable[Source]) -> list[Tally]:
    """One for each source, in their order."""
    return [Tally(source.location, source.meter) for source in sources]


async def _for_ever(source: Source, publish: Publish, tally: Tally) -> None:
    backoff = Backoff()
    while True:
        given = tally.readings
        try:
            why = await (
                read_p1(source, publish, tally) if isinstance(source, P1Source) else read_mqtt(source, publish, tally)
            )
        except (OSError, aiomqtt.MqttError) as problem:  # also TimeoutError, and refused by the broker
            why = f"{source.host}:{source.port}: {problem or type(problem).__name__}"
        except Exception as problem:  # a bug of ours, or of a client library, with one source must not stop the others
            log.exception("%s/%s failed", source.location, source.meter)
            why = f"failed: {type(problem).__name__}"
        tally.broke(why)
        if tally.readings > given:  # it had worked: this is a new trouble
            backoff.reset()
        await asyncio.sleep(backoff.pause_s())
