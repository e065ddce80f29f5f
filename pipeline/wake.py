"""When a location must be decided again although nothing came in: the next timer, lease, window or deadline.

The core is never woken by itself; the shell asks here and comes back in time. A wake too many costs a decision that
changes nothing; one too few would leave a lost meter or a run-out lease unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.ramps import RAMP_MS
from pipeline.reservations import accepted
from pipeline.state import ConnectorState, LocationState
from pipeline.tariffs import tariff_of, window_start_ms
from topology.location import Control
from topology.tree import Node, Tree

AT_THE_LATEST_MS = 600_000
"""Decide at least this often: a guard against a deadline that this module forgot. It is longer than half a lease by
default: who is sent setpoints is decided more often anyway."""

BURST_WAKES = 3
"""Looks at a burst within `reaction_s`, so that it ends in time. Fewer: it ends late; more: decisions for nothing."""


def next_wake_ms(tree: Tree, state: LocationState, now_ms: int) -> int:
    """The first moment after `now_ms` at which the answer may differ though no record comes."""
    control = tree.location.control
    times = [
        *(t for node in tree.nodes for t in _of_group(node, state, now_ms)),
        *(t for own in state.connectors.values() for t in _of_connector(own, control)),
        *(since_ms + control.turn_s * 1000 for since_ms in state.turn_clocks.values()),
        *_of_sun(tree, state),
    ]
    soonest = min((t for t in times if t > now_ms), default=now_ms + AT_THE_LATEST_MS)
    return round(min(soonest, now_ms + AT_THE_LATEST_MS))


def _of_group(node: Node, state: LocationState, now_ms: int) -> Iterator[float]:
    for entries in state.limits.get(node.group.id, {}).values():
        for entry in entries:
            yield entry.from_ms
            if entry.until_ms is not None:
                yield entry.until_ms
    if node.group.capacity is not None:
        window_s = tariff_of(node.group.capacity).window_s
        end_ms = window_start_ms(now_ms, window_s) + window_s * 1000
        yield end_ms
        yield end_ms - node.group.capacity.reaction_s * 1000
        if node.group.capacity.bursts:
            yield now_ms + max(1.0, node.group.capacity.reaction_s / BURST_WAKES) * 1000
    if node.meter is not None:
        meter = state.meters.get(node.meter.id)
        if meter is not None and meter.newest is not None:
            yield meter.newest.at_ms + node.meter.stale_s * 1000 + 1
            yield meter.newest.at_ms + node.meter.lost_s * 1000 + 1
            for point in meter.recent:
                yield point.at_ms + RAMP_MS + 1
            for since_ms in meter.rises_ms.values():
                yield since_ms + RAMP_MS + 1


def _of_connector(own: ConnectorState, control: Control) -> Iterator[float]:
    if own.reading is not None:
        yield own.reading.at_ms + control.silent_s * 1000 + 1
    if own.sent is not None:
        yield own.sent.at_ms + control.lease_s * 500
        yield own.sent.at_ms + control.ack_s * 1000
    if own.last_increase_ms is not None:
        yield own.last_increase_ms + control.increase_every_s * 1000
    if own.under_since_ms is not None:
        yield own.under_since_ms + control.settle_s * 1000
    for grant in own.grants:
        if grant.state == "sent":
            yield grant.at_ms + control.ack_s * 1000
        if grant.until_ms is not None:
            yield grant.until_ms + control.lease_skew_s * 1000
    if own.slept_ms is not None:
        yield own.slept_ms + control.turn_s * 1000
    for moment_ms in (own.switched_ms, own.started_ms):
        if moment_ms is not None:
            yield moment_ms + control.switch_hold_s * 1000
    taken = accepted(own)
    if taken is not None and taken.until_ms is not None:
        yield taken.until_ms - control.ack_s * 1000


def _of_sun(tree: Tree, state: LocationState) -> Iterator[float]:
    for socket in tree.sockets:
        own = state.connectors.get(f"{socket.charger.id}/{socket.connector.id}")
        if own is None:
            continue
        if own.covered_since_ms is not None and not own.solar_running:
            yield own.covered_since_ms + socket.solar.enable_s * 1000
        if own.uncovered_since_ms is not None:
            yield own.uncovered_since_ms + socket.solar.disable_s * 1000
        if own.switch_since_ms is not None:
            yield own.switch_since_ms + socket.solar.enable_s * 1000
            yield own.switch_since_ms + socket.solar.disable_s * 1000
