"""What cars and meters would have said under other limits, as far as a recording can tell.

A recording is an open loop: it knows what a car drew under the limits of then, not what it would have drawn under
others. Two assumptions fill the gap. A car that drew less than it might goes on drawing that, or less where it may not
draw so much. A car that took all it was allowed takes all that it would be allowed. (So a car that would charge faster
is not full any sooner: energy is not conserved.) What a car would draw more or less is added to the meters above it,
and to their registers. A charger that the recording does not know is taken to want all it can get, all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from pipeline.learning import TAKES_ALL_A
from pipeline.moments import to_moment, to_ms
from pipeline.records import ChargerReading, MeterReading
from pipeline.reservations import IN_USE_A
from topology.phases import grid_power_w
from topology.tree import Socket, Tree

Key = tuple[str, int]
IMPORT_WH = 3_600_000
"""Watt-milliseconds."""


@dataclass(slots=True)
class _Metered:
    """A meter at its newest reading: what it showed, and what it would have shown."""

    at_ms: int
    was_w: float
    would_w: float
    more_wh: float = 0.0
    register_wh: float = 0.0


@dataclass(slots=True)
class Draws:
    """`was` and `would`: per connector the amperes of its phases. The trees may have other connectors."""

    old: Tree
    new: Tree
    was: dict[Key, list[float]] = field(default_factory=dict)
    would: dict[Key, list[float]] = field(default_factory=dict)
    told_was_a: dict[Key, float] = field(default_factory=dict)
    told_would_a: dict[Key, float] = field(default_factory=dict)
    meters: dict[str, _Metered] = field(default_factory=dict)
    official_w: dict[str, float | None] = field(default_factory=dict)
    """The month peaks that the meters brought along: those of later were made by the cars of then."""

    def charger(self, record: ChargerReading) -> ChargerReading | None:
        """What a charger would have said; None where there would have been none."""
        key = (record.charger, record.connector)
        self.was[key] = list(record.current_a or [])
        index = self.new.socket_of.get(key)
        if index is None:
            return None
        would = self.would[key] = self._would(key, record.status, self.new.sockets[index])
        status = "Charging" if max(would) > 0 and record.status == "SuspendedEVSE" else record.status
        return msgspec.structs.replace(
            record, current_a=would, status=status, power_w=None, energy_wh=None, offered_a=None
        )

    def newcomers(self, at_ms: int) -> Iterator[ChargerReading]:
        """What the chargers say that the recording does not know."""
        for socket in self.new.sockets:
            if socket.key in self.old.socket_of:
                continue
            told_a = self.told_would_a.get(socket.key, 0.0)
            self.would[socket.key] = [told_a] * socket.connector.phases
            yield ChargerReading(
                location=self.new.location.location,
                charger=socket.charger.id,
                connector=socket.connector.id,
                at=to_moment(at_ms),
                online=True,
                status="Charging",
                transaction="what-if",
                current_a=self.would[socket.key],
            )

    def meter(self, record: MeterReading) -> MeterReading:
        """What a meter would have said."""
        grid = self.new.location.grid
        before = _below(self.old, record.meter, self.was)
        after = _below(self.new, record.meter, self.would)
        phases = len(record.current_a or record.power_w or ())
        if len(before) != phases or len(after) != phases:
            return record
        more_a = tuple(b - a for a, b in zip(before, after, strict=True))
        current_a = None
        if record.current_a is not None:
            current_a = [a + more for a, more in zip(record.current_a, more_a, strict=True)]
        power_w = None
        if record.power_w is not None:
            more_w = [grid_power_w(grid.type, grid.voltage_v, (more,)) for more in more_a]
            power_w = [w + more for w, more in zip(record.power_w, more_w, strict=True)]
        was_w = sum(record.power_w or ()) or grid_power_w(grid.type, grid.voltage_v, tuple(record.current_a or ()))
        now = self._note(record, was_w, was_w + grid_power_w(grid.type, grid.voltage_v, more_a))
        return msgspec.structs.replace(
            record,
            current_a=current_a,
            power_w=power_w,
            import_wh=now.register_wh if record.import_wh is not None else None,
            demand_w=None,
            month_peak_w=self.official_w.setdefault(record.meter, record.month_peak_w),
        )

    def _note(self, record: MeterReading, was_w: float, would_w: float) -> _Metered:
        at_ms = to_ms(record.at)
        now = _Metered(at_ms, was_w, would_w)
        before = self.meters.get(record.meter)
        if before is not None:
            more_w = max(0.0, before.would_w) - max(0.0, before.was_w)
            now.more_wh = before.more_wh + more_w * max(0, at_ms - before.at_ms) / IMPORT_WH
            now.register_wh = before.register_wh
        now.register_wh = max(now.register_wh, (record.import_wh or 0.0) + now.more_wh)
        self.meters[record.meter] = now
        return now

    def _would(self, key: Key, status: str, socket: Socket) -> list[float]:
        phases = range(socket.connector.phases)
        drawn_a = [*self.was[key], *(0.0 for _ in phases)][: len(phases)]
        told_a = self.told_would_a.get(key)
        if told_a is None:
            return drawn_a
        limited = max(drawn_a) >= self.told_was_a.get(key, float("inf")) - TAKES_ALL_A
        if not limited or status not in ("Charging", "SuspendedEVSE"):
            return [min(a, told_a) for a in drawn_a]
        in_use = [k for k in phases if drawn_a[k] > IN_USE_A] or list(phases)
        return [told_a if k in in_use else min(drawn_a[k], told_a) for k in phases]


def _below(tree: Tree, meter: str, draws: dict[Key, list[float]]) -> list[float]:
    """What the cars below a meter draw in it, on the building's phases; of an unknown wiring one that may be."""
    load_a = [0.0] * tree.phases
    node = tree.meter_node.get(meter)
    if node is None or not next(m for m in tree.location.meters if m.id == meter).includes_chargers:
        return load_a
    for index in tree.nodes[node].sockets_below:
        socket = tree.sockets[index]
        for places, amperes in zip(socket.ways[0], draws.get(socket.key, ()), strict=False):
            for place in places:
                load_a[place] += amperes
    return load_a
