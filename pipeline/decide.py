"""`decide(tree, state, now) -> Outcome` (design §6): pure and deterministic, the same bytes for the same input.

The order of the rules, each in its own module: facts and reservations, unmanaged load, limits, the billed window, the
sun, fair shares, release, leases. Nothing here touches the state; `commit` does, for decisions that are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.alarms import alarms
from pipeline.allocation import EPS_A
from pipeline.constraints import Constraints, GroupNow, constraints, differences, groups_now
from pipeline.facts import Fact, MeterAge, gather, meter_ages
from pipeline.forecast import noted
from pipeline.headroom import Difference
from pipeline.learning import store
from pipeline.leases import due, note_sent, setpoint
from pipeline.memo import Memo
from pipeline.moments import to_moment
from pipeline.records import ClosedWindow, ConnectorView, Decision, GroupView
from pipeline.release import Released, release
from pipeline.shares import Share, Shares
from pipeline.sharing import share
from pipeline.solar import Sun, copies, distinct, whole_budget_a
from pipeline.state import ConnectorState, LocationState
from pipeline.wander import believed, kept_free_total_a
from pipeline.winding_down import Ending, end, endings
from pipeline.windows import closed_windows, note_windows, view
from topology.location import Control
from topology.tree import Tree

DECIMALS = 4
"""Amperes and watts in a decision's views are rounded to this; limits are on their step already."""


@dataclass(slots=True)
class Outcome:
    """A decision, the windows that closed, and what `commit` needs to make them happen."""

    tree: Tree
    now_ms: int
    decision: Decision
    windows: list[ClosedWindow]
    facts: list[Fact]
    shares: Shares
    one_phase: list[bool]
    """For each connector whether it charges on its first phase alone."""
    shown: dict[int, Difference] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    """What comes to an end of connectors that wind down (`pipeline.winding_down`)."""


def decide(tree: Tree, state: LocationState, now_ms: int, memo: Memo | None = None) -> Outcome:
    """Decide for one location at one moment. The state is only read.

    `memo`: what earlier decisions of the same state worked out; it makes this one quicker, and no other.
    """
    memo = (memo or Memo()).of(tree)
    control = tree.location.control
    ages = meter_ages(tree, state, now_ms)
    facts = gather(tree, state, ages, now_ms, memo.facts)
    shown = differences(tree, state, facts, now_ms, memo)
    groups = groups_now(tree, state, shown, ages, now_ms)
    found = constraints(tree, groups, facts, now_ms, memo)
    suns = _suns(tree, facts, shown, ages)
    shares = _shares(facts, found, suns, state.turn_clocks, control, now_ms)
    released = release(facts, shares, found, suns, control, now_ms)
    name = f"{tree.location.location}@{now_ms}"
    news = [released[f.socket.index] for f in facts]
    sends = [due(f, new.limit_a, new.one_phase, control, now_ms) for f, new in zip(facts, news, strict=True)]
    held_a = [_held_after(f, new, sent) for f, new, sent in zip(facts, news, sends, strict=True)]
    loads = [_load_after(f, new, sent) for f, new, sent in zip(facts, news, sends, strict=True)]
    views = [_connector_view(f, shares.of[f.socket.index], new, held_a) for f, new in zip(facts, news, strict=True)]
    decision = Decision(
        location=tree.location.location,
        decision=name,
        at=to_moment(now_ms),
        inputs={topic: state.inputs[topic] for topic in sorted(state.inputs)},
        groups=[_group_view(g, loads, suns) for g in groups],
        connectors=views,
        setpoints=[
            setpoint(name, f, v.limit_a, new.one_phase, v.binding, tree.location, now_ms)
            for f, v, new, sent in zip(facts, views, news, sends, strict=True)
            if sent
        ],
        alarms=alarms(groups, facts),
        number=state.decisions + 1,
        order=[dict(sorted(inputs.items())) for inputs in state.order],
        first=dict(sorted(state.first.items())),
        max_unbalance_a=tree.location.grid.max_unbalance_a,
    )
    windows = [w for g in groups if g.window is not None for w in closed_windows(tree, state, g.node, now_ms)]
    one_phase = [new.one_phase for new in news]
    ending = endings(state, control.ack_s, control.lease_skew_s, now_ms) if state.leaving else []
    return Outcome(tree, now_ms, decision, windows, facts, shares, one_phase, shown, ending)


def _shares(
    facts: list[Fact],
    found: Constraints,
    suns: dict[int, Sun],
    clocks: dict[str, int],
    control: Control,
    now_ms: int,
) -> Shares:
    """The fair shares, and where the load wanders (`pipeline.wander`) those that will last.

    When somebody has to come down anyway, he comes down far enough for it to last, unless that would cost anybody his
    minimum.
    """
    shares = share(facts, found, suns, clocks, control, now_ms)
    if not any(found.wander) and not any(sun.wander_a for sun in suns.values()):
        return shares
    if not any(_moves(f, shares.of[f.socket.index]) for f in facts):
        return shares
    calm = share(facts, found, copies(suns), clocks, control, now_ms, calm=True)
    if calm.phases != shares.phases:  # two plans for different phases cannot be compared
        return shares
    if calm.placed >= shares.placed and any(_comes_down(f, shares.of[f.socket.index]) for f in facts):
        shares.of = calm.of
    shares.calm = calm.of
    return shares


def _moves(fact: Fact, target: Share) -> bool:
    return fact.standing_a is None or abs(fact.standing_a - target.target_a) > EPS_A


def _comes_down(fact: Fact, target: Share) -> bool:
    return fact.wants and fact.standing_a is not None and fact.standing_a > target.target_a + EPS_A


def _suns(tree: Tree, facts: list[Fact], shown: dict[int, Difference], ages: dict[int, MeterAge]) -> dict[int, Sun]:
    """The excess that each solar connector lives on, by connector index: one `Sun` per meter."""
    suns: dict[int, Sun] = {}
    by_meter: dict[object, Sun] = {}
    for fact in facts:
        socket = fact.socket
        if socket.mode == "fast":
            continue
        node = socket.solar_node
        known = node is not None and node in shown and ages.get(node) != "lost"
        key = node if node is not None else socket.charger.group
        if key not in by_meter:
            group = socket.charger.group if node is None else tree.nodes[node].group.id
            by_meter[key] = Sun(group, None)
            if known and node is not None:
                wander = believed(shown[node].wander, tree.location.control)
                wander_a = kept_free_total_a(wander, shown[node].unmanaged_a)
                by_meter[key] = Sun(group, shown[node].excess_a, wander_a)
        suns[socket.index] = by_meter[key]
    return suns


def _rounded(values: list[float]) -> list[float]:
    return [round(v, DECIMALS) + 0.0 for v in values]


def _group_view(group: GroupNow, loads: list[tuple[float, ...]], suns: dict[int, Sun]) -> GroupView:
    below = [loads[i] for i in group.node.sockets_below]
    phases = range(len(group.bounds))
    sun = next((s for s in distinct(suns) if s.group == group.node.group.id), None)
    excess_a = sun.excess_a if sun is not None else None
    budget_a = whole_budget_a(sun) if sun is not None else None
    capacity = group.node.group.capacity
    return GroupView(
        group=group.node.group.id,
        limit_a=_rounded([b.value for b in group.bounds]),
        limited_by=[b.by for b in group.bounds],
        unmanaged_a=_rounded(group.unmanaged_a),
        headroom_a=_rounded(group.headroom_a),
        overload_a=_rounded(group.overload_a),
        reserved_a=_rounded([sum(load[p] for load in below) for p in phases]),
        excess_a=None if excess_a is None else round(excess_a, DECIMALS) + 0.0,
        budget_a=None if budget_a is None else round(budget_a, DECIMALS) + 0.0,
        window=view(group.window, capacity, group.forecast.rest_w) if group.window and capacity else None,
        meter_state=group.meter_age,
        limits_w={b.by.removeprefix("limit "): round(b.value, DECIMALS) for b in group.power_limits} or None,
    )


def _told_a(fact: Fact, new: Released, sent: bool) -> float:
    """The limit that a connector may act on once this decision is out: not one that it refused."""
    return new.limit_a if sent or (fact.heard and not fact.state.failed) else 0.0


def _held_after(fact: Fact, new: Released, sent: bool) -> float:
    """What a connector holds once this decision is out: its reservation, or the higher limit that it is told."""
    return max(fact.reservation.held_a, _told_a(fact, new, sent))


def _load_after(fact: Fact, new: Released, sent: bool) -> tuple[float, ...]:
    """What a connector holds on each building phase once this decision is out."""
    held, all_on = fact.reservation, fact.all_use.on
    told_a = _told_a(fact, new, sent)
    if fact.one_use is None:
        held_a = max(held.held_a, told_a)
        return tuple(held_a * on for on in all_on)
    all_a, one_a = (held.all_a, max(held.held_a, told_a)) if new.one_phase else (max(held.all_a, told_a), held.held_a)
    return tuple(max(all_a * on, one_a * one) for on, one in zip(all_on, fact.one_use.on, strict=True))


def _connector_view(fact: Fact, target: Share, released: Released, held_a: list[float]) -> ConnectorView:
    charger, connector = fact.socket.key
    binding = released.binding
    if not fact.online and fact.leaving is None:
        binding = "offline"
    return ConnectorView(
        charger=charger,
        connector=connector,
        state=_state_of(fact, released.limit_a),  # type: ignore[arg-type]
        wanted_a=round(fact.wanted_a, 6),
        target_a=round(target.target_a, 6),
        limit_a=round(released.limit_a, 6),
        reserved_a=round(held_a[fact.socket.index], DECIMALS),
        binding=binding,
        phases=None if fact.one_use is None else 1 if released.one_phase else fact.socket.connector.phases,
    )


def _state_of(fact: Fact, limit_a: float) -> str:
    if not fact.heard:
        return "unknown"
    if not fact.online:
        return "offline"
    assert fact.state.reading is not None
    if fact.state.reading.status == "Faulted":
        return "faulted"
    if not fact.wants:
        return "available"
    return "charging" if limit_a > EPS_A else "waiting"


def commit(state: LocationState, outcome: Outcome) -> None:
    """The decision happened: setpoints count as sent, timers and turns move on, what was settled is settled."""
    tree, now_ms, control = outcome.tree, outcome.now_ms, outcome.tree.location.control
    sent = {(s.charger, s.connector): s for s in outcome.decision.setpoints}
    horizon_ms = min((d.settled_ms for d in outcome.shown.values()), default=now_ms)
    for fact in outcome.facts:
        if not fact.heard:
            continue
        own = fact.state
        store(own, fact.learnt)
        _move_timers(own, fact, outcome.shares, now_ms)
        _move_phases(own, fact, outcome.shares, outcome.one_phase[fact.socket.index], now_ms)
        _forget_readings(own, horizon_ms)
        new = sent.get(fact.socket.key)
        if new is not None:
            if new.limit_a > 0:
                own.burst_ms = outcome.shares.bursts.get(fact.socket.index, own.burst_ms)
            one_phase = outcome.one_phase[fact.socket.index]
            before_a = fact.standing_a if fact.standing_a is not None else fact.reservation.held_a
            note_sent(own, new.seq, new.limit_a, one_phase, before_a, control, now_ms)
    for index, shown in outcome.shown.items():
        meter = tree.nodes[index].meter
        assert meter is not None
        kept = state.meters[meter.id]
        if shown.settled is not None:
            kept.unmanaged_a, kept.settled_ms = shown.settled.load_a, shown.settled_ms
            kept.rises_ms = {p: ms for p, ms in enumerate(shown.settled.since_ms) if ms is not None}
        kept.walked_ms = max(kept.walked_ms, shown.newest_ms)
        kept.wander = shown.wander
        if tree.nodes[index].group.capacity is not None:
            kept.past = noted(kept.past, shown.newest_ms, shown.likely_w)
        kept.recent = [p for p in kept.recent if p.at_ms > shown.settled_ms]
    note_windows(tree, state, outcome.windows, now_ms)
    state.turn_clocks = outcome.shares.turns.clocks
    state.decided_ms = now_ms
    state.decisions += 1
    state.order, state.answered, state.first = [], False, {}
    end(state, outcome.endings)


def _move_timers(own: ConnectorState, fact: Fact, shares: Shares, now_ms: int) -> None:
    turned_ms = shares.turns.moved.get(fact.socket.name)
    if turned_ms is not None:
        own.turned_ms = turned_ms
    elif not fact.wants:
        own.turned_ms = None
    clock = shares.timers.get(fact.socket.index)
    own.covered_since_ms = clock.covered_since_ms if clock is not None else None
    own.uncovered_since_ms = clock.uncovered_since_ms if clock is not None else None
    own.solar_running = clock is not None and fact.socket.index in shares.placed


def _move_phases(own: ConnectorState, fact: Fact, shares: Shares, one_phase: bool, now_ms: int) -> None:
    """The phases that it was told, and since when others would have been better. An idle car is free to choose."""
    if not fact.wants or fact.one_use is None:
        own.one_phase, own.switch_since_ms, own.started_ms, own.switched_ms = False, None, None, None
        return
    chosen = shares.phases.get(fact.socket.index)
    switched = one_phase != own.one_phase
    runs = chosen is not None and fact.standing_a is not None and fact.standing_a >= fact.min_a
    if switched and runs:
        own.switched_ms = now_ms
    if chosen is None:
        own.started_ms = None
    elif own.started_ms is None:
        own.started_ms = now_ms
    own.one_phase = one_phase
    own.switch_since_ms = chosen.since_ms if chosen is not None and not switched else None


def _forget_readings(own: ConnectorState, horizon_ms: int) -> None:
    """Keep what an older meter reading may still be compared with: from the last one not newer than the meters on."""
    first = max((i for i, r in enumerate(own.recent) if r.at_ms <= horizon_ms), default=0)
    if first:
        own.recent = own.recent[first:]
