"""Reading a location: a sound one with its warnings, or every reason why not. Never a half-valid object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from topology.checks import Problem, errors, unknown_keys, warnings
from topology.documents import NotYaml, once_each, read_documents
from topology.location import Location

_LOCATION: TypeAdapter[Location] = TypeAdapter(Location)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A location that may run, and what is odd about it."""

    location: Location
    warnings: tuple[Problem, ...]


class LocationRefused(ValueError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """A location that cannot be safe or makes no sense; `problems` has every reason, `warnings` the keys that mean
    nothing: a misspelt one is often why another is missing."""

    def __init__(self, problems: list[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(dict.fromkeys(sorted(problems)))
        self.warnings = tuple(warnings)
        super().__init__("; ".join(map(str, self.problems)))


def read_location(document: object) -> Accepted:
    """The location that a parsed document describes.

    Raises LocationRefused with every error. The errors of values come first; how the values fit together is judged
    only when each of them makes sense.
    """
    if not isinstance(document, dict):
        raise LocationRefused([Problem("(document)", "a location is a mapping of keys to values")])
    try:
        location = _LOCATION.validate_python(document)
    except RecursionError:
        raise LocationRefused([Problem("(document)", "nested too deeply")]) from None
    except ValidationError as problem:
        details = problem.errors(include_url=False)
        said = [_problem(document, error) for error in details]
        raise LocationRefused([*said, *_the_rest(document, details)], unknown_keys(document)) from None
    found = errors(location)
    if found:
        raise LocationRefused(found, unknown_keys(document))
    return Accepted(location, (*unknown_keys(document), *warnings(location)))


def read_location_json(text: bytes | str) -> Accepted:
    """The same from JSON, as on the topic `topology.locations`."""
    try:
        document = json.loads(text, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as problem:
        raise LocationRefused([Problem("(document)", f"not JSON: {problem}")]) from None
    return read_location(document)


def read_location_file(path: Path) -> list[Accepted | LocationRefused]:
    """The locations of a file of YAML documents or JSON. OSError when it cannot be read."""
    try:
        documents = [d for d in read_documents(path) if d is not None]
    except NotYaml as problem:
        return [LocationRefused([Problem("(document)", f"neither YAML nor JSON: {problem}")])]
    if not documents:
        return [LocationRefused([Problem("(document)", "the file is empty")])]
    results: list[Accepted | LocationRefused] = []
    for document in documents:
        try:
            results.append(read_location(document))
        except LocationRefused as refused:
            results.append(refused)
    return results


def location_document(location: Location) -> dict[str, Any]:
    """The location as plain JSON values, with every default written out: what `locations put` publishes."""
    document = _LOCATION.dump_python(location, mode="json")
    assert isinstance(document, dict)
    return document


def location_schema() -> dict[str, Any]:
    """The JSON Schema of the topic `topology.locations`."""
    return _LOCATION.json_schema()


_PLAIN: dict[str, Any] = {"limit_a": 1e6, "max_a": 1e6, "connectors": [{"max_a": 1e6}], "groups": []}
"""What stands in for a required value that makes no sense, while the rest of the document is judged."""


ROUNDS = 4
"""How often values that make no sense are replaced. Once is enough unless one of them hid another."""


def _the_rest(document: dict[str, Any], found: list[Any]) -> list[Problem]:
    """What is wrong besides the values that make no sense: those are replaced, and the rest is judged as usual.

    Nothing where the document is too broken for that; then the errors of its values are all there is to say.
    """
    try:
        mended = deepcopy(document)
    except RecursionError:
        return []
    problems: list[Problem] = []
    named = {_problem(document, error).path for error in found}
    for _ in range(ROUNDS):
        for error in found:
            _mend(mended, as_written(document, error["loc"]))
        try:
            problems += errors(_LOCATION.validate_python(mended))
            break
        except ValidationError as problem:
            found = problem.errors(include_url=False)
            problems += [_problem(document, error) for error in found]
        except (TypeError, ValueError, RecursionError):
            return []
    ours = ("invalid.", "e+06", *(["there is no group "] if "groups" in named else []))  # said of what stands in
    return [p for p in problems if p.path not in named and not any(text in p.reason for text in ours)]


def _mend(document: Any, loc: list[Any]) -> None:
    """Put a plain value, or none, where an error says."""
    at = document
    for part in loc[:-1]:
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            return
    last = loc[-1] if loc else None
    if isinstance(at, list) and isinstance(last, int) and last < len(at):
        at[last] = (
            1e6 if loc[-2:-1] == ["limit_a"] else {**at[last], "max_a": 1e6} if isinstance(at[last], dict) else {}
        )
    elif isinstance(at, dict):
        if last in _PLAIN:
            at[last] = _PLAIN[last]
        elif last in ("id", "group", "location"):
            at[last] = "invalid." + "".join(c for c in repr(at.get(last)) if c.isalnum())[:40]
        else:
            at.pop(last, None)


def as_written(document: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    """An error's path, no deeper than what the user wrote: `limit_a: -1` is no list, though it is read as one."""
    path: list[int | str] = []
    at = document
    for part in loc:
        if isinstance(part, int) and not isinstance(at, list | tuple):
            break
        path.append(part)
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at = None
    return path


def _problem(document: Any, error: Any) -> Problem:
    path = ""
    for part in as_written(document, error["loc"]):
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return Problem(path or "(document)", reason_of(error))


_NEEDED = {
    "tuple_type": "a list",
    "dataclass_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "float_type": "a number",
}


def reason_of(error: Any) -> str:
    """What a validator says of a value, in the words of who wrote it."""
    needed = _NEEDED.get(error["type"])
    if needed is not None:
        return f"{needed} is needed here, not {_kind(error['input'])}"
    return str(error["msg"]).removeprefix("Value error, ")


def _kind(written: object) -> str:
    """What somebody wrote, in a word."""
    if written is None:
        return "null"
    kinds = {str: "text", bool: "true or false", int: "a number", float: "a number", dict: "a mapping", list: "a list"}
    return kinds.get(type(written), type(written).__name__)
