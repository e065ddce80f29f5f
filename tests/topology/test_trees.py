"""The tree of groups: deep ones, and those that are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.checks import Problem
from topology.read import LocationRefused, read_location
from topology.tree import build_tree


def forest(parents: list[int | None]) -> dict[str, Any]:
    """A group for each entry, below the one of that number; a charger in the last."""
    groups = [
        {"id": f"g{i}", "limit_a": 40, "parent": None if parent is None else f"g{parent}"}
        for i, parent in enumerate(parents)
    ]
    charger = {"id": "CP", "group": groups[-1]["id"], "fallback_a": 6, "connectors": [{"id": 1, "max_a": 16}]}
    return {"location": "home", "groups": groups, "chargers": [charger]}


@pytest.mark.timeout(60)
def test_a_chain_of_thousands_of_groups_is_read() -> None:
    """It is legal, though odd: half a second, where each way up was once walked for each group below."""
    location = read_location(forest([None, *range(2999)])).location
    tree = build_tree(location)

    assert tuple(range(2999, -1, -1)) == tree.sockets[0].path == tree.nodes[-1].path
    assert all((0,) == node.sockets_below for node in tree.nodes)
    assert [(1,), ()] == [tree.nodes[0].children, tree.nodes[-1].children]


def way_up(parents: list[int | None], start: int) -> list[int]:
    """As many steps as there are groups, or up to the root."""
    way = [start]
    while len(way) <= len(parents) and (above := parents[way[-1]]) is not None:
        way.append(above)
    return way


@given(st.data(), st.integers(1, 8))
def test_groups_below_themselves_are_named_and_others_are_a_tree(data: st.DataObject, count: int) -> None:
    """Each group on a cycle, and none that only hangs below one."""
    parents = [data.draw(st.none() | st.integers(0, count - 1)) for _ in range(count)]
    ways = [way_up(parents, i) for i in range(count)]
    on_cycle = {f"groups[{i}].parent" for i, way in enumerate(ways) if i in way[1:]}

    refused = {p.path for p in refusals(forest(parents)) if "cycle" in p.reason}
    assert on_cycle == refused
    if not on_cycle and parents.count(None) == 1:
        tree = build_tree(read_location(forest(parents)).location)
        assert [tuple(way) for way in ways] == [node.path for node in tree.nodes]


def refusals(document: dict[str, Any]) -> tuple[Problem, ...]:
    """Why it is none; nothing where it is one."""
    try:
        read_location(document)
    except LocationRefused as refusal:
        return refusal.problems
    return ()


def test_fallbacks_add_up_to_the_root() -> None:
    """What is below a sub-fuse counts at every fuse above it, whatever the order of the document."""
    document = forest([1, 2, None])
    document["chargers"] = [{**document["chargers"][0], "id": f"CP-{i}", "group": f"g{i}"} for i in range(3)]
    document["groups"][0]["limit_a"], document["groups"][1]["limit_a"], document["groups"][2]["limit_a"] = 6, 11.9, 17.9

    with pytest.raises(LocationRefused) as refusal:
        read_location(document)
    assert ["groups[1].limit_a", "groups[2].limit_a"] == [p.path for p in refusal.value.problems]
    assert "add up to 18 A" in refusal.value.problems[1].reason


@pytest.mark.parametrize(
    ("key", "written", "reason"),
    [
        ("groups", None, "a list is needed here, not null"),
        ("meters", None, "a list is needed here, not null"),
        ("chargers", "none", "a list is needed here, not text"),
        ("chargers", {"CP": {}}, "a list is needed here, not a mapping"),
        ("grid", None, "a mapping of keys to values is needed here, not null"),
    ],
)
def test_what_is_no_list_is_told_in_words(key: str, written: object, reason: str) -> None:
    """And nothing else is said that only follows from it."""
    with pytest.raises(LocationRefused) as refusal:
        read_location(forest([None]) | {key: written})
    assert [f"{key}: {reason}"] == [str(problem) for problem in refusal.value.problems]
