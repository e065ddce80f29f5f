"""States as bytes: of this version, of older ones, of newer ones."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.state import (
    VERSION,
    ConnectorState,
    LocationState,
    MeterPoint,
    MeterState,
    Reading,
    decode_state,
    encode_state,
)


def _state() -> LocationState:
    point = MeterPoint(at_ms=5, current_a=(1.0, 2.0, 3.0), power_w=1380.0)
    meter = MeterState(newest=point, recent=[point], unmanaged_a=(1.0, 1.0, 1.0), settled_ms=4, demands={0: (5, 700.0)})
    reading = Reading(5, True, "Charging", None, (6.0,))
    return LocationState(meters={"p1": meter}, connectors={"A/1": ConnectorState(reading=reading, recent=[reading])})


def test_a_state_comes_back_as_it_was() -> None:
    """Also what is keyed by numbers, and what is not set."""
    assert _state() == decode_state(encode_state(_state()))


def test_a_state_of_version_1_is_read() -> None:
    """There a rise was put down to single cars; everything else is kept."""
    rises = MeterState.__struct_fields__.index("rises_ms")
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(_state()))
    meters = old[LocationState.__struct_fields__.index("meters")]
    meters["p1"][rises] = {"A/1": [5, [6.0, 0.0, 0.0], 3, [2.0, 0.0, 0.0], []]}
    meters["p1"] = meters["p1"][: rises + 1]

    assert _state() == decode_state(msgspec.msgpack.encode((1, old)))


def test_a_state_of_version_2_is_read() -> None:
    """There the wander of a load was the spread of its differences; everything else is kept."""
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(_state()))
    meter = old[LocationState.__struct_fields__.index("meters")]["p1"]
    meter[MeterState.__struct_fields__.index("wander")] = [7, [1.0], [2.0], [1.0], [0.2], [5]]

    assert _state() == decode_state(msgspec.msgpack.encode((2, old)))


def test_a_state_of_a_newer_version_is_refused() -> None:
    """Nobody can know what is in it."""
    with pytest.raises(ValueError, match="version"):
        decode_state(msgspec.msgpack.encode((VERSION + 1, [])))
