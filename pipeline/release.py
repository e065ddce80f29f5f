"""Release: what of the fair shares may go out now (design §6.9, §9 Reservations).

Decreases go out at once. A raise needs room on every constraint, each connector counted at max(reservation, new limit):
the same filling once more, with what all connectors hold taken off the rows. Where a row is exceeded already, nobody
below it rises. `increase_every_s` and `min_change_a` may hold back increases, never decreases.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from msgspec import Struct

from pipeline.allocation import EPS_A, NONE, Ask, Rows, Uses, between, blocking_row, fill, take
from pipeline.constraints import Constraints
from pipeline.facts import Fact
from pipeline.shares import Share, Shares
from pipeline.solar import Sun, calm_budget_a, distinct
from pipeline.switching import largest_step_over
from topology.location import Control
from topology.steps import floor_to_step


class Released(Struct, frozen=True, gc=False):
    """The limit of one connector now, and what stops it from being more."""

    limit_a: float
    binding: str
    one_phase: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """What is the same for all connectors of a decision."""

    rows: Rows
    found: Constraints
    shares: Shares
    worth: dict[str, tuple[int, float]]
    control: Control
    now_ms: int


def release(
    facts: list[Fact], shares: Shares, found: Constraints, suns: dict[int, Sun], control: Control, now_ms: int
) -> dict[int, Released]:
    """Every connector's limit, by index."""
    rows = found.rows(facts, calm=True)
    for row, watts in shares.lent.items():
        rows.left[row] += watts + found.wander[row]
    sun_rows = _sun_rows(rows, facts, shares, suns)
    given = _Given(rows, found, shares, _worth(shares, found), control, now_ms)
    released: dict[int, Released] = {}
    asks: list[Ask] = []
    for fact in sorted(facts, key=lambda f: shares.order.get(f.socket.index, len(facts) + f.socket.index)):
        index = fact.socket.index
        target = _lasting(fact, shares)
        sun = suns.get(index)
        sun_row = sun_rows.get(id(sun)) if sun is not None else None
        if fact.one_use is not None and _steps_over(fact, target):
            released[index] = _step_over(fact, target, sun_row, given)
            continue
        use = fact.one_use if target.one_phase and fact.one_use is not None else fact.all_use
        uses = found.uses_on(index, target.one_phase and fact.one_use is not None)
        soft = [(sun_row, use.total)] if sun_row is not None else []
        above = _exceeded(fact, target, uses, given)
        if above is not None:
            released[index] = Released(fact.standing_a or 0.0, above, target.one_phase)
            continue
        if target.target_a <= fact.reservation.held_a + EPS_A:
            released[index] = _hold(fact, target, uses, given)
            continue
        ask = _rise(fact, target, uses, soft, given, released)
        if ask is not None:
            asks.append(ask)
    fill(rows, asks)
    for ask in asks:
        fact, target = facts[ask.index], _lasting(facts[ask.index], shares)
        reached = ask.given_a >= target.target_a - EPS_A
        binding = target.binding if reached or ask.row is None else _reserved(ask.row, given)
        new = Released(ask.given_a, binding, target.one_phase)
        released[ask.index] = _small_change(fact, new, target, given)
    return released


def _steps_over(fact: Fact, target: Share) -> bool:
    """Whether a car is to charge on other phases than all of what it holds is for."""
    held = fact.reservation
    return (
        target.target_a > 0
        and held.held_a > EPS_A
        and (held.all_a > EPS_A if target.one_phase else held.all_a < held.held_a - EPS_A)
    )


def _step_over(fact: Fact, target: Share, sun_row: int | None, given: _Given) -> Released:
    """The limit of a car that changes its phases: as much as there is room for beside what it holds on the old ones.

    Where that is less than its minimum it stays on the old ones, no higher than its share, so that others get room.
    """
    index, step_a = fact.socket.index, fact.socket.connector.step_a
    rows, found = given.rows, given.found
    held = found.held_on(fact)
    one = target.one_phase
    use = fact.one_use if one and fact.one_use is not None else fact.all_use
    most_a = largest_step_over(fact, one, target.target_a, rows.left, found)
    if sun_row is not None:
        most_a = min(most_a, (max(0.0, rows.left[sun_row]) + _held_total_a(fact)) / use.total)
    limit_a = floor_to_step(most_a, step_a)
    if limit_a < fact.min_a:
        stays_a = min(fact.standing_a or 0.0, target.target_a)
        return Released(stays_a, target.binding, fact.on_one)
    for row, unit in found.uses_on(index, one):
        rows.left[row] -= max(0.0, unit * limit_a - held.get(row, 0.0))
    if sun_row is not None:
        rows.left[sun_row] -= max(0.0, use.total * limit_a - _held_total_a(fact))
    return Released(limit_a, target.binding, one)


def _held_total_a(fact: Fact) -> float:
    """What a car holds, as a sum over the phases."""
    held = fact.reservation
    if fact.one_use is None:
        return fact.use.total * held.held_a
    return max(fact.all_use.total * held.all_a, fact.one_use.total * held.held_a)


def _lasting(fact: Fact, shares: Shares) -> Share:
    """The share that a limit may rise to: where the load wanders, no higher than what will last."""
    target = shares.of[fact.socket.index]
    calm = shares.calm.get(fact.socket.index)
    standing_a = fact.standing_a if fact.standing_a is not None else 0.0
    if calm is None or calm.target_a >= target.target_a or target.target_a <= standing_a:
        return target
    return calm if calm.target_a > standing_a else Share(standing_a, calm.binding, target.one_phase)


def _sun_rows(rows: Rows, facts: list[Fact], shares: Shares, suns: dict[int, Sun]) -> dict[int, int]:
    """One row per sun: its budget, less what its cars hold. What the others take is off the budget already."""
    found: dict[int, int] = {}
    for sun in distinct(suns):
        budget_a = calm_budget_a(sun)
        if budget_a is None:
            continue
        members = [f for f in facts if suns.get(f.socket.index) is sun and f.wants and not f.fixed]
        held = sum(max(_held_total_a(f), f.use.total * _set_aside_a(f, shares)) for f in members)
        found[id(sun)] = rows.add(sun.row_name, budget_a - held)
    return found


def _set_aside_a(fact: Fact, shares: Shares) -> float:
    """A Smart Solar car's threshold counts against the sun from the start, so that its way there is free."""
    if fact.socket.mode != "smart_solar" or fact.socket.index not in shares.placed:
        return 0.0
    return min(max(fact.socket.solar.min_threshold_a, fact.min_a), shares.of[fact.socket.index].target_a)


def _held_back(fact: Fact, given: _Given) -> bool:
    last_ms = fact.state.last_increase_ms
    return last_ms is not None and given.now_ms - last_ms < given.control.increase_every_s * 1000


def _exceeded(fact: Fact, target: Share, uses: Uses, given: _Given) -> str | None:
    """Of a connector that would rise while its fallback is kept for the end of its lease: the exceeded row above it.
    What is kept for later may still be used by somebody who was told to make room, and is not there yet."""
    if not fact.reservation.lapsing or fact.standing_a is None or target.target_a <= fact.standing_a + EPS_A:
        return None
    left, wander = given.rows.left, given.found.wander
    over = next((row for row, _ in uses if left[row] + wander[row] < -EPS_A), None)
    return None if over is None else _reserved(over, given)


def _hold(fact: Fact, target: Share, uses: Uses, given: _Given) -> Released:
    """A decrease, or a rise within what it holds already; only a rise can be held back."""
    standing_a, limit_a = fact.standing_a, target.target_a
    if standing_a is not None and limit_a > standing_a + EPS_A:
        if _held_back(fact, given):
            return Released(standing_a, "increase_every_s", target.one_phase)
        over = _over(fact, limit_a, uses, given)
        if over is not None:
            return Released(standing_a, _reserved(over, given), target.one_phase)
    return _small_change(fact, Released(limit_a, target.binding, target.one_phase), target, given)


def _over(fact: Fact, limit_a: float, uses: Uses, given: _Given) -> int | None:
    """The row that does not carry a limit beside what the others hold: that a connector may not have come down yet is
    no reason to call it up again before those who are to make room for it have."""
    held, own = given.found.held_on(fact), given.found.own.get(fact.socket.index, NONE)
    for row, unit in uses:
        left = given.rows.left[row] + given.found.wander[row] + held.get(row, 0.0)
        if left - unit * max(0.0, limit_a - own.get(row, 0.0)) < -EPS_A:
            return row
    return None


def _small_change(fact: Fact, new: Released, target: Share, given: _Given) -> Released:
    """An increase smaller than `min_change_a`, or than is worth it in a billed window, waits, unless a setpoint goes
    out anyway (a renewal costs no more). A start is no small change, whatever it starts with."""
    standing_a = fact.standing_a
    if standing_a is None or standing_a < fact.min_a or new.limit_a - standing_a <= EPS_A:
        return new
    raise_a = new.limit_a - standing_a
    small = raise_a < given.control.min_change_a - EPS_A
    window = None if small else _not_worth(fact, raise_a, new.one_phase, given)
    if not small and window is None:
        return new
    sent = fact.state.sent
    if sent is not None and given.now_ms - sent.at_ms >= given.control.lease_s * 500:
        return new
    return Released(standing_a, window or target.binding, target.one_phase)


def _not_worth(fact: Fact, raise_a: float, one_phase: bool, given: _Given) -> str | None:
    """The billed window in which a raise brings less than is worth a setpoint."""
    if not given.worth:
        return None
    per_a = dict(given.found.uses_on(fact.socket.index, one_phase))
    return next(
        (name for name, (row, watts) in given.worth.items() if row in per_a and raise_a < watts / per_a[row] - EPS_A),
        None,
    )


def _worth(shares: Shares, found: Constraints) -> dict[str, tuple[int, float]]:
    """For each billed window its row, and the watts that a raise of one connector must bring: what is worth a setpoint
    is shared by those whom it binds."""
    if not found.worth_w:
        return {}
    bound = Counter(share.binding for share in (shares.calm or shares.of).values())
    return {name: (row, watts / max(1, bound[name])) for name, (row, watts) in found.worth_w.items()}


def _rise(
    fact: Fact, target: Share, uses: Uses, soft: Uses, given: _Given, released: dict[int, Released]
) -> Ask | None:
    """The ask of a connector that wants more than it holds; None when it has its answer already."""
    index, connector, rows, shares = fact.socket.index, fact.socket.connector, given.rows, given.shares
    held_a, own = fact.reservation.held_a, given.found.own.get(index, NONE)
    least_a = fact.min_a if fact.wants else target.target_a  # an idle offer is whole or none
    low_a = floor_to_step(min(held_a, target.target_a), connector.step_a)
    if fact.state.failed and not fact.online:  # it cannot be told before it is back: nobody waits for that
        released[index] = Released(low_a if low_a >= fact.min_a - EPS_A else 0.0, "offline", target.one_phase)
        return None
    if fact.standing_a is not None and _held_back(fact, given):
        stays_a = min(max(fact.standing_a, 0.0), target.target_a)
        released[index] = Released(stays_a, "increase_every_s", target.one_phase)
        return None
    if low_a < least_a - EPS_A:
        way, sunny = between(uses, own, held_a, least_a), (_beyond(soft, fact, shares, held_a), least_a - held_a)
        blocked = blocking_row(rows, *way)
        blocked = blocking_row(rows, *sunny) if blocked is None else blocked
        if blocked is not None:
            released[index] = Released(0.0, _reserved(blocked, given), target.one_phase)
            return None
        take(rows, *way)
        take(rows, *sunny)
        low_a = least_a
    return Ask(
        index=index,
        low_a=low_a,
        high_a=target.target_a,
        step_a=connector.step_a,
        weight=connector.weight,
        priority=connector.priority,
        order=shares.order.get(index, index),
        uses=uses,
        own=own,
        soft=soft,
        threshold_a=_set_aside_a(fact, shares),
        binding=target.binding,
    )


def _beyond(soft: Uses, fact: Fact, shares: Shares, held_a: float) -> Uses:
    """The sun's row, where the way to the minimum is not set aside already."""
    return soft if _set_aside_a(fact, shares) <= held_a + EPS_A else []


def _reserved(row: int, given: _Given) -> str:
    """A row that binds in a release binds because of what somebody still holds on it."""
    places = given.found.calm_places
    return f"reservation {places[row]}" if row < len(places) else given.rows.names[row]
