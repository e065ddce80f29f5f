"""Split topics: one document out of many messages, never mixed from two rounds."""

from __future__ import annotations

from connectors.meters.rounds import Rounds

KNOWN = frozenset({"time", "a", "b", "never"})


def answers(*messages: tuple[str, str]) -> list[dict[str, str]]:
    """The documents that come of these messages."""
    rounds = Rounds("time", KNOWN)
    return [document for name, value in messages if (document := rounds.take(name, value)) is not None]


def one(round_: int) -> list[tuple[str, str]]:
    """All messages of a round."""
    return [(name, f"{name}{round_}") for name in ("time", "a", "b", "unknown")]


def document(round_: int) -> dict[str, str]:
    """What they make."""
    return {name: f"{name}{round_}" for name in ("time", "a", "b")}


def test_round_ends_with_its_last_value_once_it_is_known() -> None:
    """The first when the second begins, the others at once."""
    assert [] == answers(*one(1))
    assert [document(1), document(2)] == answers(*one(1), *one(2))
    assert [document(1), document(2), document(3)] == answers(*one(1), *one(2), *one(3))


def test_beginning_in_the_middle_waits_for_a_whole_round() -> None:
    """What came before the first beginning belongs to nobody."""
    assert [document(2), document(3)] == answers(*one(1)[1:], *one(2), *one(3))


def test_lost_value_is_not_replaced_by_one_of_another_round() -> None:
    """A round without a value is given out without it, and the next is whole again."""
    broken = {"time": "time3", "a": "a3"}

    assert [document(1), document(2), broken, document(4)] == answers(*one(1), *one(2), *one(3)[:2], *one(4))


def test_lost_beginning_loses_its_round_only() -> None:
    """Values without their time are not given out under another one."""
    assert [document(1), document(2), document(4)] == answers(*one(1), *one(2), *one(3)[1:], *one(4))
