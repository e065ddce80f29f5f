"""Which locations are refused and with which paths, and which are only odd."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.documents import SOUND, changed
from topology.read import (
    Accepted,
    LocationRefused,
    location_document,
    read_location,
    read_location_file,
    read_location_json,
)
from topology.tree import build_tree

REFUSED: dict[str, tuple[str, Any, str]] = {
    "unknown parent": ("groups.1.parent", "attic", "groups[1].parent"),
    "unknown meter": ("groups.1.meter", "p9", "groups[1].meter"),
    "unknown group": ("chargers.1.group", "attic", "chargers[1].group"),
    "cycle of one": ("groups.1.parent", "garage", "groups[1].parent"),
    "no root": ("groups.0.parent", "garage", "groups[0].parent"),
    "two roots": ("groups.1.parent", None, "groups[1].parent"),
    "no groups": ("groups", [], "groups"),
    "meter used twice": ("groups.1.meter", "p1", "groups[1].meter"),
    "group twice": ("groups.1.id", "main", "groups[1]"),
    "meter twice": ("meters.1", {"id": "p1"}, "meters[1]"),
    "charger twice": ("chargers.1.id", "CP-1", "chargers[1]"),
    "connector twice": ("chargers.0.connectors.1.id", 1, "chargers[0].connectors[1]"),
    "no connectors": ("chargers.0.connectors", [], "chargers[0].connectors"),
    "id with a space": ("groups.1.id", "my garage", "groups[1].id"),
    "id too long": ("location", "x" * 65, "location"),
    "no id": ("location", None, "location"),
    "no such zone": ("timezone", "Europe/Bruges", "timezone"),
    "zone that leaves the folder": ("timezone", "../../etc/passwd", "timezone"),
    "four phases": ("grid.phases", 4, "grid.phases"),
    "no such grid": ("grid.type", "XX", "grid.type"),
    "negative limit": ("groups.0.limit_a", -1, "groups[0].limit_a"),
    "limit of nothing": ("groups.0.limit_a", 0, "groups[0].limit_a"),
    "infinite limit": ("groups.0.limit_a", float("inf"), "groups[0].limit_a"),
    "limit that is no number": ("groups.0.limit_a", float("nan"), "groups[0].limit_a"),
    "limit as words": ("groups.0.limit_a", "much", "groups[0].limit_a"),
    "limit larger than any fuse": ("groups.0.limit_a", 1e9, "groups[0].limit_a"),
    "two limits for three phases": ("groups.0.limit_a", [40, 40], "groups[0].limit_a"),
    "one of three limits negative": ("groups.1.limit_a", [32, -32, 32], "groups[1].limit_a"),
    "margin above the fuse": ("groups.0.margin_a", 41, "groups[0].margin_a"),
    "min above max": ("chargers.0.connectors.0.min_a", 17, "chargers[0].connectors[0]"),
    "no max": ("chargers.0.connectors.0.max_a", None, "chargers[0].connectors[0].max_a"),
    "step of nothing": ("chargers.0.connectors.0.step_a", 0, "chargers[0].connectors[0].step_a"),
    "step below every rounding": ("chargers.0.connectors.0.step_a", 1e-7, "chargers[0].connectors[0].step_a"),
    "no step between min and max": ("chargers.0.connectors.0.step_a", 17, "chargers[0].connectors[0].step_a"),
    "weight of nothing": ("chargers.0.connectors.0.weight", 0, "chargers[0].connectors[0].weight"),
    "weight beyond reason": ("chargers.0.connectors.0.weight", 1e-300, "chargers[0].connectors[0].weight"),
    "more phases than the grid": ("grid", {"phases": 1}, "chargers[0].connectors[0].phases"),
    "rotation for one of three": ("chargers.0.connectors.0.rotation", "R", "chargers[0].connectors[0].rotation"),
    "rotation with a letter twice": ("chargers.0.connectors.0.rotation", "RRS", "chargers[0].connectors[0].rotation"),
    "rotation for three of one": ("chargers.1.connectors.0.rotation", "RST", "chargers[1].connectors[0].rotation"),
    "rotation in small letters": ("chargers.1.connectors.0.rotation", "s", "chargers[1].connectors[0].rotation"),
    "fallbacks above the fuse": ("groups.1.limit_a", 11, "groups[1].limit_a"),
    "ratings above the fuse where no fallback is known": ("chargers.1.fallback_a", None, "groups[0].limit_a"),
    "negative fallback": ("chargers.0.fallback_a", -6, "chargers[0].fallback_a"),
    "capacity without a meter": ("groups.1.capacity", {"tariff": "plain", "cap_kw": 4}, "groups[1].capacity"),
    "no such tariff": ("groups.0.capacity", {"tariff": "free"}, "groups[0].capacity.tariff"),
    "windows that do not begin with the clock": (
        "groups.0.capacity",
        {"tariff": "plain", "window_s": 700},
        "groups[0].capacity.window_s",
    ),
    "windows too short to follow": ("groups.0.capacity", {"window_s": 10}, "groups[0].capacity.window_s"),
    "no such statistic": ("groups.0.capacity", {"statistic": "median"}, "groups[0].capacity.statistic"),
    "steps that do not rise": ("groups.0.capacity", {"steps": [[0, 1], [5, 2], [5, 3]]}, "groups[0].capacity.steps"),
    "a step without a price": ("groups.0.capacity", {"steps": [[0]]}, "groups[0].capacity.steps"),
    "peak shaving without its limit": ("groups.0.peak_shaving", {}, "groups[0].peak_shaving.limit_a"),
    "no such mode": ("groups.0.mode", "lunar", "groups[0].mode"),
    "negative time": ("control", {"turn_s": -1}, "control.turn_s"),
    "lease beyond the calendar": ("control", {"lease_s": 1e300}, "control.lease_s"),
    "groups that are no list": ("groups", "main", "groups"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_location_that_cannot_be_is_refused_with_the_path(name: str) -> None:
    """Each of these is refused, and the refusal names what is wrong."""
    path, value, named = REFUSED[name]

    with pytest.raises(LocationRefused) as refusal:
        read_location(changed(path, value))

    paths = [problem.path for problem in refusal.value.problems]
    assert any(p.startswith(named) for p in paths), paths


ODD: dict[str, tuple[str, Any, str]] = {
    "sub-fuse larger than its parent": ("groups.1.limit_a", 63, "groups[1].limit_a"),
    "minimum that no fuse gives": ("groups.1.limit_a", [12, 32, 32], ""),
    "unknown key": ("groups.1.limt_a", 16, "groups[1].limt_a"),
    "unknown key of a connector": ("chargers.0.connectors.0.colour", "red", "chargers[0].connectors[0].colour"),
    "solar without a meter": ("groups.0", {"id": "main", "limit_a": 40, "mode": "solar_only"}, "groups[0].mode"),
    "access power of another tariff": ("groups.0.capacity", {"access_kw": 50}, "groups[0].capacity.access_kw"),
    "window of a tariff that has its own": (
        "groups.0.capacity",
        {"tariff": "de-rlm", "window_s": 3600},
        "groups[0].capacity.window_s",
    ),
    "fallback above the rating": (
        "chargers.1",
        {"id": "CP-2", "group": "main", "fallback_a": 20, "connectors": [{"max_a": 16, "phases": 1, "rotation": "S"}]},
        "chargers[1].fallback_a",
    ),
    "lost before stale": ("meters.0", {"id": "p1", "stale_s": 60, "lost_s": 30}, "meters[0].lost_s"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_location_that_is_odd_runs_with_a_warning(name: str) -> None:
    """Each of these is accepted, and the warning names what is odd."""
    path, value, named = ODD[name]

    warnings = read_location(changed(path, value)).warnings

    assert not named or named in [problem.path for problem in warnings]


def test_a_billed_meter_beside_the_chargers_is_odd() -> None:
    """A cap that the cars' own energy never counts for is hardly meant."""
    document = changed("groups.0.capacity", {"tariff": "plain", "cap_kw": 4})
    document["meters"][0]["includes_chargers"] = False

    assert ["groups[0].capacity"] == [problem.path for problem in read_location(document).warnings]


def test_the_sound_location_has_no_warnings() -> None:
    """What every case here is changed from is itself without reproach."""
    assert () == read_location(SOUND).warnings


def test_every_error_is_said_at_once() -> None:
    """Errors of values and of references come in one answer."""
    document = changed("groups.1.parent", "attic")
    document["groups"][0]["limit_a"] = -1
    document["chargers"][0]["group"] = "cellar"
    document["chargers"][1]["connectors"][0]["rotation"] = "RS"
    document["control"] = {"turn_s": 0}

    with pytest.raises(LocationRefused) as refusal:
        read_location(document)

    expected = {
        "groups[1].parent",
        "groups[0].limit_a",
        "chargers[0].group",
        "chargers[1].connectors[0].rotation",
        "control.turn_s",
    }
    assert expected <= {problem.path for problem in refusal.value.problems}


def test_a_cycle_is_named() -> None:
    """Two groups below each other are a cycle, beside a sound root."""
    document = changed("groups.2", {"id": "attic", "parent": "garage", "limit_a": 16})
    document["groups"][1]["parent"] = "attic"

    with pytest.raises(LocationRefused) as refusal:
        read_location(document)

    assert {"groups[1].parent", "groups[2].parent"} == {problem.path for problem in refusal.value.problems}


def test_defaults_are_filled_in_and_written_out() -> None:
    """A location written out with its defaults reads as the same location."""
    location = read_location(SOUND).location

    again = read_location(location_document(location)).location

    assert location == again
    assert 900 == location.control.lease_s
    assert 6 == location.chargers[0].fallback_a
    assert "fast" == build_tree(location).sockets[0].mode


def test_yaml_and_json_are_the_same_location(tmp_path: Path) -> None:
    """A file of YAML documents, a file of JSON, and a record of the topic give equal locations."""
    yaml_file, json_file = tmp_path / "a.yaml", tmp_path / "b.json"
    yaml_file.write_text(yaml.safe_dump_all([SOUND, changed("location", "gent-3")]))
    json_file.write_text(json.dumps(SOUND))

    from_yaml, from_json = read_location_file(yaml_file), read_location_file(json_file)

    assert [read_location_json(json.dumps(SOUND))] == from_json
    assert from_json[0] == from_yaml[0]
    assert ["brugge-12", "gent-3"] == [a.location.location for a in from_yaml if isinstance(a, Accepted)]


@pytest.mark.parametrize("text", ["", "{", "- a\n- b", "a: [", "!!python/object:os.system {}", "\x00", "&a [*a]"])
def test_a_file_that_is_no_location_is_refused(tmp_path: Path, text: str) -> None:
    """Broken, empty or wicked files are answers, not crashes."""
    file = tmp_path / "broken.yaml"
    file.write_text(text)

    assert [LocationRefused] == [type(answer) for answer in read_location_file(file)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLACES = """
location timezone grid groups meters chargers control groups.0 groups.1 meters.0 meters.0.id chargers.0
grid.phases grid.type grid.voltage_v groups.0.limit_a groups.0.solar groups.0.capacity groups.0.mode groups.1.parent
chargers.0.connectors chargers.0.fallback_a chargers.0.connectors.0 chargers.0.connectors.0.id
chargers.0.connectors.0.phases chargers.0.connectors.0.rotation chargers.0.connectors.0.min_a
chargers.0.connectors.0.max_a chargers.0.connectors.0.step_a chargers.0.connectors.0.weight
chargers.0.connectors.0.priority
"""


@given(anything)
def test_garbage_is_refused_and_nothing_else(document: object) -> None:
    """Whatever is read, the answer is a location or a refusal with reasons."""
    with pytest.raises(LocationRefused) as refusal:
        read_location(document)

    assert refusal.value.problems


@given(place=st.sampled_from(PLACES.split()), value=anything)
def test_garbage_in_a_sound_location_is_refused_or_makes_a_sound_tree(place: str, value: object) -> None:
    """One wild value anywhere: a refusal, or a location that makes a tree, and that reads again as it was written."""
    try:
        accepted = read_location(changed(place, deepcopy(value)))
    except LocationRefused:
        return

    assert build_tree(accepted.location).sockets is not None
    assert accepted.location == read_location(location_document(accepted.location)).location


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_bytes_that_are_no_json_are_refused(text: bytes | str) -> None:
    """A record of the topic that is no location is refused, whatever its bytes."""
    with pytest.raises(LocationRefused):
        read_location_json(text)
