"""The engine of one partition: batches in, what to emit out, and when to be woken. Pure; it never acts.

Between the stream shell, which knows Kafka, and the core, which knows one location at a time. It folds batches into the
states of its locations, decides for those that are due (at most every `interval_s`, design §7), and says in which
order what it gives must reach the broker (`Emission`).

While a partition catches up (after an outage or a change of owner) it folds and does not decide: what is in the backlog
is newer than what it knows, and a meter that only seems lost would send every car to its fallback.
"""

from __future__ import annotations

import heapq
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from pipeline.decide import Outcome, commit, decide
from pipeline.emission import Batch, Emission, Incoming, Out
from pipeline.fold import fold
from pipeline.kept import DOCUMENT, come_back, keep_state
from pipeline.meter_fold import FUTURE_MS, fold_meters
from pipeline.moments import to_ms
from pipeline.recording import worth_writing
from pipeline.records import (
    DECISIONS,
    FEEDBACK,
    LOCATIONS,
    METERS,
    SETPOINTS,
    WINDOWS,
    DeadLetter,
    Decision,
    MeterReading,
    NotARecord,
    Setpoint,
    decode,
    encode,
)
from pipeline.runs import Run, by_key, read_run
from pipeline.state import LocationState, connector_key, mark_applied, new_state, newest_applied
from pipeline.wake import next_wake_ms
from pipeline.winding_down import changed_tree, known_tree, remove
from topology.location import Location
from topology.read import LocationRefused, read_location_json
from topology.tree import Tree

BEHIND_MS = 5_000
"""Records older than this, with more behind them, are a backlog. Less: a burst stops decisions; more: decisions are
made on what is about to be outdated, up to the `lost_s` of a meter."""
BEHIND_RECORDS = 20_000
"""More unread records than this are a backlog, however new. Fewer: a burst stops decisions; more: they are made again
and again on the way, on what is about to be outdated. They are read in a quarter of a second."""
SILENCE_MS = 10_000
"""A backlog of which nothing was heard for so long is none (the end that the broker named holds no record). Less:
decisions come too early while the broker is slow; more delays the first decision of a quiet partition."""
DECISIONS_AT_ONCE = 100
"""Decisions per call, a few ms each at most. More: the worker's timers wait; fewer: more round trips to the broker."""
RETRY_MS = 60_000
"""After a decision that failed by a mistake of ours. Less fills the log; more leaves the location alone for longer."""
NEVER_MS = 1 << 62


@dataclass(slots=True)
class _Owned:
    """A location of this partition."""

    key: bytes
    location: Location
    """As its document says; `tree` has what winds down, too."""
    tree: Tree
    state: LocationState
    interval_ms: int
    last: Decision | None = None
    limits_a: dict[str, list[float]] = field(default_factory=dict)
    """Meter -> what the group below it may carry, as the last decision said."""
    violated: set[str] = field(default_factory=set)
    """Meters that show more than that."""
    decided_ms: int = -NEVER_MS
    due_ms: int = NEVER_MS
    unconfirmed: int = 0
    """Connectors that have not accepted their newest setpoint, at the last decision."""


class Engine:
    """All locations of one partition, for as long as this worker owns it. ValueError where a state is too new."""

    def __init__(
        self, partition: int, worker: str, kept: Mapping[bytes, bytes], now_ms: int, behind: Iterable[str] = ()
    ) -> None:
        self.partition = partition
        self.worker = worker
        self._owned: dict[str, _Owned] = {}
        self._due: list[tuple[int, str]] = []
        self._behind = dict.fromkeys(behind, now_ms)
        self._out = Emission()
        self._changed: dict[str, list[bytes]] = {}
        """Locations to keep with the next emission, and their decisions in it."""
        self._unsaved: set[str] = set()
        """Locations that changed since they were last kept."""
        self._asleep = {back.name: back for back in come_back(kept)}
        """Locations that came back and were not needed yet."""
        self._begun_ms = now_ms
        self._unconfirmed = 0
        self._due += [(now_ms, name) for name in sorted(self._asleep)]
        for back in self._asleep.values():
            self._send_again(back.unsent, now_ms)

    def __len__(self) -> int:
        return len(self._owned) + len(self._asleep)

    @property
    def unconfirmed(self) -> int:
        """Connectors that have not accepted their newest setpoint."""
        return self._unconfirmed

    @property
    def letters_waiting(self) -> int:
        """Dead letters that `take` would give."""
        return len(self._out.letters)

    def go_on(self, worker: str, behind: Iterable[str], now_ms: int) -> None:
        """The partition stayed with this worker in another generation of the group."""
        self.worker = worker
        self._behind = dict.fromkeys(behind, now_ms)

    def fold(self, batch: Batch, now_ms: int) -> None:
        """Fold what was polled. What is no record, or names what is not there, becomes a dead letter."""
        self._note_progress(batch, now_ms)
        if batch.topic == METERS:
            for key, records in by_key(batch.records).items():
                self._fold_meters(key, records, now_ms)
            return
        for record in batch.records:
            self._fold_one(batch.topic, record, now_ms)

    def decide(self, now_ms: int, at_most: int = DECISIONS_AT_ONCE) -> None:
        """Decide for locations that are due, a limited number of them; `wake_ms` says when to ask again."""
        if self.catching_up(now_ms):
            return
        while at_most > 0 and self._due and self._due[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._due)
            owned = self._find(name) if self._is_planned(due_ms, name) else None
            if owned is not None:
                self._decide(name, owned, now_ms)
                at_most -= 1

    def decide_again(self, name: str, now_ms: int) -> Outcome | None:
        """Decide a location as it was decided and written at that moment; None where it is not known (any more)."""
        owned = self._find(name)
        if owned is None:
            return None
        outcome = decide(owned.tree, owned.state, now_ms)
        commit(owned.state, outcome)
        self._wind_down(name, owned, outcome)
        return outcome

    def take(self) -> Emission:
        """What to emit since the last call: what that gave must be on the broker by now."""
        out, self._out = self._out, Emission()
        for name, unsent in self._changed.items():
            owned = self._owned[name]
            self._unsaved.discard(name)
            out.kept.append((owned.key, keep_state(owned.state, unsent)))
        self._changed.clear()
        return out

    def save(self) -> None:
        """Put every state that changed since it was last kept into what `take` gives: offsets are to be committed."""
        for name in sorted(self._unsaved):
            self._changed.setdefault(name, [])

    def wake_ms(self, now_ms: int) -> int:
        """When to call `decide` again at the latest, if nothing comes in."""
        if self.catching_up(now_ms):
            return now_ms + SILENCE_MS // 10
        while self._due and not self._is_planned(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else NEVER_MS

    def catching_up(self, now_ms: int) -> bool:
        """Whether a backlog is being read."""
        return any(now_ms - heard_ms < SILENCE_MS for heard_ms in self._behind.values())

    def _is_planned(self, due_ms: int, name: str) -> bool:
        """Whether an entry of the heap still holds: a location that is planned anew leaves its old one behind."""
        owned = self._owned.get(name)
        return name in self._asleep if owned is None else owned.due_ms == due_ms

    def _find(self, name: str) -> _Owned | None:
        """A location of this partition; one that came back is read when it is needed for the first time."""
        back = self._asleep.pop(name, None) if self._asleep else None
        if back is None:
            return self._owned.get(name)
        try:
            location, state = read_location_json(back.document).location, back.state
            owned = self._own(name, location, known_tree(location, state), state)
        except Exception:  # noqa: BLE001 -- ours, or a document of another version; the others of its partition go on
            self._out.failures.append(f"bringing back {name}: {traceback.format_exc()}")
            return None
        owned.due_ms = self._begun_ms
        return owned

    def _note_progress(self, batch: Batch, now_ms: int) -> None:
        newest = batch.records[-1]
        unread = batch.end - newest.offset - 1
        if unread > BEHIND_RECORDS or (unread > 0 and newest.timestamp < now_ms - BEHIND_MS):
            self._behind[batch.topic] = now_ms
        else:
            self._behind.pop(batch.topic, None)

    def _fold_meters(self, key: bytes | None, records: list[Incoming], now_ms: int) -> None:
        """Fold readings with the same key: those of a location as one run, all others one by one."""
        name = (key or b"").decode(errors="replace")
        owned = self._find(name)
        if owned is None or owned.key != key or owned.state.removed:
            run = Run(strays=records)
        else:
            run = read_run(name, records, newest_applied(owned.state, METERS, self.partition))
        for record in run.strays:
            self._fold_one(METERS, record, now_ms)
        if owned is None or not run.records:
            return
        mark_applied(owned.state, METERS, self.partition, run.records[-1].offset, run.records[0].offset)
        self._unsaved.add(name)
        try:
            refused = fold_meters(owned.tree, owned.state, run.readings)
        except Exception:  # noqa: BLE001 -- ours: which it was is found one by one, and the others count
            for record, (reading, received_ms) in zip(run.records, run.readings, strict=True):
                self._try(METERS, record, partial(fold, owned.tree, owned.state, reading, received_ms))
        else:
            for place, reason in refused.items():
                self._refuse(METERS, run.records[place], reason)
        self._touch(name, owned, now_ms, violation=self._is_new_violation(owned, run.newest))

    def _fold_one(self, topic: str, record: Incoming, now_ms: int) -> None:
        how = self._fold_location if topic == LOCATIONS else partial(self._fold, topic)
        self._try(topic, record, partial(how, record, now_ms))

    def _try(self, topic: str, record: Incoming, folding: Callable[[], str | None]) -> None:
        try:
            reason = folding()
        except Exception as mistake:  # noqa: BLE001 -- ours; one record must not stop the locations of a partition
            reason = f"invalid: it cannot be folded ({type(mistake).__name__})"
            self._out.failures.append(f"folding {topic}/{self.partition}@{record.offset}: {traceback.format_exc()}")
        if reason is not None:
            self._refuse(topic, record, reason)

    def _refuse(self, topic: str, record: Incoming, reason: str) -> None:
        letter = DeadLetter(
            topic=topic, partition=self.partition, offset=record.offset, reason=reason, value=record.value
        )
        self._out.letters.append(letter)

    def _fold(self, topic: str, record: Incoming, now_ms: int) -> str | None:
        try:
            found = decode(topic, record.value)
        except NotARecord as problem:
            return str(problem)
        name = found.location
        owned = self._find(name)
        if owned is None or record.key != owned.key:
            return _WRONG_KEY if record.key != name.encode() else f"unknown: location {name}"
        if not mark_applied(owned.state, topic, self.partition, record.offset):
            return None
        self._unsaved.add(name)
        if owned.state.removed and topic != FEEDBACK:
            return f"unknown: location {name}"
        reason = fold(owned.tree, owned.state, found, record.timestamp)
        if reason is None:
            self._touch(name, owned, now_ms)
        return reason

    def _fold_location(self, record: Incoming, now_ms: int) -> str | None:
        name = (record.key or b"").decode(errors="replace")
        owned = self._find(name)
        if owned is not None and not mark_applied(owned.state, LOCATIONS, self.partition, record.offset):
            return None
        if record.value is None:
            if owned is not None:
                remove(owned.tree, owned.state)
                owned.last = None
                self._plan_change(name, owned, now_ms)
            return None
        try:
            location = read_location_json(record.value).location
        except LocationRefused as refusal:
            return ("unreadable: " if "not JSON" in str(refusal) else "invalid: ") + str(refusal)
        if location.location != name:
            return _WRONG_KEY
        state = owned.state if owned is not None else new_state()
        mark_applied(state, LOCATIONS, self.partition, record.offset)
        tree = changed_tree(location, state, owned.tree if owned is not None else None)
        new = self._own(name, location, tree, state)
        if owned is not None:
            new.decided_ms = owned.decided_ms
        self._out.kept.append((new.key + DOCUMENT, record.value))
        self._plan_change(name, new, now_ms)
        return None

    def _own(self, name: str, location: Location, tree: Tree, state: LocationState) -> _Owned:
        owned = _Owned(name.encode(), location, tree, state, round(location.control.interval_s * 1000))
        self._owned[name] = owned
        return owned

    def _plan_change(self, name: str, owned: _Owned, now_ms: int) -> None:
        self._changed.setdefault(name, [])
        self._plan(name, owned, max(now_ms, owned.decided_ms + owned.interval_ms))

    def _wind_down(self, name: str, owned: _Owned, outcome: Outcome) -> None:
        """The topic of setpoints forgets connectors that wound down, then the changelog what is over."""
        if not outcome.endings and not owned.state.removed:
            return
        self._out.first += [(SETPOINTS, ending.name.encode(), None) for ending in outcome.endings if ending.told]
        if owned.state.removed and not owned.state.leaving:
            del self._owned[name]
            self._changed.pop(name, None)
            self._unsaved.discard(name)
            self._out.kept += [(owned.key + DOCUMENT, None), (owned.key, None)]
        else:
            owned.tree = known_tree(owned.location, owned.state)

    def _touch(self, name: str, owned: _Owned, now_ms: int, *, violation: bool = False) -> None:
        """Something changed: decide when the interval has passed, at once on a violation."""
        due_ms = now_ms if violation else owned.decided_ms + owned.interval_ms
        if due_ms < owned.due_ms:
            self._plan(name, owned, due_ms)

    def _is_new_violation(self, owned: _Owned, readings: Iterable[MeterReading]) -> bool:
        """Whether a meter shows more than its group may carry, and did not before."""
        new = False
        for reading in readings:
            limit_a = owned.limits_a.get(reading.meter)
            if limit_a is None or reading.current_a is None:
                continue
            if any(a > b for a, b in zip(reading.current_a, limit_a, strict=False)):
                new = new or reading.meter not in owned.violated
                owned.violated.add(reading.meter)
            else:
                owned.violated.discard(reading.meter)
        return new

    def _plan(self, name: str, owned: _Owned, due_ms: int) -> None:
        owned.due_ms = due_ms
        heapq.heappush(self._due, (due_ms, name))

    def _decide(self, name: str, owned: _Owned, now_ms: int) -> None:
        before_ms = owned.state.decided_ms
        if now_ms <= before_ms < now_ms + FUTURE_MS:  # the owner before us had a faster clock
            now_ms = before_ms + 1
        owned.decided_ms = now_ms
        try:
            outcome = decide(owned.tree, owned.state, now_ms)
            if worth_writing(owned.last, outcome):
                commit(owned.state, outcome)
                self._emit(name, owned, outcome)
                self._wind_down(name, owned, outcome)
            self._count_unconfirmed(owned)
            due_ms = max(next_wake_ms(owned.tree, owned.state, now_ms), now_ms + owned.interval_ms)
        except Exception:  # noqa: BLE001 -- ours; one location must not stop the others of its partition
            self._out.failures.append(f"deciding {name}: {traceback.format_exc()}")
            due_ms = now_ms + RETRY_MS
        self._plan(name, owned, due_ms)

    def _count_unconfirmed(self, owned: _Owned) -> None:
        before = owned.unconfirmed
        owned.unconfirmed = sum(own.unanswered_since_ms is not None for own in owned.state.connectors.values())
        self._unconfirmed += owned.unconfirmed - before

    def _emit(self, name: str, owned: _Owned, outcome: Outcome) -> None:
        decision = msgspec.structs.replace(outcome.decision, worker=self.worker)
        owned.last = decision
        owned.limits_a = {
            meter: decision.groups[node].limit_a
            for meter, node in owned.tree.meter_node.items()
            if node < len(decision.groups)
        }
        encoded = encode(decision)
        self._out.decisions += 1
        self._out.first += [(WINDOWS, owned.key, encode(window)) for window in outcome.windows]
        self._out.last.append((DECISIONS, owned.key, encoded))
        self._out.last += _setpoints(decision.setpoints)
        self._changed.setdefault(name, []).append(encoded)

    def _send_again(self, unsent: Iterable[bytes], now_ms: int) -> None:
        """What the owner before us may not have sent, decision and setpoints: a repetition, if it had."""
        for encoded in unsent:
            decision: Decision = decode(DECISIONS, encoded)
            self._out.first.append((DECISIONS, decision.location.encode(), encoded))
            self._out.first += _setpoints(s for s in decision.setpoints if to_ms(s.valid_until) > now_ms)


_WRONG_KEY = "invalid: the key is not the location"


def _setpoints(setpoints: Iterable[Setpoint]) -> list[Out]:
    return [(SETPOINTS, connector_key(s.charger, s.connector).encode(), encode(s)) for s in setpoints]
