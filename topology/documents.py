"""The documents of a YAML file (JSON is YAML too), or one sentence that says why there are none."""

from __future__ import annotations

from pathlib import Path

import yaml

MOST_TOLD = 300
"""Characters of a parser's complaint. Fewer hide the line and column; more would repeat the file."""


class NotYaml(ValueError):  # noqa: N818 -- an answer to the user, not a failure of ours
    """The text is no YAML, or a value in it is none of the type that it claims."""


def read_documents(path: Path) -> list[object]:
    """Every document of the file. Raises NotYaml, and OSError when it cannot be read."""
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    # PyYAML's own errors, and what its constructors let through: 2026-13-45, !!int x, !!bool x, 5,000 digits
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError) as problem:
        raise NotYaml(" ".join(str(problem).split())[:MOST_TOLD] or type(problem).__name__) from None
