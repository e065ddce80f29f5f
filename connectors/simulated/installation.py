"""What really flows in a building: through every fuse, on every phase. Pure; the truth that no meter need know.

Site frame, signed, + is towards the loads. A connector of unknown rotation is wired in one way, which its owner knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from topology.phases import Wiring
from topology.tree import Tree

Loads = list[list[float]]
"""For each group (in the order of `Tree.nodes`) amperes per building phase."""


class Installation:
    """A tree of fuses, and how each connector is wired. `ways`: one wiring for each of `Tree.sockets`."""

    def __init__(self, tree: Tree, ways: Sequence[Wiring]) -> None:
        self.tree = tree
        self.phases = tree.phases
        self._places = [[place for lines in way for place in lines] for way in ways]
        self._first = [list(way[0]) for way in ways]
        self._paths = [socket.path for socket in tree.sockets]

    def places(self, socket: int, phases: int) -> list[int]:
        """The building phases on which a connector draws when it uses so many of its own; one twice counts twice."""
        if phases == 1:
            return self._first[socket]
        return self._places[socket] if phases >= len(self._places[socket]) else self._places[socket][:phases]

    def below(self, own: Loads) -> Loads:
        """For each group what all loads in it and below it draw together."""
        total = [list(load) for load in own]
        for index in self.tree.leaves_first:
            parent = self.tree.nodes[index].parent
            if parent is not None:
                total[parent] = [a + b for a, b in zip(total[parent], total[index], strict=True)]
        return total

    def flows(self, house: Loads, drawn: Sequence[tuple[int, int, float]]) -> Loads:
        """What flows into each group: the house's loads below it (`below`), and what cars draw.

        `drawn`: connectors that draw, as (index, phases in use, amperes on each).
        """
        flows = [list(load) for load in house]
        for socket, phases, amperes in drawn:
            places = self.places(socket, phases)
            for node in self._paths[socket]:
                load = flows[node]
                for place in places:
                    load[place] += amperes
        return flows
