"""What one ampere of each connector loads of each row (`pipeline.constraints`): the columns of the constraints.

They depend on the tree and on the phases that each connector may use, not on any reading: they are kept from decision
to decision until one of these changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_
from typing import Literal, NamedTuple

from pipeline.allocation import Uses
from pipeline.facts import Fact
from topology.phases import PhaseUse
from topology.tree import Tree


class Load(NamedTuple):
    """What loads a row: the current of all below a group (`node`) on a phase, their power, or what is on fewer than
    three phases, of the whole location, on a phase."""

    kind: Literal["phase", "power", "unbalance"]
    phase: int
    node: int = -1


@dataclass(slots=True)
class Columns:
    """Of all connectors with these uses, on all of their phases and on the first alone."""

    all_uses: list[PhaseUse]
    one_uses: list[PhaseUse | None]
    few: frozenset[int]
    """Connectors on fewer than three phases, by wiring or by what was learnt of their cars."""
    alike: list[list[list[int]]]
    """For each group the phases that all connectors below it load alike, together."""
    _loads: list[Load] = field(default_factory=list)
    _uses: tuple[list[Uses], dict[int, Uses]] = field(default_factory=lambda: ([], {}))

    def uses(self, tree: Tree, loads: list[Load]) -> tuple[list[Uses], dict[int, Uses]]:
        """The rows that each connector loads, and those that it loads on its first phase alone where it can switch."""
        if loads != self._loads or not self._uses[0]:
            self._loads, self._uses = loads, self._worked_out(tree, loads)
        return self._uses

    def _worked_out(self, tree: Tree, loads: list[Load]) -> tuple[list[Uses], dict[int, Uses]]:
        uses: list[Uses] = [[] for _ in self.all_uses]
        ones: dict[int, Uses] = {i: [] for i, use in enumerate(self.one_uses) if use is not None}
        volts = tree.location.grid.voltage_v
        for row, load in enumerate(loads):
            below = range(len(self.all_uses)) if load.kind == "unbalance" else tree.nodes[load.node].sockets_below
            for index in below:
                one_use = self.one_uses[index]
                if load.kind != "unbalance" or index in self.few:
                    _add(uses[index], row, load, self.all_uses[index], volts)
                if one_use is not None:
                    _add(ones[index], row, load, one_use, volts)
        return uses, ones


def _add(uses: Uses, row: int, load: Load, use: PhaseUse, volts: float) -> None:
    unit = volts * use.power_factor if load.kind == "power" else use.on[load.phase]
    if unit:
        uses.append((row, unit))


def columns_of(tree: Tree, facts: list[Fact], before: Columns | None) -> Columns:
    """The columns of these connectors; `before`, where they are the same."""
    all_uses = [f.all_use for f in facts]
    one_uses = [f.one_use for f in facts]
    if before is not None and all(map(is_, all_uses, before.all_uses)) and all(map(is_, one_uses, before.one_uses)):
        return before
    few = frozenset(f.socket.index for f in facts if len(f.learnt.phases or range(f.socket.connector.phases)) < 3)
    alike = [_alike(tree.phases, [facts[i] for i in node.sockets_below]) for node in tree.nodes]
    return Columns(all_uses, one_uses, few, alike)


def _alike(phases: int, below: list[Fact]) -> list[list[int]]:
    """The phases with the same loads, in the order of the first of them."""
    groups: dict[tuple[tuple[float, float], ...], list[int]] = {}
    for phase in range(phases):
        loads = tuple((f.all_use.on[phase], 0.0 if f.one_use is None else f.one_use.on[phase]) for f in below)
        groups.setdefault(loads, []).append(phase)
    return list(groups.values())
