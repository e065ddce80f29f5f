"""The soak's checkers are no rubber stamps: each finds what was planted, and nothing in a sound history."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.moments import rfc3339
from pipeline.records import DEADLETTERS, DECISIONS, METERS, SETPOINTS, WINDOWS
from tests.parts.tail import Seen
from tests.soak import checks
from tests.soak.building import LIMIT_A, REACTION_S, Building
from tests.soak.chaos import Event
from tests.soak.fleet import Account

START_MS = 1_795_334_400_000


def topic(name: str, *values: dict[str, Any], key: str = "b-1", every_ms: int = 1000) -> dict[str, list[Seen]]:
    """A history of one topic."""
    return {name: [Seen(name, 0, n, START_MS + n * every_ms, key, value) for n, value in enumerate(values)]}


def found(wrong: Iterable[str]) -> int:
    return len(list(wrong))


def setpoint(seq: int, limit_a: float = 10.0) -> dict[str, Any]:
    return {"seq": seq, "limit_a": limit_a}


def letter(offset: int, value: bytes | None) -> dict[str, Any]:
    encoded = None if value is None else base64.b64encode(value).decode()
    return {"topic": METERS, "partition": 0, "offset": offset, "reason": "unreadable: x", "value": encoded}


def decision(worker: str, offset: int = 0) -> dict[str, Any]:
    return {"location": "b-1", "worker": worker, "inputs": {METERS: [0, offset]}}


@pytest.mark.parametrize(
    ("setpoints", "wrong"),
    [
        ([setpoint(1), setpoint(2), setpoint(2), setpoint(3)], 0),
        ([setpoint(2), setpoint(1)], 1),
        ([setpoint(2, 10.0), setpoint(2, 11.0)], 1),
    ],
)
def test_a_sequence_that_goes_backwards_or_says_two_things_is_found(setpoints: list[Any], wrong: int) -> None:
    """A repetition is none."""
    assert wrong == found(checks.check_sequence(topic(SETPOINTS, *setpoints, key="CP/1")))


def test_a_dead_letter_that_is_missing_or_changed_or_of_a_good_record_is_found() -> None:
    """Repeated ones are not wrong."""
    account = Account(good={(METERS, 0, 1)}, bad={(METERS, 0, 2): b"bad", (METERS, 0, 3): None})
    sound = [letter(2, b"bad"), letter(3, None), letter(2, b"bad")]

    assert 0 == found(checks.check_dead_letters(topic(DEADLETTERS, *sound), account))
    assert 1 == found(checks.check_dead_letters(topic(DEADLETTERS, *sound[:1]), account))
    assert 1 == found(checks.check_dead_letters(topic(DEADLETTERS, *sound[:2], letter(2, b"worse")), account))
    assert 1 == found(checks.check_dead_letters(topic(DEADLETTERS, *sound, letter(1, b"{}")), account))


def test_a_record_that_was_never_folded_is_found() -> None:
    """The last decision must have seen it."""
    decisions = topic(DECISIONS, decision("host:1:1", 4))

    assert 0 == found(checks.check_everything_was_folded(decisions, {("b-1", METERS): (0, 4)}))
    assert 1 == found(checks.check_everything_was_folded(decisions, {("b-1", METERS): (0, 5)}))
    assert 1 == found(checks.check_everything_was_folded(decisions, {("b-2", METERS): (0, 1)}))


def test_a_reading_that_is_missing_in_its_minute_is_found() -> None:
    """A tenth of an ampere for a second, in a minute of 4 A."""
    readings = [(START_MS + second * 1000, 4.1 if second == 90 else 4.0) for second in range(240)]
    whole_wh = 4 * 230 / 60

    def closed(extra_wh: float) -> dict[str, list[Seen]]:
        windows = [
            {"location": "b-1", "start": rfc3339(START_MS + n * 60_000), "revision": 0, "complete": True}
            | {"import_wh": whole_wh + (extra_wh if n == 1 else 0.0)}
            for n in range(3)
        ]
        return topic(WINDOWS, *windows)

    account = Account(meter_a={"b-1": readings})
    assert 0 == found(checks.check_energy(closed(0.1 * 230 / 3600), account))
    assert 1 == found(checks.check_energy(closed(0.0 - 0.02), account))


def test_a_former_owner_that_goes_on_is_found() -> None:
    """It has its session and five seconds."""
    both = [decision("host:1:1"), decision("host:2:2"), *[decision("host:2:2")] * 8, decision("host:1:1")]

    assert 0 == found(checks.check_owners(topic(DECISIONS, *both), session_s=6.0))
    assert 1 == found(checks.check_owners(topic(DECISIONS, *both, every_ms=2000), session_s=6.0))
    assert 1 == found(checks.check_owners(topic(DECISIONS, decision("h:1:3"), decision("h:2:3")), session_s=6.0))


def test_how_long_a_takeover_took_is_the_longest_of_its_locations() -> None:
    """What the killed worker had on its socket is no takeover."""
    decisions = topic(DECISIONS, decision("h:7:1"), decision("h:7:1"), decision("h:8:2"), every_ms=4000)
    kill = Event("kill", START_MS / 1000 + 1, 0.0, pid=7)

    assert [7.0] == [seconds for _, seconds in checks.takeovers_s(decisions, [kill])]


def test_a_fuse_that_could_have_been_spared_is_found() -> None:
    """A car that draws beyond everything is; the house's own rise is excused for some seconds."""
    building = Building("b-1", random.Random(1))
    for second in range(2, 40):
        building.second(second, calm=False)
    assert [] == building.overloads

    building.base_a = LIMIT_A + 5
    for second in range(40, 40 + REACTION_S):
        building.second(second, calm=False)
    assert [] == building.overloads

    building.second(40 + REACTION_S, calm=False)
    building.second(41 + REACTION_S, calm=False)
    assert building.overloads


def test_a_worker_that_grows_is_found() -> None:
    """Unless it is young. What it needs at first, and a step at one fault, are no growth."""
    grown = [60.0, 80.0, 95.0, *[100.0] * 50, *[113.0] * 10]
    growing = [100.0 + 0.4 * n for n in range(63)]

    assert 0 == found(checks.check_memory({1: grown, 2: growing[:59]}, least=60))
    assert 1 == found(checks.check_memory({1: grown, 2: growing}, least=60))
