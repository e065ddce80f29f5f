"""The lines of `sunshave decide`: records in, decisions out, the core in between. No Kafka, no clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.decide import commit, decide
from pipeline.document_fold import WRONG_KEY
from pipeline.fold import fold
from pipeline.memo import Memo
from pipeline.moments import parse_moment, to_ms
from pipeline.records import FEEDBACK, FOLDED, LOCATIONS, DeadLetter, NotARecord, decode, encode
from pipeline.state import LocationState, mark_applied, new_state
from pipeline.winding_down import changed_tree, known_tree, remove
from sunshave.telling import error, warning
from topology.location import Location
from topology.read import LocationRefused, read_location_json
from topology.tree import Tree


class Line(msgspec.Struct, gc=False):
    """A line: a record of a topic, or a moment."""

    topic: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    key: str | None = None
    now: str | None = None

    @property
    def record_value(self) -> bytes | None:
        """The bytes of the record; None where it is null."""
        text = bytes(self.value)
        return None if text == b"null" else text


LINES = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class _Heard:
    """A line that waits for the next `now`, against which it is judged."""

    topic: str
    offset: int
    value: bytes | None
    reason: str | None = None
    key: str | None = None
    location: Location | None = None


@dataclass(slots=True)
class Dialogue:
    """One run. `refused` says whether any location was."""

    locations: dict[str, Location] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    states: dict[str, LocationState] = field(default_factory=dict)
    memos: dict[str, Memo] = field(default_factory=dict)
    waiting: list[_Heard] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    refused: bool = False

    def hear(self, line: bytes) -> Iterator[bytes]:
        """The answers to one line."""
        line = line.strip()
        try:
            said = LINES.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            location = _with_infinities(line)
            if location is None:
                self._wait("", line, f"unreadable: {problem}")
            else:
                self._location(location)
            return
        if said.now is not None:
            yield from self._decide(said.now, line)
        elif said.topic == LOCATIONS:
            self._location(said.record_value, said.key)
        elif said.topic in FOLDED:
            self._wait(said.topic, said.record_value, key=said.key)
        elif said.topic is None:
            self._wait("", line, "unreadable: a line has a topic and a value, or a now")
        else:
            self._wait(said.topic, said.record_value, f"unknown: topic {said.topic}")

    def end(self) -> Iterator[bytes]:
        """The dead letters of what came after the last `now`; without one, nothing is from the future."""
        yield from self._fold_waiting(sys.maxsize // 2)

    def _wait(
        self,
        topic: str,
        value: bytes | None,
        reason: str | None = None,
        key: str | None = None,
        location: Location | None = None,
    ) -> None:
        offset = self.offsets.get(topic, -1) + 1
        self.offsets[topic] = offset
        self.waiting.append(_Heard(topic, offset, value, reason, key, location))

    def _location(self, value: bytes | None, key: str | None = None) -> None:
        """A refused one is said at once; an accepted one takes its place in the order of the lines. Without a value it
        removes the one that is its key."""
        if value is None and key is not None:
            self._wait(LOCATIONS, value, key=key)
            return
        value = value or b"null"
        try:
            accepted = read_location_json(value)
        except LocationRefused as refusal:
            self.refused = True
            name = _name_of(value) or "(no name)"
            for problem in refusal.problems:
                error(f"location {name}: {problem}")
            for problem in refusal.warnings:
                warning(f"location {name}: {problem}")
            return
        for problem in accepted.warnings:
            warning(f"location {accepted.location.location}: {problem}")
        wrong = WRONG_KEY if key not in (None, accepted.location.location) else None
        self._wait(LOCATIONS, value, wrong, key, accepted.location)

    def _decide(self, now: str, line: bytes) -> Iterator[bytes]:
        try:
            now_ms = to_ms(parse_moment(now))
        except (ValueError, OverflowError) as problem:
            self._wait("", line, f"unreadable: now: {problem}")
            return
        yield from self._fold_waiting(now_ms)
        decisions, windows = [], []
        for name in sorted(self.trees):
            state = self.states[name]
            outcome = decide(self.trees[name], state, now_ms, self.memos.setdefault(name, Memo()))
            commit(state, outcome)
            if state.removed and not state.leaving:
                for known in (self.trees, self.states, self.locations, self.memos):
                    del known[name]
            elif outcome.endings:
                self.trees[name] = known_tree(self.locations[name], state)
            decisions.append(outcome.decision)
            windows += outcome.windows
        yield msgspec.json.encode({"decisions": decisions, "windows": windows})

    def _fold_waiting(self, now_ms: int) -> Iterator[bytes]:
        waiting, self.waiting = self.waiting, []
        for heard in waiting:
            reason = heard.reason or self._fold(heard, now_ms)
            if reason is not None:
                letter = DeadLetter(
                    topic=heard.topic, partition=0, offset=heard.offset, reason=reason, value=heard.value
                )
                yield b'{"deadletter":' + encode(letter) + b"}"

    def _fold(self, heard: _Heard, now_ms: int) -> str | None:
        if heard.topic == LOCATIONS:
            self._fold_location(heard)
            return None
        try:
            record: Any = decode(heard.topic, heard.value)
        except NotARecord as problem:
            return str(problem)
        if heard.key not in (None, record.location):
            return WRONG_KEY
        tree = self.trees.get(record.location)
        if tree is None:
            return f"unknown: location {record.location}"
        state = self.states[record.location]
        mark_applied(state, heard.topic, 0, heard.offset)
        if state.removed and heard.topic != FEEDBACK:
            return f"unknown: location {record.location}"
        return fold(tree, state, record, now_ms)

    def _fold_location(self, heard: _Heard) -> None:
        if heard.location is not None:
            name = heard.location.location
            state = self.states.setdefault(name, new_state())
            mark_applied(state, LOCATIONS, 0, heard.offset)
            self.trees[name] = changed_tree(heard.location, state, self.trees.get(name))
            self.locations[name] = heard.location
        elif heard.key in self.trees:
            mark_applied(self.states[heard.key], LOCATIONS, 0, heard.offset)
            remove(self.trees[heard.key], self.states[heard.key])


def _with_infinities(line: bytes) -> bytes | None:
    """The location of a line that would be JSON but for NaN or Infinity: it is refused with the path of every such
    number (design §4), as one from a file or a topic is. None for any other line."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("topic") != LOCATIONS:
        return None
    return json.dumps(said.get("value")).encode()


def _name_of(value: bytes) -> str | None:
    try:
        name = json.loads(value)["location"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None
