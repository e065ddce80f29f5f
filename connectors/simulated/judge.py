"""Who is to blame for an overload: the house, whom nobody could stop, or the controller.

An overload is *unavoidable* for as much as

* the loads besides the cars have risen since the last reading on which the controller could have acted: the newest one
  that it knew `reaction_s` ago (which is long ago while messages are lost, a meter is silent, or nobody decides); or
* it is drawn by chargers that could not be told otherwise: offline, told in vain, or deaf to what they accepted.

The rest is *avoidable*: what a controller with the same information would have held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.simulated.installation import Installation, Loads
from connectors.simulated.past import Past

SLACK_A = 0.02
"""Less is rounding: meters say amperes with two decimals."""


@dataclass(slots=True)
class Overload:
    """What was too much on one phase of a group, in ampere-seconds."""

    avoidable_as: float = 0.0
    unavoidable_as: float = 0.0
    seconds: int = 0
    worst_a: float = 0.0
    above_rating_as: float = 0.0
    """Of all of it, what was above the fuse's rating itself, not only above a margin, a cap, or an outside limit."""


class Judge:
    """Looks at every fuse once a second. `caps_a` says what each group may carry at a moment, per phase."""

    def __init__(
        self,
        installation: Installation,
        past: Past,
        reaction_s: int,
        caps_a: Callable[[int], Sequence[Sequence[float]]],
    ) -> None:
        self.found: dict[tuple[int, int], Overload] = {}
        """By group and phase; only where there was any."""
        self._installation = installation
        self._past = past
        self._reaction_s = reaction_s
        self._caps_a = caps_a
        self._fine_flows: Loads | None = None
        self._fine_caps: Sequence[Sequence[float]] | None = None

    def look(
        self,
        now_s: int,
        flows: Loads,
        drawn: Sequence[tuple[int, int, float]],
        reachable: Callable[[int], bool],
    ) -> None:
        """One second, of which the past knows already."""
        caps_a = self._caps_a(now_s)
        if flows is self._fine_flows and caps_a is self._fine_caps:
            return  # all is as it was, and it was fine
        if self._fine(flows, caps_a):
            self._fine_flows, self._fine_caps = flows, caps_a
            return
        before_a = self._caps_a(now_s - self._reaction_s)
        for node, (flow, caps) in enumerate(zip(flows, caps_a, strict=True)):
            for phase, amperes in enumerate(flow):
                if amperes > caps[phase] + SLACK_A:
                    fallen_a = max(0.0, before_a[node][phase] - caps[phase])
                    excused_a = fallen_a + self._risen_a(node, phase)
                    self._note(node, phase, amperes, caps[phase], excused_a, drawn, reachable)

    @staticmethod
    def _fine(flows: Loads, caps_a: Sequence[Sequence[float]]) -> bool:
        return all(
            amperes <= cap_a + SLACK_A
            for flow, caps in zip(flows, caps_a, strict=True)
            for amperes, cap_a in zip(flow, caps, strict=True)
        )

    def _note(
        self,
        node: int,
        phase: int,
        amperes: float,
        cap_a: float,
        excused_a: float,
        drawn: Sequence[tuple[int, int, float]],
        reachable: Callable[[int], bool],
    ) -> None:
        over_a = amperes - cap_a
        movable_a = sum(
            a * self._installation.places(socket, phases).count(phase)
            for socket, phases, a in drawn
            if node in self._installation.tree.sockets[socket].path and reachable(socket)
        )
        avoidable_a = min(over_a - excused_a, movable_a)
        if avoidable_a <= SLACK_A:
            avoidable_a = 0.0
        overload = self.found.setdefault((node, phase), Overload())
        overload.avoidable_as += avoidable_a
        overload.unavoidable_as += over_a - avoidable_a
        overload.seconds += 1
        overload.worst_a = max(overload.worst_a, over_a)
        overload.above_rating_as += max(0.0, amperes - self._installation.tree.nodes[node].rating_a[phase])

    def _risen_a(self, node: int, phase: int) -> float:
        """Sun that goes counts only where the group credits it."""
        credit = self._installation.tree.nodes[node].group.credit_generation
        return self._past.risen(node, lambda load: load[phase] if credit else max(0.0, load[phase]))
