"""The dispatcher's reading side: what was not taken in comes again."""

from __future__ import annotations

import json

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from connectors.ocpp.bus import Batch, Inbox
from pipeline import records
from pipeline.records import encode
from tests.connectors.ocpp.desk import location, setpoint
from tests.parts.tansu import running_tansu
from tests.parts.waiting import wait_until
from topology.read import location_document


@pytest.mark.embedded
def test_batch_that_was_not_taken_in_is_delivered_again() -> None:
    """A setpoint is not skipped because its first delivery failed, neither at the start nor later."""
    failures = {True: 1, False: 1}
    taken: list[Batch] = []

    def deliver(batch: Batch) -> None:
        if failures[batch.restored]:
            failures[batch.restored] -= 1
            raise OSError("not now")
        taken.append(batch)

    with running_tansu() as bootstrap:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        topics = (records.LOCATIONS, records.SETPOINTS)
        admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1} for topic in topics})
        admin.close()
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        producer.send(records.LOCATIONS, key=b"house", value=json.dumps(location_document(location())).encode()).get(9)
        producer.send(records.SETPOINTS, key=b"CP-1/1", value=encode(setpoint(1))).get(9)
        inbox = Inbox(bootstrap, deliver)
        inbox.start()
        try:
            wait_until(lambda: taken, 20, "what was there before never came")
            producer.send(records.SETPOINTS, key=b"CP-1/1", value=encode(setpoint(2))).get(9)
            wait_until(lambda: len(taken) > 1, 20, "what came later never came")
        finally:
            inbox.stop()
            inbox.join()
            producer.close()

    assert [(True, ["house"], [1]), (False, [], [2])] == [
        (batch.restored, [put.name for put in batch.locations], [each.seq for each in batch.setpoints])
        for batch in taken
    ]
    assert {True: 0, False: 0} == failures
