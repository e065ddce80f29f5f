"""A stock Faust agent, an event per record, doing the same fold."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import Any

import faust

from pipeline.records import METERS
from tests.bench.folding import Folding

RECORDS = 20_000
"""Of the backlog: enough for a figure, at 200 µs each."""


async def read(bootstrap: str, folder: str) -> None:
    app = faust.App(
        "stock",
        broker=f"kafka://{bootstrap}",
        datadir=folder,
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    folding, done = Folding(), asyncio.Event()

    @app.agent(app.topic(METERS, value_type=bytes, value_serializer="raw", key_serializer="raw"))
    async def meters(stream: Any) -> None:
        async for event in stream.events():
            if not done.is_set():
                folding.fold(event.value, round(event.message.timestamp * 1000))
                if folding.records == RECORDS:
                    folding.tell()
                    done.set()

    starting = asyncio.create_task(app.start())
    await done.wait()
    await app.stop()
    starting.cancel()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(read(sys.argv[1], folder))
