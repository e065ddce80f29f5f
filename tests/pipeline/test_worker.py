"""The worker as a process, on the embedded broker and on a real Apache Kafka: nothing is lost, nothing stops it."""

from __future__ import annotations

import base64
import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.delivery import REFUSED_COMMIT_S
from pipeline.records import CHARGERS, FEEDBACK, LIMITS, LOCATIONS, METERS, SETPOINTS
from tests.parts import free_port
from tests.parts.brokers import Broker
from tests.parts.stream import House, Stream, Worker, house, prepared, show, workers_on

names = (f"home-{n}" for n in itertools.count(1))


@pytest.fixture
def stream(broker: Broker) -> Iterator[Stream]:
    """A broker that is this test's alone: its group of workers is disturbed by nobody."""
    stream = prepared(broker)
    yield stream
    stream.close()


@pytest.fixture
def start(stream: Stream, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers on that broker."""
    with workers_on(stream.broker, tmp_path) as start:
        yield start
    show(tmp_path)


@pytest.fixture
def home(stream: Stream) -> Iterator[House]:
    """Two 40 A chargers on 40 A, in a house that lives while the test runs."""
    home = House(stream, next(names))
    stream.put(LOCATIONS, home.name, house(home.name))
    with home.living():
        yield home


def limits_a(stream: Stream, name: str) -> list[float]:
    """What the newest setpoint of each connector says."""
    newest = {s["charger"]: s["limit_a"] for s in stream.setpoints(name)}
    return [newest[charger] for charger in sorted(newest)]


def in_order(stream: Stream, name: str) -> bool:
    """Whether no setpoint's `seq` is lower than one before it."""
    seqs: dict[str, list[int]] = {}
    for setpoint in stream.setpoints(name):
        seqs.setdefault(setpoint["charger"], []).append(setpoint["seq"])
    return all(a <= b for each in seqs.values() for a, b in itertools.pairwise(each))


def decided_by(stream: Stream, name: str, worker: Worker) -> list[dict[str, Any]]:
    return [d for d in stream.decisions(name) if f":{worker.process.pid}:" in d["worker"]]


@pytest.mark.slow
def test_who_comes_after_a_kill_goes_on_with_the_same_state(
    stream: Stream, start: Callable[..., Worker], home: House
) -> None:
    """kill -9: the next worker goes on with all that was read; `seq` never goes backwards. The soak judges how soon."""
    first = start()
    stream.wait(lambda: limits_a(stream, home.name) == [20.0, 20.0])
    before = stream.decisions(home.name)[-1]
    first.kill()

    second = start()
    after = stream.wait(lambda: decided_by(stream, home.name, second))[0]
    assert all(after["inputs"][topic] >= known for topic, known in before["inputs"].items())
    assert [20.0, 20.0] == [c["target_a"] for c in after["connectors"]]
    assert in_order(stream, home.name)

    assert 0 == second.stop()
    assert "Traceback" not in second.said()


GARBAGE: list[tuple[str, object]] = [
    (METERS, b"\xff\x00\xff"),
    (METERS, b""),
    (METERS, None),
    (METERS, b'{"location": "nowhere"}'),
    (METERS, {"location": "HOME", "meter": "p9", "at": "2026-11-22T08:00:00Z", "current_a": [1]}),
    (METERS, {"location": "HOME", "meter": "p1", "at": "2999-11-22T08:00:00Z", "current_a": [1]}),
    (METERS, {"location": "HOME", "meter": "p1", "at": "2026-11-22T08:00:00Z", "current_a": ["NaN"]}),
    (CHARGERS, b"[" * 100_000),
    (CHARGERS, {"location": "HOME"}),
    (LIMITS, b"{"),
    (FEEDBACK, b'{"a": 1}'),
    (LOCATIONS, b"not json"),
    (LOCATIONS, {"location": "HOME", "groups": []}),
]


@pytest.mark.slow
def test_each_bad_record_is_a_dead_letter_once_and_nothing_stops(
    stream: Stream, start: Callable[..., Worker], home: House
) -> None:
    """Garbage on every topic, with its bytes and its reason; the house is decided as before."""
    bad: dict[tuple[str, int, int], bytes | None] = {}
    for topic, value in GARBAGE:
        raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        raw = raw.replace(b"HOME", home.name.encode()) if raw is not None else None
        bad[stream.put(topic, home.name, raw)] = raw
    worker = start()

    stream.wait(lambda: limits_a(stream, home.name) == [20.0, 20.0])
    letters = stream.wait(lambda: (found := stream.dead_letters()).keys() >= bad.keys() and found)

    assert dict.fromkeys(bad, 1) == {place: len(letters[place]) for place in bad}
    assert bad == {
        place: None if letters[place][0]["value"] is None else base64.b64decode(letters[place][0]["value"])
        for place in bad
    }
    assert {"unreadable", "invalid", "unknown", "future"} == {letters[p][0]["reason"].split(":")[0] for p in bad}
    assert 0 == worker.stop()


@pytest.mark.slow
def test_what_was_refused_is_not_refused_again_after_a_kill(
    stream: Stream, start: Callable[..., Worker], home: House
) -> None:
    """No state remembers garbage, so its offsets are committed soon, and not only when states are kept again."""
    first = start()
    stream.wait(lambda: limits_a(stream, home.name) == [20.0, 20.0])
    bad = stream.put(METERS, home.name, b"garbage")
    stream.wait(lambda: bad in stream.dead_letters())
    time.sleep(REFUSED_COMMIT_S + 1.5)
    first.kill()

    second = start()
    stream.wait(lambda: decided_by(stream, home.name, second))
    assert 1 == len(stream.dead_letters()[bad])


@pytest.mark.slow
def test_a_known_location_is_never_unknown(stream: Stream, start: Callable[..., Worker]) -> None:
    """Readings that lie before their location's document, in another topic, wait for it."""
    home = House(stream, next(names))
    for _ in range(50):
        home.read_once()
    stream.put(LOCATIONS, home.name, house(home.name))
    letters = len(stream.dead_letters())
    worker = start()

    stream.wait(lambda: stream.decisions(home.name))

    assert letters == len(stream.dead_letters())
    assert 0 == worker.stop()


@pytest.mark.slow
def test_a_removed_location_is_told_to_stop_and_forgotten(stream: Stream, start: Callable[..., Worker]) -> None:
    """On the topic of setpoints: 0 A for each connector, then a null value."""
    home = House(stream, next(names))
    stream.put(LOCATIONS, home.name, house(home.name) | {"control": {"ack_s": 2}})
    home.read_once()
    worker = start()
    stream.wait(lambda: limits_a(stream, home.name) == [20.0, 20.0])

    stream.put(LOCATIONS, home.name, None)

    keys = {f"{home.name}-{letter}/1" for letter in "AB"}

    def said(key: str) -> list[Any]:
        return [seen.value for seen in stream.tail.look(SETPOINTS) if seen.key == key]

    stream.wait(lambda: all(said(key)[-1] is None for key in keys))
    assert {(0.0, "removed")} == {(said(key)[-2]["limit_a"], said(key)[-2]["reason"]) for key in keys}
    assert 0 == worker.stop()


@pytest.mark.slow
def test_two_workers_share_and_take_over(stream: Stream, start: Callable[..., Worker]) -> None:
    """Each location has one owner; when one worker ends cleanly the other goes on in seconds."""
    homes = [House(stream, next(names)) for _ in range(8)]
    for home in homes:
        stream.put(LOCATIONS, home.name, house(home.name))
        home.read_once()
    one, two = start(), start()

    def owners() -> list[str]:
        for home in homes:
            home.read_once()
        return [decisions[-1]["worker"].split(":")[1] for h in homes if (decisions := stream.decisions(h.name))]

    both = {str(one.process.pid), str(two.process.pid)}
    stream.wait(lambda: len(found := owners()) == len(homes) and set(found) == both)
    assert 0 == one.stop()
    stream.wait(lambda: set(owners()) == {str(two.process.pid)})
    assert all(in_order(stream, home.name) for home in homes)
    assert 0 == two.stop()


@pytest.mark.slow
def test_a_frozen_worker_that_thaws_says_nothing_as_an_owner(
    stream: Stream, start: Callable[..., Worker], home: House
) -> None:
    """Frozen past its session, it may not decide for what is another's by now."""
    frozen = start()
    stream.wait(lambda: decided_by(stream, home.name, frozen))
    frozen.freeze()
    heir = start()
    stream.wait(lambda: decided_by(stream, home.name, heir))
    home.house_a = 20.0
    stream.wait(lambda: decided_by(stream, home.name, heir)[-1]["groups"][0]["unmanaged_a"] == [20.0])
    said = decided_by(stream, home.name, frozen)
    frozen.thaw()
    home.house_a = 10.0
    stream.wait(lambda: stream.decisions(home.name)[-1]["groups"][0]["unmanaged_a"] == [10.0])

    generation = int(said[-1]["worker"].split(":")[2])
    late = decided_by(stream, home.name, frozen)[len(said) :]
    assert [] == [d["worker"] for d in late if int(d["worker"].split(":")[2]) <= generation]
    assert in_order(stream, home.name)
    assert 0 == heir.stop()
    assert 0 == frozen.stop()


@pytest.mark.slow
def test_health_and_metrics_say_what_it_does(stream: Stream, start: Callable[..., Worker], home: House) -> None:
    """Ready when it owns partitions; counts what it read and wrote."""
    port = free_port()
    worker = start("--http", f"127.0.0.1:{port}")
    stream.wait(lambda: limits_a(stream, home.name))

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
        health = json.load(answer)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        counted = answer.read().decode()

    assert (True, True, [0, 1, 2, 3]) == (health["ready"], health["live"], health["partitions"])
    assert 'sunshave_records_total{topic="telemetry.meters"}' in counted
    assert "sunshave_input_age_seconds" in counted
    assert 0 == worker.stop()
