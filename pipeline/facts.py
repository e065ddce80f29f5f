"""What is known of each connector and meter at the moment of a decision: the common ground of all rules.

Nothing is decided here; a rule that needs a fact finds it under its name. Facts are built anew for every decision and
never stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from pipeline.learning import MEMORY, Learnt, learn, memory
from pipeline.records import WANTING
from pipeline.reservations import Reservation, accepted, reservation
from pipeline.state import ConnectorState, Leaving, LocationState, MeterState, Reading
from topology.location import Control
from topology.phases import PhaseUse, phase_use
from topology.steps import ceil_to_step, floor_to_step
from topology.tree import Node, Socket, Tree

MeterAge = Literal["fresh", "stale", "lost"]


class Fact(Struct, gc=False):
    """One connector now. Amperes are per phase in use."""

    socket: Socket
    state: ConnectorState
    learnt: Learnt
    use: PhaseUse
    """What one ampere of it means for the building, on the phases that it may use as things stand."""
    all_use: PhaseUse
    """The same on all phases that it ever uses."""
    one_use: PhaseUse | None
    """The same on its first phase alone, where it can be switched down to that (`pipeline.switching`)."""
    switchable: bool
    """Whether its number of phases is to be chosen anew in this decision."""
    reservation: Reservation
    heard: bool
    online: bool
    silent: bool
    wants: bool
    suspended: bool
    """Whether its car sleeps: takes nothing of what it is offered, or took nothing before it was paused."""
    wanted_a: float
    """What it would take if there were enough; 0 when it is idle."""
    wanted_by: str
    """What keeps it from wanting more: `max_a` or `under_draw`."""
    standing_a: float | None
    """The limit that it acts on as far as we know: the newest one sent, unless it was not taken; None: none."""
    meter_age: MeterAge
    """The worst of the meters between it and the root."""
    old_meter: str
    """That meter's id."""
    leaving: Leaving | None
    """Where it was removed from its location, and winds down (`pipeline.winding_down`)."""
    on_one: bool
    """Whether it was told to charge on its first phase alone."""
    fixed: bool
    """For the others, load that cannot be moved: nobody there to move it, disobedient, or to go anyway."""
    min_a: float
    max_a: float
    place: tuple[bool, int, int, tuple[str, int]]
    """Its place in the queue (`pipeline.turns`): asleep or not, priority, arrival or last turn, and key."""


def meter_age(node: Node, meter: MeterState | None, now_ms: int) -> MeterAge:
    """Fresh, older than `stale_s`, or older than `lost_s`; never heard of is lost (design §6.5).

    So is one that spoke last when the location had another number of phases.
    """
    assert node.meter is not None
    if meter is None or meter.newest is None or len(meter.newest.current_a) != len(node.limit_a):
        return "lost"
    if now_ms - meter.newest.at_ms > node.meter.lost_s * 1000:
        return "lost"
    return "stale" if now_ms - meter.newest.at_ms > node.meter.stale_s * 1000 else "fresh"


def meter_ages(tree: Tree, state: LocationState, now_ms: int) -> dict[int, MeterAge]:
    """The age of each metered group's meter."""
    return {n.index: meter_age(n, state.meters.get(n.meter.id), now_ms) for n in tree.nodes if n.meter is not None}


_UNHEARD = ConnectorState()
"""A connector of which nothing is known; never changed."""


_own = attrgetter(*(name for name in ConnectorState.__struct_fields__ if name not in (*MEMORY, "recent")))
"""Of a connector's state all that its fact is worked out from, but for what learning looks at."""


class KeptFact(NamedTuple):
    """A fact, what it was worked out from, and for which moments: from `from_ms`, before `until_ms`."""

    fact: Fact
    own: tuple[Any, ...]
    """The fields of its state, its older readings left out: what is in one is replaced, never changed."""
    learnt: tuple[Any, ...]
    """Those that learning owns; that what it found was stored since (`pipeline.learning.store`) changes nothing."""
    meter: tuple[MeterAge, str]
    leaving: Leaving | None
    from_ms: int
    until_ms: float


def gather(
    tree: Tree, state: LocationState, ages: dict[int, MeterAge], now_ms: int, kept: dict[int, KeptFact]
) -> list[Fact]:
    """The facts of every connector, in the order of `Tree.sockets`. `kept`: those of the last decision, replaced."""
    facts = []
    old = any(age != "fresh" for age in ages.values())
    meter: tuple[MeterAge, str] = ("fresh", "")
    for socket in tree.sockets:
        own = state.connectors.get(socket.name, _UNHEARD)
        leaving = state.leaving.get(socket.name) if state.leaving else None
        if old:
            meter = _oldest(tree, socket, ages)
        last = kept.get(socket.index)
        if (
            last is None
            or not last.from_ms <= now_ms < last.until_ms
            or last.fact.state is not own
            or last.own != _own(own)
            or (last.learnt != (learnt := memory(own)) and learnt != astuple(last.fact.learnt))
            or last.meter != meter
            or last.leaving is not leaving
        ):
            fact = _fact(tree, socket, own, leaving, meter, now_ms)
            until_ms = min((t for t in turns_ms(own, tree.location.control) if t > now_ms), default=float("inf"))
            last = kept[socket.index] = KeptFact(fact, _own(own), memory(own), meter, leaving, now_ms, until_ms)
        facts.append(last.fact)
    return facts


def turns_ms(own: ConnectorState, control: Control) -> Iterator[float]:
    """The moments at which its fact may become another one by itself; none is later than that."""
    if own.reading is not None:
        yield own.reading.at_ms + int(control.silent_s * 1000) + 1
    if own.slept_ms is not None:
        yield own.slept_ms + int(control.turn_s * 1000)
    for moment_ms in (own.switched_ms, own.started_ms):
        if moment_ms is not None:
            yield moment_ms + int(control.switch_hold_s * 1000)
    if own.sent is not None and own.sent.until_ms is not None:
        yield own.sent.until_ms
    skew_ms = round(control.lease_skew_s * 1000)
    for grant in own.grants:
        if grant.state == "sent":
            yield grant.at_ms + int(control.ack_s * 1000)
        if grant.until_ms is not None:
            yield grant.until_ms + skew_ms
            if grant.state == "accepted":
                yield grant.until_ms
                yield grant.until_ms - math.ceil(control.ack_s * 1000)


def _fact(
    tree: Tree,
    socket: Socket,
    own: ConnectorState,
    leaving: Leaving | None,
    meter: tuple[MeterAge, str],
    now_ms: int,
) -> Fact:
    control = tree.location.control
    age, old_meter = meter
    reading = own.reading
    learnt = learn(own, socket.connector.phases, control)
    wants = reading is not None and reading.status in WANTING and leaving is None
    standing_a = _settable_a(socket, _standing_a(own, now_ms))
    wanted_a, wanted_by = _wish(socket, learnt, reading, standing_a, control) if wants else (0.0, "max_a")
    all_use = socket.use if learnt.phases is None else _use_of(tree, socket, learnt.phases)
    one_use = None if learnt.phases is not None or learnt.ignores_phases else socket.one_use
    held = reservation(own, socket.fallback_a, socket.max_a, one_use is not None, control, now_ms)
    on_one = one_use is not None and own.one_phase
    online = reading is not None and reading.online
    silent = reading is not None and now_ms - reading.at_ms > control.silent_s * 1000
    suspended = wants and _sleeps(own, control, now_ms)
    return Fact(
        socket=socket,
        state=own,
        learnt=learnt,
        use=one_use if one_use is not None and on_one and held.all_a == 0 else all_use,
        all_use=all_use,
        one_use=one_use,
        switchable=one_use is not None
        and age == "fresh"
        and not held.lapsing
        and not _held_on_its_phases(own, control, now_ms),
        reservation=held,
        heard=reading is not None,
        online=online,
        silent=silent,
        wants=wants,
        suspended=suspended,
        wanted_a=wanted_a,
        wanted_by=wanted_by,
        standing_a=standing_a,
        meter_age=age,
        old_meter=old_meter,
        leaving=leaving,
        on_one=on_one,
        fixed=not online or silent or held.over_draw or held.stuck or leaving is not None,
        min_a=socket.min_a,
        max_a=socket.max_a,
        place=(suspended, -socket.connector.priority, _queued_ms(own), socket.key),
    )


def _queued_ms(own: ConnectorState) -> int:
    return max(own.turned_ms or 0, own.wants_since_ms or 0)


def _held_on_its_phases(own: ConnectorState, control: Control, now_ms: int) -> bool:
    """Whether it was switched, or started on one phase, less than `switch_hold_s` ago (`pipeline.switching`)."""
    moments = (own.switched_ms, own.started_ms if own.one_phase else None)
    return any(at_ms is not None and now_ms - at_ms < control.switch_hold_s * 1000 for at_ms in moments)


def _sleeps(own: ConnectorState, control: Control, now_ms: int) -> bool:
    """For `turn_s` after it was paused it still counts as asleep: else it would be first in the queue, be offered
    current that it does not take, and be last again, every few seconds. Later it is asked anew."""
    if own.reading is not None and own.reading.status == "SuspendedEV":
        return True
    return own.slept_ms is not None and now_ms - own.slept_ms < control.turn_s * 1000


def _use_of(tree: Tree, socket: Socket, phases: tuple[int, ...]) -> PhaseUse:
    grid = tree.location.grid
    return phase_use(grid.type, grid.phases, socket.ways, phases)


def _wish(
    socket: Socket, learnt: Learnt, reading: Reading | None, standing_a: float | None, control: Control
) -> tuple[float, str]:
    """What a car would take if there were enough, and what keeps it from wanting more."""
    if learnt.under_draw and reading is not None:
        draws_a = _offer_a(reading.draw_a, socket.connector.step_a, standing_a, control)
        if draws_a < socket.max_a:
            return max(socket.min_a, draws_a), "under_draw"
    return socket.max_a, "max_a"


def _offer_a(draw_a: float, step_a: float, standing_a: float | None, control: Control) -> float:
    """A car's draw and the margin, on a step. Half of the margin is left at least: on a coarse step it would seem to
    take all of it, be offered everything, and be found to draw less again. A limit that is near enough stays."""
    margin_a = control.under_draw_margin_a
    wish_a = draw_a + margin_a
    near_a = max(control.min_change_a, step_a) if control.min_change_a > 0 else 0.0
    if standing_a is not None and abs(standing_a - wish_a) <= near_a and standing_a - draw_a >= margin_a / 2:
        return standing_a
    offer_a = floor_to_step(wish_a, step_a)
    return ceil_to_step(wish_a, step_a) if wish_a - offer_a > margin_a / 2 > 0 else offer_a


def _standing_a(state: ConnectorState, now_ms: int) -> float | None:
    sent = state.sent
    if sent is not None and sent.until_ms is not None and now_ms < sent.until_ms and not _refused(state, sent.seq):
        return sent.limit_a
    taken = accepted(state)
    if taken is not None and taken.until_ms is not None and now_ms < taken.until_ms:
        return taken.limit_a
    return None


def _refused(state: ConnectorState, seq: int) -> bool:
    """Whether the charger did not take its newest setpoint; `timeout` is no answer (design §9)."""
    return state.failed and all(grant.seq != seq for grant in state.grants)


def _settable_a(socket: Socket, standing_a: float | None) -> float | None:
    """A standing limit that the connector can still be given: on its step, 0 or within its range; else None."""
    if standing_a is None or standing_a == 0:
        return standing_a
    on_step_a = min(floor_to_step(standing_a, socket.connector.step_a), socket.max_a)
    return on_step_a if on_step_a >= socket.min_a else None


def _oldest(tree: Tree, socket: Socket, ages: dict[int, MeterAge]) -> tuple[MeterAge, str]:
    worst: MeterAge = "fresh"
    by = ""
    for index in socket.path:
        age = ages.get(index, "fresh")
        if age == "lost" or (age == "stale" and worst == "fresh"):
            meter = tree.nodes[index].meter
            assert meter is not None
            worst, by = age, meter.id
        if worst == "lost":
            break
    return worst, by
