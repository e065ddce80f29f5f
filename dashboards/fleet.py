"""Dashboard "Fleet": is anything wrong, and where?"""

from __future__ import annotations

from dashboards import fleet_queries as queries
from dashboards.common import BLUE, GREEN, ORANGE, RED, STATES, Json, Panel, Query, by_name, colored, dashboard
from dashboards.panels import stat, table, time_series

UID = "sunshave-fleet"
NOW: Json = {"timeFrom": "5m"}
"""Lists show the last five minutes, whatever range is chosen: somebody else's yesterday is no trouble of now."""


def build() -> Json:
    """The whole dashboard."""
    return dashboard(
        UID,
        "sunshave · Fleet",
        "Is anything wrong, and where? All locations; a click on one opens it.",
        [*_now(), *_over_time(), *_lists()],
        since="now-6h",
        refresh="30s",
    )


def _now() -> list[Panel]:
    return [
        stat(
            1,
            "Cars",
            "How many charge, and how many wait for room. Many waiting: see “Fullest locations”, and whether a cap or "
            "a fuse is what is short there.",
            "short",
            Query(queries.cars_now()),
            size=(8, 4),
            overrides=colored({"charging": BLUE, "waiting": ORANGE}),
        ),
        stat(
            2,
            "Car power",
            "What all cars draw now, by their chargers' own reports. Empty: no charger reports its power.",
            "watt",
            Query(queries.car_power_now()),
            size=(6, 4),
        ),
        stat(
            3,
            "To be looked at",
            "Chargers that are offline, groups above their limit, meters silent for 30 s. Above a limit with no car "
            "charging: the building alone is too much. Many stale meters at once: a feed stopped, see Pipeline health.",
            "short",
            Query(queries.troubles_now()),
            size=(10, 4),
            steps=((None, GREEN), (1, ORANGE)),
            overrides=[by_name("above limit", ("thresholds", _red_from_1()))],
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        time_series(
            4,
            "Connectors by state",
            "All connectors of the fleet. Grey that grows: chargers lose their connection to the dispatcher.",
            "short",
            Query(queries.connectors_by_state(), "$col"),
            size=(8, 8),
            stacked=True,
            overrides=colored({state: STATES[state] for state in queries.STATES}),
        ),
        time_series(
            5,
            "Car power",
            "What all cars draw. A sudden fall everywhere: setpoints ran out, so look at the workers and the "
            "dispatcher; a fall in one place is that location's.",
            "watt",
            Query(queries.car_power(), "$col"),
            size=(8, 8),
            overrides=colored({"cars": BLUE}),
        ),
        time_series(
            6,
            "How full the fuses are",
            "Groups by how much of their limit building and cars may draw, on the fullest phase. Red: above the limit; "
            "the lists below say where. Much orange: the fleet is as full as it may be.",
            "short",
            Query(queries.fuse_use(), "$col"),
            size=(8, 8),
            stacked=True,
            overrides=colored(
                dict(zip(queries.BANDS.values(), (GREEN, "light-green", "yellow", ORANGE, RED), strict=True))
            ),
        ),
    ]


def _lists() -> list[Panel]:
    return [
        _worst(
            7,
            "Fullest locations",
            "Where the least room is left on some phase of some group. Above 100 %: more than the limit; open it.",
            "percent",
            queries.fullest_locations(),
            steps=((None, "text"), (80, ORANGE), (95, RED)),
            overrides=[
                *(by_name(name, ("unit", "watt")) for name in ("ev_power_w", "demand_w", "cap_w")),
                by_name("waiting", ("unit", "short")),
            ],
        ),
        _worst(
            8,
            "Quarter above its cap",
            "Locations whose running quarter-hour is above its cap already: their month's peak rises, and the bill.",
            "watt",
            queries.locations_above_cap(),
        ),
        _worst(
            9,
            "Cars waiting",
            "Where cars wait for room, most first. For hours at the same place: too many chargers for that fuse.",
            "short",
            queries.waiting_cars(),
            overrides=[by_name("used_pct", ("unit", "percent"))],
        ),
        _worst(
            10,
            "Silent meters",
            "The oldest meter reading of a location, above 30 s. Orange: nothing rises there. Red: its cars fall to "
            "their fallback; look at the meter and its network.",
            "s",
            queries.silent_meters(),
            steps=((None, "text"), (30, ORANGE), (60, RED)),
        ),
    ]


def _worst(
    id: int,  # noqa: A002 -- Grafana's name
    title: str,
    description: str,
    unit: str,
    influxql: str,
    *,
    steps: tuple[tuple[float | None, str], ...] = ((None, "text"),),
    overrides: list[Json] | None = None,
) -> Panel:
    """A list of locations; a click opens one at the same time."""
    link = {
        "title": "Open this location",
        "url": "/d/sunshave-location?var-location=${__data.fields.location}&${__url_time_range}",
        "targetBlank": False,
    }
    return table(
        id,
        title,
        description,
        unit,
        Query(influxql),
        size=(12, 8),
        steps=steps,
        overrides=[by_name("location", ("links", [link])), *(overrides or [])],
        extra=NOW,
    )


def _red_from_1() -> Json:
    return {"mode": "absolute", "steps": [{"color": GREEN, "value": None}, {"color": RED, "value": 1}]}
