"""Fair shares as they are handed from rule to rule: what each connector is to have, and what comes with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from pipeline.solar import Timer
from pipeline.switching import Phases
from pipeline.turns import Turns


class Share(Struct, frozen=True, gc=False):
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
    short: set[int] = field(default_factory=set)
    """Those for whose minimum there is no room; who is held by his own timers or an old meter is not among them."""
    phases: dict[int, Phases] = field(default_factory=dict)
    """Of the connectors that can switch and were started."""
    lent: dict[int, float] = field(default_factory=dict)
    """Row -> watts that bursts use beyond the window's allowance (`pipeline.bursts`)."""
    bursts: dict[int, int] = field(default_factory=dict)
    """Connectors that are started below a window used in bursts -> the start of that window."""
    calm: dict[int, Share] = field(default_factory=dict)
    """The shares of what is left when the load comes back, where it wanders: nobody is raised above his."""
    turns: Turns = field(default_factory=Turns)
