"""The engine of one partition: batches in, what to emit out, and when to be woken. Pure; it never acts.

Between the stream shell, which knows Kafka, and the core, which knows one location at a time. It folds batches into the
states of its locations (`pipeline.batch_fold`), decides for those that are due (at most every `interval_s`, design §7)
unless a backlog is being read, and says in which order what it gives must reach the broker (`Emission`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pipeline.backlog import SILENCE_MS, Backlog
from pipeline.batch_fold import fold_batch
from pipeline.decide import Outcome, commit, decide
from pipeline.emission import Batch, Emission
from pipeline.meter_fold import FUTURE_MS
from pipeline.owned import Owned
from pipeline.partition import Partition
from pipeline.recording import worth_writing
from pipeline.wake import next_wake_ms
from pipeline.winding_down import known_tree

DECISIONS_AT_ONCE = 100
"""Decisions per call, a few ms each at most. More: the worker's timers wait; fewer: more round trips to the broker."""
RETRY_MS = 60_000
"""After a decision that failed by a mistake of ours. Less fills the log; more leaves the location alone for longer."""


class Engine:
    """All locations of one partition, for as long as this worker owns it. ValueError where a state is too new."""

    def __init__(
        self, partition: int, worker: str, kept: Mapping[bytes, bytes], now_ms: int, behind: Iterable[str] = ()
    ) -> None:
        self.partition = partition
        self.worker = worker
        self._mine = Partition(partition, kept, now_ms)
        self._backlog = Backlog(behind, now_ms)
        self._unconfirmed = 0

    def __len__(self) -> int:
        return len(self._mine)

    @property
    def unconfirmed(self) -> int:
        """Connectors that have not accepted their newest setpoint."""
        return self._unconfirmed

    @property
    def letters_waiting(self) -> int:
        """Dead letters that `take` would give."""
        return self._mine.outbox.letters

    def go_on(self, worker: str, behind: Iterable[str], now_ms: int) -> None:
        """The partition stayed with this worker in another generation of the group."""
        self.worker = worker
        self._backlog = Backlog(behind, now_ms)

    def fold(self, batch: Batch, now_ms: int) -> None:
        """Fold what was polled. What is no record, or names what is not there, becomes a dead letter."""
        self._backlog.note(batch, now_ms)
        fold_batch(self._mine, batch, now_ms)

    def decide(self, now_ms: int, at_most: int = DECISIONS_AT_ONCE) -> None:
        """Decide for locations that are due, a limited number of them; `wake_ms` says when to ask again."""
        if self.catching_up(now_ms):
            return
        while at_most > 0 and (name := self._mine.agenda.pop(now_ms)) is not None:
            owned = self._mine.find(name)
            if owned is not None:
                self._decide(name, owned, now_ms)
                at_most -= 1

    def decide_again(self, name: str, now_ms: int) -> Outcome | None:
        """Decide a location as it was decided and written at that moment; None where it is not known (any more)."""
        owned = self._mine.find(name)
        if owned is None:
            return None
        outcome = decide(owned.tree, owned.state, now_ms, owned.memo)
        commit(owned.state, outcome)
        self._wind_down(name, owned, outcome)
        return outcome

    def take(self) -> Emission:
        """What to emit since the last call: what that gave must be on the broker by now."""
        return self._mine.outbox.take(self._mine.owned)

    def save(self) -> None:
        """Put every state that changed since it was last kept into what `take` gives: offsets are to be committed."""
        self._mine.outbox.keep_changed()

    def wake_ms(self, now_ms: int) -> int:
        """When to call `decide` again at the latest, if nothing comes in."""
        return now_ms + SILENCE_MS // 10 if self.catching_up(now_ms) else self._mine.agenda.next_ms()

    def catching_up(self, now_ms: int) -> bool:
        """Whether a backlog is being read."""
        return self._backlog.is_being_read(now_ms)

    def _decide(self, name: str, owned: Owned, now_ms: int) -> None:
        before_ms = owned.state.decided_ms
        if now_ms <= before_ms < now_ms + FUTURE_MS:  # the owner before us had a faster clock
            now_ms = before_ms + 1
        owned.decided_ms = now_ms
        try:
            outcome = decide(owned.tree, owned.state, now_ms, owned.memo)
            if worth_writing(owned.last, outcome):
                commit(owned.state, outcome)
                self._emit(name, owned, outcome)
                self._wind_down(name, owned, outcome)
            self._count_unconfirmed(owned)
            due_ms = max(next_wake_ms(owned.tree, owned.state, now_ms), now_ms + owned.interval_ms)
        except Exception:  # noqa: BLE001 -- ours; one location must not stop the others of its partition
            self._mine.outbox.failed(f"deciding {name}")
            due_ms = now_ms + RETRY_MS
        if name in self._mine.owned:
            self._mine.agenda.plan(name, due_ms)

    def _emit(self, name: str, owned: Owned, outcome: Outcome) -> None:
        decision = msgspec.structs.replace(outcome.decision, worker=self.worker)
        owned.note_decision(decision)
        self._mine.outbox.decided(name, owned, outcome, decision)

    def _wind_down(self, name: str, owned: Owned, outcome: Outcome) -> None:
        """The topic of setpoints forgets connectors that wound down, then the changelog what is over."""
        if not outcome.endings and not owned.state.removed:
            return
        self._mine.outbox.ended(outcome.endings)
        if owned.state.removed and not owned.state.leaving:
            self._mine.drop(name)
        else:
            owned.tree = known_tree(owned.location, owned.state)

    def _count_unconfirmed(self, owned: Owned) -> None:
        before = owned.unconfirmed
        owned.unconfirmed = sum(own.unanswered_since_ms is not None for own in owned.state.connectors.values())
        self._unconfirmed += owned.unconfirmed - before
