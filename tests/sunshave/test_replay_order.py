"""Every history is decided again, in whatever order its records came and whoever took over when: without a broker."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.emission import Batch, Emission
from pipeline.engine import Engine
from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, DEADLETTERS, DECISIONS, FEEDBACK, LIMITS, LOCATIONS, METERS, encode
from pipeline.topics import CHANGELOG, TOPICS
from sunshave.replay_again import Again, Result
from sunshave.replay_history import LATE, History
from sunshave.replay_steps import Record
from tests.sunshave.lively import lively_site

START_MS = 1_795_334_400_000


@dataclass
class Topics:
    """What would be on the broker, one partition of each topic; read as `sunshave.reading.Reader` reads it."""

    records: dict[str, list[Record]] = field(default_factory=lambda: {topic.name: [] for topic in TOPICS})
    begins: dict[str, int] = field(default_factory=dict)

    def put(self, topic: str, key: bytes | None, value: bytes | None, at_ms: int) -> Record:
        record = Record(key, value, len(self.records[topic]), at_ms)
        self.records[topic].append(record)
        return record

    def partitions(self, topic: str) -> list[int]:
        return [0]

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        return self.begins.get(topic, 0), len(self.records[topic])

    def read(self, topic: str, partition: int) -> Iterator[Record]:
        yield from self.records[topic][self.begins.get(topic, 0) :]


@dataclass
class Life:
    """A site under engines that die: every die is cast from one seed."""

    seed: int
    removals: bool = False
    """The location is removed and put again; then no record is read twice (see `_die`)."""
    topics: Topics = field(default_factory=Topics)
    now_ms: int = START_MS
    generation: int = 1
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.engine = Engine(0, "host:1:1", {}, self.now_ms)
        self.read: dict[str, int] = dict.fromkeys((LOCATIONS, LIMITS, METERS, CHARGERS, FEEDBACK), 0)
        self._document(LOCATIONS)

    def live(self, moments: int) -> Topics:
        happenings = [self._meter] * 6 + [self._charger] * 9 + [self._answer] * 6 + [self._decide] * 8
        happenings += [self._limit, self._garbage, self._document, self._die, *[self._fold] * 3]
        happenings += [self._remove] * self.removals
        for _ in range(moments):
            self.now_ms += self.dice.choice([0, 10, 200, 1000, 3000])
            self.dice.choice(happenings)()
        self._decide()
        return self.topics

    def _put(self, topic: str, value: dict[str, Any]) -> None:
        self.topics.put(topic, b"home", json.dumps({"location": "home", **value}).encode(), self.now_ms)

    def _meter(self) -> None:
        current_a = [self.dice.uniform(-15, 25) for _ in range(3)]
        self._put(METERS, {"meter": "p1", "at": rfc3339(self.now_ms), "current_a": current_a})

    def _charger(self) -> None:
        car = self.dice.choice("ABC")
        status = self.dice.choice(["Charging"] * 6 + ["SuspendedEV", "Available"])
        current_a = [self.dice.choice([0.0, 6.0, 9.5, self.dice.uniform(0, 16)])] * (1 if car == "C" else 3)
        reading = {"charger": f"home-{car}", "connector": 1, "online": True, "status": status, "transaction": "1"}
        self._put(CHARGERS, reading | {"at": rfc3339(self.now_ms), "current_a": current_a})

    def _answer(self) -> None:
        if not self.told:
            return
        setpoint = self.dice.choice(sorted(self.told.values(), key=lambda s: str(s["charger"])))
        state = self.dice.choice(["accepted"] * 5 + ["sent", "timeout", "rejected"])
        answer = {k: setpoint[k] for k in ("charger", "connector", "seq", "limit_a", "fallback_a")}
        at_ms = self.now_ms - self.dice.choice([0, 0, 500, 2000])
        self._put(FEEDBACK, answer | {"at": rfc3339(at_ms), "state": state, "lease_until": setpoint["valid_until"]})

    def _limit(self) -> None:
        limit_a = self.dice.choice([8, 12, 30])
        self._put(LIMITS, {"group": "garage", "source": "dso", "from": rfc3339(self.now_ms), "limit_a": limit_a})

    def _garbage(self) -> None:
        self.topics.put(self.dice.choice([METERS, CHARGERS, FEEDBACK, LOCATIONS]), b"home", b"{", self.now_ms)

    def _document(self, topic: str = LOCATIONS) -> None:
        site = lively_site("home", limit_a=self.dice.choice([20, 25, 32]), cap_kw=self.dice.choice([6.0, 12.0]))
        if self.dice.random() < 0.3:
            site["chargers"].pop()
        self.topics.put(topic, b"home", json.dumps(site).encode(), self.now_ms)

    def _remove(self) -> None:
        self.topics.put(LOCATIONS, b"home", None, self.now_ms)
        if self.dice.random() < 0.7:
            self._document()

    def _fold(self) -> None:
        """What is unread, some of it, topic by topic in any order."""
        for topic in self.dice.sample(sorted(self.read), k=len(self.read)):
            there = len(self.topics.records[topic])
            upto = self.dice.randint(self.read[topic], there)
            records = self.topics.records[topic][self.read[topic] : upto]
            if records:
                self.engine.fold(Batch(topic, 0, records, there), self.now_ms)
                self.read[topic] = upto

    def _decide(self) -> None:
        self._fold()
        self.engine.decide(self.now_ms)
        self._write(self.engine.take(), dies=False)

    def _die(self) -> None:
        """After a decision, before everything of it is written; the next one reads some of it again.

        Not where the location was forgotten meanwhile: what is read again would be news to who puts it anew, and no
        history says so.
        """
        self._fold()
        self.engine.decide(self.now_ms)
        self.engine.save()
        self._write(self.engine.take(), dies=self.dice.random() < 0.7)
        kept: dict[bytes, bytes] = {}
        for record in self.topics.records[CHANGELOG]:
            assert record.key is not None
            if record.value is None:
                kept.pop(record.key, None)
            else:
                kept[record.key] = record.value
        self.generation += 1
        self.engine = Engine(0, f"host:{self.generation}:{self.generation}", kept, self.now_ms)
        if self.removals:
            return
        self.read = {topic: self.dice.randint(0, max(0, many - 3)) if topic != LOCATIONS else max(0, many - 1)
                     for topic, many in self.read.items()}  # fmt: skip

    def _write(self, out: Emission, *, dies: bool) -> None:
        for letter in out.letters:
            self.topics.put(DEADLETTERS, None, encode(letter), self.now_ms)
        for key, value in out.kept:
            self.topics.put(CHANGELOG, key, value, self.now_ms)
        for topic, key, value in (*out.first, *(() if dies else out.last)):
            self.topics.put(topic, key, value, self.now_ms)
            if topic == DECISIONS:
                assert value is not None
                self.told |= {s["charger"]: s for s in json.loads(value)["setpoints"]}


def replayed(topics: Topics) -> list[Result]:
    again = Again()
    return [again.take(step) for step in History(topics).steps()]  # type: ignore[arg-type]


@given(seed=st.integers(0, 2**32 - 1), removals=st.booleans())
@example(seed=162547, removals=False)  # two owners die one after the other
def test_every_history_is_decided_again_to_the_bit(seed: int, removals: bool) -> None:
    """Answers before readings and after, documents in between, owners that die before they have said everything."""
    results = replayed(Life(seed, removals).live(120))

    assert [] == [result.lines for result in results if result.verdict != "same"]
    assert results


def test_a_late_word_of_a_former_owner_is_set_aside() -> None:
    """A decision under a number that another one has already: it is set aside, and the rest is the same."""
    topics = Life(1).live(200)
    old = json.loads(topics.records[DECISIONS][2].value or b"")
    late = {**old, "at": rfc3339(START_MS - 1), "decision": f"home@{START_MS - 1}"}
    topics.put(DECISIONS, b"home", json.dumps(late).encode(), START_MS)

    results = replayed(topics)

    assert (["skipped"], [LATE]) == ([r.verdict for r in results if r.verdict != "same"], results[-1].lines)


def test_a_missing_decision_is_noticed() -> None:
    """What follows one that is gone is not decided from a wrong state: it is skipped, and the number said."""
    topics = Life(1).live(200)
    names = list(dict.fromkeys(json.loads(r.value or b"")["number"] for r in topics.records[DECISIONS]))
    gone = names[len(names) // 2]
    topics.records[DECISIONS] = [r for r in topics.records[DECISIONS] if json.loads(r.value or b"")["number"] != gone]
    topics.records[CHANGELOG].clear()

    results = replayed(topics)

    assert gone - 1 == [r.verdict for r in results].count("same")
    assert f"decision number {gone} is missing before it" == results[-1].lines[0]


def test_without_its_beginning_a_history_goes_on_from_a_kept_state() -> None:
    """The oldest readings are gone: what came before the first useful state is skipped, the rest is the same."""
    topics = Life(1).live(200)
    topics.begins[METERS] = len(topics.records[METERS]) // 3

    verdicts = [result.verdict for result in replayed(topics)]

    skipped = verdicts.count("skipped")
    assert 0 < skipped < len(verdicts) - 5
    assert ["same"] * (len(verdicts) - skipped) == verdicts[skipped:]
