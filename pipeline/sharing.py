"""The fair share of every connector (design §6.6–6.8): its target, whatever is still reserved elsewhere.

Minimums in queue order (`pipeline.turns`, `pipeline.minimums`), then the filling (`pipeline.allocation`). Connectors
that cannot be moved are taken off the rows for the others; those of them that want current are still asked for their
own share, as if they could be moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.allocation import EPS_A, Ask, fill, take
from pipeline.constraints import Constraints
from pipeline.facts import Fact
from pipeline.minimums import choose_phases, idle_offers, place
from pipeline.shares import Share, Shares
from pipeline.solar import Sun, add_rows, distinct, join, smart, stay_aside, threshold_a
from pipeline.switching import Phases, least_use, watched
from pipeline.turns import change_turns, in_order
from pipeline.winding_down import REMOVED
from topology.location import Control


@dataclass(frozen=True, slots=True)
class _Given:
    """What is the same for all sharings of a decision."""

    found: Constraints
    suns: dict[int, Sun]
    control: Control
    now_ms: int
    calm: bool


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
    given = _Given(found, suns, control, now_ms, calm)
    fixed = [f for f in facts if f.fixed]
    asked = {f.socket.index for f in fixed if f.heard and f.leaving is None and (f.wants or f.meter_age == "lost")}
    own = Shares()
    if asked:  # first, so that the suns are left as the main sharing sees them
        immovable = [f for f in fixed if f.socket.index not in asked]
        anybody = [f for f in facts if not f.fixed or f.socket.index in asked]
        own = _share_once(anybody, immovable, given, {})
    shares, burdens = _beside_burdens(facts, fixed, asked, own, given, clocks)
    for index in asked & burdens:
        shares.of[index] = own.of[index]
        if index in own.timers:
            shares.timers[index] = own.timers[index]
        if index in own.phases:
            shares.phases[index] = own.phases[index]
    shares.placed |= own.placed & asked & burdens
    for fact in facts:
        shares.of.setdefault(fact.socket.index, Share(0.0, "idle" if fact.leaving is None else REMOVED))
    return shares


def _beside_burdens(
    facts: list[Fact], fixed: list[Fact], asked: set[int], own: Shares, given: _Given, clocks: dict[str, int]
) -> tuple[Shares, set[int]]:
    """Share what is left beside those that cannot be moved; and who they are.

    One that is there and asked for its share is a burden to the others only where it holds more than that: else its
    share is what they leave to it, and what it holds is a part of it.
    """
    burdens = {f.socket.index for f in fixed if f.socket.index not in asked or f.silent or not f.online}
    before = own
    while True:
        burdens |= {i for i in asked - burdens if _holds_more(facts[i], before.of[i])}
        beside = [f for f in fixed if f.socket.index in burdens]
        shares = _with_turns([f for f in facts if f.socket.index not in burdens], beside, given, clocks)
        if not any(_holds_more(facts[i], shares.of[i]) for i in asked - burdens):
            return shares, burdens
        before = shares


def _holds_more(fact: Fact, share: Share) -> bool:
    """Whether a connector holds more than its share, or its share on other phases."""
    held = fact.reservation
    return held.held_a > share.target_a + EPS_A or (share.one_phase and held.all_a > EPS_A)


def _with_turns(movable: list[Fact], fixed: list[Fact], given: _Given, clocks: dict[str, int]) -> Shares:
    """Share; when somebody waits long enough, change turns and share again."""
    shares = _share_once(movable, fixed, given, {})
    queue = in_order([f for f in movable if f.wants], {})
    waiting = {i for i, s in shares.of.items() if s.binding == "waiting"}
    turns = change_turns(queue, waiting, shares.short, clocks, given.control.turn_s, given.now_ms)
    if turns.moved:
        shares = _share_once(movable, fixed, given, turns.moved)
    shares.turns = turns
    return shares


def _share_once(movable: list[Fact], fixed: list[Fact], given: _Given, moved: dict[str, int]) -> Shares:
    """Share; where a Smart Solar car cannot have its threshold, share again, so that Solar Only ones may have that."""
    queue = in_order([f for f in movable if f.wants], moved)
    floors_a = {f.socket.index: threshold_a(f) for f in queue if smart(f)}
    shares, reached_a = _share_with(floors_a, queue, movable, fixed, given)
    reached_a = {i: min(floor_a, reached_a.get(i, 0.0)) for i, floor_a in floors_a.items()}
    if reached_a != floors_a and any(f.socket.mode == "solar_only" for f in queue):
        shares, _ = _share_with(reached_a, queue, movable, fixed, given)
    return shares


def _share_with(
    floors_a: dict[int, float], queue: list[Fact], movable: list[Fact], fixed: list[Fact], given: _Given
) -> tuple[Shares, dict[int, float]]:
    """Share while each Smart Solar car takes so much of its sun; and what everybody started is given."""
    found, suns, now_ms = given.found, given.suns, given.now_ms
    rows = found.rows(fixed, given.calm)
    for fact in movable:
        if fact.reservation.lapsing:
            take(rows, found.uses[fact.socket.index], fact.socket.fallback_a)
    empty = list(rows.left)
    shares = Shares(order={f.socket.index: i for i, f in enumerate(queue)})
    idle = [f for f in movable if not f.wants]
    for sun in distinct(suns):
        sun.members, sun.others, sun.promised_a = [], [], 0.0
        sun.taken_a = sum(_taken_a(f) for f in (*idle, *fixed) if _sun_of(f, suns) is sun)
        sun.thresholds_a = sum(
            floors_a[f.socket.index] * least_use(f).total for f in queue if _sun_of(f, suns) is sun and smart(f)
        )
    placed = [(f, place(f, rows, empty, found, _sun_of(f, suns), shares, now_ms)) for f in queue]
    asks: list[Ask] = []
    for fact, ask in placed:
        if ask is None:
            if fact.on_one and not fact.switchable:  # held through a pause, too
                shares.phases[fact.socket.index] = Phases(True, None)
            continue
        its_sun = _sun_of(fact, suns)
        if watched(fact):
            choose_phases(fact, ask, rows, found, its_sun, shares, now_ms)
        if its_sun is not None and fact.meter_age != "lost":
            join(its_sun, fact, ask, shares.phases.get(ask.index))
        asks.append(ask)
    for fact in [*(f for f, ask in placed if ask is None), *(f for f in fixed if f.wants)]:
        aside_of = _sun_of(fact, suns)
        if aside_of is not None:
            stay_aside(aside_of, fact)
    asks += idle_offers(idle, rows, found, suns, shares, given.control)
    soft: dict[int, list[tuple[int, float]]] = {}
    for sun in distinct(suns):
        soft.update(add_rows(sun, rows, given.calm))
    for ask in asks:
        ask.soft = soft.get(ask.index, [])
    fill(rows, asks)
    for ask in asks:
        chosen = shares.phases.get(ask.index)
        shares.of[ask.index] = Share(ask.given_a, ask.binding, chosen is not None and chosen.one)
    return shares, {ask.index: ask.given_a for ask in asks}


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
