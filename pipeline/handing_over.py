"""A billed group whose document names another meter: what the one before it counted counts on (design §4: a changed
location forgets no window and no peak).

The new meter's register begins where the one before it ended, as when a meter is replaced (`pipeline.registers`).
"""

from __future__ import annotations

from copy import deepcopy

from msgspec import structs

from pipeline.state import LocationState, MeterState
from topology.location import Location
from topology.tree import Tree

LIVE = ("newest", "recent")
"""What a meter says of now is its own, whatever it measured before."""


def hand_over_meters(location: Location, state: LocationState, before: Tree) -> None:
    """Called when a document is folded, with the tree of the one before it."""
    was = {node.group.id: node.meter.id for node in before.nodes if node.group.capacity and node.meter}
    known = dict(state.meters)
    for group in location.groups:
        last = was.get(group.id)
        if group.capacity is None or group.meter is None or last is None or last == group.meter or last not in known:
            continue
        own = known.get(group.meter) or MeterState()
        live = {name: getattr(own, name) for name in LIVE}
        counted = deepcopy(known[last])
        state.meters[group.meter] = structs.replace(
            counted,
            **live,
            unmanaged_a=None,
            settled_ms=-1,
            rises_ms={},
            wander=None,
            past=None,
            walked_ms=-1,
            suspect=None,
            another=True,
            changes=counted.changes + 1,
        )
