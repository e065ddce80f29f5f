"""Deciding a history again, and comparing with what was decided, bit for bit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from pipeline.decide import Outcome
from pipeline.engine import Engine
from pipeline.records import Decision, encode
from sunshave.replay_steps import Step

Verdict = Literal["same", "different", "skipped", "new", "none"]
"""`new`: nothing is recorded to compare it with. `none`: nor is there anything to compare, as of a location that is
no more."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a step. `lines`: what differs, or why it was skipped."""

    verdict: Verdict
    decision: Decision | None = None
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Again:
    """The locations as they are at this point of the history."""

    engines: dict[str, Engine] = field(default_factory=dict)

    def take(self, step: Step) -> Result:
        """Decide one step again."""
        if step.wrong is not None:
            return Result("different", None, [step.wrong])
        if step.skip is not None:
            if not step.aside:
                self.engines.pop(step.location, None)
            if step.base is not None:
                self.engines[step.location] = Engine(step.partition, "replay", step.base, step.at_ms)
            return Result("skipped", None, [step.skip])
        outcome = self.decide(step)
        if outcome is None:
            lines = ["the location was not known then"]
            return Result("none") if step.was is None else Result("different", None, lines)
        now = outcome.decision
        if step.was is None:
            return Result("new", now)
        lines = list(differences(step.was, now, inputs=step.offsets))
        return Result("different" if lines else "same", now, lines)

    def decide(self, step: Step) -> Outcome | None:
        """Fold its records, and decide."""
        engine = self.engines.get(step.location)
        if engine is None or step.anew:
            engine = self.engines[step.location] = Engine(step.partition, "replay", {}, step.at_ms)
        for batch in step.batches():
            engine.fold(batch, step.at_ms)
        outcome = engine.decide_again(step.location, step.at_ms)
        engine.take()  # nobody is told
        return outcome


def same_bytes(decision: Decision, *, inputs: bool = True) -> bytes:
    """What two decisions must have in common: all but who made it, and in which order he had heard what he names."""
    if inputs:
        return encode(msgspec.structs.replace(decision, worker=None, order=[]))
    return encode(msgspec.structs.replace(decision, worker=None, order=[], inputs={}, first={}, number=0))


def differences(was: Decision, now: Decision, *, inputs: bool) -> Iterator[str]:
    """`path: old → new` for everything that differs."""
    old, new = same_bytes(was, inputs=inputs), same_bytes(now, inputs=inputs)
    if old != new:
        yield from _differences("", msgspec.json.decode(old), msgspec.json.decode(new))


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _differences(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        for k in range(max(len(old), len(new))):
            yield from _differences(f"{path}[{k}]", old[k] if k < len(old) else None, new[k] if k < len(new) else None)
    elif old != new:
        yield f"{path}: {msgspec.json.encode(old).decode()} → {msgspec.json.encode(new).decode()}"


@dataclass(slots=True)
class Written:
    """The decisions of a location as they were first written, by number: a repetition says the same."""

    first: int
    at_ms: array[int] = field(default_factory=lambda: array("q"))
    hashes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, decision: Decision, at_ms: int) -> None:
        """The next one."""
        self.at_ms.append(at_ms)
        self.hashes.append(hash(same_bytes(decision)))

    @property
    def last(self) -> int:
        """The number of the newest."""
        return self.first + len(self.at_ms) - 1

    def repeats(self, decision: Decision, number: int, at_ms: int) -> bool | None:
        """Whether it says again what was written under this number; None where it is not that decision at all."""
        place = number - self.first
        if place < 0 or (
            self.at_ms[place] != at_ms and decision.decision != f"{decision.location}@{self.at_ms[place]}"
        ):
            return None
        return self.hashes[place] == hash(same_bytes(decision))
