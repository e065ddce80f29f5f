"""A location that this worker owns: its state, and what of its last decision the next records are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.agenda import NEVER_MS
from pipeline.memo import Memo
from pipeline.records import Decision, MeterReading
from pipeline.state import LocationState
from topology.location import Location
from topology.tree import Tree


@dataclass(slots=True)
class Owned:
    """A location of a partition of this worker."""

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
    memo: Memo = field(default_factory=Memo)
    unconfirmed: int = 0
    """Connectors that have not accepted their newest setpoint, at the last decision."""

    def note_decision(self, decision: Decision) -> None:
        """It was made: this is what it allows."""
        self.last = decision
        self.limits_a = {
            meter: decision.groups[node].limit_a
            for meter, node in self.tree.meter_node.items()
            if node < len(decision.groups)
        }

    def is_new_violation(self, readings: Iterable[MeterReading]) -> bool:
        """Whether a meter shows more than its group may carry, and did not before."""
        new = False
        for reading in readings:
            limit_a = self.limits_a.get(reading.meter)
            if limit_a is None or reading.current_a is None:
                continue
            if any(a > b for a, b in zip(reading.current_a, limit_a, strict=False)):
                new = new or reading.meter not in self.violated
                self.violated.add(reading.meter)
            else:
                self.violated.discard(reading.meter)
        return new
