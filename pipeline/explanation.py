"""A decision in plain words: two or three sentences with the numbers (design §8 `explain`)."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.records import ConnectorView, Decision, GroupView


def explain(decision: Decision, view: ConnectorView) -> str:
    """Why one connector gets what it gets."""
    name = f"{view.charger}/{view.connector}"
    return " ".join([_what(name, view), _why(decision, view), *_share(view), *_alarms(decision, view)])


def explain_all(decision: Decision) -> list[str]:
    """Every connector of a decision, then its alarms."""
    return [explain(decision, view) for view in decision.connectors]


def _what(name: str, view: ConnectorView) -> str:
    match view.state:
        case "unknown":
            return f"Nothing was heard of {name} yet, so {view.reserved_a:g} A stay reserved for it."
        case "offline":
            return f"{name} is offline, so the {view.reserved_a:g} A that it may still draw stay reserved."
        case "available":
            return f"{name} has no car that wants current; it is offered {view.limit_a:g} A."
        case "faulted":
            return f"{name} reports a fault and gets {view.limit_a:g} A."
        case "waiting":
            return f"{name} wants {view.wanted_a:g} A and has to wait."
    if view.limit_a >= view.wanted_a:
        return f"{name} may draw {view.limit_a:g} A, all that it wants."
    return f"{name} may draw {view.limit_a:g} A per phase of the {view.wanted_a:g} A that it wants."


def _share(view: ConnectorView) -> list[str]:
    if view.target_a > view.limit_a and view.state in ("charging", "waiting"):
        return [f"Its fair share is {view.target_a:g} A; it gets the rest as soon as that is free."]
    return []


def _group(decision: Decision, name: str) -> GroupView | None:
    return next((g for g in decision.groups if g.group == name), None)


def _why(decision: Decision, view: ConnectorView) -> str:
    word, _, rest = view.binding.partition(" ")
    if view.binding.startswith("timer solar "):
        return _timer(decision, view.binding.removeprefix("timer solar "))
    sentence = _SENTENCES.get(word)
    return sentence(decision, view, rest) if sentence is not None else f"It is bound by {view.binding}."


def _place(rest: str) -> tuple[str, int | None]:
    """`garage L2` is group garage, phase 1."""
    group, _, phase = rest.partition(" L")
    return group, int(phase) - 1 if phase.isdigit() else None


def _fuse(decision: Decision, view: ConnectorView, rest: str) -> str:
    name, phase = _place(rest)
    group = _group(decision, name)
    if group is None or phase is None:
        return f"The fuse of group {rest} allows no more."
    what = "peak-shaving limit" if view.binding.startswith("peak") else "fuse"
    return (
        f"On L{phase + 1} the {what} of group {name} leaves {group.headroom_a[phase]:g} A to the cars "
        f"({group.limit_a[phase]:g} A less {max(0.0, group.unmanaged_a[phase]):g} A that the building draws), "
        "and that is shared."
    )


def _limit(decision: Decision, view: ConnectorView, rest: str) -> str:
    group, _, source = rest.partition(" ")
    return f"A limit from outside ({source}) holds group {group} down."


def _window(decision: Decision, view: ConnectorView, rest: str) -> str:
    group = _group(decision, rest)
    if group is None or group.window is None:
        return f"The billed quarter-hour of group {rest} allows no more."
    w = group.window
    return (
        f"The billed average of group {rest} is held at {w.cap_w:g} W: {w.used_wh:g} Wh are used in this window, "
        f"{w.allowed_w:.0f} W are still allowed, and the others draw {w.forecast_w:.0f} W."
    )


def _solar(decision: Decision, view: ConnectorView, rest: str) -> str:
    group = _group(decision, rest)
    if group is None or group.excess_a is None:
        return "No meter shows how much solar power is left over."
    return (
        f"The sun leaves {group.excess_a:g} A over (all phases together), "
        f"and the cars that live on it in group {rest} may draw {group.budget_a:g} A together."
    )


def _timer(decision: Decision, rest: str) -> str:
    group = _group(decision, rest)
    excess = f"{group.excess_a:g} A" if group is not None and group.excess_a is not None else "the excess"
    return f"The sun covers its minimum ({excess} over all phases), but not for long enough yet to start it."


def _reservation(decision: Decision, view: ConnectorView, rest: str) -> str:
    name, phase = _place(rest)
    group = _group(decision, name)
    where = rest if group is None or phase is None else f"{name} L{phase + 1}"
    held = f" ({group.reserved_a[phase]:g} A)" if group is not None and phase is not None else ""
    return (
        f"On {where} others still hold current{held} that they have been told to give up, or may draw without asking."
    )


def _fixed(text: str) -> Callable[[Decision, ConnectorView, str], str]:
    return lambda decision, view, rest: text.format(rest=rest)


_SENTENCES: dict[str, Callable[[Decision, ConnectorView, str], str]] = {
    "fuse": _fuse,
    "peak_shaving": _fuse,
    "limit": _limit,
    "window": _window,
    "solar": _solar,
    "reservation": _reservation,
    "max_a": _fixed("The connector itself can give no more."),
    "under_draw": _fixed("Its car has drawn less than offered for a while, so it is offered a little more than that."),
    "waiting": _fixed("There is not enough for one more minimum; who waits changes by turns."),
    "idle": _fixed("Nobody asks for more."),
    "stale": _fixed("The newest reading of {rest} is old, so nothing below it rises."),
    "lost": _fixed("Nothing is heard of {rest} any more, so everything below it goes to its fallback."),
    "offline": _fixed("It can be told nothing until it is back."),
    "unbalance": _fixed("Connectors on fewer than three phases may load one phase no further (unbalance limit)."),
    "increase_every_s": _fixed("It was raised a moment ago; the next raise has to wait."),
}


def _alarms(decision: Decision, view: ConnectorView) -> list[str]:
    return [f"Alarm: {a.text}." for a in decision.alarms if (a.charger, a.connector) == (view.charger, view.connector)]
