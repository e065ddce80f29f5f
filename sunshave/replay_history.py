"""The history in Kafka, as steps: the decisions of each partition in their order, and before each the records it saw.

A decision names the offsets up to which everything was folded (`inputs`, and `order` on the way there), so the topics
are read side by side, each as far as the next decision has seen it. Topics are kept for a limited time only: where the
beginning is gone, a location can be decided again from the oldest state in the workers' changelog that the topics
follow. What was decided before that is skipped, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.kept import DOCUMENT, come_back
from pipeline.moments import to_ms
from pipeline.records import DECISIONS, LOCATIONS, Decision, NotARecord, decode
from pipeline.topics import CHANGELOG
from sunshave.reading import Reader
from sunshave.replay_again import Written
from sunshave.replay_sources import Gone, Sources
from sunshave.replay_steps import Step

LATE = "a late word of a worker that was no longer the owner"


class History:
    """All that a cluster still has, of every location or of one."""

    def __init__(self, reader: Reader, location: str | None = None) -> None:
        self._reader = reader
        self._only = location
        self._partitions = reader.partitions(DECISIONS)
        self.total = sum(end - begin for begin, end in (reader.ends(DECISIONS, p) for p in self._partitions))
        """Written decisions, of all locations."""
        self.read = 0
        """How many of them were read so far."""

    def steps(self) -> Iterator[Step]:
        """Every decision, partition by partition."""
        for partition in self._partitions:
            begin, end = self._reader.ends(DECISIONS, partition)
            if begin == end:
                continue
            sources = Sources(self._reader, partition, self._only)
            chains = _Chains(self._reader, partition, sources)
            for record in self._reader.read(DECISIONS, partition):
                if record.offset >= end:
                    break  # what it saw may lie beyond the ends of the others
                self.read += 1
                name = (record.key or b"").decode(errors="replace")
                if self._only in (None, name):
                    yield from chains.step(name, record.value, record.timestamp)


@dataclass(slots=True)
class _Chain:
    """The decisions of one location, one after the other."""

    written: Written
    lost: str | None = None
    """Why it cannot be decided again at this point."""
    folded: dict[str, int] = field(default_factory=dict)
    """Topic -> the newest offset."""
    first: dict[str, int] = field(default_factory=dict)
    """Topic -> the first offset that counts."""


class _Chains:
    """The locations of one partition."""

    def __init__(self, reader: Reader, partition: int, sources: Sources) -> None:
        self._reader = reader
        self._partition = partition
        self._sources = sources
        self._chains: dict[str, _Chain] = {}
        self._kept: dict[str, tuple[int, dict[bytes, bytes]]] | None = None

    def step(self, name: str, value: bytes | None, stamp_ms: int) -> Iterator[Step]:
        """What a record of `decisions` is: one step, or a repetition and none."""
        try:
            decision: Decision = decode(DECISIONS, value)
        except NotARecord as problem:
            yield Step(name, self._partition, stamp_ms, wrong=str(problem))
            return
        step = Step(name, self._partition, to_ms(decision.at), was=decision)
        chain = self._chains.get(name)
        number = decision.number or (1 if chain is None else chain.written.last + 1)
        if chain is not None and self._begins_anew(chain, decision):
            chain = None
            del self._chains[name]
        if chain is not None and number <= chain.written.last:
            repeats = chain.written.repeats(decision, number, step.at_ms)
            if repeats is None:
                step.skip, step.aside = LATE, True
            elif not repeats:
                step.wrong = "it was written again, with another content"
            if not repeats:
                yield step
            return
        yield self._next(step, self._linked(name, number), decision, number)

    def _begins_anew(self, chain: _Chain, decision: Decision) -> bool:
        """Whether its location was put again after everything of it was forgotten."""
        return decision.number == 1 and decision.first.get(LOCATIONS, -1) > chain.folded.get(LOCATIONS, -1)

    def _linked(self, name: str, number: int) -> _Chain:
        chain = self._chains.get(name)
        if chain is None:
            lost = None if number == 1 else "the beginning of its history is gone"
        elif number != chain.written.last + 1:
            lost = f"decision number {chain.written.last + 1} is missing before it"
        else:
            return chain
        self._chains[name] = _Chain(Written(number), lost)
        return self._chains[name]

    def _next(self, step: Step, chain: _Chain, decision: Decision, number: int) -> Step:
        chain.written.add(decision, step.at_ms)
        if chain.lost is None:
            try:
                self._collect(step, chain, decision)
            except Gone as gone:
                chain.lost = str(gone)
        if chain.lost is not None:
            self._sources.forget(step.location, decision.inputs)
            step.records.clear()
            step.skip = chain.lost
            step.base = self._base(step.location, number)
            if step.base is not None:
                chain.lost = None
        chain.folded = {topic: offset for topic, (_, offset) in decision.inputs.items()}
        return step

    def _collect(self, step: Step, chain: _Chain, decision: Decision) -> None:
        chain.first |= decision.first
        for stop in (*decision.order, decision.inputs):
            found = self._sources.up_to(step.location, stop)
            step.records += [(topic, record) for topic, record in found if record.offset >= chain.first.get(topic, 0)]
        newest = chain.folded | {topic: record.offset for topic, record in step.records}
        for topic, (partition, offset) in decision.inputs.items():
            if partition != self._partition or newest.get(topic) != offset:
                raise Gone(f"{topic}/{partition}@{offset}, which it has seen, is gone")
        step.anew = not chain.folded
        if step.anew:
            born_ms = next((record.timestamp for topic, record in step.records if topic == LOCATIONS), None)
            if born_ms is None:
                raise Gone("it names no document of its location")
            self._sources.require_since(born_ms)

    def _base(self, name: str, number: int) -> dict[bytes, bytes] | None:
        """What the changelog has of a location right after this decision, if it is the oldest that is of use."""
        if self._kept is None:
            self._kept = dict(self._oldest_states())
        found = self._kept.get(name)
        return found[1] if found is not None and found[0] == number else None

    def _oldest_states(self) -> Iterator[tuple[str, tuple[int, dict[bytes, bytes]]]]:
        documents: dict[bytes, bytes] = {}
        seen: set[bytes] = set()
        for record in self._reader.read(CHANGELOG, self._partition):
            key, value = record.key, record.value
            if value is None:
                continue
            if key.endswith(DOCUMENT):
                documents[key.removesuffix(DOCUMENT)] = value
            elif key in documents and key not in seen:
                kept = {key + DOCUMENT: documents[key], key: value}
                for back in come_back(kept):
                    if back.state.decisions and self._sources.follow(back.state.inputs, record.timestamp):
                        seen.add(key)
                        yield back.name, (back.state.decisions, kept)
