"""The changelog under a zombie: what was on the socket of a worker that froze undoes nothing."""

from __future__ import annotations

from pipeline.fencing import is_outdated
from pipeline.kept import DOCUMENT, keep_state
from pipeline.state import ConnectorState, LocationState

METERS, CHARGERS = "telemetry.meters", "telemetry.chargers"


def state(decided_ms: int, meters: int, chargers: int = 0) -> bytes:
    inputs = {METERS: (3, meters), CHARGERS: (3, chargers)}
    return keep_state(LocationState(inputs=inputs, connectors={"CP/1": ConnectorState()}, decided_ms=decided_ms))


def test_a_state_that_has_seen_less_is_outdated() -> None:
    """Fewer records of one input and no more of another: it is from before."""
    assert is_outdated(b"home", state(1000, 7), state(1000, 8))
    assert is_outdated(b"home", state(900, 7), state(1000, 8))


def test_a_state_that_was_decided_earlier_on_the_same_is_outdated() -> None:
    """The heir decides once for each location, also when nothing new came in."""
    assert is_outdated(b"home", state(999, 8), state(1000, 8))


def test_what_goes_on_is_not_outdated() -> None:
    """The ordinary case; also the same once more, and what nobody can compare."""
    assert not is_outdated(b"home", state(1000, 8), None)
    assert not is_outdated(b"home", state(1000, 9), state(1000, 8))
    assert not is_outdated(b"home", state(1000, 8), state(1000, 8))
    assert not is_outdated(b"home", state(1000, 7, chargers=2), state(1000, 8, chargers=1))


def test_topics_that_were_made_anew_are_believed() -> None:
    """Offsets begin again; what was decided later counts."""
    assert not is_outdated(b"home", state(2000, 0), state(1000, 8_000))


def test_what_is_no_state_is_taken_as_it_comes() -> None:
    """Documents, and what another version wrote."""
    assert not is_outdated(b"home" + DOCUMENT, b"{}", b"{} ")
    assert not is_outdated(b"home", b"\x93\x63\xc4\x00\x90", state(1000, 8))
