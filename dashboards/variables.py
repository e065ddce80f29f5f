"""The variables that dashboards share: names are the same everywhere, so a link carries them along."""

from __future__ import annotations

from dashboards import queries
from dashboards.common import DETAIL, Json, source


def search() -> Json:
    """A text box that shortens the list of locations: 25,000 of them would be 0.6 MB."""
    return {
        "type": "textbox",
        "name": "search",
        "label": "Find",
        "description": "Part of a location's name; a regular expression.",
        "hide": 0,
        "query": ".*",
        "current": {"text": ".*", "value": ".*"},
        "options": [{"selected": True, "text": ".*", "value": ".*"}],
    }


def location() -> Json:
    """One location."""
    return _query("location", "Location", queries.locations(), multi=False)


def group() -> Json:
    """Some or all groups of the location."""
    return _query("group", "Group", queries.groups(), multi=True)


def charger() -> Json:
    """Some or all chargers of the location. "All" has no value of its own: it means this location's chargers."""
    return _query("charger", "Charger", queries.chargers(), multi=True)


def phase() -> Json:
    """The building's phases, for the panels that are repeated for each."""
    return {
        "type": "custom",
        "name": "phase",
        "label": "Phase",
        "hide": 0,
        "query": "1,2,3",
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
        "options": [
            {"selected": value == "$__all", "text": text, "value": value}
            for text, value in (("All", "$__all"), ("1", "1"), ("2", "2"), ("3", "3"))
        ],
    }


def _query(name: str, label: str, influxql: str, *, multi: bool) -> Json:
    every = {"text": "All", "value": "$__all"}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "hide": 0,
        "datasource": source(DETAIL),
        "query": influxql,
        "definition": influxql,
        "refresh": 2,  # when the time range changes
        "regex": "",
        "sort": 1,
        "multi": multi,
        "includeAll": multi,
        "current": every if multi else {},
        "options": [],
    }
