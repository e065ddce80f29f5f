"""One document out of many topics: DSMR-reader and the first Shelly send each value on a topic of its own.

A round begins with the name that the meter sends first. Which of the names that its format knows a meter really sends
(one without voltages never sends them) is learnt from the rounds so far; a round that has them all is given out at
once, with its last value. One that lacks a value is given out when the next begins: what is missing in it is judged as
in any other document. A document never mixes two rounds.
"""

from __future__ import annotations


class Rounds:
    """Feed it names and values; it answers with a document when a round has ended."""

    def __init__(self, first: str, known: frozenset[str]) -> None:
        self._first = first
        self._known = known
        self._expected: frozenset[str] = frozenset()
        self._round: dict[str, str] | None = None

    def take(self, name: str, value: str) -> dict[str, str] | None:
        """The document of the round that this value ends, if it ends one."""
        if name not in self._known:
            return None
        ended = None
        if name == self._first:
            ended, self._round = self._round, {}
            self._expected |= frozenset(ended or ())
        if self._round is None:  # in the middle of a round whose beginning we missed, or that was given out
            return None
        self._round[name] = value
        if self._expected and self._expected <= self._round.keys():
            ended, self._round = self._round, None
        return ended
