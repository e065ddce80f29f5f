"""The committed JSON: what the code builds, and what Grafana can show."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards.boards import FOLDER, boards, write
from dashboards.common import DETAIL, HISTORY, WIDTH, Query
from dashboards.panels import stat

BOARDS = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
IDS = [board["uid"] for board in BOARDS]
UNITS = {"amp", "watt", "watth", "percent", "s", "short", "none", "currencyEUR", "cps"}
"""Ids of @grafana/data that we use; a misspelt unit is shown as a suffix, without an error."""


def test_committed_files_are_what_the_code_builds(tmp_path: Path) -> None:
    """`sunshave dashboards write` gives the same bytes, and no file is left over."""
    written = {path.name: path.read_bytes() for path in write(tmp_path)}

    assert written == {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def test_building_twice_gives_the_same() -> None:
    """No moment, order or chance gets into the JSON."""
    assert boards() == boards()


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_every_panel_has_a_unit_and_says_what_to_do(board: dict[str, Any]) -> None:
    """A number without a unit and a red panel without advice help nobody."""
    for panel in board["panels"]:
        units = {panel["fieldConfig"]["defaults"]["unit"]} | {
            one["value"]
            for override in panel["fieldConfig"]["overrides"]
            for one in override["properties"]
            if one["id"] == "unit"
        }
        assert units <= UNITS, panel["title"]
        assert len(panel["description"]) > 40, panel["title"]


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_panels_lie_beside_each_other(board: dict[str, Any]) -> None:
    """Ids are unique, nothing leaves the grid, no two panels overlap."""
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= WIDTH for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_links_lead_to_dashboards_that_exist(board: dict[str, Any]) -> None:
    """`/d/UID` names one of ours; every data source is one of the two that are published."""
    text = json.dumps(board)
    for part in text.split("/d/")[1:]:
        assert part.split("?")[0] in IDS
    uids = {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]}
    assert uids <= {DETAIL, HISTORY}


@pytest.mark.parametrize("board", BOARDS, ids=IDS)
def test_grafana_10_to_13_can_read_it(board: dict[str, Any]) -> None:
    """The classic schema, no id of somebody's database, raw queries only."""
    assert (39, None) == (board["schemaVersion"], board["id"])
    assert all(target["rawQuery"] for panel in board["panels"] for target in panel["targets"])


def test_panel_without_description_is_our_own_mistake() -> None:
    """The factory does not build it."""
    with pytest.raises(AssertionError):
        stat(1, "Mute", " ", "watt", Query("SELECT 1"), size=(1, 1))
