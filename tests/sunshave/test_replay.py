"""`sunshave replay`: what was decided by real workers is decided again, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from pipeline.moments import rfc3339
from pipeline.records import DEADLETTERS, DECISIONS, LIMITS, LOCATIONS, METERS
from tests.parts import free_port
from tests.parts.brokers import Broker
from tests.parts.kafka import running_kafka
from tests.parts.stream import PARTITIONS, Stream, now_ms, prepared, workers_on
from tests.parts.tansu import running_tansu
from tests.sunshave.lively import Lively, lively_site

COMMAND = Path(sys.executable).with_name("sunshave")


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run([COMMAND, "replay", *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.embedded), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    """A broker of this test's own: its whole history is what the test made."""
    if request.param == "embedded":
        with running_tansu() as bootstrap:
            stream = prepared(Broker(bootstrap, "embedded", 2.0))
            yield stream
            stream.close()
    else:
        with running_kafka() as node:
            stream = prepared(Broker(node.bootstrap, "kafka", 6.0))
            yield stream
            stream.close()


def live_through_a_lot(stream: Stream, folder: Path) -> None:
    """Three sites, two owners one after the other, a kill in between; limits, changed documents, records too early."""
    homes = [Lively(stream, "home-1"), Lively(stream, "home-2", house_a=9.0), Lively(stream, "home-3")]
    for home in homes[:2]:
        stream.put(LOCATIONS, home.name, lively_site(home.name))
    with ExitStack() as stack:
        for home in homes:
            stack.enter_context(home.living())
        start = stack.enter_context(workers_on(stream.broker, folder))
        first = start()
        await_decisions(stream, 5, "home-1", "home-2")
        stream.wait(lambda: any(letter["reason"].startswith("unknown:") for letter in stream.read(DEADLETTERS)))
        stream.put(LOCATIONS, "home-3", lively_site("home-3"))
        limit = {"location": "home-1", "group": "garage", "source": "dso", "from": rfc3339(now_ms()), "limit_a": 14}
        stream.put(LIMITS, "home-1", limit)
        await_decisions(stream, 5, "home-1", "home-3")
        first.kill()
        second = start()
        await_decisions(stream, 5, "home-1", "home-2")
        stream.put(LOCATIONS, "home-2", lively_site("home-2", limit_a=20, cap_kw=9.0))
        stream.put(LOCATIONS, "home-3", None)
        stream.put(LOCATIONS, "home-1", b"{}")
        await_decisions(stream, 5, "home-1", "home-2")
        assert 0 == second.stop()


def await_decisions(stream: Stream, more: int, *names: str) -> None:
    """Until each of these locations has so many decisions more."""
    before = {name: len(stream.decisions(name)) for name in names}
    stream.wait(lambda: all(len(stream.decisions(name)) >= many + more for name, many in before.items()))


def recorded(stream: Stream) -> list[dict[str, Any]]:
    """Every decision once."""
    return list({d["decision"]: d for d in stream.read(DECISIONS)}.values())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_history_is_decided_again_to_the_bit(stream: Stream, tmp_path: Path) -> None:
    """After a kill -9, limits, and a changed document: all the same, exit 0; one that was tampered with is found."""
    live_through_a_lot(stream, tmp_path)
    decided = recorded(stream)

    done = replay("--kafka", stream.broker.bootstrap)

    assert (0, {"decisions": len(decided), "same": len(decided), "different": 0}) == (
        done.returncode,
        json.loads(done.stdout),
    ), done.stderr
    assert "" == done.stderr
    assert any(d["order"] for d in decided)
    assert any(s["limit_a"] for d in decided for s in d["setpoints"])

    export_reads_alike(stream, tmp_path / "home-2.jsonl", [d for d in decided if d["location"] == "home-2"])

    tampered = decided[len(decided) // 2]
    tampered["connectors"][0]["limit_a"] += 1
    stream.put(DECISIONS, tampered["location"], tampered)

    found = replay("--kafka", stream.broker.bootstrap)
    assert (1, 1) == (found.returncode, json.loads(found.stdout)["different"])
    assert tampered["decision"] in found.stderr


def export_reads_alike(stream: Stream, file: Path, decided: list[dict[str, Any]]) -> None:
    """What --export writes is decided again from the file, and `sunshave decide` reads it as the stream was read."""
    exported = replay("--kafka", stream.broker.bootstrap, "--location", "home-2", "--export", str(file))
    again = replay(str(file))
    answered = subprocess.run([COMMAND, "decide", file], capture_output=True, text=True, timeout=60, check=False)

    counted = {"decisions": len(decided), "same": len(decided), "different": 0}
    assert [(0, counted)] * 2 == [(done.returncode, json.loads(done.stdout)) for done in (exported, again)]
    assert 0 == answered.returncode, answered.stderr
    answers = [line for line in map(json.loads, answered.stdout.splitlines()) if "decisions" in line]
    assert [d["setpoints"] for d in decided] == [answer["decisions"][0]["setpoints"] for answer in answers]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_history_without_its_beginning_goes_on_from_what_the_workers_kept(tmp_path: Path) -> None:
    """Old records are gone: what cannot be decided again is counted and said, the rest is the same."""
    with running_kafka() as node:
        stream = prepared(Broker(node.bootstrap, "kafka", 6.0))
        home = Lively(stream, "home-1")
        stream.put(LOCATIONS, home.name, lively_site(home.name))
        with home.living(), workers_on(stream.broker, tmp_path) as start:
            worker = start()
            await_decisions(stream, 10, "home-1")
            forget_records(stream, METERS)
            await_decisions(stream, 10, "home-1")
            assert 0 == worker.stop()
        decided = len(recorded(stream))
        stream.close()

        done = replay("--kafka", node.bootstrap)

    assert 0 == done.returncode, done.stdout + done.stderr
    counted = json.loads(done.stdout)
    assert (0, 0, decided) == (done.returncode, counted["different"], counted["decisions"])
    assert counted["same"] > 5
    assert counted["skipped"] > 5
    assert "location home-1" in done.stderr
    assert "gone" in done.stderr


def forget_records(stream: Stream, topic: str) -> None:
    """What is on the topic now goes, as when its time is over."""
    client = KafkaAdminClient(bootstrap_servers=stream.broker.bootstrap)
    client.delete_records({TopicPartition(topic, p): -1 for p in range(PARTITIONS)})
    client.close()


def test_a_broker_that_is_away_is_said_in_a_sentence() -> None:
    """Exit status 2, the address, no stack trace."""
    address = f"127.0.0.1:{free_port()}"

    done = replay("--kafka", address)

    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert address in done.stderr
