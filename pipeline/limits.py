"""Effective limits (design §6.1): per group and phase the smallest of what the fuse, the owner and others allow.

A limit is a number and who set it, from the first line to the last. External limits: per (group, source) the one with
the latest `from` that has begun; after its `until` the source limits nothing (design §9 Limits).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from pipeline.state import LimitEntry, LocationState
from topology.tree import Node


class Bound(Struct, frozen=True, gc=False):
    """Amperes on one phase, or watts over all, and the name of what allows no more."""

    value: float
    by: str
    """`fuse`, `peak_shaving`, or `limit SOURCE`."""


def tightest(bounds: Iterator[Bound]) -> Bound:
    """The smallest; a tie must not depend on the order."""
    return min(bounds, key=lambda bound: (bound.value, bound.by))


def in_force(entries: list[LimitEntry], now_ms: int) -> LimitEntry | None:
    """The entry of one source that counts now."""
    begun = [e for e in entries if e.from_ms <= now_ms]
    if not begun:
        return None
    newest = max(begun, key=lambda e: e.from_ms)
    return newest if newest.until_ms is None or now_ms < newest.until_ms else None


def phase_bounds(node: Node, state: LocationState, now_ms: int) -> list[Bound]:
    """What a group may carry on each phase, and who says so."""
    external = list(_external(node, state, now_ms))
    return [tightest(_of_phase(node, phase, external)) for phase in range(len(node.limit_a))]


def _of_phase(node: Node, phase: int, external: list[tuple[str, LimitEntry]]) -> Iterator[Bound]:
    yield Bound(node.limit_a[phase], "fuse")
    if node.group.peak_shaving is not None:
        yield Bound(node.group.peak_shaving.limit_a, "peak_shaving")
    for source, entry in external:
        if entry.limit_a is not None:
            yield Bound(entry.limit_a, f"limit {source}")


def power_bounds(node: Node, state: LocationState, now_ms: int) -> list[Bound]:
    """External limits on a group's import in watts, summed over the phases."""
    return [
        Bound(entry.limit_w, f"limit {source}")
        for source, entry in _external(node, state, now_ms)
        if entry.limit_w is not None
    ]


def _external(node: Node, state: LocationState, now_ms: int) -> Iterator[tuple[str, LimitEntry]]:
    sources = state.limits.get(node.group.id)
    if sources:
        for source in sorted(sources):
            entry = in_force(sources[source], now_ms)
            if entry is not None:
                yield source, entry
