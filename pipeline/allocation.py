"""Sharing: progressive filling over linear constraints (design §6.7–6.8, §9 Sharing). The one mechanism.

Every rule of the mission feeds it with rows (`Σ coefficient·a ≤ room`) and asks (who wants what); none decides by
itself. Minimums are placed in queue order, one that does not fit is skipped. Then, by priority class, all grow together
with one λ, `a = clamp(weight·λ, low, high)`, until something binds; those bound stop, the others grow on: the max-min
fair point over all phases and the whole tree at once. Then everybody is rounded down to his step, and spare steps are
handed on, so that nothing a step wide is left that somebody could still use.

Solar rows are soft below a Smart Solar car's threshold: up to it the car is always offered (only physical rows bind),
from there on its current counts against the excess like everybody's; the threshold itself is set aside beforehand.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

EPS_A = 1e-7
"""Currents closer than this are equal: far below any step, far above what sums of a thousand floats err by."""
STEP_EPS = 1e-5
"""In steps: a share this little below a whole step is that step (0.1 A is no binary fraction)."""


@dataclass(slots=True)
class Rows:
    """The constraints of one filling: what is left on each, and its name."""

    names: list[str] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def add(self, name: str, room: float) -> int:
        """A new row; its index."""
        self.names.append(name)
        self.left.append(room)
        return len(self.left) - 1


@dataclass(slots=True)
class Ask:
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
    uses: list[tuple[int, float]]
    """Physical rows that its current loads, and by how much per ampere."""
    soft: list[tuple[int, float]] = field(default_factory=list)
    """Solar rows."""
    threshold_a: float = 0.0
    """Up to here its current is set aside on the solar rows already."""
    given_a: float = 0.0
    binding: str = ""

    def all_uses(self) -> list[tuple[int, float]]:
        """Every row that its next ampere loads."""
        return self.uses + self.soft if self.soft and self.given_a >= self.threshold_a - EPS_A else self.uses


def blocking_row(rows: Rows, uses: list[tuple[int, float]], amperes: float) -> int | None:
    """The first row that has no room for so many amperes more; None when it fits."""
    for row, unit in uses:
        if rows.left[row] < unit * amperes - EPS_A:
            return row
    return None


def take(rows: Rows, uses: list[tuple[int, float]], amperes: float) -> None:
    """Use up room (or give it back, when negative)."""
    for row, unit in uses:
        rows.left[row] -= unit * amperes


def fill(rows: Rows, asks: list[Ask]) -> None:
    """Let all grow from `low_a` (which is taken off the rows already), round down, and hand the spare steps on."""
    for priority in sorted({a.priority for a in asks}, reverse=True):
        _grow(rows, [a for a in asks if a.priority == priority])
    for ask in asks:
        _round_down(rows, ask)
    _hand_on(rows, asks)


def _grow(rows: Rows, asks: list[Ask]) -> None:
    """Raise λ from event to event: somebody starts, reaches his threshold, reaches his maximum, or a row is full."""
    events: list[tuple[float, int, int]] = []
    for k, ask in enumerate(asks):
        ask.given_a = ask.low_a
        if ask.high_a > ask.low_a + EPS_A:
            events.append((ask.low_a / ask.weight, k, _START))
        else:
            ask.binding = ask.binding or "max_a"
    heapq.heapify(events)
    rates: dict[int, float] = {}
    growing: dict[int, list[tuple[int, float]]] = {}
    level = 0.0
    while events or growing:
        full, full_at = _next_full(rows, rates, level)
        if events and events[0][0] <= full_at:
            level = _advance(rows, rates, level, events[0][0])
            _event(rows, asks, rates, growing, events, level)
        else:
            assert full is not None
            level = _advance(rows, rates, level, full_at)
            rows.left[full] = 0.0
            for k in [k for k, uses in growing.items() if any(row == full for row, _ in uses)]:
                _stop(rows, asks[k], k, rates, growing, level, rows.names[full])


_START, _THRESHOLD, _STOP = 0, 1, 2


def _next_full(rows: Rows, rates: dict[int, float], level: float) -> tuple[int | None, float]:
    """The row that is full first as λ rises, and at which λ."""
    full, full_at = None, float("inf")
    for row, rate in rates.items():
        if rate > 0:
            at = level + max(0.0, rows.left[row]) / rate
            if at < full_at:
                full, full_at = row, at
    return full, full_at


def _advance(rows: Rows, rates: dict[int, float], level: float, to: float) -> float:
    rise = to - level
    if rise <= 0:
        return level
    for row, rate in rates.items():
        rows.left[row] -= rate * rise
    return to


def _event(
    rows: Rows,
    asks: list[Ask],
    rates: dict[int, float],
    growing: dict[int, list[tuple[int, float]]],
    events: list[tuple[float, int, int]],
    level: float,
) -> None:
    _, k, kind = heapq.heappop(events)
    ask = asks[k]
    if kind != _START and k not in growing:
        return  # a full row stopped it before
    if kind == _STOP:
        _stop(rows, ask, k, rates, growing, level, "")
        ask.given_a = ask.high_a
        return
    if kind == _THRESHOLD:
        _leave(rates, growing, k, ask.weight)
        ask.given_a = ask.threshold_a
    uses = ask.all_uses()
    blocked = next((row for row, _ in uses if rows.left[row] <= EPS_A), None)
    if blocked is not None:
        ask.binding = rows.names[blocked]
        _give_back(rows, ask)
        return
    growing[k] = uses
    for row, unit in uses:
        rates[row] = rates.get(row, 0.0) + unit * ask.weight
    if uses is ask.uses and ask.soft and ask.threshold_a < ask.high_a - EPS_A:
        heapq.heappush(events, (ask.threshold_a / ask.weight, k, _THRESHOLD))
    else:
        heapq.heappush(events, (ask.high_a / ask.weight, k, _STOP))


def _stop(
    rows: Rows,
    ask: Ask,
    k: int,
    rates: dict[int, float],
    growing: dict[int, list[tuple[int, float]]],
    level: float,
    binding: str,
) -> None:
    ask.given_a = min(ask.high_a, max(ask.low_a, ask.weight * level))
    ask.binding = binding or ask.binding or "max_a"
    _leave(rates, growing, k, ask.weight)
    _give_back(rows, ask)


def _leave(rates: dict[int, float], growing: dict[int, list[tuple[int, float]]], k: int, weight: float) -> None:
    for row, unit in growing.pop(k):
        rates[row] -= unit * weight
        if rates[row] <= EPS_A * unit * weight:
            del rates[row]


def _give_back(rows: Rows, ask: Ask) -> None:
    """Who stays below his threshold does not need all that was set aside for it on the solar rows."""
    if ask.soft and ask.given_a < ask.threshold_a - EPS_A:
        take(rows, ask.soft, ask.given_a - ask.threshold_a)
        ask.threshold_a = ask.given_a


def floor_to_step(amperes: float, step_a: float) -> float:
    """Setpoints are rounded down; the result is a decimal number again."""
    return round(int(amperes / step_a + STEP_EPS) * step_a, 6)


def ceil_to_step(amperes: float, step_a: float) -> float:
    """The smallest step that is not below a minimum."""
    return round(-int(-(amperes / step_a) + STEP_EPS - 1) * step_a if amperes > 0 else 0.0, 6)


def _round_down(rows: Rows, ask: Ask) -> None:
    rounded = max(ask.low_a, floor_to_step(ask.given_a, ask.step_a))
    if rounded != ask.given_a:
        take(rows, ask.all_uses(), rounded - ask.given_a)
        ask.given_a = rounded


def _hand_on(rows: Rows, asks: list[Ask]) -> None:
    """Spare steps: the highest priority first, then the smallest a/weight, then queue order."""
    heap = [(-a.priority, a.given_a / a.weight, a.order, k) for k, a in enumerate(asks)]
    heapq.heapify(heap)
    while heap:
        _, _, _, k = heapq.heappop(heap)
        ask = asks[k]
        step = ask.step_a
        if ask.given_a + step > ask.high_a + EPS_A or blocking_row(rows, ask.all_uses(), step) is not None:
            continue
        take(rows, ask.all_uses(), step)
        ask.given_a = round(ask.given_a + step, 6)
        heapq.heappush(heap, (-ask.priority, ask.given_a / ask.weight, ask.order, k))
