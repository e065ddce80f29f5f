"""Dashboard "Location": why is my car at 7 A?"""

from __future__ import annotations

from dashboards import queries, variables
from dashboards.common import (
    BLUE,
    DETAIL,
    GREEN,
    GREY,
    ORANGE,
    PHASES,
    Json,
    Panel,
    Query,
    by_name,
    colored,
    dashboard,
    dashed,
    source,
)
from dashboards.panels import bar_gauge, gauge, stat, state_timeline, table, time_series

UID = "sunshave-location"
CONNECTOR = "$tag_charger/$tag_connector"


def build() -> Json:
    """The whole dashboard."""
    return dashboard(
        UID,
        "sunshave · Location",
        "Why is my car at 7 A? One location: its cars, fuses, sun and meter.",
        [*_now(), *_cars(), *_building(), *_chargers()],
        variables=[
            variables.search(),
            variables.location(),
            variables.group(),
            variables.charger(),
            variables.phase(),
        ],
        annotations=[_setpoints()],
        since="now-6h",
        refresh="10s",
    )


def _now() -> list[Panel]:
    return [
        table(
            1,
            "Why each car gets what it gets",
            "What each connector wants, its fair share, what it may draw now, and what stops it from getting more. "
            "Orange: paused at 0 A. Look at “because”: a fuse, the quarter's cap, the sun, or a meter that is silent. "
            "`sunshave explain` tells the same in a sentence.",
            "amp",
            Query(queries.why_each_car()),
            size=(14, 8),
            overrides=[
                by_name(
                    "allowed",
                    ("custom.cellOptions", {"type": "color-text"}),
                    (
                        "thresholds",
                        {
                            "mode": "absolute",
                            "steps": [{"color": ORANGE, "value": None}, {"color": "text", "value": 0.001}],
                        },
                    ),
                )
            ],
        ),
        bar_gauge(
            2,
            "Grid current now",
            "What the location's meters showed last, per phase; negative is export. Above the fuse rating: see the "
            "panel “Current against the limit”, and whether something else than cars draws it.",
            "amp",
            Query(queries.grid_current_now()),
            size=(5, 8),
            overrides=colored(PHASES),
        ),
        gauge(
            3,
            "This quarter",
            "Energy of the running quarter-hour (or hour, where the tariff bills those) in percent of what its cap "
            "allows. Red: the cap is broken and the month's peak rises. Empty where the group has no capacity tariff.",
            "percent",
            Query(queries.quarter_used_pct()),
            size=(5, 4),
            steps=((None, GREEN), (80, ORANGE), (100, "red")),
            high=120,
        ),
        stat(
            4,
            "Age of the meter",
            "How old the oldest meter reading was at the last decision. Orange: nothing rises any more. Red: the cars "
            "fall to their fallback; look at the meter, its network, and `sunshave meters`.",
            "s",
            Query(queries.meter_age()),
            size=(5, 4),
            steps=((None, GREEN), (30, ORANGE), (60, "red")),
        ),
    ]


def _cars() -> list[Panel]:
    return [
        state_timeline(
            5,
            "What bound each car",
            "The constraint at which each connector stopped. The same fuse all evening: it is too small, or too much "
            "else hangs on it.",
            Query(queries.binding_over_time(), CONNECTOR),
            size=(24, 7),
        ),
        time_series(
            6,
            "Wanted, allowed, drawn · $charger",
            "What the connector wanted, the least that it was allowed, and the most that it drew on its first phase. "
            "Drawn above allowed: the charger does not obey; see “Setpoints that did not work”.",
            "amp",
            Query(queries.wanted_and_allowed(), "$col $tag_connector"),
            Query(queries.drawn(), "$col $tag_connector"),
            size=(24, 8),
            overrides=[
                {
                    "matcher": {"id": "byRegexp", "options": "/^allowed/"},
                    "properties": [
                        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
                        {"id": "custom.lineInterpolation", "value": "stepAfter"},
                    ],
                }
            ],
            extra={"repeat": "charger", "repeatDirection": "h", "maxPerRow": 3},
        ),
    ]


def _building() -> list[Panel]:
    return [
        time_series(
            7,
            "Current against the limit",
            "The highest current of each phase, and the lowest limit of the chosen groups. A current above its limit "
            "for long: load that is not ours, or a charger that does not obey.",
            "amp",
            Query(queries.grid_current(), "$col"),
            Query(queries.limits(), "$col"),
            size=(12, 8),
            overrides=[
                *colored(PHASES),
                *colored({f"limit {name}": color for name, color in PHASES.items()}),
                *dashed(*(f"limit {name}" for name in PHASES)),
            ],
        ),
        time_series(
            8,
            "Room on phase L$phase",
            "What the building takes, what cars may draw without asking again, and what is left of the limit. No free "
            "room while cars wait: this phase is the bottleneck. Below zero: more is promised than fits.",
            "amp",
            Query(queries.room_on_phase(), "$col"),
            size=(12, 8),
            stacked=True,
            overrides=colored({"building": GREY, "cars": BLUE, "free": GREEN}),
            extra={"repeat": "phase", "repeatDirection": "h", "maxPerRow": 3},
        ),
        state_timeline(
            9,
            "What bound each group",
            "Who set the lowest limit of each group: its fuse, a peak shaving cap, or a limit from outside.",
            Query(queries.group_binding(), "$tag_group"),
            size=(12, 6),
        ),
        time_series(
            10,
            "Solar excess",
            "What the sun leaves over, summed over the phases; below zero the location imports. Cars on Solar Only "
            "start when it covers their minimum. Empty where no group charges on the sun.",
            "amp",
            Query(queries.solar_excess(), "$col"),
            size=(12, 6),
            overrides=colored({"excess": "yellow"}),
        ),
    ]


def _chargers() -> list[Panel]:
    return [
        state_timeline(
            11,
            "Charger status",
            "What each connector reported. Faulted: read the charger's own error. SuspendedEV: the car does not want. "
            "A hole: the charger is silent and keeps its reservation.",
            Query(queries.charger_status(), CONNECTOR),
            size=(12, 7),
        ),
        time_series(
            12,
            "Energy per charger and hour",
            "From the chargers' registers. A charger without a bar charged nothing, or has no register.",
            "watth",
            Query(queries.energy_per_hour(), "$tag_charger"),
            size=(12, 7),
            stacked=True,
            bars=True,
            extra={"interval": "1h"},
        ),
        table(
            13,
            "Setpoints that did not work",
            "The newest hundred that no charger took. Rejected or unsupported: check its profile. Timeout or offline: "
            "check its network. The room stays reserved until the lease ends.",
            "amp",
            Query(queries.failed_setpoints()),
            size=(24, 7),
            hide_time=False,
        ),
    ]


def _setpoints() -> Json:
    """Marks in the pictures, off until somebody wants them. The query lives in `target`."""
    return {
        "name": "setpoint",
        "enable": False,
        "hide": False,
        "iconColor": BLUE,
        "datasource": source(DETAIL),
        "target": {
            "refId": "Anno",
            "fromAnnotations": True,
            "query": queries.setpoints(),
            "rawQuery": True,
            "resultFormat": "table",
            "textColumn": "reason",
            "tagsColumn": "",
            "titleColumn": "",
            "timeEndColumn": "",
        },
    }
