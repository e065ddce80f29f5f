"""A history in a file, as steps: JSON lines in the format of `sunshave decide`, with what was decided then.

What was decided may stand in the `now` line itself (`{"now": …, "decisions": […]}`, as `sunshave replay --export`
writes it), in an answer line after it (as `sunshave decide` gave it), or be a record of the topic `decisions`, which
asks for its own location alone. Lines may name `partition`, `offset` and `timestamp` (ms) of their record; without a
timestamp it is judged against the next `now`, as `sunshave decide` does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from pipeline.moments import parse_moment, to_ms
from pipeline.records import DECISIONS, FOLDED, LOCATIONS, Decision
from sunshave.dialogue import LINES, Line
from sunshave.replay_steps import Record, Step
from sunshave.telling import warning


class BadLine(Exception):  # noqa: N818 -- an answer to the user, not a failure of ours
    """Why a file is no history; names the line."""


class _Line(Line, gc=False):
    """Any line that we know something about."""

    decisions: list[Decision] | None = None
    partition: int = 0
    offset: int | None = None
    timestamp: int | None = None


class _Named(msgspec.Struct, gc=False):
    location: str


_LINES = msgspec.json.Decoder(_Line)
_NAMES = msgspec.json.Decoder(_Named)
_DECISIONS = msgspec.json.Decoder(Decision)


def file_steps(lines: Iterable[bytes]) -> Iterator[Step]:
    """Every decision that a file asks for or records. A line that is a dead letter of `sunshave decide` is left out;
    BadLine where another cannot be read."""
    told = _Told()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield from told.hear(_LINES.decode(line))
        except (ValueError, RecursionError) as problem:  # msgspec's errors and UnicodeDecodeError are ValueErrors
            if not _is_dead(line):
                raise BadLine(f"line {number}: {problem}") from None
            warning(f"line {number} is left out: {problem}")
    yield from told.asked


def _is_dead(line: bytes) -> bool:
    """Whether a line is neither a record nor a moment to `sunshave decide`, which knows less of it than we do."""
    try:
        now = LINES.decode(line).now
        if now is not None:
            parse_moment(now)
    except (ValueError, RecursionError):
        return True
    return False


@dataclass(slots=True)
class _Told:
    """What the file has said so far."""

    waiting: defaultdict[str, list[tuple[str, _Line]]] = field(default_factory=lambda: defaultdict(list))
    known: set[str] = field(default_factory=set)
    counted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    placed: bool = True
    """Whether every record has named its offset."""
    asked: list[Step] = field(default_factory=list)
    """What the last `now` asked for; an answer may still follow."""

    def hear(self, line: _Line) -> Iterator[Step]:
        """Steps are given when the next line is no answer to them."""
        if line.now is not None:
            at_ms = to_ms(parse_moment(line.now))
            yield from self._settle()
            names = sorted(self.known) if line.decisions is None else [d.location for d in line.decisions]
            self.asked = [self._step(name, at_ms) for name in names]
        elif line.topic == DECISIONS:
            yield from self._settle()
            decision = _DECISIONS.decode(line.value)
            step = self._step(decision.location, to_ms(decision.at))
            step.was = decision
            yield step
        elif line.topic is not None:
            self._wait(line)
        if line.decisions is not None:
            by_name = {decision.location: decision for decision in line.decisions}
            for step in self.asked:
                step.was = by_name.get(step.location)
            yield from self._settle()

    def _settle(self) -> Iterator[Step]:
        asked, self.asked = self.asked, []
        yield from asked

    def _wait(self, line: _Line) -> None:
        assert line.topic is not None
        if line.topic not in FOLDED and line.topic != LOCATIONS:
            return  # setpoints, windows and dead letters follow from the others
        name = line.key if line.key is not None else _name_of(line.value)
        if name is None:
            return  # a dead letter, then and now
        if line.topic == LOCATIONS:
            self.known.add(name)
        if line.offset is None:
            self.placed = False
            line.offset = self.counted[line.topic]
        self.counted[line.topic] = max(self.counted[line.topic], line.offset + 1)
        self.waiting[name].append((line.topic, line))

    def _step(self, name: str, at_ms: int) -> Step:
        lines = self.waiting.pop(name, [])
        step = Step(name, lines[0][1].partition if lines else 0, at_ms, offsets=self.placed)
        for topic, line in lines:
            stamp_ms = at_ms if line.timestamp is None else line.timestamp
            step.records.append((topic, Record(name.encode(), line.record_value, line.offset or 0, stamp_ms)))
        return step


def _name_of(value: msgspec.Raw) -> str | None:
    try:
        return _NAMES.decode(value).location
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
