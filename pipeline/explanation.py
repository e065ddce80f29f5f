"""A decision in plain words: two or three sentences with the numbers (design §8 `explain`).

The first says what a connector gets, the second why not more, the third what will change that. All numbers are those of
the decision; what it does not say (who shares a fuse, say) is not told.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.records import ConnectorView, Decision, GroupView

_LOADED = ("fuse", "peak_shaving", "limit", "window", "solar")
"""The first words of bindings below which a raise leaves something free, or waits until it is worth it."""
NAMED = 3
"""Connectors that are told by their names. More: nobody reads to the end of the sentence."""

LITTLE_A = 0.001
"""Less is a matter of rounding."""


def explain(decision: Decision, view: ConnectorView) -> str:
    """Why one connector gets what it gets."""
    name = f"{view.charger}/{view.connector}"
    return " ".join([_what(name, view), *_why(decision, view), *_share(view), *_alarms(decision, view)])


def _what(name: str, view: ConnectorView) -> str:
    match view.state:
        case "unknown":
            return f"Nothing was heard of {name} yet, so {_n(view.reserved_a)} A stay reserved for it."
        case "offline":
            return f"{name} is offline, so the {_n(view.reserved_a)} A that it may still draw stay reserved."
        case "available":
            return f"{name} has no car that wants current; it is offered {_n(view.limit_a)} A."
        case "faulted":
            return f"{name} reports a fault and is offered {_n(view.limit_a)} A."
        case "waiting":
            return f"{name} wants {_n(view.wanted_a)} A and has to wait."
    on = "on one phase alone" if view.phases == 1 else "per phase"
    if view.limit_a >= view.wanted_a:
        return f"{name} may draw {_n(view.limit_a)} A {on}, all that it wants."
    return f"{name} may draw {_n(view.limit_a)} A {on} of the {_n(view.wanted_a)} A that it wants."


def _n(value: float) -> str:
    """A number as people write it: no more digits than an electrician reads."""
    return f"{round(value, 1) + 0.0:g}"


def _share(view: ConnectorView) -> list[str]:
    """What is still to come."""
    if view.target_a <= view.limit_a or view.state not in ("charging", "waiting"):
        return []
    share = f"Its fair share is {_n(view.target_a)} A"
    if view.binding.startswith("reservation "):
        return [f"{share}; it gets the rest as soon as that is free."]
    first, little = view.binding.partition(" ")[0], "too little for a setpoint of its own"
    if first in _LOADED:
        return [f"{share}; the rest is left to a load that comes back, or {little}."]
    if first in ("max_a", "under_draw", "unbalance"):
        waits = "has to wait until its phases are changed, or " if view.phases is not None else ""
        return [f"{share}; the rest {waits}is {little}."]
    return [f"{share}."]


def _group(decision: Decision, name: str) -> GroupView | None:
    return next((g for g in decision.groups if g.group == name), None)


def _why(decision: Decision, view: ConnectorView) -> list[str]:
    if view.state == "unknown" or (view.state == "offline" and view.binding != "offline"):
        return []
    if view.binding == "max_a" and view.limit_a < view.target_a:
        return []  # it can give more: why it does not yet is said of its share
    for words, sentence in _SENTENCES.items():
        if view.binding == words or view.binding.startswith(f"{words} "):
            return [sentence(decision, view, view.binding[len(words) :].strip())]
    return [f"It is bound by {view.binding}."]


def _place(decision: Decision, rest: str) -> tuple[GroupView, int] | None:
    """`garage L2` is group garage, phase 1."""
    name, _, phase = rest.rpartition(" L")
    group = _group(decision, name)
    if group is None or not phase.isdigit() or not 0 < int(phase) <= len(group.limit_a):
        return None
    return group, int(phase) - 1


def _fuse(decision: Decision, view: ConnectorView, rest: str) -> str:
    what = "peak-shaving limit" if view.binding.startswith("peak") else "fuse"
    place = _place(decision, rest)
    if place is None:
        return f"The {what} of group {rest} allows no more."
    return f"On L{place[1] + 1} the {what} of group {place[0].group} {_leaves(*place, view)}."


def _leaves(group: GroupView, phase: int, view: ConnectorView) -> str:
    limit_a, unmanaged_a, headroom_a = group.limit_a[phase], group.unmanaged_a[phase], group.headroom_a[phase]
    if view.limit_a > headroom_a + LITTLE_A:
        either = f"{_n(unmanaged_a)} A of its {_n(limit_a)} A are drawn by the building or by this car"
        return f"leaves it no more: {either}, and it is not known on which phase that is"
    if unmanaged_a >= limit_a:
        return f"leaves nothing to the cars: {_n(unmanaged_a)} A of its {_n(limit_a)} A are drawn by the building alone"
    if unmanaged_a > 0:
        less = f"{_n(limit_a)} A less {_n(unmanaged_a)} A that the building draws"
    elif unmanaged_a < 0:
        less = f"{_n(limit_a)} A and {_n(-unmanaged_a)} A that the building generates"
    else:
        less = "the building draws nothing on it"
    return f"leaves {_n(headroom_a)} A to the cars below it ({less})"


def _limit(decision: Decision, view: ConnectorView, rest: str) -> str:
    name, _, source = rest.partition(" ")
    group = _group(decision, name)
    phases = [p for p, by in enumerate(group.limited_by) if by == f"limit {source}"] if group is not None else []
    if group is None or not phases:
        limit_w = (group.limits_w or {}).get(source) if group is not None else None
        said = "A limit" if limit_w is None else f"A limit of {limit_w:.0f} W"
        return f"{said} on the power of group {name}, set from outside ({source}), allows no more."
    tightest = min(phases, key=lambda p: (group.headroom_a[p], p))
    return f"On L{tightest + 1} a limit from outside ({source}) on group {name} {_leaves(group, tightest, view)}."


def _window(decision: Decision, view: ConnectorView, rest: str) -> str:
    group = _group(decision, rest)
    if group is None or group.window is None:
        return f"The billed window of group {rest} allows no more."
    w = group.window
    others = f"the others draw {w.forecast_w:.0f} W" if w.forecast_w >= 0 else f"{-w.forecast_w:.0f} W are generated"
    left = (
        f"{w.allowed_w:.0f} W are still allowed until its end" if w.allowed_w > 0 else "nothing more is allowed in it"
    )
    return (
        f"The billed average of group {rest} is held at {w.cap_w:.0f} W: "
        f"{w.used_wh:.0f} Wh are used in this window, {left}, and {others}."
    )


def _solar(decision: Decision, view: ConnectorView, rest: str) -> str:
    group = _group(decision, rest)
    if group is None or group.excess_a is None:
        return "No meter shows how much solar power is left over."
    budget = f"the cars of group {rest} that live on it may draw {_n(group.budget_a or 0.0)} A together"
    if view.limit_a > (group.budget_a or 0.0):
        return (
            f"The sun does not cover its minimum ({_n(group.budget_a or 0.0)} A, all phases together, "
            "are there for cars); it keeps it until that has lasted for disable_s."
        )
    if group.excess_a <= 0:
        return f"The sun leaves nothing over ({_n(-group.excess_a)} A are imported besides these cars), and {budget}."
    return f"The sun leaves {_n(group.excess_a)} A over, all phases together, and {budget}."


def _timer(decision: Decision, view: ConnectorView, rest: str) -> str:
    group = _group(decision, rest)
    excess = f"{_n(group.excess_a)} A" if group is not None and group.excess_a is not None else "the excess"
    if group is not None and group.excess_a is not None and (group.budget_a or 0.0) > max(0.0, group.excess_a):
        excess = f"{excess} over, {_n(group.budget_a or 0.0)} A with what the grid may add"
    else:
        excess = f"{excess} over"
    return f"The sun covers its minimum ({excess}, all phases together), but not yet for long enough to start it."


def _reservation(decision: Decision, view: ConnectorView, rest: str) -> str:
    place = _place(decision, rest)
    if place is None:
        where = "" if rest.startswith("unbalance") else f" of group {rest}"
        told = f"What others may still draw without asking again is too much of the limit{where} for a raise"
        limited = _group(decision, rest)
        held = f": {_n(sum(limited.reserved_a))} A are held, all phases together" if limited is not None else ""
        return f"{told}{held}."
    group, phase = place
    return (
        f"On L{phase + 1} of group {group.group} {_n(group.headroom_a[phase])} A are there for cars, and "
        f"{_n(group.reserved_a[phase])} A may still be drawn without asking again: "
        "a raise waits until others are seen to have come down."
    )


def _under_draw(decision: Decision, view: ConnectorView, rest: str) -> str:
    return (
        "Its car has drawn less than offered for a while, "
        f"so {_n(view.wanted_a)} A, a little more than it draws, count as what it wants."
    )


def _idle(decision: Decision, view: ConnectorView, rest: str) -> str:
    if view.state in ("available", "faulted"):
        return "It gets its share as soon as a car asks for it."
    return "It asks for nothing."


def _waiting(decision: Decision, view: ConnectorView, rest: str) -> str:
    said = f"There is not enough left for its minimum{_holders(decision, view)}; while somebody waits, turns change."
    takers = [f"{a.charger}/{a.connector}" for a in decision.alarms if a.kind == "over_draw"]
    if not takers:
        return said
    return f"{said} {_listed(takers)} {'takes' if len(takers) == 1 else 'take'} more than allowed meanwhile."


def _holders(decision: Decision, view: ConnectorView) -> str:
    """Who holds how much meanwhile, the largest first."""
    others = [v for v in decision.connectors if v.reserved_a > 0 and v is not view]
    if not others:
        return ""
    others.sort(key=lambda v: (-v.reserved_a, v.charger, v.connector))
    named = [f"{v.charger}/{v.connector} holds {_n(v.reserved_a)} A" for v in others[:NAMED]]
    if len(others) > NAMED:
        rest_a = sum(v.reserved_a for v in others[NAMED:])
        named.append(f"{len(others) - NAMED} more hold {_n(rest_a)} A together")
    return f" while {_listed(named)}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _stale(decision: Decision, view: ConnectorView, rest: str) -> str:
    stays = "it gets nothing" if view.limit_a == 0 else f"it stays at {_n(view.limit_a)} A"
    return f"The newest reading of {rest} is old, and nothing below it rises: {stays} until that reports again."


def _unbalance(decision: Decision, view: ConnectorView, rest: str) -> str:
    most_a = decision.max_unbalance_a
    further = "no further" if most_a is None else f"with no more than {_n(most_a)} A together"
    return f"Connectors on fewer than three phases may load one phase {further} (max_unbalance_a)."


def _fixed(text: str) -> Callable[[Decision, ConnectorView, str], str]:
    return lambda decision, view, rest: text.format(rest=rest)


_SENTENCES: dict[str, Callable[[Decision, ConnectorView, str], str]] = {
    "fuse": _fuse,
    "peak_shaving": _fuse,
    "limit": _limit,
    "window": _window,
    "timer solar": _timer,
    "solar": _solar,
    "reservation": _reservation,
    "under_draw": _under_draw,
    "idle": _idle,
    "max_a": _fixed("More than that the connector cannot give."),
    "waiting": _waiting,
    "stale": _stale,
    "lost": _fixed("Nothing is heard of {rest} any more: everything below it goes to its fallback."),
    "offline": _fixed("It can be told nothing until it is back."),
    "unbalance": _unbalance,
    "increase_every_s": _fixed("It was raised a moment ago; the next raise has to wait (increase_every_s)."),
    "removed": _fixed("Its location does not have it any more: it is told to stop, and then forgotten."),
}
"""The first words of a binding and what they mean; what the words are about is given to the function."""


def _alarms(decision: Decision, view: ConnectorView) -> list[str]:
    return [f"Alarm: {a.text}." for a in decision.alarms if (a.charger, a.connector) == (view.charger, view.connector)]
