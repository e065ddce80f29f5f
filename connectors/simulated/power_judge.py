"""Who is to blame for an import above a limit in watts (§14a EnWG, a schedule): as `connectors.simulated.judge` has it.

A limit in watts counts over the sum of the phases. What is above it is *unavoidable* for as much as the limit has
fallen, or the loads besides the cars have risen, since the controller could have acted, or as is drawn by chargers that
could not be told otherwise. The rest is *avoidable*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.simulated.installation import Installation, Loads
from connectors.simulated.past import Past
from topology.phases import grid_power_w, phase_use

SLACK_W = 15.0
"""Less is rounding: three phases of 230 V, in amperes with two decimals."""


@dataclass(slots=True)
class Excess:
    """What a group imported above a limit in watts."""

    avoidable_wh: float = 0.0
    unavoidable_wh: float = 0.0
    seconds: int = 0
    worst_w: float = 0.0


class PowerJudge:
    """Looks at every limit in watts once a second. `limits_w`: at a moment, group -> watts, where there is one."""

    def __init__(
        self,
        installation: Installation,
        past: Past,
        reaction_s: int,
        limits_w: Callable[[int], Mapping[int, float]],
    ) -> None:
        self.found: dict[int, Excess] = {}
        """By group; only where there was any."""
        self._installation = installation
        self._past = past
        self._reaction_s = reaction_s
        self._limits_w = limits_w

    def look(
        self,
        now_s: int,
        house: Loads,
        drawn: Sequence[tuple[int, int, float]],
        reachable: Callable[[int], bool],
    ) -> None:
        """One second, of which the past knows already."""
        for node, limit_w in self._limits_w(now_s).items():
            cars_w = [(i, self._car_w(i, phases, a)) for i, phases, a in drawn if node in self._path(i)]
            over_w = self._house_w(house[node]) + sum(w for _, w in cars_w) - limit_w
            if over_w <= SLACK_W:
                continue
            before_w = self._limits_w(now_s - self._reaction_s).get(node, float("inf"))
            excused_w = max(0.0, before_w - limit_w) + self._past.risen(node, self._house_w)
            movable_w = sum(w for i, w in cars_w if reachable(i))
            self._note(node, over_w, min(over_w - excused_w, movable_w))

    def _note(self, node: int, over_w: float, avoidable_w: float) -> None:
        if avoidable_w <= SLACK_W:
            avoidable_w = 0.0
        excess = self.found.setdefault(node, Excess())
        excess.avoidable_wh += avoidable_w / 3600
        excess.unavoidable_wh += (over_w - avoidable_w) / 3600
        excess.seconds += 1
        excess.worst_w = max(excess.worst_w, over_w)

    def _path(self, socket: int) -> tuple[int, ...]:
        return self._installation.tree.sockets[socket].path

    def _house_w(self, load_a: list[float]) -> float:
        grid = self._installation.tree.location.grid
        return grid_power_w(grid.type, grid.voltage_v, tuple(load_a))

    def _car_w(self, socket: int, phases: int, amperes: float) -> float:
        grid, ways = self._installation.tree.location.grid, self._installation.tree.sockets[socket].ways
        use = phase_use(grid.type, grid.phases, ways, tuple(range(min(phases, len(ways[0])))))
        return amperes * grid.voltage_v * use.power_factor
