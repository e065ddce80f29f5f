"""Building blocks of the dashboards: plain dictionaries in Grafana's classic schema, the same bytes each time.

Classic JSON loads in Grafana 10 to 13 (13 turns it into its own schema by itself, never back: do not commit what it
exports). A panel cannot be built without a unit and without a description that says what to do when it looks bad.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 39
WIDTH = 24
"""Columns of Grafana's grid."""
MIN_INTERVAL = "10s"
"""The historian writes a meter no more often; a finer picture would have holes."""

DETAIL = "sunshave"
HISTORY = "sunshave_history"

L1, L2, L3 = "#8d5524", "#8e5fd0", "#8a8f98"
"""Brown, purple (black is not seen on a dark ground), grey: the cores of a cable, readable on dark and light."""
BLUE, ORANGE, GREEN, GREY, RED = "blue", "orange", "green", "#8a8f98", "red"
PHASES: Mapping[str, str] = {"L1": L1, "L2": L2, "L3": L3}
STATES: Mapping[str, str] = {
    "charging": BLUE,
    "waiting": ORANGE,
    "available": GREEN,
    "offline": GREY,
    "faulted": RED,
    "Charging": BLUE,
    "SuspendedEV": "light-blue",
    "SuspendedEVSE": ORANGE,
    "Available": GREEN,
    "Preparing": "light-green",
    "Finishing": "light-green",
    "Reserved": "yellow",
    "Unavailable": GREY,
    "Faulted": RED,
}
"""The colour of a state is the same in every panel."""


@dataclass(frozen=True, slots=True)
class Query:
    """One InfluxQL query of a panel. `alias` names its series ($tag_charger, $col); a table has none."""

    influxql: str
    alias: str = ""
    source: str = DETAIL


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel before it has a place."""

    id: int
    width: int
    height: int
    body: Json = field(hash=False)


def source(uid: str) -> Json:
    """The reference to a data source."""
    return {"type": "influxdb", "uid": uid}


def panel(
    kind: str,
    id: int,  # noqa: A002 -- Grafana's name
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    *,
    size: tuple[int, int],
    options: Json,
    custom: Json | None = None,
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),),
    defaults: Json | None = None,
    overrides: Iterable[Json] = (),
    extra: Json | None = None,
) -> Panel:
    """A panel of any kind. `steps` are (from, colour), the first from None; `size` is columns and rows."""
    assert description.strip(), f"{title} needs a description"
    assert unit, f"{title} needs a unit"
    table = kind in ("table", "stat", "gauge", "bargauge")
    body: Json = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _common_source(queries),
        "targets": [
            _target(number, query, "table" if table else "time_series") for number, query in enumerate(queries)
        ],
        "interval": MIN_INTERVAL,
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "custom": custom or {},
                "color": {"mode": "thresholds" if table or kind == "state-timeline" else "palette-classic"},
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": color, "value": value} for value, color in steps],
                },
                **(defaults or {}),
            },
            "overrides": list(overrides),
        },
        "options": options,
        **(extra or {}),
    }
    return Panel(id, *size, body)


def _common_source(queries: Sequence[Query]) -> Json:
    """The one data source of all queries, or Grafana's word for several."""
    uids = {query.source for query in queries}
    return source(uids.pop()) if len(uids) == 1 else {"type": "datasource", "uid": "-- Mixed --"}


def _target(number: int, query: Query, kind: str) -> Json:
    target: Json = {
        "refId": "ABCDEFGH"[number],
        "datasource": source(query.source),
        "query": query.influxql,
        "rawQuery": True,
        "resultFormat": kind,
    }
    return {**target, "alias": query.alias} if kind == "time_series" and query.alias else target


def colored(colors: Mapping[str, str]) -> list[Json]:
    """Overrides that give series their colours, by name."""
    return [by_name(name, ("color", {"mode": "fixed", "fixedColor": color})) for name, color in colors.items()]


def dashed(*names: str) -> list[Json]:
    """Overrides that draw limits: dashed, and stepping at the moment of the change."""
    return [
        by_name(
            name,
            ("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            ("custom.lineInterpolation", "stepAfter"),
            ("custom.fillOpacity", 0),
            ("custom.stacking", {"mode": "none", "group": "A"}),
        )
        for name in names
    ]


def by_name(name: str, *properties: tuple[str, Any]) -> Json:
    """An override of one series or column."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties],
    }


def placed(panels: Iterable[Panel]) -> list[Json]:
    """Panels from left to right and top to bottom, as they come; a row is as high as its highest."""
    bodies: list[Json] = []
    x = y = row_height = 0
    for one in panels:
        if x + one.width > WIDTH:
            x, y, row_height = 0, y + row_height, 0
        bodies.append({"id": one.id, "gridPos": {"x": x, "y": y, "w": one.width, "h": one.height}, **one.body})
        x, row_height = x + one.width, max(row_height, one.height)
    ids = [one["id"] for one in bodies]
    assert len(ids) == len(set(ids)), f"panel ids must be unique: {ids}"
    return bodies


def dashboard(
    uid: str,
    title: str,
    description: str,
    panels: Iterable[Panel],
    *,
    variables: Sequence[Json] = (),
    annotations: Sequence[Json] = (),
    since: str,
    refresh: str,
    timezone: str = "browser",
) -> Json:
    """A whole dashboard."""
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["sunshave"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "time": {"from": since, "to": "now"},
        "refresh": refresh,
        "timezone": timezone,
        "links": [_links()],
        "templating": {"list": list(variables)},
        "annotations": {"list": list(annotations)},
        "panels": placed(panels),
    }


def _links() -> Json:
    return {
        "type": "dashboards",
        "title": "sunshave",
        "tags": ["sunshave"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def as_json(board: Json) -> str:
    """The bytes that are committed."""
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
