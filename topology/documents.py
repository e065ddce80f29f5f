"""The documents of a file of YAML or JSON, or one sentence that says why there are none."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MOST_TOLD = 300
"""Characters of a parser's complaint. Fewer hide the line and column; more would repeat the file."""


DEEPEST = 100
"""Levels of a document, three times what a location has. More: a file of 50,000 brackets keeps the parser busy for
seconds before it gives up; fewer would refuse what somebody may mean."""


class NotYaml(ValueError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """The text is no YAML, or a value in it is none of the type that it claims."""


class _Loader(yaml.SafeLoader):
    """PyYAML's own, with an end to how deep a document may be. A key that is there twice is an error: which counts?"""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A value and all that is in it: read as it is composed, so that nothing behind the limit is."""
        if self._depth == DEEPEST:
            raise yaml.YAMLError(f"nested deeper than {DEEPEST} levels, at line {self.line + 1}")
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """What is merged in (`<<`) may be replaced by a key of its own."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.YAMLError(f"the key {key.value} is there twice, at line {key.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of `json.loads`. ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)} is there twice")
    return found


def read_documents(path: Path) -> list[object]:
    """Every document of the file. Raises NotYaml, and OSError when it cannot be read."""
    try:
        return _documents(path.read_text(encoding="utf-8-sig"))
    # PyYAML's own errors, and what its constructors let through: 2026-13-45, !!int x, !!bool x, 5,000 digits
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError) as problem:
        raise NotYaml(" ".join(str(problem).split())[:MOST_TOLD] or type(problem).__name__) from None


def _documents(text: str) -> list[object]:
    """JSON is almost YAML: not where it is indented with tabs, nor where a number is written 4e1."""
    try:
        return [json.loads(text, object_pairs_hook=once_each)]
    except (json.JSONDecodeError, RecursionError):
        pass
    except ValueError:  # a key is there twice: YAML's reader says in which line. JSON has no tab within a text
        text = text.replace("\t", " ")
    return list(yaml.load_all(text, _Loader))
