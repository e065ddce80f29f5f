"""The report of a simulation: for each location what flowed, what each car drew and was told, and the quarters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative

from connectors.simulated.registers import QUARTER_S
from sunshave.report import CAR_COLOURS, PHASE_COLOURS, chart, figures, new_figure, same_times, write_page
from sunshave.simulation.trace import Averages, GroupTrace, Trace

MOST_LOCATIONS = 12
"""Locations in a report. More make a file that no browser opens quickly."""
MOST_LINES = 24
"""Cars with a line of their own. More are shown together, or as colours."""
LIMIT_COLOUR = "#c23b3b"
COLOURS = (*CAR_COLOURS, *qualitative.Dark24)


def write_simulation_report(path: Path, title: str, summary: dict[str, Any], traces: Sequence[Trace]) -> None:
    """Write the report. The traces are those of the first locations of the summary."""
    total = summary["total"]
    parts = [figures(_facts(total, total["overload"], total["setpoints"]))]
    if len(traces) < total["locations"]:
        parts.append(f"<p>The first {len(traces)} of {total['locations']} locations.</p>")
    for trace, location in zip(traces, summary["locations"], strict=False):
        if total["locations"] > 1:
            parts.append(f"<h1>{escape(trace.location)}</h1>")
            parts.append(figures(_facts(location, location["overload"], location["setpoints"]["sent"])))
        parts += _charts(trace)
        parts.append(_cars(location["cars"]))
    write_page(path, title, parts)


def _facts(figures_: dict[str, Any], overload: dict[str, Any], setpoints: int) -> dict[str, str]:
    return {
        "into cars": f"{figures_['energy_kwh']:.1f} kWh",
        "wanted": f"{figures_['wanted_kwh']:.1f} kWh",
        "ideal controller": f"{figures_['ideal_kwh']:.1f} kWh",
        "cars left short": str(figures_["cars_short"]),
        "avoidable overload": f"{overload['avoidable_as']:g} A·s",
        "unavoidable overload": f"{overload['unavoidable_as']:g} A·s",
        "setpoints": f"{setpoints}",
    }


def _charts(trace: Trace) -> list[str]:
    if not trace.at:
        return []
    charts = [
        *(
            (
                f"What flows into group {group.group}",
                "Per phase; thin lines are the house alone (below 0 the sun feeds in), dashed is the limit in force.",
                _flows(trace, group),
            )
            for group in trace.groups
            if group.metered
        ),
        ("What the cars draw", "Amperes on each phase in use, one car upon the other.", _stacked(trace)),
        ("What the cars were told", "The newest setpoint of each connector.", _told(trace)),
        *(
            (
                f"Clock {'quarters' if averages.length_s == QUARTER_S else 'windows'} of group {averages.group}",
                "The average that is billed, and where there is one the cap in force (dashed).",
                _averages(averages),
            )
            for averages in trace.averages
        ),
    ]
    same_times((figure for *_, figure in charts), trace.at[0], trace.at[-1])
    return [chart(name, why, figure) for name, why, figure in charts if figure.data]


def _flows(trace: Trace, group: GroupTrace) -> go.Figure:
    figure = new_figure("A")
    for phase, (flow, house) in enumerate(zip(group.flow_a, group.house_a, strict=True)):
        colour = PHASE_COLOURS[phase]
        line = {"color": colour, "shape": "hv", "width": 1.6}
        figure.add_scatter(x=trace.at, y=flow, name=f"L{phase + 1}", mode="lines", line=line)
        thin = {"color": colour, "shape": "hv", "width": 0.7, "dash": "dot"}
        figure.add_scatter(x=trace.at, y=house, name=f"house L{phase + 1}", mode="lines", line=thin)
    dashed = {"color": LIMIT_COLOUR, "dash": "dash", "shape": "hv"}
    figure.add_scatter(x=trace.at, y=group.limit_a, name="limit", mode="lines", line=dashed)
    return figure


def _stacked(trace: Trace) -> go.Figure:
    figure = new_figure("A")
    for i, (name, drawn) in enumerate(_lines(trace)):
        colour = COLOURS[i % len(COLOURS)]
        line = {"width": 0.3, "shape": "hv", "color": colour}
        figure.add_scatter(x=trace.at, y=drawn, name=name, mode="lines", stackgroup="cars", line=line)
    return figure


def _lines(trace: Trace) -> Iterator[tuple[str, list[float]]]:
    """Each connector that was ever used; where there are too many, a dozen of them together."""
    used = [(name, drawn) for name, drawn in zip(trace.connectors, trace.drawn_a, strict=True) if any(drawn)]
    if len(used) <= MOST_LINES:
        yield from used
        return
    size = -(-len(used) // MOST_LINES)
    for i in range(0, len(used), size):
        some = used[i : i + size]
        name = f"{some[0][0]} to {some[-1][0]}" if len(some) > 1 else some[0][0]
        yield name, [round(sum(values), 1) for values in zip(*(drawn for _, drawn in some), strict=True)]


def _told(trace: Trace) -> go.Figure:
    figure = new_figure("A" if len(trace.connectors) <= MOST_LINES else "")
    if len(trace.connectors) > MOST_LINES:
        colours = {"colorscale": "Viridis", "colorbar": {"title": "A"}}
        figure.add_heatmap(x=trace.at, y=trace.connectors, z=trace.offered_a, **colours)
        return figure
    for i, (name, offered) in enumerate(zip(trace.connectors, trace.offered_a, strict=True)):
        line = {"shape": "hv", "width": 1.5, "color": COLOURS[i % len(COLOURS)]}
        figure.add_scatter(x=trace.at, y=offered, name=name, mode="lines", line=line)
    return figure


def _averages(averages: Averages) -> go.Figure:
    figure, length_ms = new_figure("W"), averages.length_s * 1000
    name, colour = f"average of {averages.length_s / 60:g} min", {"color": "#5b8db8"}
    figure.add_bar(
        x=averages.ends, y=averages.watts, name=name, marker=colour, offset=-length_ms, width=0.98 * length_ms
    )
    if any(cap is not None for cap in averages.cap_w):
        line = {"color": LIMIT_COLOUR, "dash": "dash", "shape": "vh"}
        figure.add_scatter(x=averages.ends, y=averages.cap_w, name="cap", mode="lines", line=line)
    return figure


def _cars(cars: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(car['connector'])}</td><td>{car['arrived'][:16].replace('T', ' ')}</td>"
        f"<td>{(car['left'] or '…')[:16].replace('T', ' ')}</td><td class=n>{car['wanted_kwh']:.1f}</td>"
        f"<td class=n>{car['got_kwh']:.1f}</td><td class=n>{car['short_kwh']:.1f}</td></tr>"
        for car in cars
    )
    head = "".join(
        f"<th>{name}</th>" for name in ("connector", "came (UTC)", "left", "wanted kWh", "got kWh", "short kWh")
    )
    return f"<h2>The cars</h2><table><tr>{head}</tr>{rows}</table>"
