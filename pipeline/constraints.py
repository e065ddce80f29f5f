"""The constraints of a location at one moment, as rows for the filling: `Σ coefficient·a ≤ room`.

One row per group and phase (fuse, peak shaving, external amperes: whichever is smallest), one per limit in watts and
billed window over the sum of the phases, one per phase for the unbalance. What others use is taken off here; what
connectors hold is taken off by the filling that the rows are made for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from pipeline.allocation import NONE, Own, Rows, Uses
from pipeline.bursts import Burst
from pipeline.columns import Load, columns_of
from pipeline.draws import Vector
from pipeline.facts import Fact, MeterAge
from pipeline.forecast import Forecast, forecast, highest_w
from pipeline.headroom import Difference, difference, within
from pipeline.limits import Bound, phase_bounds, power_bounds
from pipeline.memo import Memo
from pipeline.state import LocationState, MeterState
from pipeline.wander import believed, follows_all, kept_free_a, kept_free_total_a, moves_total_a
from pipeline.windows import RunningWindow, running_window
from topology.tree import Node, Tree

GroupLoad = tuple[list[float], float, list[float], float]
"""Signed amperes per phase, watts, and how much it wanders (amperes): per phase, and as a sum over the phases."""


class GroupNow(Struct, gc=False):
    """One group at the moment of the decision."""

    node: Node
    bounds: list[Bound]
    unmanaged_a: list[float]
    """What counts against the fuse: not below 0 unless the group credits generation."""
    others_w: float
    """Signed power of everything but the cars, summed over the phases."""
    forecast: Forecast
    """What they are expected to draw on average in the billed window and the next; where none is billed, the same."""
    highest_w: float | None
    """The most that they drew lately, where that is known (`pipeline.forecast`)."""
    power_limits: list[Bound]
    window: RunningWindow | None
    meter_age: MeterAge | None
    wanders_a: list[float]
    """What a raise leaves free on each phase, because the load comes back (`pipeline.wander`)."""
    wanders_total_a: float
    """The same of the sum over the phases."""
    unplaced_a: dict[int, Vector]
    """Connector -> what of the unmanaged load may be its own draw (`pipeline.headroom`)."""

    @property
    def headroom_a(self) -> list[float]:
        return [max(0.0, b.value - u) for b, u in zip(self.bounds, self.unmanaged_a, strict=True)]

    @property
    def overload_a(self) -> list[float]:
        """What no charger can cure: unmanaged load alone above the limit."""
        return [max(0.0, u - b.value) for b, u in zip(self.bounds, self.unmanaged_a, strict=True)]


@dataclass(slots=True)
class Constraints:
    """All rows of a location, and for each connector the rows that one ampere of it loads.

    The phases of a group that all connectors below it load alike are one row, the tightest of them.
    """

    names: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """For each row the group and phase, for `reservation GROUP Lk`."""
    room: list[float] = field(default_factory=list)
    calm_names: list[str] = field(default_factory=list)
    calm_places: list[str] = field(default_factory=list)
    """The same for the room that is left when the load comes back: another phase may be the tightest then."""
    wander: list[float] = field(default_factory=list)
    """For each row what a raise leaves free."""
    ends: list[float] = field(default_factory=list)
    """For each row what of it ends with the running window: what was saved in it is no promise for the next one."""
    loads: list[Load] = field(default_factory=list)
    """For each row what loads it."""
    uses: list[Uses] = field(default_factory=list)
    one_uses: dict[int, Uses] = field(default_factory=dict)
    """Of the connectors that can switch: the rows that one ampere on the first phase alone loads."""
    own: dict[int, Own] = field(default_factory=dict)
    """Of the connectors whose own draw may be in what others use."""
    worth_w: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By name, of windows whose load is known to move: the row, and what a raise must bring to be worth a setpoint."""
    bursts: dict[int, Burst] = field(default_factory=dict)
    """The rows of windows whose energy may be used in bursts."""

    def rows(self, holding: Iterable[Fact], calm: bool = False) -> Rows:
        """The rows for one filling, less what these connectors hold.

        `calm`: less what the load is likely to reach again, too.
        """
        left, free = list(self.room), self.wander
        if calm:
            left, free = [room - wander for room, wander in zip(left, free, strict=True)], [0.0] * len(left)
        for fact in holding:
            held_a = fact.reservation.held_a
            if fact.one_use is not None:
                for row, load in self.held_on(fact).items():
                    left[row] -= load
            elif held_a:
                index = fact.socket.index
                for row, unit in self.uses[index]:
                    left[row] -= unit * held_a
                for row, own_a in self.own.get(index, NONE).items():
                    left[row] += min(own_a, held_a)
        return Rows(list(self.calm_names if calm else self.names), left, free)

    def uses_on(self, index: int, one: bool) -> Uses:
        """The rows of a connector: on its first phase alone, or on all."""
        return self.one_uses[index] if one else self.uses[index]

    def held_on(self, fact: Fact) -> dict[int, float]:
        """What a connector holds on each row: on all phases, or more than that on the first alone."""
        held = {row: unit * fact.reservation.all_a for row, unit in self.uses[fact.socket.index]}
        for row, unit in self.one_uses.get(fact.socket.index, ()):
            held[row] = max(held.get(row, 0.0), unit * fact.reservation.held_a)
        for row, own_a in self.own.get(fact.socket.index, NONE).items():
            held[row] = max(0.0, held[row] - own_a)
        return held

    def add(self, load: Load, name: str, place: str, room: float, wander: float = 0.0, ends: float = 0.0) -> None:
        """A new row."""
        self.add_tightest(load, [(room, wander, name, place)], ends)

    def add_tightest(self, load: Load, alike: list[tuple[float, float, str, str]], ends: float = 0.0) -> None:
        """A new row for the tightest of several that are loaded alike: room, wander, name and place of each."""
        room, _, name, place = alike[0] if len(alike) == 1 else min(alike, key=lambda row: row[0])
        calm = alike[0] if len(alike) == 1 else min(alike, key=lambda row: row[0] - row[1])
        self.loads.append(load)
        self.names.append(name)
        self.places.append(place)
        self.room.append(room)
        self.calm_names.append(calm[2])
        self.calm_places.append(calm[3])
        self.wander.append(room - (calm[0] - calm[1]))
        self.ends.append(ends)


def differences(tree: Tree, state: LocationState, facts: list[Fact], now_ms: int, memo: Memo) -> dict[int, Difference]:
    """What each meter shows besides the cars below it; meters never heard of are left out."""
    found = {}
    for node in tree.nodes:
        if node.meter is not None:
            meter = state.meters.get(node.meter.id, _NEVER_HEARD)
            shown = difference(tree, node, meter, [facts[i] for i in node.sockets_below], now_ms, memo)
            if shown is not None:
                found[node.index] = shown
    return found


_NEVER_HEARD = MeterState()


def groups_now(
    tree: Tree, state: LocationState, shown: dict[int, Difference], ages: dict[int, MeterAge], now_ms: int
) -> list[GroupNow]:
    """Limits and unmanaged load of every group."""
    signed = _signed_loads(tree, shown, ages)
    unplaced = {} if tree.rotations_known else _unplaced_loads(tree, shown, ages)
    groups = []
    for node in tree.nodes:
        load_a, others_w, wanders_a, wanders_total_a = signed[node.index]
        credits_sun = node.group.credit_generation
        window = running_window(tree, state, node, now_ms) if node.group.capacity is not None else None
        unmanaged_a = [a if credits_sun else max(0.0, a) for a in load_a]
        parts_a = unplaced.get(node.index, {})
        groups.append(
            GroupNow(
                node=node,
                bounds=phase_bounds(node, state, now_ms),
                unmanaged_a=unmanaged_a,
                others_w=others_w,
                forecast=_forecast(tree, state, node, shown, window, signed[node.index], now_ms),
                highest_w=_highest_w(state, node, shown),
                power_limits=power_bounds(node, state, now_ms),
                window=window,
                meter_age=ages.get(node.index),
                wanders_a=wanders_a,
                wanders_total_a=wanders_total_a,
                unplaced_a=parts_a if credits_sun else within(parts_a, unmanaged_a),
            )
        )
    return groups


def _forecast(
    tree: Tree,
    state: LocationState,
    node: Node,
    shown: dict[int, Difference],
    window: RunningWindow | None,
    load: GroupLoad,
    now_ms: int,
) -> Forecast:
    _, others_w, _, wanders_total_a = load
    own = shown.get(node.index)
    volts = tree.location.grid.voltage_v
    if window is None or node.meter is None or own is None:
        return forecast(None, now_ms, others_w, 0.0, (volts * wanders_total_a, 0.0))
    past, left_s = state.meters[node.meter.id].past, (window.end_ms - now_ms) / 1000
    wander_w = volts * wanders_total_a, volts * moves_total_a(own.wander)
    return forecast(past, own.newest_ms, others_w, left_s, wander_w)


def _highest_w(state: LocationState, node: Node, shown: dict[int, Difference]) -> float | None:
    if node.group.capacity is None or node.meter is None or node.index not in shown:
        return None
    return highest_w(state.meters[node.meter.id].past, shown[node.index].newest_ms)


def _signed_loads(tree: Tree, shown: dict[int, Difference], ages: dict[int, MeterAge]) -> dict[int, GroupLoad]:
    """Signed unmanaged load (amperes, watts, and how much it wanders) of every group, leaves first: its meter's, else
    the sum of the topmost metered ones below. A lost meter tells nothing: its group counts like one without a meter,
    but the groups above it still count what it showed last: that nobody sees a load does not make room for others.
    """
    signed: dict[int, GroupLoad] = {}
    seen_above: dict[int, GroupLoad] = {}
    for index in tree.leaves_first:
        own = shown.get(index)
        below = _sum_of_loads([seen_above[child] for child in tree.nodes[index].children], tree.phases)
        if own is None:
            signed[index] = seen_above[index] = below
            continue
        load_a, wander = own.unmanaged_a, believed(own.wander, tree.location.control)
        wanders = kept_free_a(wander, load_a), kept_free_total_a(wander, load_a)
        measured = (list(load_a), own.power_w, *wanders)
        lost = ages.get(index) == "lost"
        signed[index] = below if lost else measured
        seen_above[index] = _larger_load(below, measured) if lost else measured
    return signed


def _unplaced_loads(
    tree: Tree, shown: dict[int, Difference], ages: dict[int, MeterAge]
) -> dict[int, dict[int, Vector]]:
    """What of the signed load of every group may be a car's own draw; of a lost meter's nothing is known."""
    found: dict[int, dict[int, Vector]] = {}
    for index in tree.leaves_first:
        own = shown.get(index)
        if own is None:
            found[index] = {i: a for child in tree.nodes[index].children for i, a in found[child].items()}
        else:
            found[index] = {} if ages.get(index) == "lost" else own.unplaced_a
    return found


def _sum_of_loads(loads: list[GroupLoad], phases: int) -> GroupLoad:
    return (
        [sum([load[0][p] for load in loads]) for p in range(phases)],
        sum([load[1] for load in loads]),
        [sum([load[2][p] for load in loads]) for p in range(phases)],
        sum([load[3] for load in loads]),
    )


def _larger_load(one: GroupLoad, other: GroupLoad) -> GroupLoad:
    """The larger of what is known now and what was seen last, on each phase."""
    return [max(a, b) for a, b in zip(one[0], other[0], strict=True)], max(one[1], other[1]), one[2], one[3]


def constraints(tree: Tree, groups: list[GroupNow], facts: list[Fact], now_ms: int, memo: Memo) -> Constraints:
    """Every physical row of the location; solar budgets are added by the fillings that need them."""
    columns = memo.columns = columns_of(tree, facts, memo.columns)
    found = Constraints()
    for group in groups:
        if group.node.sockets_below:
            _phase_rows(found, group, columns.alike[group.node.index])
            _power_rows(found, tree, group, now_ms)
    if tree.location.grid.max_unbalance_a is not None and tree.phases > 1:
        for phase in range(tree.phases):
            place = f"unbalance L{phase + 1}"
            found.add(Load("unbalance", phase), "unbalance", place, tree.location.grid.max_unbalance_a)
    found.uses, found.one_uses = columns.uses(tree, found.loads)
    return found


def _phase_rows(found: Constraints, group: GroupNow, alike: list[list[int]]) -> None:
    name, headroom_a = group.node.group.id, group.headroom_a
    for phases in [[p] for p in range(len(headroom_a))] if group.unplaced_a else alike:
        rows = []
        for phase in phases:
            by = group.bounds[phase].by
            text = f"limit {name} {by[6:]}" if by.startswith("limit ") else f"{by} {name} L{phase + 1}"
            rows.append((headroom_a[phase], group.wanders_a[phase], text, f"{name} L{phase + 1}"))
        found.add_tightest(Load("phase", phases[0], group.node.index), rows)
        for index, part_a in group.unplaced_a.items():
            own_a = part_a[phases[0]] - group.overload_a[phases[0]]  # whoever is there has to make up for all of it
            if own_a > 0:
                found.own.setdefault(index, {})[len(found.room) - 1] = own_a


def _power_rows(found: Constraints, tree: Tree, group: GroupNow, now_ms: int) -> None:
    name = group.node.group.id
    load = Load("power", 0, group.node.index)
    wander_w = group.wanders_total_a * tree.location.grid.voltage_v
    for bound in group.power_limits:
        found.add(load, f"limit {name} {bound.by[6:]}", name, bound.value - group.others_w, wander_w)
    window, capacity = group.window, group.node.group.capacity
    if window is None or capacity is None:
        return
    free_w, expected = 0.0, group.forecast
    if not follows_all(tree.location.control):
        free_w = max(0.0, expected.back_w - expected.rest_w) + window.worth_w
        found.worth_w[f"window {name}"] = len(found.room), window.raise_w
    ends_w = max(0.0, window.allowed_w - window.cap_w)
    room_w = window.holds_w - expected.rest_w
    if window.next_cap_w is not None:
        room_w = min(room_w, window.next_cap_w - expected.next_w)
    found.add(load, f"window {name}", name, room_w, free_w, ends_w)
    if capacity.bursts:
        steady_w = window.cap_w - expected.rest_w
        most_w = window.cap_w if group.highest_w is None else min(window.cap_w, group.highest_w)
        kept_w = max(0.0, most_w - expected.rest_w)
        left_s = (window.end_ms - now_ms) / 1000
        burst = Burst(window.start_ms, room_w, steady_w, kept_w, left_s, capacity.reaction_s)
        found.bursts[len(found.room) - 1] = burst
