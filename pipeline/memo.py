"""What earlier decisions of a location worked out, kept beside its state for the next one.

Nothing is decided by it, and it is never written: whatever is kept says from what it was worked out, and is used only
where that is the same again. A decision with a memo and one without have the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.columns import Columns
from pipeline.draws import Course, Total
from pipeline.facts import Fact, KeptFact
from topology.tree import Tree


@dataclass(slots=True)
class Memo:
    """Of one location; by connector or group index of one tree."""

    tree: Tree | None = None
    facts: dict[int, KeptFact] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=dict)
    columns: Columns | None = None
    totals: dict[int, tuple[list[Course], dict[int, Total]]] = field(default_factory=dict)
    """Group -> the cars below it, and between which bounds they were at each reading (ms) of its meter."""

    def of(self, tree: Tree) -> Memo:
        """Itself; empty where the tree is another one."""
        if self.tree is not tree:
            self.tree = tree
            self.facts, self.courses, self.columns, self.totals = {}, {}, None, {}
        return self

    def course(self, car: Fact) -> Course:
        """The course of a car's draw."""
        kept = self.courses.get(car.socket.index)
        if kept is None or kept.car is not car:
            kept = self.courses[car.socket.index] = Course(car)
        return kept
