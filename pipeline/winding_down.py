"""Winding down: connectors that their location no longer has (design §4: a change forgets no reservation).

A connector that is removed is told 0 A once, with the reason `removed`. When that is answered, or `ack_s` later at the
latest, the topic of setpoints forgets it (a null value). What it was granted before still counts in its group until a
reading shows that it came down, or every lease of it has surely run out; for so long its readings and answers are
folded as before. Where its group is gone, too, it counts in the nearest one above that is left.

A location that is removed winds down all of its connectors, and is forgotten when all of them were told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from pipeline.handing_over import hand_over_meters
from pipeline.state import ConnectorState, Leaving, LocationState
from topology.location import Charger, Location
from topology.phases import rotations
from topology.tree import Socket, Tree, build_tree

REMOVED = "removed"
"""The binding of a connector that winds down, and the reason of its last setpoint."""

_CHARGER = TypeAdapter(Charger)


@dataclass(frozen=True, slots=True)
class Ending:
    """A step of a connector's end. `told`: the topic of setpoints may forget it; `over`: it holds nothing any more."""

    name: str
    told: bool
    over: bool


def changed_tree(location: Location, state: LocationState, before: Tree | None) -> Tree:
    """The tree of a location that was put anew, in place of the one before. What it no longer has winds down."""
    state.removed = False
    there = _names(location)
    for name in there & state.leaving.keys():
        del state.leaving[name]
    if before is not None:
        hand_over_meters(location, state, before)
        for socket in before.sockets:
            if socket.name not in there:
                _leave(state, socket, _moved(socket, before, location))
    return known_tree(location, state)


def remove(tree: Tree, state: LocationState) -> None:
    """The location was removed: all that it has winds down."""
    state.removed = True
    for socket in tree.sockets:
        _leave(state, socket, socket.charger)


def known_tree(location: Location, state: LocationState) -> Tree:
    """The tree of a location, with the connectors in it that still wind down."""
    if not state.leaving:
        return build_tree(location)
    there = _names(location)  # of a location that was removed, all of them leave
    leaving = [_CHARGER.validate_json(k.charger) for name, k in sorted(state.leaving.items()) if name not in there]
    return build_tree(replace(location, chargers=(*location.chargers, *leaving)))


def endings(state: LocationState, ack_s: float, lease_skew_s: float, now_ms: int) -> list[Ending]:
    """The steps that are due. They happen with the decision in which they are found (`end`)."""
    return list(_endings(state, round(ack_s * 1000), round(lease_skew_s * 1000), now_ms))


def end(state: LocationState, found: list[Ending]) -> None:
    """The steps were taken."""
    for ending in found:
        if ending.over:
            del state.leaving[ending.name]
            state.connectors.pop(ending.name, None)
        else:
            state.leaving[ending.name].told = True


def _names(location: Location) -> set[str]:
    return {f"{charger.id}/{connector.id}" for charger in location.chargers for connector in charger.connectors}


def _leave(state: LocationState, socket: Socket, charger: Charger) -> None:
    own = state.connectors.get(socket.name)
    before = state.leaving.get(socket.name)
    after_seq = before.after_seq if before is not None else own.seq if own is not None else 0
    alone = replace(charger, connectors=tuple(k for k in charger.connectors if k.id == socket.connector.id))
    told = before is not None and before.told
    state.leaving[socket.name] = Leaving(_CHARGER.dump_json(alone), after_seq, told)


def _moved(socket: Socket, before: Tree, location: Location) -> Charger:
    """The charger where the changed location can have it: below a group and on phases that are still there."""
    groups = {group.id for group in location.groups}
    root = next(group.id for group in location.groups if group.parent is None)
    group = next((before.nodes[i].group.id for i in socket.path if before.nodes[i].group.id in groups), root)
    connector, grid = socket.connector, location.grid
    if (grid.type, grid.phases) != (before.location.grid.type, before.phases):
        wished = (min(connector.phases, grid.phases), grid.phases, 1)  # no two phases on a delta grid
        phases = next(n for n in wished if rotations(grid.type, grid.phases, n))
        connector = replace(connector, phases=phases, rotation=None, can_switch=False)
    return replace(socket.charger, group=group, connectors=(connector,))


def _endings(state: LocationState, ack_ms: int, skew_ms: int, now_ms: int) -> Iterator[Ending]:
    told = {
        name: leaving.told or _told(state.connectors.get(name), leaving.after_seq, ack_ms, now_ms)
        for name, leaving in sorted(state.leaving.items())
    }
    for name, is_told in told.items():
        holds = not all(told.values()) if state.removed else _holds(state.connectors.get(name), skew_ms, now_ms)
        over = is_told and not holds
        told_now = is_told and not state.leaving[name].told
        if over or told_now:
            yield Ending(name, told_now, over)


def _told(own: ConnectorState | None, after_seq: int, ack_ms: int, now_ms: int) -> bool:
    """Whether its 0 A was answered, or had its time. Who was never heard of is told nothing (`pipeline.leases`)."""
    if own is None or own.reading is None:
        return True
    if own.sent is None or own.sent.seq <= after_seq:
        return False
    return own.unanswered_since_ms is None or now_ms - own.sent.at_ms >= ack_ms


def _holds(own: ConnectorState | None, skew_ms: int, now_ms: int) -> bool:
    """Whether it may still act on something above 0 A. What has no end ends with the lease of its last setpoint."""
    if own is None:
        return False
    last_ms = own.sent.until_ms if own.sent is not None else None
    for grant in own.grants:
        until_ms = grant.until_ms if grant.until_ms is not None else last_ms
        if grant.limit_a > 0 and until_ms is not None and now_ms < until_ms + skew_ms:
            return True
    return False
