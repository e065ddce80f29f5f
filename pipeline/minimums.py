"""Minimums, one connector after the other (design §6.7): who is started, on how many phases, and who waits for what.

A connector gets 0 or at least its minimum. What stops one that is given nothing is its own room, not that of others: it
waits only where it would fit alone. Below an old meter there is a ceiling; a Solar Only car has its timers
(`pipeline.solar`), windows may be used in bursts (`pipeline.bursts`), and who can switch is placed on one phase and
raised to all afterwards (`pipeline.switching`). Idle offers come last.
"""

from __future__ import annotations

from pipeline.allocation import EPS_A, NONE, Ask, Own, Rows, Uses, between, blocking_row, take
from pipeline.bursts import loans, may_start
from pipeline.constraints import Constraints
from pipeline.facts import Fact
from pipeline.shares import Share, Shares
from pipeline.solar import Sun, covers, offer_from, smart, threshold_a, timer
from pipeline.switching import Phases, extra_uses, least_use, phases_of
from topology.location import Control
from topology.steps import floor_to_step


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


def place(
    fact: Fact,
    rows: Rows,
    empty: list[float],
    found: Constraints,
    sun: Sun | None,
    shares: Shares,
    now_ms: int,
) -> Ask | None:
    """Give a wanting connector its minimum, or say why it has none."""
    index = fact.socket.index
    one = fact.switchable or fact.on_one
    uses = found.uses_on(index, one)
    most_a, most_by = ceiling(fact)
    lost = fact.meter_age == "lost"
    if most_a < fact.min_a:
        shares.of[index] = Share(0.0, most_by, fact.on_one)
        return None
    low_a = most_a if lost else _least_a(fact, most_a)
    kept_a = fact.socket.fallback_a if fact.reservation.lapsing else 0.0
    own = found.own.get(index, NONE)
    way = between(uses, own, kept_a, low_a)
    fits = blocking_row(rows, *way) is None and (_runs(fact) or _lasts(rows, *way))
    needs_a = 0.0
    if sun is not None and not lost and not smart(fact):
        needs_a = fact.min_a * least_use(fact).total
        clock = shares.timers[index] = timer(sun, fact.socket, fact.state, needs_a, now_ms)
        if not clock.running:
            if fits and clock.covered_since_ms is not None:
                sun.promised_a += needs_a
            shares.of[index] = Share(0.0, clock.binding, fact.on_one)
            return None
    if found.bursts:
        fits = _burst_fits(fact, fits, rows, found, uses, low_a - kept_a, shares)
    if not fits:
        alone = blocking_row(Rows(rows.names, empty), *way)
        binding = "waiting" if alone is None else rows.names[alone]
        shares.of[index] = Share(0.0, binding, fact.on_one)
        shares.short.add(index)
        return None
    take(rows, *way)
    if sun is not None:
        sun.promised_a += needs_a
    shares.placed.add(index)
    if one:
        shares.phases[index] = Phases(True, fact.state.switch_since_ms)
    high_a, by = (fact.wanted_a, fact.wanted_by) if fact.wanted_a <= most_a else (most_a, most_by)
    ask = _ask(fact, low_a, max(low_a, high_a), shares.order[index], uses, own)
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
        own = [found.bursts[row].start_ms for row, _ in uses if row in found.bursts]
        if fits and own:
            shares.bursts[fact.socket.index] = max(own)
        return fits
    if fits:
        return True
    starting = {row for index in shares.bursts for row, _ in found.uses[index]}
    if any(row in starting and row in found.bursts for row, _ in uses):
        return False  # two would use up in half the time what is left for one
    lent = loans(found.bursts, taken, rows.left, uses, more_a, started_ms)
    for row, watts in lent:
        rows.left[row] += watts
        shares.lent[row] = shares.lent.get(row, 0.0) + watts
    return bool(lent)


def _runs(fact: Fact) -> bool:
    return fact.standing_a is not None and fact.standing_a >= fact.min_a


def _lasts(rows: Rows, uses: Uses, low_a: float) -> bool:
    """Whether a car that is started now would still fit when the load comes back (`pipeline.wander`)."""
    return all(rows.left[row] - rows.free[row] >= unit * low_a - EPS_A for row, unit in uses)


def _carried_on(rows: Rows, found: Constraints, extra: Uses, low_a: float) -> bool:
    """Whether there would still be room when the load comes back, and when the next window begins."""
    left, free, ends = rows.left, rows.free, found.ends
    return all(left[row] - free[row] - ends[row] >= unit * low_a - EPS_A for row, unit in extra)


def choose_phases(
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
        least_a = min(threshold_a(fact), fact.wanted_a) if smart(fact) else ask.low_a
        extra_a = (fact.all_use.total - least_use(fact).total) * least_a
        backup_a = 0.0 if smart(fact) else fact.socket.solar.backup_a
        sunny = sun.free_a is not None and (
            sun.free_a + backup_a - sun.thresholds_a - sun.promised_a >= extra_a - EPS_A
        )
    phases = shares.phases[ask.index] = phases_of(fact, fits, sunny, now_ms)
    if not phases.one:
        take(rows, extra, ask.low_a)
        ask.uses = found.uses[ask.index]
        if sun is not None:
            sun.promised_a += extra_a


def _ask(fact: Fact, low_a: float, high_a: float, order: int, uses: Uses, own: Own = NONE) -> Ask:
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
        own=own,
    )


def idle_offers(
    idle: list[Fact], rows: Rows, found: Constraints, suns: dict[int, Sun], shares: Shares, control: Control
) -> list[Ask]:
    """Enough for a car that plugs in to start at once, where it fits; after all minimums of those that want."""
    asks: list[Ask] = []
    for fact in sorted(idle, key=lambda f: (-f.socket.connector.priority, f.socket.key)):
        index, sun = fact.socket.index, suns.get(fact.socket.index)
        offer_a = floor_to_step(min(control.idle_offer_a, fact.max_a), fact.socket.connector.step_a)
        offer_a = max(offer_a, fact.min_a) if offer_a > 0 and fact.socket.mode != "solar_only" else 0.0
        most_a, most_by = ceiling(fact)
        binding = "idle"
        if fact.meter_age == "lost":
            offer_a, binding = most_a, most_by
        elif most_a < offer_a:
            offer_a, binding = 0.0, most_by
        elif sun is not None and offer_a > 0 and not covers(sun, fact, offer_a):
            offer_a, binding = 0.0, sun.row_name
        if offer_a <= 0 or blocking_row(rows, found.uses[index], offer_a) is not None:
            shares.of[index] = Share(0.0, binding)
            continue
        take(rows, found.uses[index], offer_a)
        if sun is not None:
            offer_from(sun, fact, offer_a)
        ask = _ask(fact, offer_a, offer_a, len(shares.order) + len(asks), found.uses[index])
        ask.binding = binding
        asks.append(ask)
    return asks
