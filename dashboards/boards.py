"""All dashboards, and the folder in which their JSON is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from dashboards import fleet, health, location, peak
from dashboards.common import Json, as_json

FOLDER = Path(__file__).parent / "json"
BUILDERS: tuple[Callable[[], Json], ...] = (fleet.build, location.build, peak.build, health.build)


def boards() -> list[Json]:
    """Every dashboard, built now."""
    return [build() for build in BUILDERS]


def write(folder: Path = FOLDER) -> Iterator[Path]:
    """Write each one's JSON to `UID.json`; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in boards():
        path = folder / f"{board['uid']}.json"
        path.write_text(as_json(board), encoding="utf-8")
        yield path
