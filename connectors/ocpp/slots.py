"""Which setpoint of a connector counts, and what each one is answered: one place, not a queue (facts 4.2).

The newest setpoint overwrites one that was not handed over yet. Every `seq` ends in exactly one terminal state, and
those that mean "the charger did not take it" (superseded, expired, offline, rejected, unsupported) are said only when
that is certain: a call whose answer was lost is a `timeout`, also when the socket dropped.

Setpoints found on the topic at start (`restore`) may have been accepted by the dispatcher before us. They are applied
when the charger is there, but never answered with "not taken": the planner would free what the charger still draws.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from pipeline.moments import to_ms
from pipeline.records import FeedbackState, Setpoint

REMEMBERED = 16
"""Answers kept per connector, to answer repetitions alike. Smaller: an old repetition is `superseded` although it was
taken. Larger: memory."""

NOT_TAKEN = frozenset({"superseded", "expired", "offline", "rejected", "unsupported"})
"""States after which the planner reserves nothing for the setpoint."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be said about a setpoint."""

    setpoint: Setpoint
    state: FeedbackState
    error: str | None = None
    limit_a: float | None = None
    fallback_a: float | None = None


@dataclass(slots=True)
class Slot:
    """The setpoints of one connector. Methods give what is to be said; nothing here waits or sends."""

    newest: Setpoint | None = None
    """The highest seq ever seen."""
    waiting: Setpoint | None = None
    """To be handed to the charger."""
    in_flight: Setpoint | None = None
    """Handed over, not answered yet."""
    applied: Setpoint | None = None
    """The last one that the charger accepted."""
    applied_a: float = 0.0
    before_a: float = 0.0
    applied_at: int = 0
    held_until: int = 0
    """When the last lease ends that the charger may hold, in milliseconds."""
    forgotten: bool = False
    """The topic has nothing for this connector any more: it was removed, and told so."""
    restored: set[int] = field(default_factory=set)
    """Seqs whose fate before our start is not known."""
    answered: OrderedDict[int, tuple[Setpoint, Answer]] = field(default_factory=OrderedDict)

    def offer(self, setpoint: Setpoint, now_ms: int, *, online: bool) -> list[Answer]:
        """A setpoint from the topic."""
        known = self._known(setpoint)
        if known is not None:
            return known
        if self.newest is not None and setpoint.seq < self.newest.seq:
            return self._end(Answer(setpoint, "superseded", f"seq {self.newest.seq} came first"))
        self.newest, self.forgotten = setpoint, False
        said = self._drop("superseded", f"seq {setpoint.seq} is newer")
        if _over(setpoint, now_ms):
            return said + self._end(Answer(setpoint, "expired", "valid_until has passed"))
        if not online:
            return said + self._end(Answer(setpoint, "offline", "the charger is not connected"))
        self.waiting = setpoint
        return said

    def restore(self, setpoint: Setpoint, now_ms: int) -> None:
        """A setpoint that was on the topic before we started."""
        if self.newest is not None and setpoint.seq <= self.newest.seq:
            return
        self.newest, self.forgotten = setpoint, False
        self.held_until = max(self.held_until, to_ms(setpoint.valid_until))
        self.restored.add(setpoint.seq)
        self.waiting = None if _over(setpoint, now_ms) else setpoint

    def take(self, now_ms: int) -> tuple[Setpoint | None, list[Answer]]:
        """The setpoint to hand over now. It is in flight until `answer` or `put_back`."""
        said = self.expire(now_ms)
        taken, self.waiting = self.waiting, None
        self.in_flight = taken
        return taken, said

    def answer(self, answer: Answer, now_ms: int) -> list[Answer]:
        """What the charger said about the one in flight."""
        if answer.state == "accepted":
            self.before_a, self.applied_at = self.applied_a, now_ms
            self.applied, self.applied_a = answer.setpoint, answer.limit_a or 0.0
            self.held_until = to_ms(answer.setpoint.valid_until)
        elif answer.state == "timeout":
            self.held_until = max(self.held_until, to_ms(answer.setpoint.valid_until))
        said = self._end(answer)
        self.in_flight = None
        return said

    def put_back(self, setpoint: Setpoint, now_ms: int) -> list[Answer]:
        """The one in flight was lost with a socket that a newer one replaced: it is handed over again, if it counts."""
        if self.newest is setpoint and not _over(setpoint, now_ms):
            self.waiting, self.in_flight = setpoint, None
            return []
        return self.answer(Answer(setpoint, "timeout", "the connection was replaced before the answer"), now_ms)

    def expire(self, now_ms: int) -> list[Answer]:
        """Give up one that waited too long: nobody may act on it any more."""
        if self.waiting is None or not _over(self.waiting, now_ms):
            return []
        return self._drop("expired", "valid_until passed before the charger could be asked")

    def withdraw(self, why: str) -> list[Answer]:
        """The one that waits is for nobody any more."""
        return self._drop("unsupported", why)

    def stopped(self) -> bool:
        """Whether the last word is 0 A, and the charger took it."""
        return self.applied is not None and self.applied is self.newest and self.applied_a == 0

    def gone(self) -> list[Answer]:
        """The charger is not connected any more."""
        if self.waiting is not None and self.waiting.seq in self.restored:
            return []  # nobody was told anything about it: it may still be handed over
        return self._drop("offline", "the charger disconnected")

    def again(self, now_ms: int) -> Setpoint | None:
        """The accepted setpoint while it lives and nothing newer waits: what a new transaction is told."""
        usable = self.applied is not None and self.waiting is None and not _over(self.applied, now_ms)
        return self.applied if usable else None

    def falls(self) -> bool:
        """Whether the waiting setpoint lowers what the charger may draw; unknown counts as a decrease."""
        assert self.waiting is not None
        return self.applied is None or self.waiting.limit_a < self.applied_a

    def newest_seq(self) -> int:
        """What came first goes first among equals."""
        return self.waiting.seq if self.waiting is not None else 0

    def cap_a(self, max_a: float, now_ms: int, ramp_s: int) -> float:
        """What a phase can carry at most: the accepted limit while its lease lives, the one before while a car may
        still be ramping down, else all."""
        if self.applied is None or _over(self.applied, now_ms) or self.in_flight is not None:
            return max_a
        if now_ms - self.applied_at < ramp_s * 1000:
            return max(self.applied_a, self.before_a or max_a)
        return self.applied_a

    def _known(self, setpoint: Setpoint) -> list[Answer] | None:
        """The answer to one seen before: as before, or nothing while it waits or flies. None if it is new."""
        if setpoint.seq in self.answered:
            before, answer = self.answered[setpoint.seq]
            return [answer] if before == setpoint else []
        pending = (self.waiting, self.in_flight, self.newest)
        if any(p is not None and p.seq == setpoint.seq for p in pending):
            return []
        return None

    def _drop(self, state: FeedbackState, error: str) -> list[Answer]:
        dropped, self.waiting = self.waiting, None
        return [] if dropped is None else self._end(Answer(dropped, state, error))

    def _end(self, answer: Answer) -> list[Answer]:
        seq = answer.setpoint.seq
        if answer.state in NOT_TAKEN and seq in self.restored:
            if answer.setpoint is not self.in_flight:
                return []  # never handed over by us; what was said of it before our start stands
            answer = Answer(answer.setpoint, "timeout", f"{answer.error} (it may have been taken before a restart)")
        self.answered[seq] = (answer.setpoint, answer)
        while len(self.answered) > REMEMBERED:
            self.answered.popitem(last=False)
        return [answer]


def _over(setpoint: Setpoint, now_ms: int) -> bool:
    return to_ms(setpoint.valid_until) <= now_ms
