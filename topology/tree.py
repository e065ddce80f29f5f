"""The tree of groups, made ready to walk: the same for every rule (design §4).

Built once per location document, from a location that passed `topology.checks`. Directions are in the names:
`path` leads from a group towards the root, `below` from a group towards the leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from topology.location import Charger, Connector, Grid, Group, Location, Meter, Mode, Solar
from topology.phases import PhaseUse, Wiring, default_rotation, phase_use, wirings
from topology.steps import ceil_to_step, floor_to_step


@dataclass(frozen=True, slots=True, eq=False)
class Socket:
    """A connector in its place. `index` is its place in `Tree.sockets`, which is sorted by (charger, connector)."""

    index: int
    key: tuple[str, int]
    name: str
    """`charger/connector`, its name in the state and on the topic `ocpp.setpoints`."""
    charger: Charger
    connector: Connector
    path: tuple[int, ...]
    """Groups from its own towards the root, as indices into `Tree.nodes`."""
    ways: tuple[Wiring, ...]
    mode: Mode
    solar: Solar
    solar_node: int | None
    """The metered group whose excess it lives on, where its mode is a solar one."""
    use: PhaseUse
    """What one ampere on all of its phases means for the building."""
    one_use: PhaseUse | None
    """The same on its first phase alone, where it can switch down to that; else None."""
    min_a: float
    """Its minimum, on its step."""
    max_a: float
    """Its rating, on its step."""
    fallback_a: float
    """What it falls to without us: its rating where that is not known."""
    safe_a: float
    """Its fallback as a limit that it can be given: 0 where it is not known or below the minimum."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A group in its place. `rating_a` and `limit_a` (rating − margin) have one entry per building phase."""

    index: int
    group: Group
    parent: int | None
    path: tuple[int, ...]
    children: tuple[int, ...]
    rating_a: tuple[float, ...]
    limit_a: tuple[float, ...]
    meter: Meter | None
    sockets_below: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A location made ready: nodes in the order of the document (parents may come later), sockets sorted by key."""

    location: Location
    nodes: tuple[Node, ...]
    sockets: tuple[Socket, ...]
    root: int
    leaves_first: tuple[int, ...]
    node_of: dict[str, int]
    socket_of: dict[tuple[str, int], int]
    meter_node: dict[str, int]
    meter_ids: frozenset[str]
    rotations_known: bool
    """Of all connectors."""

    @property
    def phases(self) -> int:
        return self.location.grid.phases


def switches(grid: Grid, connector: Connector) -> bool:
    """Whether a connector can charge on its first phase alone. Without a neutral (IT) one phase is no load."""
    return connector.can_switch and connector.phases > 1 and grid.type != "IT"


def per_phase(limit_a: tuple[float, ...], phases: int) -> tuple[float, ...]:
    """A limit written once counts for every phase."""
    return limit_a * phases if len(limit_a) == 1 else limit_a


def paths_to_root(location: Location) -> dict[str, tuple[str, ...]]:
    """Group -> the ids from it to its root, itself first. The location is sound: no cycle, no parent that is not there.

    Each takes the path of its parent, so that a deep tree costs little.
    """
    parents = {group.id: group.parent for group in location.groups}
    paths: dict[str, tuple[str, ...]] = {}
    for group_id in parents:
        unknown: list[str] = []
        at: str | None = group_id
        while at is not None and at not in paths:
            unknown.append(at)
            at = parents[at]
        path = () if at is None else paths[at]
        for each in reversed(unknown):
            path = paths[each] = (each, *path)
    return paths


def inherited_mode(groups: dict[str, Group], path: Sequence[str]) -> tuple[Mode, str | None]:
    """The mode of a group and the group that says it: its own, else the nearest one towards the root."""
    for group_id in path:
        mode = groups[group_id].mode
        if mode is not None:
            return mode, group_id
    return "fast", None


def inherited_solar(groups: dict[str, Group], path: Sequence[str]) -> Solar:
    """The solar settings of a group: its own, else the nearest ones towards the root, else the defaults."""
    return next((s for g in path if (s := groups[g].solar) is not None), Solar())


def excess_group(groups: dict[str, Group], path: Sequence[str], said_by: str | None) -> str | None:
    """The group whose meter shows the excess: the one that says the mode, else the nearest metered one above it."""
    if said_by is None:
        return None
    return next((g for g in path[path.index(said_by) :] if groups[g].meter is not None), None)


def build_tree(location: Location) -> Tree:
    """The tree of a location that passed `topology.checks.errors`."""
    groups = {g.id: g for g in location.groups}
    paths = paths_to_root(location)
    node_of = {g.id: i for i, g in enumerate(location.groups)}
    node_paths = {g: tuple(map(node_of.__getitem__, path)) for g, path in paths.items()}
    sockets = _sockets(location, groups, paths, node_of, node_paths)
    children: dict[str, list[int]] = {}
    sockets_below: list[list[int]] = [[] for _ in location.groups]
    for i, group in enumerate(location.groups):
        if group.parent is not None:
            children.setdefault(group.parent, []).append(i)
    for socket in sockets:
        for i in socket.path:
            sockets_below[i].append(socket.index)
    meters = {m.id: m for m in location.meters}
    nodes = tuple(
        Node(
            index=i,
            group=g,
            parent=None if g.parent is None else node_of[g.parent],
            path=node_paths[g.id],
            children=tuple(children.get(g.id, ())),
            rating_a=(rating_a := per_phase(g.limit_a, location.grid.phases)),
            limit_a=tuple(max(0.0, a - g.margin_a) for a in rating_a),
            meter=None if g.meter is None else meters[g.meter],
            sockets_below=tuple(sockets_below[i]),
        )
        for i, g in enumerate(location.groups)
    )
    return Tree(
        location=location,
        nodes=nodes,
        sockets=sockets,
        root=next(n.index for n in nodes if n.parent is None),
        leaves_first=tuple(sorted(range(len(nodes)), key=lambda i: (-len(nodes[i].path), i))),
        node_of=node_of,
        socket_of={s.key: s.index for s in sockets},
        meter_ids=frozenset(meters),
        meter_node={n.meter.id: n.index for n in nodes if n.meter is not None},
        rotations_known=all(len(s.ways) == 1 for s in sockets),
    )


def _sockets(
    location: Location,
    groups: dict[str, Group],
    paths: dict[str, tuple[str, ...]],
    node_of: dict[str, int],
    node_paths: dict[str, tuple[int, ...]],
) -> tuple[Socket, ...]:
    grid = location.grid
    pairs = sorted(((c, k) for c in location.chargers for k in c.connectors), key=lambda p: (p[0].id, p[1].id))
    sockets = []
    for index, (charger, connector) in enumerate(pairs):
        path = paths[charger.group]
        mode, said_by = inherited_mode(groups, path)
        excess = excess_group(groups, path, said_by)
        rotation = connector.rotation or default_rotation(connector.phases)
        ways = wirings(grid.type, grid.phases, connector.phases, rotation)
        min_a = ceil_to_step(connector.min_a, connector.step_a)
        safe_a = floor_to_step(min(charger.fallback_a or 0.0, connector.max_a), connector.step_a)
        sockets.append(
            Socket(
                index=index,
                key=(charger.id, connector.id),
                name=f"{charger.id}/{connector.id}",
                charger=charger,
                connector=connector,
                path=node_paths[charger.group],
                ways=ways,
                mode=mode,
                solar=inherited_solar(groups, path),
                solar_node=node_of[excess] if mode != "fast" and excess is not None else None,
                use=phase_use(grid.type, grid.phases, ways, tuple(range(connector.phases))),
                one_use=phase_use(grid.type, grid.phases, ways, (0,)) if switches(grid, connector) else None,
                min_a=min_a,
                max_a=floor_to_step(connector.max_a, connector.step_a),
                fallback_a=connector.max_a if charger.fallback_a is None else min(charger.fallback_a, connector.max_a),
                safe_a=safe_a if safe_a >= min_a else 0.0,
            )
        )
    return tuple(sockets)
