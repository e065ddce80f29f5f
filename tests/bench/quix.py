"""quixstreams doing the same fold."""

from __future__ import annotations

import sys

from quixstreams import Application

from pipeline.records import METERS
from tests.bench.folding import Folding

RECORDS = 100_000
"""Of the backlog: enough for a figure."""


def read(bootstrap: str) -> None:
    app = Application(broker_address=bootstrap, consumer_group="quix", auto_offset_reset="earliest", loglevel="ERROR")
    folding = Folding()
    topic = app.topic(METERS, value_deserializer="bytes", key_deserializer="bytes")
    frame = app.dataframe(topic)
    frame.update(lambda value, _key, at_ms, _headers: folding.fold(value, at_ms), metadata=True)
    app.run(count=RECORDS)
    folding.tell()


if __name__ == "__main__":
    read(sys.argv[1])
