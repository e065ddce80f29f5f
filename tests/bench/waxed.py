"""bytewax doing the same fold."""

from __future__ import annotations

import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from pipeline.records import METERS
from tests.bench.folding import Folding


class _Nothing(StatelessSinkPartition[None]):
    def write_batch(self, items: list[None]) -> None:
        """What was folded is in the state."""


class _Nowhere(DynamicSink[None]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Nothing:
        return _Nothing()


def read(bootstrap: str) -> None:
    flow, folding = Dataflow("bytewax"), Folding()

    def fold(message: KafkaSourceMessage) -> None:
        assert message.value is not None
        folding.fold(message.value, round(message.timestamp[1]))

    stream = op.input("read", flow, KafkaSource([bootstrap], [METERS], tail=False, batch_size=2000))
    op.output("nowhere", op.map("fold", stream, fold), _Nowhere())
    run_main(flow)
    folding.tell()


if __name__ == "__main__":
    read(sys.argv[1])
