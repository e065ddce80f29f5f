"""What is too large for the broker: a dead letter, never a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.oversize import Oversize
from pipeline.records import DEADLETTERS, DECISIONS, LOCATIONS, DeadLetter, decode, encode
from pipeline.topics import CHANGELOG, admin_client
from tests.parts.brokers import Broker
from tests.parts.kafka import running_kafka
from tests.parts.stream import PARTITIONS, House, house, prepared, workers_on

SMALL_BYTES = 900
"""Less than a decision has, and than a dead letter with one in it; more than a dead letter without."""


def test_a_record_that_is_too_large_becomes_a_dead_letter() -> None:
    """It names its topic and key, and has the bytes."""
    topic, _, value, _ = Oversize().instead((DECISIONS, b"home", b"12345", None)) or ("", None, None, None)

    letter: DeadLetter = decode(topic, value)
    assert (DECISIONS, -1, b"12345") == (letter.topic, letter.offset, letter.value)
    assert "invalid: 5 bytes of key 'home' are too large for the broker" == letter.reason


def test_a_dead_letter_that_is_too_large_leaves_its_bytes_out() -> None:
    """It says so, and still names the record."""
    first = DeadLetter(topic=LOCATIONS, partition=3, offset=7, reason="unreadable: no JSON", value=b"x" * 9)
    oversize = Oversize()
    again = oversize.instead((DEADLETTERS, None, encode(first), None))
    assert again is not None

    letter: DeadLetter = decode(DEADLETTERS, again[2])
    assert (LOCATIONS, 3, 7, None) == (letter.topic, letter.partition, letter.offset, letter.value)
    assert "unreadable: no JSON; its 9 bytes are left out, they are too large for the broker" == letter.reason
    assert oversize.instead(again) is None


def test_what_stays_too_large_is_said_once() -> None:
    """A state is written every second; its dead letter is not, unless one fitted in between."""
    oversize, large = Oversize(), (CHANGELOG, b"home", b"12345", 2)
    assert oversize.instead(large) is not None
    assert oversize.instead(large) is None

    oversize.fits(CHANGELOG, b"home")

    assert oversize.instead(large) is not None


@pytest.mark.kafka
@pytest.mark.slow
def test_setpoints_go_on_when_decisions_are_too_large(tmp_path: Path) -> None:
    """On a broker with a small limit: each house's decision is a dead letter without its bytes, cars are charged."""
    with running_kafka() as node:
        with admin_client(node.bootstrap) as client:
            small = {"num_partitions": PARTITIONS, "configs": {"max.message.bytes": str(SMALL_BYTES)}}
            client.create_topics({DECISIONS: small, DEADLETTERS: small})
            client.wait_for_topics([DECISIONS, DEADLETTERS])
        broker = Broker(node.bootstrap, "kafka", 6.0)
        stream = prepared(broker)
        home = House(stream, "home")
        stream.put(LOCATIONS, home.name, house(home.name))
        home.read_once()
        with workers_on(broker, tmp_path) as start:
            worker = start()
            letters = stream.wait(lambda: stream.read(DEADLETTERS))
            stream.wait(lambda: len({s["charger"] for s in stream.setpoints(home.name)}) == 2)
            assert 0 == worker.stop()
        stream.close()

    assert [(DECISIONS, -1, None)] == [(x["topic"], x["offset"], x["value"]) for x in letters]
    assert "of key 'home' are too large for the broker; its " in letters[0]["reason"]
