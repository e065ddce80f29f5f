"""Solar balancing: excess, budgets, and when a car may start on them (design §6.6, §9 Solar).

`excess = −Σ phases (meter − the draw of the solar cars below it)`: the meter nets the phases, and the draw of fast cars
is consumption like any other. Over the solar connectors that share a meter, `Σ phases·a ≤ max(excess + backup, Σ over
the started Smart Solar ones of phases·threshold)`. `backup_a` is for Solar Only: rows are nested, so that what it adds
never reaches a car that has none. A Solar Only car starts when its minimum has been covered for `enable_s`, and stops
when it has not been for `disable_s`; until then it keeps its minimum. A dip resets the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.allocation import EPS_A, Ask, Rows
from pipeline.facts import Fact
from pipeline.state import ConnectorState
from pipeline.switching import Phases, least_use
from topology.steps import ceil_to_step
from topology.tree import Socket


@dataclass(slots=True)
class Sun:
    """The excess that one meter shows, and what of it is spoken for while minimums are placed."""

    group: str
    excess_a: float | None
    """None when the meter was never heard of or is lost: then there is no excess to be seen."""
    wander_a: float = 0.0
    """What a raise leaves of it, because the load comes back (`pipeline.wander`)."""
    thresholds_a: float = 0.0
    """Σ phases·threshold of the Smart Solar cars that want: theirs comes first."""
    taken_a: float = 0.0
    """Σ phases·amperes of the solar cars that cannot be moved or do not want: their draw is in the excess, too."""
    promised_a: float = 0.0
    """Σ phases·minimum of the Solar Only cars placed or about to start, in queue order."""
    members: list[Member] = field(default_factory=list)
    others: list[Member] = field(default_factory=list)
    """Those that want current and have no part in the filling: not started yet, or not to be moved."""

    @property
    def free_a(self) -> float | None:
        """The excess that is there for those that can be moved."""
        return None if self.excess_a is None else self.excess_a - self.taken_a

    @property
    def row_name(self) -> str:
        return f"solar {self.group}"


@dataclass(frozen=True, slots=True)
class Member:
    """A solar connector, started or not: its share of the sun's rows."""

    index: int
    smart: bool
    backup_a: float
    to_start: bool
    total_per_a: float
    """Amperes of the sum over the phases for one ampere of its limit."""
    low_a: float


@dataclass(frozen=True, slots=True)
class Timer:
    """What the timers of a Solar Only car say: may it run, and their state after this decision."""

    running: bool
    binding: str
    """Why not, when it may not."""
    covered_since_ms: int | None
    uncovered_since_ms: int | None


def smart(fact: Fact) -> bool:
    """Whether it lives in Smart Solar, with a threshold, and not in Solar Only, with timers."""
    return fact.socket.mode == "smart_solar"


def threshold_a(fact: Fact) -> float:
    """What a Smart Solar car is always offered: its threshold, not below its minimum, not above what it wants."""
    socket = fact.socket
    always_a = min(max(socket.solar.min_threshold_a, fact.min_a), fact.wanted_a)
    return ceil_to_step(always_a, socket.connector.step_a)


def timer(sun: Sun, socket: Socket, state: ConnectorState, needs_a: float, now_ms: int) -> Timer:
    """Whether a Solar Only car may run. `needs_a`: its minimum as a sum over the phases.

    Call in queue order: what earlier cars take or are about to take (`Sun.promised_a`) is not promised twice.
    """
    name = sun.row_name
    covered = sun.free_a is not None and (
        sun.free_a + socket.solar.backup_a - sun.thresholds_a - sun.promised_a >= needs_a - EPS_A
    )
    if covered:
        since_ms = now_ms if state.covered_since_ms is None else state.covered_since_ms
        running = state.solar_running or now_ms - since_ms >= socket.solar.enable_s * 1000
        return Timer(running, "" if running else f"timer {name}", since_ms, None)
    since_ms = now_ms if state.uncovered_since_ms is None else state.uncovered_since_ms
    running = state.solar_running and now_ms - since_ms < socket.solar.disable_s * 1000
    return Timer(running, "" if running else name, None, since_ms)


def join(sun: Sun, fact: Fact, ask: Ask, chosen: Phases | None) -> None:
    """A started car takes part in its sun's budget; one that is uncovered keeps its minimum and no more."""
    is_smart = smart(fact)
    ask.threshold_a = min(threshold_a(fact), ask.high_a) if is_smart else 0.0
    use = fact.one_use if chosen is not None and chosen.one and fact.one_use is not None else fact.all_use
    sun.members.append(_member(fact, use.total, max(ask.low_a, ask.threshold_a)))


def covers(sun: Sun, fact: Fact, offer_a: float) -> bool:
    """Whether an idle connector can be offered so much of what all that want leave of the sun."""
    spoken_for_a = sum(m.low_a * m.total_per_a for m in sun.members)
    return sun.free_a is not None and sun.free_a - spoken_for_a >= offer_a * fact.all_use.total - EPS_A


def offer_from(sun: Sun, fact: Fact, offer_a: float) -> None:
    """An idle connector is offered so much, and neither more nor less."""
    sun.members.append(Member(fact.socket.index, False, 0.0, False, fact.all_use.total, offer_a))


def stay_aside(sun: Sun, fact: Fact) -> None:
    """A connector that wants current and has no part in the filling; a Smart Solar one counts where it was started."""
    if not smart(fact):
        sun.others.append(_member(fact, least_use(fact).total, fact.min_a))
    elif fact.standing_a is not None and fact.standing_a >= fact.min_a:
        sun.others.append(_member(fact, fact.use.total, threshold_a(fact)))


def _member(fact: Fact, total_per_a: float, low_a: float) -> Member:
    solar, is_smart = fact.socket.solar, smart(fact)
    return Member(
        index=fact.socket.index,
        smart=is_smart,
        backup_a=0.0 if is_smart else solar.backup_a,
        to_start=not is_smart and solar.backup_a > 0 and solar.backup_use == "to_start",
        total_per_a=total_per_a,
        low_a=low_a,
    )


def budget_a(excess_a: float | None, members: Sequence[Member], backup_a: float, to_start: bool) -> float:
    """What these may draw together, as a sum over the phases."""
    excess_a = excess_a or 0.0
    floor_a = sum(m.low_a * m.total_per_a for m in members if m.smart)
    budget = excess_a + backup_a
    if to_start:
        budget = max(excess_a, min(budget, sum(m.low_a * m.total_per_a for m in members)))
    return max(budget, floor_a)


def add_rows(sun: Sun, rows: Rows, calm: bool) -> dict[int, list[tuple[int, float]]]:
    """The sun's rows, less what its members have already; for each member the rows that its next ampere loads.

    One row per backup, smallest first; a row holds everybody whose backup is not larger (Smart Solar has none).
    """
    uses: dict[int, list[tuple[int, float]]] = {m.index: [] for m in sun.members}
    for backup_a, to_start in sorted({(m.backup_a, m.to_start) for m in sun.members}):
        inside = [m for m in sun.members if (m.backup_a, m.to_start) <= (backup_a, to_start)]
        room = budget_a(_free_a(sun, calm), inside, backup_a, to_start)
        row = rows.add(sun.row_name, room - sum(m.low_a * m.total_per_a for m in inside))
        for member in inside:
            uses[member.index].append((row, member.total_per_a))
    return uses


def whole_budget_a(sun: Sun) -> float | None:
    """The budget of all that share this meter and want current, for the decision's view."""
    return _budget_of_all_a(sun, sun.excess_a, [*sun.members, *sun.others])


def calm_budget_a(sun: Sun) -> float | None:
    """What is left for those that can be moved when the load has come back (`pipeline.wander`)."""
    return _budget_of_all_a(sun, _free_a(sun, calm=True), sun.members)


def _budget_of_all_a(sun: Sun, excess_a: float | None, members: list[Member]) -> float | None:
    if sun.excess_a is None and not sun.members:
        return None
    backup_a, to_start = max(((m.backup_a, m.to_start) for m in members), default=(0.0, False))
    return budget_a(excess_a, members, backup_a, to_start)


def _free_a(sun: Sun, calm: bool) -> float | None:
    return sun.free_a - sun.wander_a if calm and sun.free_a is not None else sun.free_a


def copies(suns: dict[int, Sun]) -> dict[int, Sun]:
    """The same suns anew: what a sharing writes on them stays its own."""
    anew = {id(sun): replace(sun) for sun in suns.values()}
    return {index: anew[id(sun)] for index, sun in suns.items()}


def distinct(suns: dict[int, Sun]) -> list[Sun]:
    """Each sun once; `suns` has one entry per connector that lives on it."""
    if not suns:
        return []
    return list({id(sun): sun for sun in suns.values()}.values())
