"""A location document that is sound, and how to change it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

SOUND: dict[str, Any] = {
    "location": "brugge-12",
    "timezone": "Europe/Brussels",
    "grid": {"type": "TN", "phases": 3, "voltage_v": 230},
    "groups": [
        {"id": "main", "limit_a": 40, "meter": "p1"},
        {"id": "garage", "parent": "main", "limit_a": [32, 32, 32]},
    ],
    "meters": [{"id": "p1"}],
    "chargers": [
        {"id": "CP-1", "group": "garage", "connectors": [{"id": 1, "max_a": 16}, {"id": 2, "max_a": 16}]},
        {"id": "CP-2", "group": "main", "connectors": [{"id": 1, "max_a": 32, "phases": 1, "rotation": "S"}]},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The sound document with one value changed: `groups.1.parent`. A name beyond the end of a list appends."""
    document = deepcopy(SOUND)
    at: Any = document
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        at = at[part]
    if isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return document
