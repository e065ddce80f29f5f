"""What is learnt of a car from its measured current (design §6.8, §9 Sharing).

Under-draw: who has drawn less than offered (by more than `under_draw_margin_a`) for `settle_s` wants its draw plus that
margin, until it takes all of its offer. Phases: a car that for `settle_s` draws on fewer phases than its charger has
counts on those only. A charger that draws on all phases `settle_s` after it was told to use one cannot be switched. All
of it ends with the first record of another transaction or of an idle connector.

Offered is the accepted limit at the time of the reading; the draw is the highest phase.
"""

from __future__ import annotations

from operator import attrgetter

from msgspec import Struct
from msgspec.structs import astuple

from pipeline.records import WANTING
from pipeline.reservations import IN_USE_A, accepted, beyond_first_a
from pipeline.state import ConnectorState, Reading
from topology.location import Control

TAKES_ALL_A = 0.3
"""Within this of its offer a car takes all of it (design §9). Larger: measurement noise ends the saving; smaller: a
car that is satisfied with less would never be believed."""


class Learnt(Struct, gc=False):
    """The part of a connector's memory that learning owns, as it will be after this decision."""

    under_since_ms: int | None
    under_draw: bool
    fewer_since_ms: int | None
    seen_phases: tuple[int, ...]
    phases: tuple[int, ...] | None
    at_ms: int
    transaction: str | None
    ignores_phases: bool


MEMORY = (
    "under_since_ms",
    "under_draw",
    "fewer_since_ms",
    "seen_phases",
    "learnt_phases",
    "learnt_at_ms",
    "learnt_transaction",
    "ignores_phases",
)
"""The fields of a connector's state that are its memory, in the order of `Learnt`."""
memory = attrgetter(*MEMORY)
"""Their values."""


def learn(state: ConnectorState, phases: int, control: Control) -> Learnt:
    """What the readings since the last written decision add to what was learnt before."""
    learnt = Learnt(*memory(state))
    if max((*learnt.seen_phases, *(learnt.phases or ()), 0)) >= phases:  # learnt when its charger had more of them
        learnt.fewer_since_ms, learnt.phases, learnt.seen_phases = None, None, ()
    for reading in state.recent:
        if reading.at_ms > learnt.at_ms:
            _learn_one(learnt, state, reading, phases, control)
    return learnt


def _learn_one(learnt: Learnt, state: ConnectorState, reading: Reading, phases: int, control: Control) -> None:
    learnt.at_ms = reading.at_ms
    if reading.status not in WANTING or reading.transaction != learnt.transaction:
        learnt.transaction = reading.transaction if reading.status in WANTING else None
        learnt.under_since_ms = learnt.fewer_since_ms = learnt.phases = None
        learnt.under_draw = learnt.ignores_phases = False
        learnt.seen_phases = ()
    if reading.status not in WANTING or reading.current_a is None or not reading.online:
        return
    _under_draw(learnt, state, reading, control)
    if len(reading.current_a) == phases:
        if any(grant.one_phase for grant in state.grants):
            _one_phase(learnt, state, reading, control)
        else:
            _phases(learnt, reading, phases, control)


def _one_phase(learnt: Learnt, state: ConnectorState, reading: Reading, control: Control) -> None:
    """A car that was told to use one phase says nothing of how many it has; one that uses more does not listen."""
    assert reading.current_a is not None
    learnt.fewer_since_ms, learnt.seen_phases = None, ()
    taken = accepted(state)
    if taken is None or not taken.one_phase or reading.at_ms < taken.at_ms + control.settle_s * 1000:
        return
    if beyond_first_a(reading) > 0:
        learnt.ignores_phases = True


def _under_draw(learnt: Learnt, state: ConnectorState, reading: Reading, control: Control) -> None:
    taken = accepted(state)
    if taken is None or reading.at_ms < taken.at_ms:
        return
    if taken.limit_a <= 0:  # a paused car shows nothing, and what it showed before was not without a break
        learnt.under_since_ms = None
        return
    if reading.draw_a >= taken.limit_a - TAKES_ALL_A:
        learnt.under_draw, learnt.under_since_ms = False, None
    elif reading.draw_a < taken.limit_a - control.under_draw_margin_a - 1e-9:
        if learnt.under_since_ms is None:
            learnt.under_since_ms = reading.at_ms
        if reading.at_ms - learnt.under_since_ms >= control.settle_s * 1000:
            learnt.under_draw = True
    elif not learnt.under_draw:
        learnt.under_since_ms = None


def _phases(learnt: Learnt, reading: Reading, phases: int, control: Control) -> None:
    assert reading.current_a is not None
    in_use = tuple(k for k, a in enumerate(reading.current_a) if a > IN_USE_A)
    if not in_use:
        return
    seen = tuple(sorted({*learnt.seen_phases, *in_use}))
    if len(seen) == phases:
        learnt.fewer_since_ms, learnt.phases, learnt.seen_phases = None, None, ()
        return
    if learnt.fewer_since_ms is None:
        learnt.fewer_since_ms = reading.at_ms
    learnt.seen_phases = seen
    if reading.at_ms - learnt.fewer_since_ms >= control.settle_s * 1000:
        learnt.phases = seen


def store(state: ConnectorState, learnt: Learnt) -> None:
    """Make it the connector's memory."""
    for name, value in zip(MEMORY, astuple(learnt), strict=True):
        setattr(state, name, value)
