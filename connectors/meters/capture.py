"""A capture of a P1 port, as the bytes come: the test data of the meter that is to be supported next."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from connectors.meters.p1_tcp import chunks, dialled
from connectors.meters.p1_wire import Framer


async def capture_p1(host: str, port: int, telegrams: int, out: BinaryIO) -> int:
    """Write what arrives until so many telegrams were whole, or the port ends; says how many there were."""
    framer, whole = Framer(), 0
    async with dialled(host, port) as reader:
        async for data in chunks(reader):
            out.write(data)
            out.flush()
            whole += len(framer.feed(data))
            if whole >= telegrams:
                break
            await asyncio.sleep(0)
    return whole
