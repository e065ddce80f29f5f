"""Every query of every committed dashboard, on a real InfluxDB that the historian's encoder filled."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from connectors.influx.recorder import Recorder, Source
from connectors.influx.schema import MEASUREMENTS
from connectors.influx.writer import InfluxWriter
from dashboards.boards import FOLDER
from pipeline import records
from tests.connectors.influx import day
from tests.dashboards import grafana
from tests.parts.influxd import Node

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
QUERIES = [
    pytest.param(uid, query, id=f"{name}-{where}")
    for name, board in BOARDS.items()
    for where, uid, query in grafana.queries(board)
]
TO_MS = round(time.time()) // 900 * 900_000
FROM_MS = TO_MS - day.LENGTH_S * 1000
VALUES = {
    "search": [".*"],
    "location": [day.LOCATION],
    "group": ["main", "garage"],
    "charger": list(day.CHARGERS),
    "phase": ["2"],
}


@pytest.fixture(scope="module")
def filled(shared_influxd: Node) -> Node:
    """InfluxDB with two hours of a location."""
    for name in ("sunshave", "sunshave_history"):
        shared_influxd.query(f'DROP DATABASE "{name}"')
        shared_influxd.query(f'CREATE DATABASE "{name}"')
    outcome = InfluxWriter(shared_influxd.url, "", "-", "sunshave").write(day.lines(FROM_MS))
    assert not outcome.refused
    return shared_influxd


@pytest.mark.influxdb
@pytest.mark.parametrize(("uid", "query"), QUERIES)
def test_query_gives_rows(filled: Node, uid: str, query: str) -> None:
    """No error, and rows with a value, for all groups and chargers as for one."""
    for values in (VALUES, {**VALUES, "group": ["main"], "charger": ["CP-2"]}):
        text = grafana.replaced(query, values, FROM_MS - 900_000, TO_MS)
        rows = filled.rows(text, uid)
        values_found = [
            value for row in rows for name, value in row.items() if name not in ("time", "key") and value is not None
        ]
        assert values_found, f"{text} finds nothing in {uid}"


@pytest.mark.influxdb
def test_drop_downs_list_what_is_there(filled: Node) -> None:
    """Locations, groups and chargers of the variables are those that the historian wrote."""
    found = {
        where: {row["value"] for row in filled.rows(grafana.replaced(query, VALUES, FROM_MS, TO_MS), uid)}
        for where, uid, query in grafana.queries(BOARDS["sunshave-location"])
        if where.startswith("variable")
    }

    assert {
        "variable location": {day.LOCATION},
        "variable group": {"main", "garage"},
        "variable charger": set(day.CHARGERS),
    } == found


@pytest.mark.influxdb
def test_numbers_of_the_first_table_are_those_of_the_last_decision(filled: Node) -> None:
    """The table that answers "why" shows what was decided, for each connector."""
    query = next(text for where, _, text in grafana.queries(BOARDS["sunshave-location"]) if where.startswith("1 "))
    rows = filled.rows(grafana.replaced(query, VALUES, FROM_MS, TO_MS))
    waiting = next(row for row in rows if row["charger"] == "CP-2")

    assert ["CP-1", "CP-2"] == [row["charger"] for row in rows]
    assert (16.0, 13.0, 0.0, "waiting", "waiting") == tuple(
        waiting[name] for name in ("wanted", "budget", "allowed", "because", "state")
    )


@pytest.mark.influxdb
def test_free_room_is_what_building_and_cars_leave_of_the_limit(filled: Node) -> None:
    """The three stacked areas of a phase add up to the group's limit."""
    query = next(text for where, _, text in grafana.queries(BOARDS["sunshave-location"]) if where.startswith("8 "))
    rows = filled.rows(grafana.replaced(query, {**VALUES, "group": ["garage"]}, FROM_MS, TO_MS))

    assert {16.0} == {row["building"] + row["cars"] + row["free"] for row in rows}


@pytest.mark.influxdb
def test_running_window_is_right_where_hours_are_billed(filled: Node) -> None:
    """At half past, 4,320 W since the full hour would be billed as 2,160 W: 54 % of a cap of 4 kW."""
    half_past_ms = (FROM_MS - 2 * 86_400_000) // 3_600_000 * 3_600_000 + 1_800_000
    value = records.encode(day.decision(half_past_ms, window_s=3600))
    lines = Recorder().lines(Source(records.DECISIONS, 0, 0, half_past_ms, day.LOCATION.encode(), value))
    assert not InfluxWriter(filled.url, "", "-", "sunshave").write(lines).refused
    shown = {
        where: row
        for board in ("sunshave-location", "sunshave-peak")
        for where, uid, query in grafana.queries(BOARDS[board])
        if where in ("3 This quarter", "1 This quarter if nothing more is used", "7 Running quarter")
        for row in filled.rows(grafana.replaced(query, VALUES, half_past_ms - 1000, half_past_ms + 1000), uid)
    }

    assert 54.0 == pytest.approx(shown["3 This quarter"]["used"])
    assert 2160.0 == pytest.approx(shown["1 This quarter if nothing more is used"]["so far"])
    assert 2160.0 == pytest.approx(shown["7 Running quarter"]["so far"])


@pytest.mark.parametrize(("uid", "query"), QUERIES)
def test_every_name_in_a_query_is_one_that_the_historian_writes(uid: str, query: str) -> None:
    """A field, tag or measurement that nobody writes is a panel that stays empty without an error."""
    query = query.replace("${phase:raw}", "3")
    origins = re.findall(r'FROM "(\w+)"', query)
    assert origins
    measurement = MEASUREMENTS[origins[-1]]
    known = {*measurement.tags, *measurement.fields, measurement.name}
    own_names = set(re.findall(r'AS "([^"]+)"', query))

    assert set() == set(re.findall(r'"([^"]+)"', query)) - known - own_names
    assert uid == f"sunshave{measurement.database.value}"


def test_a_query_names_every_variable_with_its_format() -> None:
    """`$location` alone is escaped in another way by each version of Grafana."""
    for board in BOARDS.values():
        for where, _, query in grafana.queries(board):
            bare: list[Any] = re.findall(r"\$(?!timeFilter|__interval|\{\w+:(?:raw|regex)\}|/)", query)
            assert bare == [], f"{where}: {query}"
