"""Phase switching: one phase where only that is carried, all of them where they are (issue "Every rule", §6.6–6.7).

Three phases need 3 × 6 A = 4,140 W, one phase carries at most 16 A = 3,680 W. In between, and below, a connector that
can switch charges on its first phase; it is counted there with its minimum, so that more cars can be started, and
raised to all phases in queue order where its minimum on all of them is carried by the rows and by the sun.

Switching wears contactors, and some cars stop for good at the third time. So a car that was switched, or started on
one phase, stays on its phases for `switch_hold_s`, through a pause, too; if they are not carried until then, it pauses.
Then it goes up when the rows carry all phases, also into the next window, and the sun has carried them for `enable_s`
without a break; down at once where a fuse or a window does not carry them, and where the sun does not, after
`disable_s`. A car that starts is free to start on either, where it is not held.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.allocation import EPS_A, Uses
from pipeline.constraints import Constraints
from pipeline.facts import Fact
from topology.phases import PhaseUse


@dataclass(frozen=True, slots=True)
class Phases:
    """On how many phases a connector charges: the first alone, or all; and since when the other was better."""

    one: bool
    since_ms: int | None


def least_use(fact: Fact) -> PhaseUse:
    """The phases with which a minimum is placed: the first alone, where that can be chosen."""
    return fact.one_use if fact.one_use is not None and (fact.switchable or fact.on_one) else fact.all_use


def watched(fact: Fact) -> bool:
    """Whether it matters if all phases are carried: the sun's time also runs while the car is held on one."""
    return fact.switchable or (fact.on_one and fact.meter_age == "fresh" and not fact.reservation.lapsing)


def phases_of(fact: Fact, fits: bool, sunny: bool, now_ms: int) -> Phases:
    """The phases of a car that has its minimum on one. `fits`: the rows carry it on all; `sunny`: so does the sun."""
    own, solar = fact.state, fact.socket.solar
    held = not fact.switchable
    if fact.standing_a is None or fact.standing_a < fact.min_a:
        return Phases(held or not (fits and sunny), None)
    if own.one_phase:
        if not (fits and sunny):
            return Phases(True, None)
        since_ms = now_ms if own.switch_since_ms is None else own.switch_since_ms
        enable_s = 0.0 if fact.socket.mode == "fast" else solar.enable_s
        return Phases(held or now_ms - since_ms < enable_s * 1000, since_ms)
    if not fits:
        return Phases(True, None)
    if sunny:
        return Phases(False, None)
    since_ms = now_ms if own.switch_since_ms is None else own.switch_since_ms
    return Phases(now_ms - since_ms >= solar.disable_s * 1000, since_ms)


def extra_uses(found: Constraints, index: int) -> Uses:
    """What one ampere on all phases loads more than one ampere on the first alone."""
    one = dict(found.one_uses[index])
    extra = ((row, unit - one.get(row, 0.0)) for row, unit in found.uses[index])
    return [(row, unit) for row, unit in extra if unit > 0]


def largest_step_over(fact: Fact, one: bool, most_a: float, left: list[float], found: Constraints) -> float:
    """The highest limit on other phases than those that it holds for which there is room on every row.

    Until the change is seen the connector counts with both: on each row with what it holds, or with the new limit if
    that is more.
    """
    held = found.held_on(fact)
    for row, unit in found.uses_on(fact.socket.index, one):
        most_a = min(most_a, (max(0.0, left[row]) + held.get(row, 0.0)) / unit + EPS_A)
    return most_a
