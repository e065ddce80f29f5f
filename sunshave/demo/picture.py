"""The live picture in the terminal: who gets what, and why."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.records import ConnectorView, Decision, GroupView
from sunshave.history import History

BAR = 22
"""Characters of a fuse's bar."""
STATE_COLOURS = {
    "charging": "blue",
    "waiting": "yellow",
    "available": "green",
    "offline": "bright_black",
    "faulted": "red",
}


def picture(history: History, news: Iterable[str], title: str, note: str) -> Group:
    """Everything on one screen."""
    decision = history.decisions[-1] if history.decisions else None
    if decision is None:
        return Group(Panel(Text("Waiting for the first decision …"), title=title))
    return Group(
        Panel(_fuses(decision), title=title, subtitle=note),
        Panel(_cars(decision, history), title="cars: who gets what, and what stops it from being more"),
        Panel(Text("\n".join(news) or "…"), title="news"),
        *_alarms(decision),
    )


def _fuses(decision: Decision) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    for name in ("group", "phase", "limit", "building", "cars may draw", "", "limited by"):
        table.add_column(name, justify="right" if name in ("limit", "building", "cars may draw") else "left")
    for group in decision.groups:
        for phase in range(len(group.limit_a)):
            table.add_row(
                group.group if phase == 0 else "",
                f"L{phase + 1}",
                f"{group.limit_a[phase]:.0f} A",
                f"{group.unmanaged_a[phase]:.1f} A",
                f"{group.reserved_a[phase]:.1f} A",
                _bar(group, phase),
                group.limited_by[phase],
            )
    return table


def _bar(group: GroupView, phase: int) -> Text:
    limit_a = max(group.limit_a[phase], 1e-9)
    house = min(BAR, round(BAR * max(0.0, group.unmanaged_a[phase]) / limit_a))
    cars = min(BAR - house, round(BAR * group.reserved_a[phase] / limit_a))
    return Text.assemble(("█" * house, "yellow"), ("█" * cars, "blue"), ("·" * (BAR - house - cars), "bright_black"))


def _cars(decision: Decision, history: History) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    for name in ("charger", "state", "wants", "fair share", "may draw", "draws", "because of"):
        table.add_column(name, justify="left" if name in ("charger", "state", "because of") else "right")
    for view in decision.connectors:
        table.add_row(
            view.charger,
            Text(view.state, style=STATE_COLOURS.get(view.state, "")),
            f"{view.wanted_a:.1f} A",
            f"{view.target_a:.1f} A",
            Text(f"{view.limit_a:.1f} A", style="bold"),
            _drawn(history, view),
            view.binding,
        )
    return table


def _drawn(history: History, view: ConnectorView) -> str:
    reading = history.newest_reading.get((view.charger, view.connector))
    if reading is None or reading.current_a is None:
        return "?"
    return f"{max(reading.current_a):.1f} A"


def _alarms(decision: Decision) -> list[Panel]:
    if not decision.alarms:
        return []
    return [Panel(Text("\n".join(a.text for a in decision.alarms), style="red"), title="alarms")]


def line(history: History) -> str:
    """The same in one line, for a log: where standard output is no terminal."""
    if not history.decisions:
        return "waiting for the first decision"
    decision = history.decisions[-1]
    cars = ", ".join(f"{c.charger} {c.limit_a:g} A ({c.binding})" for c in decision.connectors)
    house = "/".join(f"{a:.0f}" for a in decision.groups[0].unmanaged_a)
    return f"building {house} A | {cars}"
