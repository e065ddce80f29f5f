"""The yardstick: aiokafka and msgspec in a loop that does nothing with what it has read."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiokafka import AIOKafkaConsumer

from pipeline.records import METERS, MeterReading
from tests.bench.backlog import RECORDS
from tests.bench.cost import Meter


async def read(bootstrap: str) -> None:
    decode = msgspec.json.Decoder(MeterReading).decode
    consumer = AIOKafkaConsumer(
        METERS, bootstrap_servers=bootstrap, group_id="bare", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        seen, meter = 0, None
        while seen < RECORDS:
            polled = await consumer.getmany(timeout_ms=1000, max_records=2000)
            if meter is None and polled:
                meter = Meter(sum(map(len, polled.values())))
            for records in polled.values():
                for record in records:
                    decode(record.value)
                seen += len(records)
        assert meter is not None
        meter.tell(seen)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(read(sys.argv[1]))
