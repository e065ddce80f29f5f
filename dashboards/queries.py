"""The queries, by name. InfluxQL that InfluxDB 1.8, 2.x and 3 understand alike.

* The format of a variable (`:raw`, `:regex`) is always written: Grafana's own escaping changed between versions.
* `group` is a keyword: the tag is `"group"`. Identifiers in "…", strings in '…' (a string in "…" compares two columns
  and finds nothing, without an error).
* No panel groups a fleet by location or charger: 4 to 8 s at 500,000 series. One location takes 2 to 10 ms.
* `fill(previous)` does not look before the range: rare events are drawn from the decisions, which come every 5 minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

T = "$timeFilter"
LOCATION = "\"location\" = '${location:raw}'"
GROUP = '"group" =~ /^${group:regex}$/'
CHARGER = '"charger" =~ /^${charger:regex}$/'
CONNECTOR = ('"charger"', '"connector"')
INTERVAL = "time($__interval)"
YEAR = "time > now() - 365d"


def select(what: str, measurement: str, *where: str, by: Sequence[str] = (), then: str = "", fill: str = "none") -> str:
    """One statement. `by` is what it is grouped by; an interval without a value makes no point, or what `fill` says."""
    return _select(what, f'"{measurement}"', where, by, then, fill)


def nested(what: str, inner: str, *where: str, by: Sequence[str] = ()) -> str:
    """A statement over the rows of another."""
    return _select(what, f"({inner})", where, by)


def _select(what: str, origin: str, where: Sequence[str], by: Sequence[str], then: str = "", fill: str = "none") -> str:
    parts = [f"SELECT {what} FROM {origin} WHERE {' AND '.join(where)}"]  # noqa: S608 -- made of constants only
    if by:
        parts.append(f"GROUP BY {', '.join(by)}")
    if any(one.startswith("time(") for one in by):
        parts.append(f"fill({fill})")
    return " ".join([*parts, *([then] if then else [])])


# --- variables


def locations() -> str:
    """Names of locations that match the text box."""
    return 'SHOW TAG VALUES FROM "location_state" WITH KEY = "location" WHERE "location" =~ /${search:raw}/'


def groups() -> str:
    """The groups of the location."""
    return f'SHOW TAG VALUES FROM "decision_group" WITH KEY = "group" WHERE {LOCATION}'


def chargers() -> str:
    """The chargers of the location."""
    return f'SHOW TAG VALUES FROM "decision_connector" WITH KEY = "charger" WHERE {LOCATION}'


# --- Location


def why_each_car() -> str:
    """What each connector wants, its share, what it may draw, and what stops it from getting more."""
    what = (
        'last("wanted_a") AS "wanted", last("budget_a") AS "budget", last("limit_a") AS "allowed",'
        ' last("binding") AS "because", last("state") AS "state"'
    )
    return select(what, "decision_connector", LOCATION, CHARGER, T, by=CONNECTOR)


def grid_current_now() -> str:
    """The newest currents of the meter."""
    return select(_phases("last", "current_l{p}_a", "L{p}"), "meter", LOCATION, T)


def quarter_used_pct() -> str:
    """How much of the running window's energy is used, in percent of its cap."""
    what = 'last("window_demand_w") / last("cap_w") * 100 AS "used"'
    return select(what, "decision_group", LOCATION, GROUP, T)


def meter_age() -> str:
    """How old the oldest meter reading was."""
    return select('last("meter_age_s") AS "meter"', "location_state", LOCATION, T)


def binding_over_time() -> str:
    """What bound each connector."""
    return select('last("binding")', "decision_connector", LOCATION, CHARGER, T, by=(INTERVAL, *CONNECTOR))


def wanted_and_allowed() -> str:
    """What a connector wanted, and the least that it was allowed."""
    what = 'mean("wanted_a") AS "wanted", min("limit_a") AS "allowed"'
    return select(what, "decision_connector", LOCATION, CHARGER, T, by=(INTERVAL, '"connector"'))


def drawn() -> str:
    """What a connector drew, on its own first phase."""
    return select('max("current_p1_a") AS "drawn"', "charger", LOCATION, CHARGER, T, by=(INTERVAL, '"connector"'))


def grid_current() -> str:
    """The highest current of each phase."""
    return select(_phases("max", "current_l{p}_a", "L{p}"), "meter", LOCATION, T, by=(INTERVAL,))


def limits() -> str:
    """The lowest limit of each phase."""
    what = _phases("min", "limit_l{p}_a", "limit L{p}")
    return select(what, "decision_group", LOCATION, GROUP, T, by=(INTERVAL,))


def room_on_phase() -> str:
    """What a phase carries: the building, the cars, and what is left (the cars' share is part of the headroom)."""
    p = "${phase:raw}"
    what = (
        f'mean("unmanaged_l{p}_a") AS "building", mean("reserved_l{p}_a") AS "cars",'
        f' mean("headroom_l{p}_a") - mean("reserved_l{p}_a") AS "free"'
    )
    return select(what, "decision_group", LOCATION, GROUP, T, by=(INTERVAL,))


def group_binding() -> str:
    """What set each group's limit."""
    return select('last("limited_by")', "decision_group", LOCATION, T, by=(INTERVAL, '"group"'))


def solar_excess() -> str:
    """The excess, summed over the phases."""
    return select('mean("excess_a") AS "excess"', "decision_group", LOCATION, GROUP, T, by=(INTERVAL,))


def charger_status() -> str:
    """What each connector said that it does."""
    return select('last("status")', "charger", LOCATION, CHARGER, T, by=(INTERVAL, *CONNECTOR))


def energy_per_hour() -> str:
    """Energy of each charger and hour, from its register."""
    steps = select('non_negative_difference("energy_wh") AS "d"', "charger", LOCATION, CHARGER, T, by=CONNECTOR)
    return nested('sum("d") AS "energy"', steps, T, by=("time(1h)", '"charger"'))


def failed_setpoints() -> str:
    """Setpoints that no charger took."""
    failed = '"state" !~ /^(sent|accepted|confirmed)$/'
    newest = "ORDER BY time DESC LIMIT 100"
    return select('"charger", "state", "limit_a", "error"', "feedback", LOCATION, failed, T, then=newest)


def setpoints() -> str:
    """Setpoints with their reasons, for the marks in the pictures."""
    return select('"reason", "limit_a"', "setpoint", LOCATION, CHARGER, T, then="LIMIT 500")


# --- Billed peak


def quarter_if_nothing_more() -> str:
    """What the running window is billed as if nothing more is used."""
    what = 'last("window_demand_w") AS "so far", last("cap_w") AS "cap"'
    return select(what, "decision_group", LOCATION, GROUP, T)


def may_still_draw() -> str:
    """The power that keeps the running quarter within its cap."""
    return select('last("window_allowed_w") AS "may still draw"', "decision_group", LOCATION, GROUP, T)


def month_peak_ours() -> str:
    """The highest quarter that we measured."""
    return select('max("demand_w") AS "ours"', "quarter", LOCATION, GROUP, T)


def month_peak_of_meter() -> str:
    """The month peak that the meter itself shows."""
    return select('last("month_peak_w") AS "official"', "meter", LOCATION, T)


def mean_of_year() -> str:
    """The mean of the last twelve months' peaks: what is billed."""
    return select('last("mean12_w") AS "mean"', "month", LOCATION, GROUP, YEAR)


def cost_of_year() -> str:
    """What the peaks of the last twelve months cost."""
    return select('sum("cost_eur") AS "a year"', "month", LOCATION, GROUP, YEAR)


def quarters() -> str:
    """Every closed quarter with the cap and the peak of that time."""
    what = '"demand_w" AS "demand", "cap_w" AS "cap", "month_peak_w" AS "month peak"'
    return select(what, "quarter", LOCATION, GROUP, T)


def running_quarter() -> str:
    """How quarters filled."""
    what = 'max("window_demand_w") AS "so far", last("window_allowed_w") AS "may still draw", last("cap_w") AS "cap"'
    return select(what, "decision_group", LOCATION, GROUP, T, by=(INTERVAL,))


def highest_quarters() -> str:
    """The ten highest quarters."""
    return select('top("demand_w", 10) AS "demand", "cap_w" AS "cap"', "quarter", LOCATION, GROUP, T)


def quarters_above_cap() -> str:
    """How many quarters went above their cap."""
    return select('count("demand_w") AS "above"', "quarter", LOCATION, GROUP, '"demand_w" > "cap_w"', T)


def months() -> str:
    """The months with their peaks, the mean that is billed, and what each one costs."""
    return select('"month", "peak_w", "mean12_w", "cost_eur"', "month", LOCATION, GROUP, "time > now() - 400d")


def dearest_locations() -> str:
    """Where the peaks of the last two months cost most."""
    what = 'top("cost_eur", "location", 25) AS "cost_eur", "peak_w", "mean12_w"'
    return select(what, "month", "time > now() - 62d")


def _phases(function: str, name: str, label: str) -> str:
    """`last("current_l1_a") AS "L1"` and so on, for three phases."""
    columns = (f'{function}("{name}") AS "{label}"'.replace("{p}", phase) for phase in "123")
    return ", ".join(columns)
