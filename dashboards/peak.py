"""Dashboard "Billed peak": what will the grid bill be, and what made it?"""

from __future__ import annotations

from dashboards import queries, variables
from dashboards.common import BLUE, GREEN, HISTORY, ORANGE, Json, Panel, Query, by_name, colored, dashboard, dashed
from dashboards.panels import stat, table, time_series

UID = "sunshave-peak"
FLOOR_W = 2500
"""What Flanders bills at least (be-vlaanderen-lv): below this line a lower peak saves nothing."""


def build() -> Json:
    """The whole dashboard."""
    return dashboard(
        UID,
        "sunshave · Billed peak",
        "What will the grid bill be, and what made it? The average power of the quarter-hours of one location "
        "(or of the hours, where the tariff bills those).",
        [*_now(), *_quarters(), *_months()],
        variables=[variables.search(), variables.location(), variables.group()],
        since="now/M",
        refresh="1m",
        timezone="Europe/Brussels",
    )


def _now() -> list[Panel]:
    return [
        stat(
            1,
            "This quarter if nothing more is used",
            "The running quarter's energy as the power that it would be billed as, and its cap. So far above the cap: "
            "the month's peak rises, whatever is done now.",
            "watt",
            Query(queries.quarter_if_nothing_more()),
            size=(6, 5),
        ),
        stat(
            2,
            "May still draw",
            "The average power that keeps the running quarter within its cap. Red: below zero, the cap is broken.",
            "watt",
            Query(queries.may_still_draw()),
            size=(4, 5),
            steps=((None, "red"), (0, GREEN)),
        ),
        stat(
            3,
            "Peak of this month",
            "Our highest quarter, and the official one of the meter. They should differ by less than 1 %: more means "
            "that readings were lost, or that the meter measures another group than the one that is chosen. A meter "
            "knows quarters only: where hours are billed, its peak may be higher than ours.",
            "watt",
            Query(queries.month_peak_ours(), source=HISTORY),
            Query(queries.month_peak_of_meter()),
            size=(6, 5),
        ),
        stat(
            4,
            "Billed mean of 12 months, and its cost",
            "The mean of the last twelve months' peaks, and what they cost together. Every kW less in one month saves "
            "a twelfth of the yearly price, twelve times. Where a calendar year is billed (de-rlm) every month carries "
            "the whole year's cost so far: not this sum counts there, but the newest month below.",
            "watt",
            Query(queries.mean_of_year(), source=HISTORY),
            Query(queries.cost_of_year(), source=HISTORY),
            size=(5, 5),
            overrides=[by_name("a year", ("unit", "currencyEUR"))],
        ),
        stat(
            5,
            "Quarters above the cap",
            "Red: at least one. Click the highest below to see what happened in it.",
            "short",
            Query(queries.quarters_above_cap(), source=HISTORY),
            size=(3, 5),
            steps=((None, GREEN), (1, "red")),
        ),
    ]


def _quarters() -> list[Panel]:
    return [
        time_series(
            6,
            "Quarters",
            "The average power of each quarter-hour, with the cap and the month's peak of that time. The line is what "
            "Flanders bills at least: below it a lower peak saves nothing.",
            "watt",
            Query(queries.quarters(), "$col", HISTORY),
            size=(24, 9),
            bars=True,
            overrides=[
                *colored({"demand": BLUE, "cap": ORANGE, "month peak": "red"}),
                *(
                    by_name(name, ("custom.drawStyle", "line"), ("custom.fillOpacity", 0))
                    for name in ("cap", "month peak")
                ),
                *dashed("cap", "month peak"),
            ],
            steps=((None, "transparent"), (FLOOR_W, "text")),
            show_steps=True,
        ),
        time_series(
            7,
            "Running quarter",
            "How the quarters filled (a saw tooth), what may still be drawn, and the cap. The tooth reaches the cap: "
            "the cars were held back for it. It goes over: other load did it.",
            "watt",
            Query(queries.running_quarter(), "$col"),
            size=(14, 8),
            overrides=[*colored({"so far": BLUE, "may still draw": GREEN, "cap": ORANGE}), *dashed("cap")],
        ),
        table(
            8,
            "Ten highest quarters",
            "Where the bill comes from. A click on a time opens that quarter in the dashboard Location.",
            "watt",
            Query(queries.highest_quarters(), source=HISTORY),
            size=(10, 8),
            hide_time=False,
            overrides=[by_name("Time", ("links", [_to_location()]))],
        ),
    ]


def _months() -> list[Panel]:
    return [
        table(
            9,
            "Months",
            "Each month's peak, the mean of twelve that is billed, and what the month adds to the next twelve bills. "
            "Where a calendar year is billed (de-rlm): the year's peak so far, and what the year costs with it.",
            "watt",
            Query(queries.months(), source=HISTORY),
            size=(12, 8),
            overrides=[by_name("cost_eur", ("unit", "currencyEUR"))],
        ),
        table(
            10,
            "Dearest locations",
            "The whole fleet, the last two months: where a lower cap or a smaller peak of other load pays most.",
            "watt",
            Query(queries.dearest_locations(), source=HISTORY),
            size=(12, 8),
            overrides=[by_name("cost_eur", ("unit", "currencyEUR"))],
        ),
    ]


def _to_location() -> Json:
    """That quarter, with a little of what came before and after."""
    return {
        "title": "What happened then",
        "url": "/d/sunshave-location?var-location=${location:raw}&time=${__value.time}&time.window=3600000",
        "targetBlank": False,
    }
