"""Cases as files: what a case of `tests/scenarios/*.yaml` says, with the file's defaults filled in.

The format is that of the acceptance cases (README.md beside them); two words are ours: `windows`, a list of the closed
windows that a `now` is answered with, and the step `answer`, a feedback for any earlier setpoint, not only the newest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
START = "2026-11-24T08:00:00Z"
"""The beginning of a quarter; a case may name another `start`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `steps` are fed in their order; the k-th of `expect` belongs to the k-th `now`."""

    id: str
    title: str
    why: str
    start: datetime
    defaults: Mapping[str, Any]
    location: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    expect: tuple[Mapping[str, Any], ...]
    refused: tuple[str, ...] = ()
    tolerance: Mapping[str, float] | None = None
    twice: bool = False
    pending: str | None = None
    """Why the core is known to answer otherwise; the case must fail as long as this stands here."""


def read_cases(folder: Path = FOLDER) -> Iterator[Case]:
    """Every case of every file, in the order of the names."""
    for file in sorted(folder.glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for written in content["cases"]:
            yield _case(written, content.get("defaults", {}))


def _case(written: Mapping[str, Any], defaults: Mapping[str, Any]) -> Case:
    return Case(
        id=written["id"],
        title=written["title"],
        why=written["why"],
        start=_utc(written.get("start", START)),
        defaults=defaults,
        location=filled_in(written["location"], defaults),
        steps=tuple(written.get("input", ())),
        expect=tuple(written.get("expect", ())),
        refused=tuple(written.get("refused", ())),
        tolerance=written.get("tolerance"),
        twice=bool(written.get("twice")),
        pending=written.get("pending"),
    )


def _utc(start: str | datetime) -> datetime:
    """YAML reads a moment as a naive or an aware datetime, or leaves it a text."""
    moment = start if isinstance(start, datetime) else datetime.fromisoformat(start)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def filled_in(location: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A location with the file's defaults: for the whole, its `control`, and each charger and connector."""
    whole = {k: v for k, v in defaults.items() if k not in ("charger", "connector")}
    charger, connector = defaults.get("charger", {}), defaults.get("connector", {})
    return {
        **whole,
        **location,
        "control": {**defaults.get("control", {}), **location.get("control", {})},
        "chargers": [
            {**charger, **c, "connectors": [{**connector, **k} for k in c["connectors"]]}
            for c in location.get("chargers", ())
        ],
    }
