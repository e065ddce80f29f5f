"""Sharing: progressive filling over linear constraints (design §6.7–6.8, §9 Sharing). The one mechanism.

Every rule of the mission feeds it with rows (`Σ coefficient·a ≤ room`) and asks (who wants what); none decides by
itself. By priority class, all grow together with one λ, `a = clamp(weight·λ, low, high)`, until something binds; those
bound stop, the others grow on: the max-min fair point over all phases and the whole tree at once. Then everybody is
rounded down to his step, and spare steps are handed on, so that nothing a step wide is left that somebody could use.

How: every row knows the λ at which it would be full if nothing else stopped anybody. The smallest of them is the first
to be full; its asks stop there, which only leaves more on the others. So rows wait in a heap, and one that has changed
is looked at again only when it comes up.

Solar rows are soft below a Smart Solar car's threshold: up to it the car is always offered (only physical rows bind),
from there on its current counts against the excess like everybody's; the threshold itself is set aside beforehand. So
are physical rows for what a car draws there as a part of what others use (`Own`).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from msgspec import Struct

from topology.steps import floor_to_step

EPS_A = 1e-7
"""Currents closer than this are equal: far below any step, far above what sums of a thousand floats err by."""

Uses = list[tuple[int, float]]
"""Rows that a connector's current loads, and by how much per ampere."""
Own = dict[int, float]
"""Row -> up to which current a connector loads it no more than it did when it was measured: of a car whose phase is not
known, its draw is in what others use, wherever it is."""
NONE: Own = {}


@dataclass(slots=True)
class Rows:
    """The constraints of one filling: what is left on each, and its name."""

    names: list[str] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    free: list[float] = field(default_factory=list)
    """Of the physical rows: what a start leaves of that, because the load comes back."""

    def add(self, name: str, room: float) -> int:
        """A new row; its index."""
        self.names.append(name)
        self.left.append(room)
        return len(self.left) - 1


class Ask(Struct, gc=False):
    """What one connector wants of a filling, and what it was given."""

    index: int
    """Its place among the location's connectors."""
    low_a: float
    """What it has before anybody grows: its minimum, or what it holds already."""
    high_a: float
    step_a: float
    weight: float
    priority: int
    order: int
    """Its place in the queue."""
    uses: Uses
    """Physical rows."""
    own: Own = NONE
    soft: Uses = field(default_factory=list)
    """Solar rows."""
    threshold_a: float = 0.0
    """Up to here its current is set aside on the solar rows already."""
    given_a: float = 0.0
    binding: str = ""
    """What stops it: beforehand what stops it at `high_a`, afterwards the row that was full."""
    row: int | None = None
    """That row."""


def blocking_row(rows: Rows, uses: Uses, amperes: float) -> int | None:
    """The first row that has no room for so many amperes more; None when it fits."""
    left = rows.left
    for row, unit in uses:
        if left[row] < unit * amperes - EPS_A:
            return row
    return None


def between(uses: Uses, own: Own, from_a: float, to_a: float) -> tuple[Uses, float]:
    """What the way from one current to another loads: rows, and how much of what they say."""
    if not own:
        return uses, to_a - from_a
    return [(row, unit * (max(to_a, own.get(row, 0.0)) - max(from_a, own.get(row, 0.0)))) for row, unit in uses], 1.0


def take(rows: Rows, uses: Uses, amperes: float) -> None:
    """Use up room (or give it back, when negative)."""
    left = rows.left
    for row, unit in uses:
        left[row] -= unit * amperes


def fill(rows: Rows, asks: list[Ask]) -> None:
    """Let all grow from `low_a` (which is taken off the rows already), round down, and hand the spare steps on."""
    priorities = {ask.priority for ask in asks}
    for priority in sorted(priorities, reverse=True):
        _grow(rows, asks if len(priorities) == 1 else [a for a in asks if a.priority == priority])
    for ask in asks:
        rounded = max(ask.low_a, floor_to_step(ask.given_a, ask.step_a))
        if rounded != ask.given_a:
            _set(rows, ask, rounded)
    _hand_on(rows, asks)


class _Share(Struct, gc=False):
    """An ask's part in one row: nothing below `floor_a`, then `unit` for each ampere."""

    ask: Ask
    unit: float
    floor_a: float


def _grow(rows: Rows, asks: list[Ask]) -> None:
    """Stop one full row's asks after the other, the first one full first; who meets none reaches `high_a`."""
    growing: set[int] = set()
    for ask in asks:
        ask.given_a = ask.low_a
        if ask.high_a <= ask.low_a + EPS_A:
            _give_back(rows, ask)
        else:
            growing.add(ask.index)
    shares = _of_rows_that_can_be_full(rows, [ask for ask in asks if ask.index in growing])
    heap: list[tuple[float, int, float, int]] = []
    for row, row_shares in shares.items():
        _look(heap, rows, row, row_shares, 0.0)
    while heap and growing:
        at, row, seen_left, seen_count = heapq.heappop(heap)
        row_shares = [s for s in shares[row] if s.ask.index in growing]
        if not row_shares:
            continue
        if seen_count != len(row_shares) or seen_left != rows.left[row]:
            shares[row] = row_shares
            _look(heap, rows, row, row_shares, at)
            continue
        for share in row_shares:
            _stop_at(rows, growing, share, at, row)
        free = [s for s in row_shares if s.ask.index in growing]
        if any(s.ask.weight * at < s.floor_a for s in free):
            _look(heap, rows, row, free, at)
    for ask in asks:
        if ask.index in growing:
            _set(rows, ask, ask.high_a)


def _of_rows_that_can_be_full(rows: Rows, growing: list[Ask]) -> dict[int, list[_Share]]:
    """Everybody's part in each row that is too small for all of them; most rows are not."""
    most: dict[int, float] = {}
    for ask in growing:
        uses, more_a = between(ask.uses, ask.own, ask.low_a, ask.high_a)
        for row, unit in uses:
            most[row] = most.get(row, 0.0) + unit * more_a
    full = {row for row, load in most.items() if load > rows.left[row] + EPS_A}
    shares: dict[int, list[_Share]] = {row: [] for row in most if row in full}
    for ask in growing:
        for row, unit in ask.uses:
            if row in full:
                shares[row].append(_Share(ask, unit, max(ask.low_a, ask.own.get(row, 0.0)) if ask.own else ask.low_a))
        floor_a = max(ask.low_a, ask.threshold_a)
        for row, unit in ask.soft:
            if ask.high_a > floor_a + EPS_A:  # else it never loads it
                shares.setdefault(row, []).append(_Share(ask, unit, floor_a))
    return shares


def _look(
    heap: list[tuple[float, int, float, int]], rows: Rows, row: int, row_shares: list[_Share], level: float
) -> None:
    """Put a row into the heap at the λ at which it would be full, with what that was worked out from."""
    at = _full_at(rows.left[row], row_shares)
    if at is not None:
        heapq.heappush(heap, (max(at, level), row, rows.left[row], len(row_shares)))


def _stop_at(rows: Rows, growing: set[int], share: _Share, level: float, row: int) -> None:
    """A row is full at this λ: its asks stop, but for those that are free up to a floor."""
    ask = share.ask
    value = ask.weight * level
    if value >= ask.high_a - EPS_A:  # it stops by itself; the row does not bind it
        growing.discard(ask.index)
        _set(rows, ask, ask.high_a)
        return
    if value < share.floor_a - EPS_A and share.floor_a > ask.low_a + EPS_A:
        return  # a threshold: below it this row does not count
    growing.discard(ask.index)
    ask.binding, ask.row = rows.names[row], row
    _set(rows, ask, max(ask.low_a, value))
    _give_back(rows, ask)


def _full_at(left: float, shares: list[_Share]) -> float | None:
    """The λ at which a row is full when nothing else stops anybody; None when it never is."""
    if sum([s.unit * (s.ask.high_a - s.floor_a) for s in shares]) <= left + EPS_A:
        return None
    events: list[tuple[float, float]] = []
    for s in shares:
        weight = s.ask.weight
        events.append((s.floor_a / weight, s.unit * weight))
        events.append((s.ask.high_a / weight, -s.unit * weight))
    events.sort()
    level, rate = 0.0, 0.0
    for at, change in events:
        if rate > 0:
            needed = rate * (at - level)
            if needed >= left - EPS_A:
                return level + max(0.0, left) / rate
            left -= needed
        elif left <= EPS_A:
            return at
        level = at
        rate += change
    return level


def _set(rows: Rows, ask: Ask, amperes: float) -> None:
    """Give an ask so much, and take the difference off its rows; on soft ones only what is above its threshold."""
    if ask.own:
        take(rows, *between(ask.uses, ask.own, ask.given_a, amperes))
    else:
        take(rows, ask.uses, amperes - ask.given_a)
    if ask.soft:
        aside = ask.threshold_a
        take(rows, ask.soft, max(amperes, aside) - max(ask.given_a, aside))
    ask.given_a = amperes


def _give_back(rows: Rows, ask: Ask) -> None:
    """Who stays below his threshold does not need all that was set aside for it on the solar rows."""
    if ask.soft and ask.given_a < ask.threshold_a - EPS_A:
        take(rows, ask.soft, ask.given_a - ask.threshold_a)
        ask.threshold_a = ask.given_a


def _hand_on(rows: Rows, asks: list[Ask]) -> None:
    """Spare steps: the highest priority first, then the smallest a/weight, then queue order."""
    heap = [
        (-a.priority, _level(a), a.order, k) for k, a in enumerate(asks) if a.given_a + a.step_a <= a.high_a + EPS_A
    ]
    heapq.heapify(heap)
    while heap:
        _, _, _, k = heapq.heappop(heap)
        ask = asks[k]
        step_a = ask.step_a
        soft = ask.soft if ask.given_a >= ask.threshold_a - EPS_A else []
        step = between(ask.uses, ask.own, ask.given_a, ask.given_a + step_a) if ask.own else (ask.uses, step_a)
        if blocking_row(rows, *step) is not None or (soft and blocking_row(rows, soft, step_a) is not None):
            continue
        _set(rows, ask, round(ask.given_a + step_a, 6))
        if ask.given_a + step_a <= ask.high_a + EPS_A:
            heapq.heappush(heap, (-ask.priority, _level(ask), ask.order, k))


def _level(ask: Ask) -> float:
    """Amperes per weight; those that are equal are equal however they were divided."""
    return round(ask.given_a / ask.weight, 6)
