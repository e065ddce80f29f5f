"""What Grafana does with a query before it sends it: macros and variables replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]


def queries(board: Json) -> Iterator[tuple[str, str, str]]:
    """Every query of a dashboard: where it stands, the uid of its data source, and its text."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"{panel['id']} {panel['title']}", target["datasource"]["uid"], target["query"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["datasource"]["uid"], variable["query"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["datasource"]["uid"], annotation["target"]["query"]


def replaced(query: str, values: Mapping[str, Sequence[str]], from_ms: int, to_ms: int) -> str:
    """The query as it is sent. Several values of a variable become `(a|b)`, as Grafana's format `regex` writes them."""
    query = query.replace("$timeFilter", f"time >= {from_ms}ms and time <= {to_ms}ms").replace("$__interval", "10s")
    query = re.sub(r"\$\{(\w+):(\w+)\}", lambda found: _formatted(values[found[1]], found[2]), query)
    assert "$" not in query.replace("$/", ""), f"something is left to be replaced: {query}"
    return query


def _formatted(values: Sequence[str], how: str) -> str:
    if how == "raw":
        return ",".join(values)
    assert how == "regex"
    escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", lambda found: "\\" + found[0], value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
