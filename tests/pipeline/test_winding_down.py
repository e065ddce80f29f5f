"""Connectors and locations that are removed: told 0 A, then forgotten; what they were granted counts for so long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.emission import Emission
from pipeline.moments import parse_moment, rfc3339
from pipeline.records import CHARGERS, DECISIONS, FEEDBACK, LOCATIONS, METERS, SETPOINTS
from tests.pipeline.test_engine import NOW_MS, Stream, charger, emitted, location, meter

ACK_MS, LEASE_MS, SKEW_MS = 30_000, 900_000, 30_000


def setpoints(out: Emission) -> dict[str, dict[str, Any]]:
    return {s["charger"]: s for s in emitted(out, SETPOINTS)}


def tombstones(out: Emission) -> set[bytes | None]:
    return {key for topic, key, value in (*out.first, *out.last) if topic == SETPOINTS and value is None}


def later(stream: Stream, ms: int) -> Emission:
    stream.now_ms += ms
    return stream.round()


def answer(stream: Stream, setpoint: dict[str, Any], state: str = "accepted") -> None:
    """The dispatcher's answer to a setpoint, at this moment."""
    keys = ("location", "charger", "connector", "seq", "limit_a", "fallback_a")
    more = {"at": rfc3339(stream.now_ms), "state": state, "lease_until": setpoint["valid_until"]}
    stream.put(FEEDBACK, {key: setpoint[key] for key in keys} | more)


def read(stream: Stream, *amperes: float) -> None:
    """All readings of this moment; both cars are there, the house uses nothing itself."""
    for name, current_a in zip(("CP-1", "CP-2"), amperes, strict=True):
        stream.put(CHARGERS, charger(stream.now_ms, name, current_a))
    stream.put(METERS, meter(stream.now_ms, sum(amperes)))


@pytest.fixture
def stream() -> Stream:
    """Two cars that were given, and draw, 20 A each on 40 A."""
    stream = Stream()
    stream.put(LOCATIONS, location())
    read(stream, 0.0, 0.0)
    for setpoint in setpoints(stream.round()).values():
        answer(stream, setpoint)
    stream.now_ms += 1000
    for setpoint in setpoints(stream.round()).values():
        answer(stream, setpoint)
    stream.now_ms += 20_000
    read(stream, 20.0, 20.0)
    stream.round()
    assert [20.0, 20.0] == limits_a(stream)
    return stream


def limits_a(stream: Stream) -> list[float]:
    """What stands for each connector."""
    (owned,) = stream.engine._mine.owned.values()
    return [own.sent.limit_a for _, own in sorted(owned.state.connectors.items()) if own.sent is not None]


def test_a_removed_charger_is_told_nothing_may_flow_and_then_forgotten(stream: Stream) -> None:
    """0 A first, with its reason; the topic forgets it when that is answered."""
    stream.put(LOCATIONS, location(chargers=["CP-1"]))
    out = later(stream, 1000)

    told = setpoints(out)["home-CP-2"]
    assert (0.0, "removed") == (told["limit_a"], told["reason"])
    assert set() == tombstones(out)

    answer(stream, told)
    assert {b"home-CP-2/1"} == tombstones(later(stream, 1000))


def test_without_an_answer_it_is_forgotten_in_time(stream: Stream) -> None:
    """A charger that was torn out answers nothing; it is told once, not again and again."""
    stream.put(LOCATIONS, location(chargers=["CP-1"]))
    assert "home-CP-2" in setpoints(later(stream, 1000))

    assert set() == tombstones(later(stream, ACK_MS - 1000))
    out = later(stream, 1000)

    assert {b"home-CP-2/1"} == tombstones(out)
    assert "home-CP-2" not in setpoints(out)


def test_what_a_removed_charger_holds_is_nobody_elses(stream: Stream) -> None:
    """Its lease still lives: the other car gets its part when it has surely run out, not before."""
    stream.put(LOCATIONS, location(chargers=["CP-1"]))
    removed_ms = stream.now_ms
    later(stream, 1000)

    while stream.now_ms < removed_ms + LEASE_MS + SKEW_MS - 25_000:
        stream.put(CHARGERS, charger(stream.now_ms, "CP-1", 20.0))
        stream.put(METERS, meter(stream.now_ms, 20.0))
        for setpoint in setpoints(later(stream, 5000)).values():
            if setpoint["charger"] == "home-CP-1":
                assert 20.0 >= setpoint["limit_a"]
                answer(stream, setpoint)
    given_a = []
    for _ in range(10):
        stream.put(CHARGERS, charger(stream.now_ms, "CP-1", 20.0))
        stream.put(METERS, meter(stream.now_ms, 20.0))
        given_a += [s["limit_a"] for s in setpoints(later(stream, 5000)).values()]

    assert 40.0 in given_a


def test_once_it_is_seen_to_have_stopped_the_others_get_its_part(stream: Stream) -> None:
    """0 A accepted, and measured: nothing is left that it may draw."""
    stream.put(LOCATIONS, location(chargers=["CP-1"]))
    answer(stream, setpoints(later(stream, 1000))["home-CP-2"])
    stream.now_ms += 5000
    read(stream, 20.0, 0.0)
    later(stream, 1000)
    assert [40.0] == limits_a(stream)

    read(stream, 20.0, 0.0)
    out = later(stream, 10_000)
    assert ["unknown: charger home-CP-2"] == [letter.reason for letter in out.letters]
    assert ["home-CP-1"] == [c["charger"] for c in emitted(out, DECISIONS)[-1]["connectors"]]


def test_a_removed_location_winds_down_all_of_it(stream: Stream) -> None:
    """0 A to each, then null values, then nothing of it is kept; its readings are `unknown:` from the first."""
    stream.put(LOCATIONS, None)
    read(stream, 20.0, 20.0)
    out = later(stream, 1000)
    told = setpoints(out)
    assert 3 * ["unknown: location home"] == [letter.reason for letter in out.letters]
    assert {"home-CP-1": (0.0, "removed"), "home-CP-2": (0.0, "removed")} == {
        name: (s["limit_a"], s["reason"]) for name, s in told.items()
    }

    answer(stream, told["home-CP-1"])
    first = later(stream, 1000)
    assert {b"home-CP-1/1"} == tombstones(first)
    assert {} == setpoints(first)
    assert {b"home-CP-2/1"} == tombstones(later(stream, ACK_MS))
    assert {} == stream.kept
    assert 0 == len(stream.engine)


def test_who_takes_over_winds_down_on(stream: Stream) -> None:
    """A worker may die in between: the state says what is leaving."""
    stream.put(LOCATIONS, None)
    later(stream, 1000)

    heir = stream.takeover()

    assert {b"home-CP-1/1", b"home-CP-2/1"} == tombstones(later(heir, ACK_MS))
    assert {} == heir.kept


def test_who_takes_over_a_removed_location_still_has_what_left_before(stream: Stream) -> None:
    """A charger that was winding down when its location was removed, too, does so on under another worker."""
    stream.put(LOCATIONS, location(chargers=["CP-1"]))
    later(stream, 1000)
    stream.put(LOCATIONS, None)
    stream.engine.save()
    stream.round()

    heir = stream.takeover()
    heir.now_ms += 1000
    (decision,) = (d for d in emitted(heir.round(), DECISIONS) if d["worker"] == "host:2:2")

    assert ["home-CP-1", "home-CP-2"] == [c["charger"] for c in decision["connectors"]]


def test_a_location_that_was_never_heard_is_forgotten_at_once() -> None:
    """Nobody there was ever told anything."""
    stream = Stream()
    stream.put(LOCATIONS, location())
    stream.round()
    stream.put(LOCATIONS, None)

    assert {b"home-CP-1/1", b"home-CP-2/1"} == tombstones(later(stream, 1000))
    assert {} == stream.kept


def test_what_comes_back_is_as_if_it_had_never_gone(stream: Stream) -> None:
    """Removed by mistake and put again: the same reservations, and up it goes."""
    stream.put(LOCATIONS, None)
    told = setpoints(later(stream, 1000))
    stream.put(LOCATIONS, location())
    for setpoint in told.values():
        answer(stream, setpoint)
    stream.now_ms += 10_000
    read(stream, 0.0, 0.0)
    out = later(stream, 1000)

    assert [20.0, 20.0] == [setpoints(out)[f"home-{c}"]["limit_a"] for c in ("CP-1", "CP-2")]
    assert set() == tombstones(out)


def test_a_removed_charger_counts_where_its_group_was(stream: Stream) -> None:
    """The sub-fuse went with it: what it draws still flows through the main fuse."""
    document = json.loads(location())
    document["groups"].append({"id": "garage", "parent": "main", "limit_a": 40})
    document["chargers"][1]["group"] = "garage"
    stream.put(LOCATIONS, document)
    later(stream, 1000)
    stream.put(LOCATIONS, location(chargers=["CP-1"]))

    (decision,) = emitted(later(stream, 1000), DECISIONS)

    assert ["main"] == [g["group"] for g in decision["groups"]]
    assert [40.0] == decision["groups"][0]["reserved_a"]
    assert parse_moment(decision["at"]).timestamp() * 1000 > NOW_MS
