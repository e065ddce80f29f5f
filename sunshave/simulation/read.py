"""Reading a simulation file: what to simulate, or every reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from sunshave.simulation.plan import (
    Cars,
    FaultPlan,
    HouseLoad,
    OutsideLimit,
    Run,
    Shared,
    Site,
    SolarRoof,
)
from topology.checks import Problem
from topology.documents import NotYaml, read_documents
from topology.location import Location
from topology.read import LocationRefused, as_written, location_document, read_location, reason_of

Model = TypeVar("Model", bound=BaseModel)
PARTS: dict[str, type[BaseModel]] = {
    "cars": Cars,
    "house": HouseLoad,
    "sun": SolarRoof,
    "limits": OutsideLimit,
    "faults": FaultPlan,
}
LOCATION_KEYS = tuple(f.name for f in fields(Location))


class FileRefused(ValueError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """A file that cannot be simulated; `problems` has every reason."""

    def __init__(self, problems: list[Problem], warnings: list[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        self.warnings = warnings
        super().__init__("; ".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Task:
    """One location to simulate. `document`: as it is published; `start_s`: seconds since 1970."""

    name: str
    document: dict[str, Any]
    site: Site
    start_s: int
    seconds: int
    seed: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """All that a file asks for, and what is odd about it."""

    run: Run
    tasks: tuple[Task, ...]
    warnings: tuple[Problem, ...]


def read_simulation(path: Path, **instead: Any) -> Simulation:
    """What a file asks for. `instead`: values that replace those of the file (`seed`, `hours`), where not None.

    Raises OSError when it cannot be read, FileRefused with every error.
    """
    try:
        document = _only(read_documents(path))
    except NotYaml as problem:
        raise FileRefused([Problem("(document)", f"neither YAML nor JSON: {problem}")], []) from None
    if not isinstance(document, dict):
        raise FileRefused([Problem("(document)", "a simulation is a mapping with a location, cars, house…")], [])
    document |= {key: value for key, value in instead.items() if value is not None}
    return _Reader(path.parent).read(document)


class _Reader:
    """Reads one document, and collects what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read(self, document: dict[str, Any]) -> Simulation:
        run = self._validated(Run, {k: document.pop(k) for k in Run.model_fields if k in document}, "")
        found: list[tuple[Location, Site]] = []
        for path, entry in self._entries(document):
            location = self._location(entry, path)
            site = self._validated(Site, entry, path)
            if location is not None and site is not None:
                found += self._checked(location, site, path)
        names = [location.location for location, _ in found]
        for name in sorted({n for n in names if names.count(n) > 1}):
            self.problems.append(Problem("locations", f"two locations are called {name}"))
        if self.problems or run is None:
            raise FileRefused(self.problems, self.warnings)
        tasks = tuple(_task(location, site, run) for location, site in found)
        return Simulation(run, tasks, tuple(self.warnings))

    def _entries(self, document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each location with what is said about it; what is said once, for all."""
        if "locations" not in document:
            yield "", document
            return
        listed = document.pop("locations")
        shared = {key: document.pop(key) for key in Shared.model_fields if key in document}
        self.problems += [Problem(key, _no_such(key, (*Run.model_fields, *Shared.model_fields))) for key in document]
        self._validated(Shared, shared, "")
        if not isinstance(listed, list) or not listed:
            self.problems.append(Problem("locations", "a list of locations"))
            return
        for i, entry in enumerate(listed):
            if isinstance(entry, dict):
                yield f"locations[{i}]", {**shared, **entry}
            else:
                self.problems.append(Problem(f"locations[{i}]", "a mapping with a location"))

    def _location(self, entry: dict[str, Any], path: str) -> Location | None:
        """The location of an entry: under `location`, in the file that it names, or among the entry's own keys."""
        written = entry.get("location")
        at = _join(path, "location")
        if isinstance(written, str) and "groups" in entry:
            written, at = {key: entry.pop(key) for key in LOCATION_KEYS if key in entry}, path
        elif isinstance(written, str):
            written = self._from_file(written, at)
            if written is None:
                return None
        elif written is None:
            self.problems.append(Problem(at, "what to simulate: a location document, or the name of its file"))
            return None
        try:
            accepted = read_location(written)
        except LocationRefused as refused:
            self.problems += [Problem(_join(at, p.path), p.reason) for p in refused.problems]
            self.warnings += [Problem(_join(at, p.path), p.reason) for p in refused.warnings]
            return None
        self.warnings += [Problem(_join(at, p.path), p.reason) for p in accepted.warnings]
        return accepted.location

    def _from_file(self, name: str, at: str) -> Any:
        try:
            found = _only(read_documents(self.folder / name))
        except OSError as problem:
            self.problems.append(Problem(at, f"cannot read {name}: {problem.strerror}"))
            return None
        except NotYaml:
            self.problems.append(Problem(at, f"{name} is neither YAML nor JSON"))
            return None
        if found is None:
            self.problems.append(Problem(at, f"{name} must hold one location"))
        return found

    def _validated(self, model: type[Model], values: dict[str, Any], path: str) -> Model | None:
        try:
            return model.model_validate(values)
        except ValidationError as refused:
            for error in refused.errors(include_url=False):
                self.problems.append(_problem(model, values, error, path))
        return None

    def _checked(self, location: Location, site: Site, path: str) -> list[tuple[Location, Site]]:
        """The copies of a location, when what is said about it fits."""
        self.problems += [Problem(_join(path, p.path), p.reason) for p in _misfits(location, site)]
        if site.copies == 1:
            return [(location, site)]
        document = location_document(location)
        names = [f"{location.location[:58]}-{i + 1}" for i in range(site.copies)]
        return [(read_location({**document, "location": name}).location, site) for name in names]


def _misfits(location: Location, site: Site) -> Iterator[Problem]:
    """Names that the location does not have, and loads that nobody could see."""
    groups = {g.id: g for g in location.groups}
    root = next(g for g in location.groups if g.parent is None)
    for kind in ("house", "sun", "limits"):
        for i, part in enumerate(getattr(site, kind)):
            group = groups.get(part.group or root.id)
            if group is None:
                yield Problem(f"{kind}[{i}].group", _no_such(part.group, groups, "there is no group"))
            elif kind != "limits" and group.meter is None:
                reason = f"group {group.id} has no meter: sunshave could not know of this load"
                yield Problem(f"{kind}[{i}].group", reason)
    for i, load in enumerate(site.house):
        for key, values in [("base_a", load.base_a), *((f"steps[{k}]", s.current_a) for k, s in enumerate(load.steps))]:
            if len(values) < location.grid.phases:
                yield Problem(f"house[{i}].{key}", f"{len(values)} value(s) for {location.grid.phases} phase(s)")
    for i, roof in enumerate(site.sun):
        if max(roof.phases, default=0) > location.grid.phases:
            yield Problem(f"sun[{i}].phases", f"the grid has {location.grid.phases} phase(s)")
    chargers = {c.id: {k.id for k in c.connectors} for c in location.chargers}
    for i, cars in enumerate(site.cars):
        for charger in cars.charger:
            if charger == "all":
                continue
            if charger not in chargers:
                yield Problem(f"cars[{i}].charger", _no_such(charger, chargers, "there is no charger"))
            elif cars.connector is not None and cars.connector not in chargers[charger]:
                yield Problem(f"cars[{i}].connector", f"charger {charger} has no connector {cars.connector}")


def _only(documents: list[object]) -> Any:
    return documents[0] if len(documents) == 1 else None


def _task(location: Location, site: Site, run: Run) -> Task:
    zone = ZoneInfo(location.timezone)
    aware = run.start if run.start.tzinfo is not None else run.start.replace(tzinfo=zone)
    document = location_document(location)
    seconds = max(1, round(run.hours * 3600))
    return Task(location.location, document, site, int(aware.astimezone(UTC).timestamp()), seconds, run.seed)


def _problem(model: type[BaseModel], values: dict[str, Any], error: Any, path: str) -> Problem:
    for part in as_written(values, error["loc"]):
        path = f"{path}[{part}]" if isinstance(part, int) else _join(path, str(part))
    if error["type"] == "extra_forbidden":
        return Problem(path, _no_such(str(error["loc"][-1]), _keys_beside(model, error["loc"])))
    return Problem(path or "(document)", reason_of(error))


def _keys_beside(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that could have been meant by one that means nothing."""
    if len(loc) == 1:
        return [*Run.model_fields, *model.model_fields]
    part = PARTS.get(str(loc[0]))
    return list(part.model_fields) if part is not None and len(loc) <= 3 else []


def _no_such(name: Any, known: Any, what: str = "there is no key") -> str:
    near = get_close_matches(str(name), list(map(str, known)), 1)
    return f"{what} {name}" + (f" (did you mean {near[0]}?)" if near else "")


def _join(path: str, more: str) -> str:
    if more == "(document)":
        return path or more
    return f"{path}.{more}" if path else more


def moment_of(task: Task, second: float) -> datetime:
    """The aware moment of a second of the simulation."""
    return datetime.fromtimestamp(task.start_s + second, UTC)
