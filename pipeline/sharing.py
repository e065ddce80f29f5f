"""The fair share of every connector (design §6.6–6.8): its target, whatever is still reserved elsewhere.

Minimums in queue order (`pipeline.turns`), Solar Only by its timers (`pipeline.solar`), idle offers, then the filling
(`pipeline.allocation`). Connectors that cannot be moved are taken off the rows for the others; those of them that want
current are still asked for their own share, as if they could be moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.allocation import EPS_A, Ask, Rows, Uses, blocking_row, fill, take
from pipeline.bursts import loans, may_start
from pipeline.constraints import Constraints
from pipeline.facts import Fact
from pipeline.solar import Member, Sun, Timer, add_rows, distinct, threshold_a, timer
from pipeline.switching import Phases, extra_uses, phases_of
from pipeline.turns import Turns, change_turns, in_order
from pipeline.winding_down import REMOVED
from topology.location import Control
from topology.phases import PhaseUse
from topology.steps import ceil_to_step, floor_to_step


@dataclass(frozen=True, slots=True)
class Share:
    """A connector's fair share, and what stops it from being more."""

    target_a: float
    binding: str
    one_phase: bool = False
    """On its first phase alone (`pipeline.switching`)."""


@dataclass(slots=True)
class Shares:
    """The outcome of sharing: shares by connector index, the order of the queue, timers and turns as they will be."""

    of: dict[int, Share] = field(default_factory=dict)
    order: dict[int, int] = field(default_factory=dict)
    timers: dict[int, Timer] = field(default_factory=dict)
    placed: set[int] = field(default_factory=set)
    phases: dict[int, Phases] = field(default_factory=dict)
    """Of the connectors that can switch and were started."""
    lent: dict[int, float] = field(default_factory=dict)
    """Row -> watts that bursts use beyond the window's allowance (`pipeline.bursts`)."""
    bursts: dict[int, int] = field(default_factory=dict)
    """Connectors that are started below a window used in bursts -> the start of that window."""
    calm: dict[int, Share] = field(default_factory=dict)
    """The shares of what is left when the load comes back, where it wanders: nobody is raised above his."""
    turns: Turns = field(default_factory=Turns)


def share(
    facts: list[Fact],
    found: Constraints,
    suns: dict[int, Sun],
    clocks: dict[str, int],
    control: Control,
    now_ms: int,
    calm: bool = False,
) -> Shares:
    """Every connector's target. `calm`: of what is left when the load comes back to where it was a moment ago."""
    fixed = [f for f in facts if f.fixed]
    asked = {f.socket.index for f in fixed if f.heard and f.leaving is None and (f.wants or f.meter_age == "lost")}
    own = Shares()
    if asked:  # first, so that the suns are left as the main sharing sees them
        immovable = [f for f in fixed if f.socket.index not in asked]
        anybody = [f for f in facts if not f.fixed or f.socket.index in asked]
        own = _share_once(anybody, immovable, found, suns, control, now_ms, {}, calm)
    shares = _with_turns([f for f in facts if not f.fixed], fixed, found, suns, clocks, control, now_ms, calm)
    for index in asked:
        shares.of[index] = own.of[index]
        if index in own.timers:
            shares.timers[index] = own.timers[index]
        if index in own.phases:
            shares.phases[index] = own.phases[index]
    shares.placed |= own.placed & asked
    for fact in facts:
        shares.of.setdefault(fact.socket.index, Share(0.0, "idle" if fact.leaving is None else REMOVED))
    return shares


def _with_turns(
    movable: list[Fact],
    fixed: list[Fact],
    found: Constraints,
    suns: dict[int, Sun],
    clocks: dict[str, int],
    control: Control,
    now_ms: int,
    calm: bool,
) -> Shares:
    """Share; when somebody waits long enough, change turns and share again."""
    shares = _share_once(movable, fixed, found, suns, control, now_ms, {}, calm)
    queue = in_order([f for f in movable if f.wants], {})
    waiting = {i for i, s in shares.of.items() if s.binding == "waiting"}
    turns = change_turns(queue, waiting, clocks, control.turn_s, now_ms)
    if turns.moved:
        shares = _share_once(movable, fixed, found, suns, control, now_ms, turns.moved, calm)
    shares.turns = turns
    return shares


def _share_once(
    movable: list[Fact],
    fixed: list[Fact],
    found: Constraints,
    suns: dict[int, Sun],
    control: Control,
    now_ms: int,
    moved: dict[str, int],
    calm: bool,
) -> Shares:
    rows = found.rows(fixed, calm)
    for fact in movable:
        if fact.reservation.lapsing:
            take(rows, found.uses[fact.socket.index], fact.socket.fallback_a)
    empty = list(rows.left)
    shares = Shares()
    queue = in_order([f for f in movable if f.wants], moved)
    shares.order = {f.socket.index: i for i, f in enumerate(queue)}
    idle = [f for f in movable if not f.wants]
    for sun in distinct(suns):
        sun.members, sun.promised_a = [], 0.0
        sun.taken_a = sum(_taken_a(f) for f in (*idle, *fixed) if _sun_of(f, suns) is sun)
        sun.thresholds_a = sum(
            _threshold_a(f) * _least_use(f).total for f in queue if _sun_of(f, suns) is sun and _smart(f)
        )
    placed = [(f, _place(f, rows, empty, found, suns, shares, now_ms)) for f in queue]
    asks: list[Ask] = []
    for fact, ask in placed:
        if ask is None:
            continue
        its_sun = _sun_of(fact, suns)
        if fact.switchable:
            _choose_phases(fact, ask, rows, found, its_sun, shares, now_ms)
        if its_sun is not None and fact.meter_age != "lost":
            _join(its_sun, fact, ask, shares)
        asks.append(ask)
    asks += _idle_offers(idle, rows, found, shares, control)
    soft: dict[int, list[tuple[int, float]]] = {}
    for sun in distinct(suns):
        soft.update(add_rows(sun, rows, calm))
    for ask in asks:
        ask.soft = soft.get(ask.index, [])
    fill(rows, asks)
    for ask in asks:
        chosen = shares.phases.get(ask.index)
        shares.of[ask.index] = Share(ask.given_a, ask.binding, chosen is not None and chosen.one)
    return shares


def _least_use(fact: Fact) -> PhaseUse:
    """The phases with which a minimum is placed: the first alone, where that can be chosen."""
    return fact.one_use if fact.one_use is not None and (fact.switchable or fact.on_one) else fact.all_use


def _choose_phases(
    fact: Fact,
    ask: Ask,
    rows: Rows,
    found: Constraints,
    sun: Sun | None,
    shares: Shares,
    now_ms: int,
) -> None:
    """Raise a started car to all phases where that is carried and time (`pipeline.switching`)."""
    extra = extra_uses(found, ask.index)
    on_all = _runs(fact) and not fact.state.one_phase
    fits = blocking_row(rows, extra, ask.low_a) is None and (on_all or _carried_on(rows, found, extra, ask.low_a))
    sunny, extra_a = True, 0.0
    if sun is not None:
        least_a = min(_threshold_a(fact), fact.wanted_a) if _smart(fact) else ask.low_a
        extra_a = (fact.all_use.total - _least_use(fact).total) * least_a
        backup_a = 0.0 if _smart(fact) else fact.socket.solar.backup_a
        sunny = sun.free_a is not None and (
            sun.free_a + backup_a - sun.thresholds_a - sun.promised_a >= extra_a - EPS_A
        )
    phases = shares.phases[ask.index] = phases_of(fact, fits, sunny, now_ms)
    if not phases.one:
        take(rows, extra, ask.low_a)
        ask.uses = found.uses[ask.index]
        if sun is not None:
            sun.promised_a += extra_a


def _smart(fact: Fact) -> bool:
    return fact.socket.mode == "smart_solar"


def _sun_of(fact: Fact, suns: dict[int, Sun]) -> Sun | None:
    """The sun that a connector lives on; None for a fast one."""
    return suns.get(fact.socket.index)


def _taken_a(fact: Fact) -> float:
    """What a car that has no part in the filling takes of the sun: its reservation where it may go up to it, else what
    it draws. One that is not heard is not in the excess either."""
    if not fact.heard or fact.silent:
        return 0.0
    draw_a = fact.state.reading.draw_a if fact.state.reading is not None else 0.0
    return fact.use.total * (fact.reservation.held_a if fact.wants and fact.online else draw_a)


def _threshold_a(fact: Fact) -> float:
    step_a = fact.socket.connector.step_a
    return ceil_to_step(threshold_a(fact.socket, fact.min_a, fact.wanted_a), step_a)


def ceiling(fact: Fact) -> tuple[float, str]:
    """The most that a connector may be given because of its meters, and why (design §6.5).

    Below a stale meter nothing rises; below a lost one all go to their fallback, 0 where that is not known or below
    the minimum.
    """
    if fact.meter_age == "fresh":
        return float("inf"), ""
    safe_a = fact.socket.safe_a
    if fact.meter_age == "lost":
        return safe_a, f"lost meter {fact.old_meter}"
    return fact.standing_a if fact.standing_a is not None else safe_a, f"stale meter {fact.old_meter}"


def _place(
    fact: Fact,
    rows: Rows,
    empty: list[float],
    found: Constraints,
    suns: dict[int, Sun],
    shares: Shares,
    now_ms: int,
) -> Ask | None:
    """Give a wanting connector its minimum, or say why it has none."""
    index = fact.socket.index
    one = fact.switchable or fact.on_one
    uses = found.uses_on(index, one)
    sun = _sun_of(fact, suns)
    most_a, most_by = ceiling(fact)
    lost = fact.meter_age == "lost"
    if most_a < fact.min_a:
        shares.of[index] = Share(0.0, most_by, fact.on_one)
        return None
    if sun is not None and not lost and not _smart(fact):
        needs_a = fact.min_a * _least_use(fact).total
        clock = shares.timers[index] = timer(sun, fact.socket, fact.state, needs_a, now_ms)
        if clock.covered_since_ms is not None or clock.running:
            sun.promised_a += needs_a
        if not clock.running:
            shares.of[index] = Share(0.0, clock.binding, fact.on_one)
            return None
    low_a = most_a if lost else _least_a(fact, most_a)
    kept_a = fact.socket.fallback_a if fact.reservation.lapsing else 0.0
    more_a = low_a - kept_a
    fits = blocking_row(rows, uses, more_a) is None and (_runs(fact) or _lasts(rows, found, uses, more_a))
    if found.bursts:
        fits = _burst_fits(fact, fits, rows, found, uses, more_a, shares)
    if not fits:
        alone = blocking_row(Rows(rows.names, empty), uses, more_a)
        binding = "waiting" if alone is None else rows.names[alone]
        shares.of[index] = Share(0.0, binding, fact.on_one)
        return None
    take(rows, uses, more_a)
    shares.placed.add(index)
    if one:
        shares.phases[index] = Phases(True, fact.state.switch_since_ms)
    high_a, by = (fact.wanted_a, fact.wanted_by) if fact.wanted_a <= most_a else (most_a, most_by)
    ask = _ask(fact, low_a, max(low_a, high_a), shares.order[index], uses)
    ask.binding = most_by if lost else by
    return ask


def _least_a(fact: Fact, most_a: float) -> float:
    """What a started car has at least: its minimum; where its lease runs out, the fallback that it may draw anyway."""
    if fact.reservation.lapsing:
        return min(max(fact.min_a, fact.socket.safe_a), max(fact.min_a, fact.wanted_a), most_a)
    return fact.min_a


def _burst_fits(
    fact: Fact, fits: bool, rows: Rows, found: Constraints, uses: Uses, more_a: float, shares: Shares
) -> bool:
    """Whether a minimum is placed where windows are used in bursts (`pipeline.bursts`): one start in each, and on."""
    taken = {row: found.room[row] + shares.lent.get(row, 0.0) - rows.left[row] for row in found.bursts}
    started_ms = fact.state.burst_ms
    if not _runs(fact):
        fits = fits and may_start(found.bursts, taken, uses, more_a, started_ms)
        if fits:
            shares.bursts[fact.socket.index] = max(b.start_ms for b in found.bursts.values())
        return fits
    if fits:
        return True
    lent = loans(found.bursts, taken, rows.left, uses, more_a, started_ms)
    for row, watts in lent:
        rows.left[row] += watts
        shares.lent[row] = shares.lent.get(row, 0.0) + watts
    return bool(lent)


def _runs(fact: Fact) -> bool:
    return fact.standing_a is not None and fact.standing_a >= fact.min_a


def _lasts(rows: Rows, found: Constraints, uses: list[tuple[int, float]], low_a: float) -> bool:
    """Whether a car that is started now would still fit when the load comes back (`pipeline.wander`)."""
    return all(rows.left[row] - found.wander[row] >= unit * low_a - EPS_A for row, unit in uses)


def _carried_on(rows: Rows, found: Constraints, extra: Uses, low_a: float) -> bool:
    """Whether there would still be room when the load comes back, and when the next window begins."""
    left, wander, ends = rows.left, found.wander, found.ends
    return all(left[row] - wander[row] - ends[row] >= unit * low_a - EPS_A for row, unit in extra)


def _join(sun: Sun, fact: Fact, ask: Ask, shares: Shares) -> None:
    """A started car takes part in its sun's budget; one that is uncovered keeps its minimum and no more."""
    smart = _smart(fact)
    ask.threshold_a = min(_threshold_a(fact), ask.high_a) if smart else 0.0
    solar = fact.socket.solar
    chosen = shares.phases.get(ask.index)
    use = fact.one_use if chosen is not None and chosen.one and fact.one_use is not None else fact.all_use
    sun.members.append(
        Member(
            index=ask.index,
            smart=smart,
            backup_a=0.0 if smart else solar.backup_a,
            to_start=not smart and solar.backup_a > 0 and solar.backup_use == "to_start",
            total_per_a=use.total,
            low_a=max(ask.low_a, ask.threshold_a),
        )
    )


def _ask(fact: Fact, low_a: float, high_a: float, order: int, uses: list[tuple[int, float]]) -> Ask:
    connector = fact.socket.connector
    return Ask(
        index=fact.socket.index,
        low_a=low_a,
        high_a=high_a,
        step_a=connector.step_a,
        weight=connector.weight,
        priority=connector.priority,
        order=order,
        uses=uses,
    )


def _idle_offers(idle: list[Fact], rows: Rows, found: Constraints, shares: Shares, control: Control) -> list[Ask]:
    """Enough for a car that plugs in to start at once, where it fits; after all minimums of those that want."""
    asks: list[Ask] = []
    for fact in sorted(idle, key=lambda f: (-f.socket.connector.priority, f.socket.key)):
        index = fact.socket.index
        offer_a = floor_to_step(min(control.idle_offer_a, fact.max_a), fact.socket.connector.step_a)
        offer_a = max(offer_a, fact.min_a) if offer_a > 0 and fact.socket.mode != "solar_only" else 0.0
        most_a, most_by = ceiling(fact)
        binding = "idle"
        if fact.meter_age == "lost":
            offer_a, binding = most_a, most_by
        elif most_a < offer_a:
            offer_a, binding = 0.0, most_by
        if offer_a <= 0 or blocking_row(rows, found.uses[index], offer_a) is not None:
            shares.of[index] = Share(0.0, binding)
            continue
        take(rows, found.uses[index], offer_a)
        ask = _ask(fact, offer_a, offer_a, len(shares.order) + len(asks), found.uses[index])
        ask.binding = binding
        asks.append(ask)
    return asks
