"""The report of a run: one HTML file with charts, readable without anything else (plotly is inside it)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.offline import get_plotlyjs

from sunshave.history import History

PHASE_COLOURS = ("#8b5a2b", "#7b52ab", "#7f8790")
"""L1 brown, L2 purple, L3 grey: the colours of the dashboards, readable on light and dark."""
CAR_COLOURS = ("#1f77b4", "#e07b00", "#2a9d55", "#c23b6a", "#6a51a3", "#008b8b", "#9a6324", "#4b4b4b")
BINDING_COLOURS = tuple(qualitative.Dark24)
"""One each for two dozen reasons; more than that repeat."""
_CONFIG = {"displayModeBar": False, "responsive": True}
ROWS = 500
"""Setpoints in the table. More make a page that nobody scrolls to the end."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1c2330; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }} p {{ max-width: 50rem; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e2e5ea; }} td.n {{ text-align: right; }}
.facts {{ display: flex; flex-wrap: wrap; gap: 1.5rem; }} .facts b {{ display: block; font-size: 1.4rem; }}
</style><script>{plotly}</script></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write_report(history: History, path: Path, title: str, facts: dict[str, str]) -> None:
    """Write the report of one location's history. `facts`: the few figures for the top of the page."""
    write_page(path, title, [figures(facts), *_charts(history), _setpoints(history)])


def write_page(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page of HTML parts, with all that its charts need."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _PAGE.format(title=escape(title), plotly=get_plotlyjs(), body="\n".join(parts))
    path.write_text(page, encoding="utf-8")


def figures(facts: dict[str, str]) -> str:
    """A few figures in a row."""
    return f'<div class="facts">{"".join(f"<div>{escape(k)}<b>{escape(v)}</b></div>" for k, v in facts.items())}</div>'


def chart(name: str, why: str, figure: go.Figure) -> str:
    """A chart under its name, and what it shows in a sentence."""
    return f"<h2>{escape(name)}</h2><p>{escape(why)}</p>{_html(figure)}"


def same_times(figures_: Iterable[go.Figure], since: datetime, until: datetime) -> None:
    """One axis of time for all: what happens at once stands below one another."""
    for figure in figures_:
        figure.update_xaxes(range=[since, until])
        figure.update_yaxes(automargin=False)


def _charts(history: History) -> list[str]:
    charts = [
        ("What flows through each meter", "Per phase, against the limit of its group (dashed).", _meters(history)),
        ("What the building leaves to the cars", "Headroom of each group on its tightest phase.", _headroom(history)),
        ("What each car may draw", "The limit that is released (line) and what the car draws (dots).", _cars(history)),
        ("What stops each car", "The binding constraint of every connector over time.", _bindings(history)),
    ]
    if history.decisions:
        same_times((figure for *_, figure in charts), history.decisions[0].at, history.decisions[-1].at)
    return [chart(name, why, figure) for name, why, figure in charts if figure.data]


def _html(figure: go.Figure) -> str:
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG)
    assert isinstance(html, str)
    return html


def new_figure(unit: str) -> go.Figure:
    """An empty one, with the unit of its values."""
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        height=340,
        margin={"l": 100, "r": 20, "t": 10, "b": 40},
        yaxis_title=unit,
        legend={"orientation": "h", "y": -0.18, "tracegroupgap": 0},
        hovermode="closest",
    )
    return figure


def _meters(history: History) -> go.Figure:
    figure = new_figure("A")
    metered = {g.group: i for i, g in enumerate(history.decisions[-1].groups)} if history.decisions else {}
    for meter in sorted({m.meter for m in history.meters}):
        readings = [m for m in history.meters if m.meter == meter and m.current_a is not None]
        for phase in range(len(readings[0].current_a or []) if readings else 0):
            figure.add_scatter(
                x=[m.at for m in readings],
                y=[m.current_a[phase] for m in readings if m.current_a is not None],
                name=f"{meter} L{phase + 1}",
                mode="lines",
                line={"color": PHASE_COLOURS[phase], "shape": "hv", "width": 1.5},
            )
    for name, index in list(metered.items())[:1]:
        limits = [(d.at, min(d.groups[index].limit_a)) for d in history.decisions if index < len(d.groups)]
        _limit(figure, limits, f"limit {name}")
    return figure


def _limit(figure: go.Figure, points: list[tuple[datetime, float]], name: str) -> None:
    line = {"dash": "dash", "color": "#c23b3b", "shape": "hv"}
    figure.add_scatter(x=[p[0] for p in points], y=[p[1] for p in points], name=name, mode="lines", line=line)


def _headroom(history: History) -> go.Figure:
    figure = new_figure("A")
    names = [g.group for g in history.decisions[-1].groups] if history.decisions else []
    for i, name in enumerate(names):
        points = [(d.at, d.groups[i]) for d in history.decisions if i < len(d.groups)]
        figure.add_scatter(
            x=[at for at, _ in points],
            y=[min(g.headroom_a) for _, g in points],
            name=name,
            mode="lines",
            line={"shape": "hv", "color": CAR_COLOURS[i % len(CAR_COLOURS)]},
        )
    return figure


def _connectors(history: History) -> list[tuple[str, int]]:
    return sorted({(c.charger, c.connector) for d in list(history.decisions)[-1:] for c in d.connectors})


def _cars(history: History) -> go.Figure:
    figure = new_figure("A")
    for i, key in enumerate(_connectors(history)):
        colour = CAR_COLOURS[i % len(CAR_COLOURS)]
        views = [(d.at, c) for d in history.decisions for c in d.connectors if (c.charger, c.connector) == key]
        figure.add_scatter(
            x=[at for at, _ in views],
            y=[c.limit_a for _, c in views],
            customdata=[[c.binding, c.wanted_a, c.target_a] for _, c in views],
            hovertemplate="%{y:.1f} A: %{customdata[0]}<br>wants %{customdata[1]} A, share %{customdata[2]} A",
            name=f"{key[0]}/{key[1]} may",
            mode="lines",
            line={"shape": "hv", "color": colour},
        )
        drawn = [r for r in history.chargers if (r.charger, r.connector) == key and r.current_a]
        figure.add_scatter(
            x=[r.at for r in drawn],
            y=[max(r.current_a or [0.0]) for r in drawn],
            name=f"{key[0]}/{key[1]} draws",
            mode="markers",
            marker={"color": colour, "size": 4, "opacity": 0.6},
        )
    return figure


def _bindings(history: History) -> go.Figure:
    figure = new_figure("")
    colours: dict[str, str] = {}
    for key in _connectors(history):
        for since, until, binding in _spells(history, key):
            known = binding in colours
            colour = colours.setdefault(binding, BINDING_COLOURS[len(colours) % len(BINDING_COLOURS)])
            figure.add_scatter(
                x=[since, until],
                y=[f"{key[0]}/{key[1]}"] * 2,
                mode="lines",
                line={"width": 16, "color": colour},
                name=binding,
                legendgroup=binding,
                showlegend=not known,
                hovertext=binding,
                hoverinfo="text",
            )
    return figure


def _spells(history: History, key: tuple[str, int]) -> list[tuple[datetime, datetime, str]]:
    spells: list[tuple[datetime, datetime, str]] = []
    for decision in history.decisions:
        view = next((c for c in decision.connectors if (c.charger, c.connector) == key), None)
        if view is None:
            continue
        if spells and spells[-1][2] == view.binding:
            spells[-1] = (spells[-1][0], decision.at, view.binding)
        else:
            if spells:
                spells[-1] = (spells[-1][0], decision.at, spells[-1][2])
            spells.append((decision.at, decision.at, view.binding))
    return spells


def _setpoints(history: History) -> str:
    answers: dict[tuple[str, int, int], str] = {}
    for feedback in history.feedback:
        if feedback.state != "sent":
            answers[(feedback.charger, feedback.connector, feedback.seq)] = feedback.state
    rows = "".join(
        "<tr>"
        f"<td>{s.issued_at:%H:%M:%S}</td><td>{escape(s.charger)}/{s.connector}</td><td class=n>{s.limit_a:.1f}</td>"
        f"<td>{escape(s.reason)}</td><td>{answers.get((s.charger, s.connector, s.seq), '…')}</td></tr>"
        for s in list(history.setpoints)[-ROWS:]
    )
    head = "<tr><th>time (UTC)</th><th>connector</th><th>limit (A)</th><th>because of</th><th>answer</th></tr>"
    return f"<h2>Setpoints and why</h2><table>{head}{rows}</table>"


def seconds_above(history: History) -> dict[str, Any]:
    """For each metered group's phases the seconds that the first meter spent above the main limit (held values)."""
    over: dict[str, float] = {}
    if not history.decisions:
        return over
    limit_a = history.decisions[-1].groups[0].limit_a
    readings = [m for m in history.meters if m.current_a is not None]
    for before, after in pairwise(readings):
        for phase, amperes in enumerate(before.current_a or []):
            if amperes > limit_a[phase] + 0.5:
                name = f"L{phase + 1}"
                over[name] = over.get(name, 0.0) + (after.at - before.at).total_seconds()
    return over
