"""Who is served first, and how turns change (design §6.7, §9 Sharing).

Minimums go by priority, then arrival (the moment it began to want), a SuspendedEV car after all others. While somebody
of a priority waits, every `turn_s` the first of that priority's queue goes to its end. The clock starts when somebody
begins to wait, and goes on while there is no room for somebody's minimum, be it for his alone: where a billed window
carries nobody in its first half and one of two in its second, each window would begin it anew, and the second car have
no turn ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter

from pipeline.facts import Fact


@dataclass(slots=True)
class Turns:
    """The turns of one decision: who went to the end of his queue now, and the clocks afterwards."""

    moved: dict[str, int] = field(default_factory=dict)
    """Connector key -> the moment, for those that go to the end now."""
    clocks: dict[str, int] = field(default_factory=dict)


def queue_of(fact: Fact) -> str:
    """The queue that a connector waits in. Sleeping cars have one of their own: nobody makes room for them by turns."""
    priority = str(fact.socket.connector.priority)
    return f"suspended {priority}" if fact.suspended else priority


def in_order(wanting: list[Fact], moved: dict[str, int]) -> list[Fact]:
    """The wanting connectors in the order in which minimums are served."""

    def place(fact: Fact) -> tuple[bool, int, int, tuple[str, int]]:
        suspended, priority, since_ms, key = fact.place
        return suspended, priority, max(moved.get(fact.socket.name, since_ms), since_ms), key

    return sorted(wanting, key=place if moved else attrgetter("place"))


def change_turns(
    queue: list[Fact], waiting: set[int], short: set[int], clocks: dict[str, int], turn_s: float, now_ms: int
) -> Turns:
    """The turns that are due. `queue`: in order; `waiting`: the indices of those who would fit if others made room;
    `short`: of all for whose minimum there is none."""
    turns = Turns()
    waits = {queue_of(f) for f in queue if f.socket.index in waiting}
    begun = {name for f in queue if f.socket.index in short and (name := queue_of(f)) in clocks}
    for name in sorted(waits | begun):
        since_ms = clocks.get(name, now_ms)
        if name in waits and now_ms - since_ms >= turn_s * 1000:
            first = next(f for f in queue if queue_of(f) == name)
            turns.moved[first.socket.name] = now_ms
            since_ms = now_ms
        turns.clocks[name] = since_ms
    return turns
