"""The engine of a partition, without Kafka: batches in, emissions out, and nothing lost or counted twice in between."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pipeline.backlog import BEHIND_MS, BEHIND_RECORDS, SILENCE_MS
from pipeline.emission import Batch, Emission
from pipeline.engine import Engine
from pipeline.kept import DOCUMENT
from pipeline.moments import parse_moment, rfc3339
from pipeline.records import CHARGERS, DECISIONS, FEEDBACK, LIMITS, LOCATIONS, METERS, SETPOINTS

NOW_MS = 1_795_334_400_000
PARTITION = 3


@dataclass(frozen=True, slots=True)
class Record:
    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int


def location(name: str = "home", limit_a: float = 40, chargers: Iterable[str] = ("CP-1", "CP-2")) -> bytes:
    connector = {"id": 1, "phases": 1, "rotation": "R", "max_a": 40}
    return json.dumps(
        {
            "location": name,
            "grid": {"type": "TN", "phases": 1, "voltage_v": 230},
            "groups": [{"id": "main", "limit_a": limit_a, "meter": "p1"}],
            "meters": [{"id": "p1"}],
            "chargers": [
                {"id": f"{name}-{c}", "group": "main", "fallback_a": 6, "connectors": [connector]} for c in chargers
            ],
        }
    ).encode()


def meter(at_ms: int, current_a: float, name: str = "home") -> dict[str, Any]:
    return {"location": name, "meter": "p1", "at": rfc3339(at_ms), "current_a": [current_a]}


def charger(at_ms: int, charger: str, current_a: float = 0.0, name: str = "home") -> dict[str, Any]:
    status = {"online": True, "status": "Charging", "transaction": "1", "current_a": [current_a]}
    return {"location": name, "charger": f"{name}-{charger}", "connector": 1, "at": rfc3339(at_ms), **status}


class Stream:
    """Feeds an engine: gives each record its offset, and collects what would be on the broker."""

    def __init__(self, engine: Engine | None = None, now_ms: int = NOW_MS) -> None:
        self.engine = engine or Engine(PARTITION, "host:1:1", {}, now_ms)
        self.offsets: dict[str, int] = {}
        self.log: list[tuple[str, Record]] = []
        self.kept: dict[bytes, bytes] = {}
        self.now_ms = now_ms

    def put(self, topic: str, value: object, key: bytes | None = b"home", at_ms: int | None = None) -> None:
        raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
        offset = self.offsets.get(topic, -1) + 1
        self.offsets[topic] = offset
        self.feed(topic, Record(key, raw, offset, self.now_ms if at_ms is None else at_ms))

    def feed(self, topic: str, record: Record, end: int | None = None) -> None:
        self.log.append((topic, record))
        self.engine.fold(Batch(topic, PARTITION, [record], record.offset + 1 if end is None else end), self.now_ms)

    def house(self, current_a: float) -> None:
        """All readings of this moment: the cars draw nothing, the rest of the house this."""
        for name in ("CP-1", "CP-2"):
            self.put(CHARGERS, charger(self.now_ms, name))
        self.put(METERS, meter(self.now_ms, current_a))

    def round(self) -> Emission:
        self.engine.decide(self.now_ms)
        out = self.engine.take()
        for key, value in out.kept:
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value
        return out

    def takeover(self, **options: Any) -> Stream:
        """The same partition with another worker, from what the changelog kept."""
        new = Stream(Engine(PARTITION, "host:2:2", self.kept, self.now_ms, **options), self.now_ms)
        new.offsets, new.kept = dict(self.offsets), dict(self.kept)
        return new


def emitted(out: Emission, topic: str) -> list[dict[str, Any]]:
    return [json.loads(value) for name, _, value in (*out.first, *out.last) if name == topic and value is not None]


@pytest.fixture
def stream() -> Stream:
    """A house with two chargers of 40 A on 40 A, both of which want current."""
    stream = Stream()
    stream.put(LOCATIONS, location())
    stream.put(METERS, meter(NOW_MS, 0.0))
    stream.put(CHARGERS, charger(NOW_MS, "CP-1"))
    stream.put(CHARGERS, charger(NOW_MS, "CP-2"))
    return stream


def test_a_batch_becomes_one_decision_with_its_setpoints(stream: Stream) -> None:
    """Decided once per location and batch, explained by the offsets that it saw and the worker that made it."""
    out = stream.round()

    (decision,) = emitted(out, DECISIONS)
    assert {LOCATIONS: [PARTITION, 0], METERS: [PARTITION, 0], CHARGERS: [PARTITION, 1]} == decision["inputs"]
    assert "host:1:1" == decision["worker"]
    assert [20.0, 20.0] == [c["target_a"] for c in decision["connectors"]]
    assert emitted(out, SETPOINTS) == decision["setpoints"]
    assert {b"home-CP-1/1", b"home-CP-2/1"} == {key for topic, key, _ in out.last if topic == SETPOINTS}


def test_setpoints_follow_the_state_that_counts_them(stream: Stream) -> None:
    """The state is kept before they go out, and with it the decision, should they never have gone."""
    out = stream.round()
    assert [b"home" + DOCUMENT, b"home"] == [key for key, _ in out.kept]
    assert {DECISIONS, SETPOINTS} == {topic for topic, _, _ in out.last}

    after = stream.takeover().round()

    assert emitted(out, SETPOINTS) == [json.loads(v) for t, _, v in after.first if t == SETPOINTS and v]


def test_a_decision_without_setpoints_is_not_lost_either(stream: Stream) -> None:
    """It is written again by who takes over, so that the history has every decision that the state has."""
    stream.round()
    stream.now_ms += 11_000
    stream.house(0.0)
    out = stream.round()
    (decision,) = emitted(out, DECISIONS)
    assert ([], 2) == (decision["setpoints"], decision["number"])

    after = stream.takeover().round()

    assert [decision] == [json.loads(v) for t, _, v in after.first if t == DECISIONS and v]


def test_a_decision_says_where_its_records_came_in_another_order(stream: Stream) -> None:
    """An answer before a reading, a document after anything: the inputs at that moment are in `order`."""
    (first,) = emitted(stream.round(), DECISIONS)
    answer = first["setpoints"][0]
    accepted = {k: answer[k] for k in ("location", "charger", "connector", "seq", "limit_a")}
    at = rfc3339(stream.now_ms)
    stream.put(FEEDBACK, accepted | {"at": at, "state": "accepted", "lease_until": answer["valid_until"]})
    stream.now_ms += 1_000
    stream.house(30.0)
    stream.put(LOCATIONS, location(limit_a=32))
    stream.now_ms += 1_000

    (decision,) = emitted(stream.round(), DECISIONS)

    p = PARTITION
    assert [
        {LOCATIONS: [p, 0], METERS: [p, 0], CHARGERS: [p, 1], FEEDBACK: [p, 0]},
        {LOCATIONS: [p, 0], METERS: [p, 1], CHARGERS: [p, 3], FEEDBACK: [p, 0]},
    ] == decision["order"]
    assert [] == first["order"]


def test_a_location_is_decided_at_most_once_per_interval(stream: Stream) -> None:
    """A meter at 10 Hz asks for no more decisions than one at 1 Hz."""
    stream.round()
    for _ in range(10):
        stream.now_ms += 100
        stream.put(METERS, meter(stream.now_ms, 0.0))
        wake_ms = stream.engine.wake_ms(stream.now_ms)
        assert NOW_MS + 1000 == wake_ms


def test_a_violation_is_decided_at_once_and_once(stream: Stream) -> None:
    """More than the fuse carries cannot wait for the interval; but it is news only once."""
    stream.round()
    stream.now_ms += 100
    stream.house(50.0)
    assert stream.engine.wake_ms(stream.now_ms) <= stream.now_ms
    assert [True] == [d["groups"][0]["unmanaged_a"] == [50.0] for d in emitted(stream.round(), DECISIONS)]

    stream.now_ms += 100
    stream.house(51.0)
    assert stream.now_ms + 900 == stream.engine.wake_ms(stream.now_ms)


def test_an_overloaded_worker_decides_on_a_violation_first(stream: Stream) -> None:
    """Who has waited for long waits for a little longer."""
    stream.put(LOCATIONS, location("away"), b"away")
    stream.round()
    stream.now_ms += 5000
    stream.put(METERS, meter(stream.now_ms, 1.0, "away"), b"away")
    stream.now_ms += 100
    stream.house(50.0)

    stream.engine.decide(stream.now_ms, at_most=1)

    assert ["home"] == [decision["location"] for decision in emitted(stream.engine.take(), DECISIONS)]


def test_nothing_but_noise_is_neither_kept_nor_emitted(stream: Stream) -> None:
    """Readings within the dead band cost no record; they are kept when offsets are to be committed."""
    stream.round()
    stream.now_ms += 1000
    stream.put(METERS, meter(stream.now_ms, 0.1))
    assert not stream.round()

    stream.engine.save()
    assert [b"home"] == [key for key, _ in stream.round().kept]


def test_a_replay_changes_nothing(stream: Stream) -> None:
    """After a crash everything since the last commit comes again: same state, no dead letter twice."""
    stream.put(METERS, {**meter(NOW_MS, 0.0), "meter": "p9"})
    stream.put(METERS, meter(NOW_MS + 500, 5.0))
    stream.engine.save()
    first = stream.round()
    assert ["unknown: meter p9"] == [letter.reason for letter in first.letters]

    again = stream.takeover()
    for topic, record in stream.log:
        again.feed(topic, record)
    again.engine.save()
    second = again.engine.take()

    assert [] == second.letters
    assert {} == dict(second.kept)


def test_who_takes_over_decides_once_for_each_location(stream: Stream) -> None:
    """With what was known, also when nothing new comes in; the numbers go on."""
    before = emitted(stream.round(), DECISIONS)[0]
    stream.now_ms += 5000

    (after,) = [d for d in emitted(stream.takeover().round(), DECISIONS) if d["worker"] == "host:2:2"]

    assert before["inputs"] == after["inputs"]
    assert [s["seq"] for s in before["setpoints"]] <= [s["seq"] for s in after["setpoints"]] or not after["setpoints"]


def test_decisions_go_on_when_the_new_clock_is_behind(stream: Stream) -> None:
    """Two hosts never agree to the millisecond; decisions of a location are in order all the same."""
    before = emitted(stream.round(), DECISIONS)[0]
    stream.now_ms -= 3000

    after = [d for d in emitted(stream.takeover().round(), DECISIONS) if d["worker"] == "host:2:2"]

    assert all(parse_moment(before["at"]) < parse_moment(d["at"]) for d in after)
    assert after


def test_a_backlog_is_folded_before_anything_is_decided(stream: Stream) -> None:
    """What is not yet read is newer than what is known: a meter that only seems lost sends no car to its fallback."""
    stream.round()
    stream.now_ms += 3_600_000
    late = stream.takeover(behind=[METERS])
    assert 0 == late.round().decisions

    old = Record(b"home", json.dumps(meter(NOW_MS + 1000, 3.0)).encode(), 1, late.now_ms - BEHIND_MS - 1)
    late.feed(METERS, old, end=3)
    assert not emitted(late.round(), DECISIONS)

    new = Record(b"home", json.dumps(meter(late.now_ms, 4.0)).encode(), 2, late.now_ms)
    late.feed(METERS, new, end=3)
    (decision,) = emitted(late.round(), DECISIONS)
    assert "fresh" == decision["groups"][0]["meter_state"]


def test_so_many_new_records_are_a_backlog_too(stream: Stream) -> None:
    """Written a moment ago, but twenty thousand of them: the newest one is decided upon, and none on the way."""
    first = Record(b"home", json.dumps(meter(NOW_MS, 3.0)).encode(), 1, NOW_MS)
    stream.feed(METERS, first, end=3 + BEHIND_RECORDS)
    assert not emitted(stream.round(), DECISIONS)

    last = Record(b"home", json.dumps(meter(NOW_MS + 1, 4.0)).encode(), 2, NOW_MS)
    stream.feed(METERS, last, end=3 + BEHIND_RECORDS)
    assert [[PARTITION, 2]] == [d["inputs"][METERS] for d in emitted(stream.round(), DECISIONS)]


def test_connectors_that_did_not_accept_are_counted(stream: Stream) -> None:
    """What was sent and is not confirmed is a number for an alarm."""
    (first, _) = emitted(stream.round(), SETPOINTS)
    assert 2 == stream.engine.unconfirmed

    stream.now_ms += 2000
    answer = {key: first[key] for key in ("location", "charger", "connector", "seq", "limit_a")}
    answer |= {"at": rfc3339(stream.now_ms), "state": "accepted", "lease_until": first["valid_until"]}
    stream.put(FEEDBACK, answer)
    stream.round()
    assert 1 == stream.engine.unconfirmed


def test_a_changed_location_is_not_counted_twice(stream: Stream) -> None:
    """Its connectors are those that it had before, and so are their answers."""
    stream.round()
    stream.now_ms += 2000
    stream.put(LOCATIONS, location(limit_a=39))
    stream.round()

    assert 2 == stream.engine.unconfirmed


def test_a_backlog_that_never_comes_holds_nothing_up(stream: Stream) -> None:
    """The end that a broker names may hold no record for us."""
    stream.round()
    late = stream.takeover(behind=[METERS])
    late.now_ms += SILENCE_MS

    assert emitted(late.round(), DECISIONS)


GARBAGE = [
    (METERS, b"\xff\x00not json", b"home", "unreadable: "),
    (METERS, None, b"home", "invalid: the value is null"),
    (METERS, b"{}", b"home", "invalid: "),
    (METERS, meter(NOW_MS, 1.0), b"elsewhere", "invalid: the key is not the location"),
    (METERS, meter(NOW_MS, 1.0), None, "invalid: the key is not the location"),
    (METERS, meter(NOW_MS, 1.0, name="nowhere"), b"nowhere", "unknown: location nowhere"),
    (METERS, meter(NOW_MS + 60_000, 1.0), b"home", "future: "),
    (METERS, {**meter(NOW_MS, 1.0), "current_a": [1, 2, 3]}, b"home", "invalid: "),
    (CHARGERS, charger(NOW_MS, "CP-9"), b"home", "unknown: charger home-CP-9"),
    (FEEDBACK, b"[]", b"home", "invalid: "),
    (
        LIMITS,
        {"location": "home", "group": "x", "source": "dso", "from": rfc3339(NOW_MS), "limit_a": 1},
        b"home",
        "unk",
    ),
    (LOCATIONS, b"not json", b"home", "unreadable: "),
    (LOCATIONS, b'{"location": "home", "groups": []}', b"home", "invalid: "),
    (LOCATIONS, location("other"), b"home", "invalid: the key is not the location"),
    (LOCATIONS, location("other"), None, "invalid: the key is not the location"),
]


@pytest.mark.parametrize(("topic", "value", "key", "reason"), GARBAGE)
def test_garbage_is_a_dead_letter_and_stops_nothing(
    stream: Stream, topic: str, value: object, key: bytes | None, reason: str
) -> None:
    """Each bad record once, with its bytes, its place and why; the next good one counts as ever."""
    stream.round()
    stream.now_ms += 2000
    stream.put(topic, value, key)
    bad = stream.log[-1][1]
    stream.house(10.0)

    out = stream.round()

    (letter,) = out.letters
    assert (topic, PARTITION, bad.offset, bad.value) == (letter.topic, letter.partition, letter.offset, letter.value)
    assert letter.reason.startswith(reason)
    assert [[10.0]] == [d["groups"][0]["unmanaged_a"] for d in emitted(out, DECISIONS)]


def test_a_changed_location_counts_with_the_next_decision(stream: Stream) -> None:
    """A smaller fuse takes effect, and forgets no reservation."""
    stream.round()
    stream.now_ms += 2000
    stream.put(LOCATIONS, location(limit_a=30))

    (decision,) = emitted(stream.round(), DECISIONS)

    assert [30.0] == decision["groups"][0]["limit_a"]
    assert 1 == decision["inputs"][LOCATIONS][1]
    assert location(limit_a=30) == stream.kept[b"home" + DOCUMENT]


def test_a_refused_location_stays_what_it_was_also_for_the_next_owner(stream: Stream) -> None:
    """The topic forgets the good one when it is compacted; the changelog does not."""
    stream.round()
    stream.put(LOCATIONS, b'{"location": "home"}')
    stream.round()

    assert 1 == len(stream.takeover().engine)


def test_an_idle_location_costs_a_look_a_minute() -> None:
    """A million of them must not keep a core busy."""
    stream = Stream()
    stream.put(LOCATIONS, location())
    stream.round()
    looks = 0
    end_ms = NOW_MS + 600_000
    while stream.engine.wake_ms(stream.now_ms) < end_ms:
        stream.now_ms = stream.engine.wake_ms(stream.now_ms)
        stream.engine.decide(stream.now_ms)
        looks += 1

    assert looks <= 11


def test_a_state_of_a_newer_version_is_refused() -> None:
    """An old worker that went on without it would forget every reservation."""
    kept = {b"home" + DOCUMENT: location(), b"home": b"\x93\x63\xc4\x00\x90"}

    with pytest.raises(ValueError, match="kept by version 99"):
        Engine(PARTITION, "host:1:1", kept, NOW_MS)


def test_so_is_a_state_of_a_newer_version_in_an_envelope_of_this_one(stream: Stream) -> None:
    """At once, and not when the location is needed for the first time."""
    stream.round()
    version, state, *rest = msgspec.msgpack.decode(stream.kept[b"home"])
    _, content = msgspec.msgpack.decode(state)
    stream.kept[b"home"] = msgspec.msgpack.encode([version, msgspec.msgpack.encode([99, content]), *rest])

    with pytest.raises(ValueError, match="a state of version 99"):
        stream.takeover()


def test_a_location_that_cannot_come_back_stops_no_other(stream: Stream) -> None:
    """Its document is refused by now: it is said, its readings are dead letters, and the others are decided."""
    stream.put(LOCATIONS, location("away"), b"away")
    stream.round()
    stream.kept[b"away" + DOCUMENT] = b"{}"
    after = stream.takeover()
    after.put(METERS, meter(NOW_MS, 1.0, "away"), b"away")

    out = after.round()

    assert ["unknown: location away"] == [letter.reason for letter in out.letters]
    assert ["bringing back away"] == [failure.split(":")[0] for failure in out.failures]
    assert {"home"} == {d["location"] for d in emitted(out, DECISIONS) if d["worker"] == "host:2:2"}


def test_decisions_that_are_due_together_are_made_in_portions() -> None:
    """Ten thousand locations that were taken over must not hold up the heartbeat."""
    stream = Stream()
    for n in range(5):
        stream.put(LOCATIONS, location(f"home-{n}"), f"home-{n}".encode())
    portions = []
    while stream.engine.wake_ms(NOW_MS) <= NOW_MS:
        stream.engine.decide(NOW_MS, at_most=2)
        portions.append(stream.engine.take().decisions)

    assert [2, 2, 1] == portions
