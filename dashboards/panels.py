"""The kinds of panels that we use, each with the options that we always want."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dashboards.common import STATES, Json, Panel, Query, by_name, panel

Steps = Sequence[tuple[float | None, str]]
PLAIN: Steps = ((None, "text"),)
_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(
    id: int,  # noqa: A002 -- Grafana's name
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int],
    steps: Steps = PLAIN,
    overrides: Iterable[Json] = (),
    extra: Json | None = None,
) -> Panel:
    """Big numbers."""
    options: Json = {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
    }
    return panel(
        "stat",
        id,
        title,
        description,
        unit,
        queries,
        size=size,
        options=options,
        steps=steps,
        overrides=overrides,
        extra=extra,
    )


def gauge(
    id: int,  # noqa: A002
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int],
    steps: Steps,
    low: float = 0,
    high: float | None = None,
) -> Panel:
    """A number on its scale."""
    options: Json = {"reduceOptions": _LAST, "showThresholdLabels": False, "showThresholdMarkers": True}
    limits: Json = {"min": low} if high is None else {"min": low, "max": high}
    return panel(
        "gauge", id, title, description, unit, queries, size=size, options=options, steps=steps, defaults=limits
    )


def bar_gauge(
    id: int,  # noqa: A002
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int],
    overrides: Iterable[Json] = (),
) -> Panel:
    """A bar for each number."""
    options: Json = {
        "reduceOptions": _LAST,
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "text",
    }
    return panel("bargauge", id, title, description, unit, queries, size=size, options=options, overrides=overrides)


def table(
    id: int,  # noqa: A002
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int],
    steps: Steps = PLAIN,
    hide_time: bool = True,
    overrides: Iterable[Json] = (),
    extra: Json | None = None,
) -> Panel:
    """Rows. InfluxQL's `last()` is stamped with the start of the range: hide that time, it is no "when"."""
    hidden = [by_name("Time", ("custom.hidden", True))] if hide_time else []
    return panel(
        "table",
        id,
        title,
        description,
        unit,
        queries,
        size=size,
        options={"showHeader": True, "cellHeight": "sm"},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False},
        steps=steps,
        overrides=[*hidden, *overrides],
        extra=extra,
    )


def time_series(
    id: int,  # noqa: A002
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    size: tuple[int, int],
    stacked: bool = False,
    bars: bool = False,
    overrides: Iterable[Json] = (),
    steps: Steps = PLAIN,
    show_steps: bool = False,
    extra: Json | None = None,
) -> Panel:
    """Lines over time, or bars. A hole of more than five minutes stays one: silence is not a straight line."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if stacked or bars else 0,
        "showPoints": "never",
        "spanNulls": 300_000,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if show_steps else "off"},
    }
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries",
        id,
        title,
        description,
        unit,
        queries,
        size=size,
        options=options,
        custom=custom,
        overrides=overrides,
        steps=steps,
        extra=extra,
    )


def state_timeline(
    id: int,  # noqa: A002
    title: str,
    description: str,
    *queries: Query,
    size: tuple[int, int],
    colors: Mapping[str, str] = STATES,
) -> Panel:
    """Which state, when. Words have no unit."""
    mapping = {name: {"color": color, "index": index} for index, (name, color) in enumerate(colors.items())}
    options: Json = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel(
        "state-timeline",
        id,
        title,
        description,
        "none",
        queries,
        size=size,
        options=options,
        custom={"fillOpacity": 70, "lineWidth": 0, "spanNulls": 600_000},
        defaults={"mappings": [{"type": "value", "options": mapping}], "color": {"mode": "palette-classic"}},
    )
