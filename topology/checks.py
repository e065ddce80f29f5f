"""What a location must not be, and what is odd about it (design §4, last lines).

Each check yields `Problem`s with the path of what is wrong and the reason in words. Errors refuse the location;
warnings are for what is legal but hardly meant. Checks that need a sound tree run only when the tree is sound, so that
one mistake is not reported five times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from topology.location import (
    Capacity,
    Charger,
    Connector,
    Control,
    Grid,
    Group,
    Location,
    Meter,
    PeakShaving,
    Solar,
)
from topology.phases import default_rotation, letters_missing, phase_use, rotations, wirings
from topology.tree import paths_to_root, per_phase, switches

ROUNDING_A = 1e-6
"""Sums of ratings are compared with this much slack: less would refuse 3 × 0.1 A on 0.3 A, more would hide a step."""

DAY_S = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something about a location: where (`groups[1].parent`) and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.reason}"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)  # keys are anybody's: no escape codes


def errors(location: Location) -> list[Problem]:
    """Every reason not to run this location; empty when there is none."""
    return [
        *_timezone(location),
        *_duplicates(location),
        *_references(location),
        *_shape(location),
        *_limits(location),
        *_connectors(location),
        *_fallbacks(location),
    ]


def warnings(location: Location) -> list[Problem]:
    """What is legal but odd about a location that has no errors."""
    return [
        *_larger_than_parent(location),
        *_unreachable_minimums(location),
        *_solar_without_meter(location),
        *_billed_without_cars(location),
        *_lost_before_stale(location),
        *_cannot_switch(location),
        *_fallback_above_rating(location),
        *_of_other_tariffs(location),
    ]


def _timezone(location: Location) -> Iterator[Problem]:
    try:
        ZoneInfo(location.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem("timezone", f"there is no time zone {location.timezone!r}")


def _twice(ids: Iterable[object], path: str, what: str) -> Iterator[Problem]:
    seen: set[object] = set()
    for i, one in enumerate(ids):
        if one in seen:
            yield Problem(f"{path}[{i}]", f"{what} {one} is there already")
        seen.add(one)


def _duplicates(location: Location) -> Iterator[Problem]:
    yield from _twice((g.id for g in location.groups), "groups", "group")
    yield from _twice((m.id for m in location.meters), "meters", "meter")
    yield from _twice((c.id for c in location.chargers), "chargers", "charger")
    for i, charger in enumerate(location.chargers):
        yield from _twice((k.id for k in charger.connectors), f"chargers[{i}].connectors", "connector")


def _references(location: Location) -> Iterator[Problem]:
    groups = {g.id for g in location.groups}
    meters = {m.id for m in location.meters}
    used: set[str] = set()
    for i, group in enumerate(location.groups):
        if group.parent is not None and group.parent not in groups:
            yield Problem(f"groups[{i}].parent", f"there is no group {group.parent}")
        if group.meter is None:
            continue
        if group.meter not in meters:
            yield Problem(f"groups[{i}].meter", f"there is no meter {group.meter}")
        elif group.meter in used:
            yield Problem(f"groups[{i}].meter", f"meter {group.meter} measures another group already")
        used.add(group.meter)
    for i, charger in enumerate(location.chargers):
        if charger.group not in groups:
            yield Problem(f"chargers[{i}].group", f"there is no group {charger.group}")


def _shape(location: Location) -> Iterator[Problem]:
    if not location.groups:
        yield Problem("groups", "there is no group: the main fuse is missing")
        return
    roots = [i for i, g in enumerate(location.groups) if g.parent is None]
    if not roots:
        yield Problem("groups[0].parent", "no group is without parent: which one is the main fuse?")
    for i in roots[1:]:
        first = location.groups[roots[0]].id
        yield Problem(
            f"groups[{i}].parent", f"a second group without parent, beside {first}: only one can be the main fuse"
        )
    on_cycle = _on_cycles(location.groups)
    for i, group in enumerate(location.groups):
        if group.id in on_cycle:
            yield Problem(f"groups[{i}].parent", f"group {group.id} is below itself (a cycle)")


def _on_cycles(groups: Iterable[Group]) -> set[str]:
    """The groups that are below themselves. Each is passed once on the way up, so that a deep tree costs little."""
    parents = {group.id: group.parent for group in groups}
    found: set[str] = set()
    passed: set[str] = set()
    for start in parents:
        way: dict[str, int] = {}
        at: str | None = start
        while at is not None and at in parents and at not in passed:
            passed.add(at)
            way[at] = len(way)
            at = parents[at]
        if at is not None and at in way:
            found.update(each for each, place in way.items() if place >= way[at])
    return found


def _limits(location: Location) -> Iterator[Problem]:
    phases = location.grid.phases
    for i, group in enumerate(location.groups):
        if len(group.limit_a) not in (1, phases):
            yield Problem(f"groups[{i}].limit_a", f"{len(group.limit_a)} limits for {phases} phase(s)")
        elif min(per_phase(group.limit_a, phases)) < group.margin_a:
            yield Problem(f"groups[{i}].margin_a", "the margin is larger than the fuse")
        if group.capacity is not None and group.meter is None:
            yield Problem(f"groups[{i}].capacity", "a billed average needs a meter in this group")
        if group.capacity is not None:
            yield from _tariff(group.capacity, f"groups[{i}].capacity")


def _tariff(capacity: Capacity, path: str) -> Iterator[Problem]:
    if DAY_S % capacity.window_s:
        yield Problem(f"{path}.window_s", f"{capacity.window_s} s do not divide a day: windows begin with the clock")
    begins = [from_kw for from_kw, _ in capacity.steps]
    if any(upper <= lower for lower, upper in pairwise(begins)):
        yield Problem(f"{path}.steps", "each step begins at more kilowatts than the one before it")


def _connectors(location: Location) -> Iterator[Problem]:
    grid = location.grid
    for i, charger in enumerate(location.chargers):
        if not charger.connectors:
            yield Problem(f"chargers[{i}].connectors", "a charger has at least one connector")
        for j, connector in enumerate(charger.connectors):
            path = f"chargers[{i}].connectors[{j}]"
            if connector.phases > grid.phases:
                yield Problem(f"{path}.phases", f"{connector.phases} phases on a grid that has {grid.phases}")
            yield from _rotation(replace(grid, phases=max(grid.phases, connector.phases)), connector, path)
            if not _has_a_step(connector):
                yield Problem(f"{path}.step_a", "no multiple of step_a lies between min_a and max_a")


def _rotation(grid: Grid, connector: Connector, path: str) -> Iterator[Problem]:
    rotation = connector.rotation or default_rotation(connector.phases)
    fitting = rotations(grid.type, grid.phases, connector.phases)
    if not fitting or (rotation not in fitting and rotation != "unknown"):
        yield Problem(
            f"{path}.rotation" if fitting else f"{path}.phases",
            f"{rotation!r} does not fit: {letters_missing(grid.type, grid.phases, connector.phases)}",
        )


def _has_a_step(connector: Connector) -> bool:
    return int(connector.max_a / connector.step_a + ROUNDING_A) * connector.step_a >= connector.min_a - ROUNDING_A


def _fallbacks(location: Location) -> Iterator[Problem]:
    """No fuse may be overloaded by what its chargers fall to without us, on any phase. What is wrong elsewhere (an
    unknown parent, a cycle, a rotation that does not fit) is left out of the sums."""
    phases = location.grid.phases
    sums = _fallback_sums(location)
    for i, group in enumerate(location.groups):
        if len(group.limit_a) not in (1, phases):
            continue
        limit_a = per_phase(group.limit_a, phases)
        over = [p for p in range(phases) if sums[group.id][p] > limit_a[p] + ROUNDING_A]
        if over:
            worst = max(over, key=lambda p: sums[group.id][p] - limit_a[p])
            yield Problem(
                f"groups[{i}].limit_a",
                f"the fallbacks below it add up to {sums[group.id][worst]:g} A on L{worst + 1}, "
                f"more than its fuse of {limit_a[worst]:g} A "
                "(a charger with fallback_a null counts with its max_a): lower them, or put fewer chargers below it",
            )


def _fallback_sums(location: Location) -> dict[str, list[float]]:
    """Group -> what all chargers below it fall to, per phase. Leaves first: those on a cycle are never reached."""
    grid = location.grid
    sums = {g.id: [0.0] * grid.phases for g in location.groups}
    for charger in {c.id: c for c in reversed(location.chargers) if c.group in sums}.values():
        for connector in {k.id: k for k in reversed(charger.connectors)}.values():
            if connector.phases <= grid.phases and not any(_rotation(grid, connector, "")):
                fallback_a = connector.max_a if charger.fallback_a is None else charger.fallback_a
                sums[charger.group] = _with(sums[charger.group], [fallback_a * on for on in _booked(grid, connector)])
    parents = {g.id: g.parent for g in reversed(location.groups) if g.parent in sums}
    children = Counter(parents.values())
    ready = [group_id for group_id in sums if not children[group_id]]
    for group_id in ready:
        above = parents.get(group_id)
        if above is not None:
            sums[above] = _with(sums[above], sums[group_id])
            children[above] -= 1
            if not children[above]:
                ready.append(above)
    return sums


def _with(one_a: list[float], other_a: list[float]) -> list[float]:
    return [a + b for a, b in zip(one_a, other_a, strict=True)]


def _booked(grid: Grid, connector: Connector) -> tuple[float, ...]:
    rotation = connector.rotation or default_rotation(connector.phases)
    ways = wirings(grid.type, grid.phases, connector.phases, rotation)
    return phase_use(grid.type, grid.phases, ways, tuple(range(connector.phases))).on


def _larger_than_parent(location: Location) -> Iterator[Problem]:
    groups = {g.id: g for g in location.groups}
    phases = location.grid.phases
    for i, group in enumerate(location.groups):
        if group.parent is None:
            continue
        above = per_phase(groups[group.parent].limit_a, phases)
        if any(own > up for own, up in zip(per_phase(group.limit_a, phases), above, strict=True)):
            yield Problem(
                f"groups[{i}].limit_a", f"larger than its parent {group.parent}: it can never be used in full"
            )


def _unreachable_minimums(location: Location) -> Iterator[Problem]:
    groups = {g.id: g for g in location.groups}
    paths = paths_to_root(location)
    grid = location.grid

    @cache
    def too_small(group_id: str, needed_a: tuple[float, ...]) -> str | None:
        """The first group on the way up that cannot carry so much."""
        for at in paths[group_id]:
            limit_a = per_phase(groups[at].limit_a, grid.phases)
            if any(needed > limit - groups[at].margin_a for needed, limit in zip(needed_a, limit_a, strict=True)):
                return at
        return None

    for i, charger in enumerate(location.chargers):
        for j, connector in enumerate(charger.connectors):
            on = _booked(grid, connector)
            group_id = too_small(charger.group, tuple(connector.min_a * on[p] for p in range(grid.phases)))
            if group_id is not None:
                reason = f"group {group_id} can never give this minimum of {connector.min_a:g} A"
                yield Problem(f"chargers[{i}].connectors[{j}].min_a", f"{reason}: the car will wait for ever")


def _solar_without_meter(location: Location) -> Iterator[Problem]:
    metered = {g.id for g in location.groups if g.meter is not None}
    paths = paths_to_root(location)
    for i, group in enumerate(location.groups):
        if group.mode in ("solar_only", "smart_solar") and metered.isdisjoint(paths[group.id]):
            yield Problem(f"groups[{i}].mode", f"{group.mode} without a meter here or above: no excess can be seen")


def _billed_without_cars(location: Location) -> Iterator[Problem]:
    apart = {m.id for m in location.meters if not m.includes_chargers}
    paths = paths_to_root(location)
    with_chargers = {group_id for charger in location.chargers for group_id in paths[charger.group]}
    for i, group in enumerate(location.groups):
        if group.capacity is not None and group.meter in apart and group.id in with_chargers:
            why = f"meter {group.meter} does not include the chargers"
            yield Problem(f"groups[{i}].capacity", f"{why}: what cars use in a window is never counted")


def _cannot_switch(location: Location) -> Iterator[Problem]:
    for i, charger in enumerate(location.chargers):
        for j, connector in enumerate(charger.connectors):
            if connector.can_switch and not switches(location.grid, connector):
                why = "its connector has one phase" if connector.phases == 1 else "an IT grid has no neutral"
                yield Problem(f"chargers[{i}].connectors[{j}].can_switch", f"{why}: it is never switched to one phase")


def _fallback_above_rating(location: Location) -> Iterator[Problem]:
    for i, charger in enumerate(location.chargers):
        highest_a = max(connector.max_a for connector in charger.connectors)
        if charger.fallback_a is not None and charger.fallback_a > highest_a:
            yield Problem(f"chargers[{i}].fallback_a", f"above every max_a of this charger: counts as {highest_a:g} A")


def _lost_before_stale(location: Location) -> Iterator[Problem]:
    for i, meter in enumerate(location.meters):
        if meter.lost_s < meter.stale_s:
            yield Problem(f"meters[{i}].lost_s", "sooner than stale_s: this meter is lost before it is stale")


_OF_TARIFF = {
    "be-vlaanderen-hv": ("access_kw", "access_eur_per_kw_year", "overshoot_factor"),
    "plain": ("window_s", "statistic", "period", "floor_kw"),
}
"""Keys of `capacity` that mean something for one tariff only."""


def _of_other_tariffs(location: Location) -> Iterator[Problem]:
    for i, group in enumerate(location.groups):
        if group.capacity is None:
            continue
        for tariff, names in _OF_TARIFF.items():
            for name in names:
                if group.capacity.tariff != tariff and getattr(group.capacity, name) != getattr(Capacity(), name):
                    yield Problem(f"groups[{i}].capacity.{name}", f"it counts for the tariff {tariff} only: ignored")


_NESTED: dict[tuple[type[Any], str], type[Any]] = {
    (Location, "grid"): Grid,
    (Location, "groups"): Group,
    (Location, "meters"): Meter,
    (Location, "chargers"): Charger,
    (Location, "control"): Control,
    (Group, "solar"): Solar,
    (Group, "peak_shaving"): PeakShaving,
    (Group, "capacity"): Capacity,
    (Charger, "connectors"): Connector,
}


def unknown_keys(document: object, kind: type[Any] = Location, path: str = "") -> Iterator[Problem]:
    """Keys that mean nothing to us, most likely misspelt: ignored, as in every record, but said."""
    if not isinstance(document, Mapping):
        return
    known = {f.name for f in fields(kind)}
    for key, value in document.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield Problem(here, "this key is not known and is ignored")
            continue
        nested = _NESTED.get((kind, str(key)))
        if nested is None:
            continue
        if isinstance(value, list | tuple):
            for i, item in enumerate(value):
                yield from unknown_keys(item, nested, f"{here}[{i}]")
        else:
            yield from unknown_keys(value, nested, here)
