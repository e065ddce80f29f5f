"""What the judge must know of the controller: what it has read, and which chargers it could have told otherwise."""

from __future__ import annotations

from collections import deque

from connectors.simulated.outlet import Outlet
from topology.tree import Node, Tree


class Reach:
    """How far the controller's eyes and arms reach. `known_s`: for each group the moment of its newest known load."""

    def __init__(self, tree: Tree, reaction_s: int) -> None:
        self.known_s = [-1] * len(tree.nodes)
        self._reaction_s = reaction_s
        self._told_by = [_told_by(tree, node) for node in tree.nodes]
        self._heard_s = [-1] * len(tree.nodes)
        self._asked_s: list[deque[int]] = [deque() for _ in tree.sockets]
        self._reached_s = [-1] * len(tree.sockets)
        self._deaf = [False] * len(tree.sockets)

    def heard(self, node: int, at_s: int, now_s: int) -> None:
        """The controller has a reading of a metered group's meter."""
        self._heard_s[node] = max(self._heard_s[node], at_s)
        self.known_s = [min((self._heard_s[s] for s in told), default=now_s) for told in self._told_by]

    def asked(self, socket: int, now_s: int) -> None:
        """A setpoint is on its way."""
        self._asked_s[socket].append(now_s)

    def reached(self, socket: int, now_s: int, deaf: bool) -> None:
        """It was accepted; `deaf`: and then ignored."""
        self._reached_s[socket] = now_s
        self._deaf[socket] = deaf

    def could_tell(self, socket: int, outlet: Outlet, now_s: int) -> bool:
        """Whether the charger could have been told otherwise within the reaction time."""
        since_s = now_s - self._reaction_s
        if self._deaf[socket] or outlet.offline_until_s > since_s:
            return False
        asked = self._asked_s[socket]
        while asked and asked[0] < since_s:
            asked.popleft()
        return not asked or self._reached_s[socket] >= since_s


def _told_by(tree: Tree, node: Node) -> list[int]:
    """The metered groups that tell of a group's load: itself, else the topmost ones below it."""
    if node.meter is not None:
        return [node.index]
    return [i for child in node.children for i in _told_by(tree, tree.nodes[child])]
