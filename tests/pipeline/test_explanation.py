"""Decisions in plain words: every reason is told with the numbers of its decision."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.explanation import explain
from pipeline.moments import to_moment
from pipeline.records import Alarm, ConnectorView, Decision, GroupView, WindowView
from tests.pipeline.run import Core, by_key, tree_of
from tests.pipeline.trees import START_MS, moment

WINDOW = WindowView(
    start=to_moment(START_MS),
    used_wh=412.4,
    cap_w=4000.0,
    allowed_w=5200.0,
    forecast_w=800.0,
    month_peak_w=None,
    cost_of_1kw_eur=3.37,
)


def group(name: str = "garage", **other: Any) -> GroupView:
    """16 A per phase of which the building draws 3 A on L2; the cars hold 12 A."""
    usual: dict[str, Any] = {
        "limit_a": [16.0] * 3,
        "limited_by": ["fuse"] * 3,
        "unmanaged_a": [0.0, 3.0, 0.0],
        "headroom_a": [16.0, 13.0, 16.0],
        "overload_a": [0.0] * 3,
        "reserved_a": [12.0] * 3,
    }
    return GroupView(group=name, **{**usual, **other})


def told(
    binding: str,
    *groups: GroupView,
    alarms: list[Alarm] | None = None,
    others: list[ConnectorView] | None = None,
    max_unbalance_a: float | None = None,
    **other: Any,
) -> str:
    """What is said of a connector that is bound so."""
    usual: dict[str, Any] = {"state": "charging", "wanted_a": 16.0, "target_a": 6.5, "limit_a": 6.5, "reserved_a": 6.5}
    view = ConnectorView(charger="CP-1", connector=1, binding=binding, **{**usual, **other})
    decision = Decision(
        location="home",
        decision="home@1",
        at=to_moment(START_MS),
        inputs={},
        groups=list(groups) or [group()],
        connectors=[view, *(others or [])],
        setpoints=[],
        alarms=alarms or [],
        max_unbalance_a=max_unbalance_a,
    )
    return explain(decision, view)


GETS = "CP-1/1 may draw 6.5 A per phase of the 16 A that it wants."
WAITS = "CP-1/1 wants 16 A and has to wait."
waits = {"state": "waiting", "limit_a": 0.0, "target_a": 0.0}


def test_max_a() -> None:
    """A connector at its rating gets all that it wants."""
    assert (
        "CP-1/1 may draw 16 A per phase, all that it wants. More than that the connector cannot give."
        == told("max_a", limit_a=16.0, target_a=16.0)
    )  # fmt: skip


def test_fuse() -> None:
    """The fuse's phase, what it leaves, and what the building takes of it."""
    assert (
        f"{GETS} On L2 the fuse of group garage leaves 13 A to the cars below it "
        "(16 A less 3 A that the building draws)." == told("fuse garage L2")
    )
    assert "leaves 16 A to the cars below it (the building draws nothing on it)" in told("fuse garage L1")


def test_fuse_of_a_group_that_generates() -> None:
    """Credited generation is added, not subtracted."""
    sunny = group(unmanaged_a=[-4.0] * 3, headroom_a=[20.0] * 3)
    assert "leaves 20 A to the cars below it (16 A and 4 A that the building generates)" in told(
        "fuse garage L1", sunny
    )


def test_fuse_that_the_building_overloads() -> None:
    """Nothing is left, and why."""
    full = group(unmanaged_a=[18.0] * 3, headroom_a=[0.0] * 3)
    assert (
        f"{WAITS} On L3 the fuse of group garage leaves nothing to the cars: "
        "18 A of its 16 A are drawn by the building alone." == told("fuse garage L3", full, **waits)
    )


def test_peak_shaving() -> None:
    """The lower cap is called by its name."""
    shaved = group(limit_a=[10.0] * 3, limited_by=["peak_shaving"] * 3, headroom_a=[10.0, 7.0, 10.0])
    assert (
        f"{GETS} On L2 the peak-shaving limit of group garage leaves 7 A to the cars below it "
        "(10 A less 3 A that the building draws)." == told("peak_shaving garage L2", shaved)
    )


def test_limit_in_amperes() -> None:
    """Who set it, and what it leaves on the phase that is tightest."""
    limited = group(limit_a=[10.0] * 3, limited_by=["limit dso"] * 3, headroom_a=[10.0, 7.0, 10.0])
    assert (
        f"{GETS} On L2 a limit from outside (dso) on group garage leaves 7 A to the cars below it "
        "(10 A less 3 A that the building draws)." == told("limit garage dso", limited)
    )


def test_a_car_on_a_phase_that_is_not_known() -> None:
    """Its own draw is in what the building seems to draw; the room is no reason for what it gets."""
    plug = {"id": 1, "phases": 1, "max_a": 16}
    document = {
        "location": "home",
        "groups": [{"id": "main", "limit_a": 20, "meter": "p1"}],
        "meters": [{"id": "p1"}],
        "chargers": [{"id": "A", "group": "main", "fallback_a": 0, "connectors": [plug]}],
    }
    core = Core(tree_of(document))
    reading = {"charger": "A", "connector": 1, "online": True, "status": "Charging", "current_a": [8]}
    core.tell("telemetry.chargers", {"location": "home", "at": moment(0), **reading})
    core.tell("telemetry.meters", {"location": "home", "meter": "p1", "at": moment(0), "current_a": [15, 12, 3]})

    decision = core.decide(1).decision

    assert (
        "A/1 may draw 13 A per phase of the 16 A that it wants. On L1 the fuse of group main leaves it no more: "
        "15 A of its 20 A are drawn by the building or by this car, and it is not known on which phase that is."
        == explain(decision, by_key(decision.connectors)["A/1"])
    )


def test_limit_in_watts() -> None:
    """Its watts; an older decision does not say them, so neither does its explanation."""
    rest = "on the power of group garage, set from outside (dso), allows no more."

    assert f"{GETS} A limit of 4200 W {rest}" == told("limit garage dso", group(limits_w={"dso": 4200.0}))
    assert f"{GETS} A limit {rest}" == told("limit garage dso")


def test_one_phase() -> None:
    """A car that is switched down draws on one phase."""
    assert (
        "CP-1/1 may draw 16 A on one phase alone, all that it wants. More than that the connector cannot give."
        == told("max_a", limit_a=16.0, target_a=16.0, phases=1)
    )  # fmt: skip


def test_window() -> None:
    """Cap, energy used, what is still allowed, what the others draw."""
    assert (
        f"{GETS} The billed average of group main is held at 4000 W: 412 Wh are used in this window, "
        "5200 W are still allowed until its end, and the others draw 800 W."
        == told("window main", group("main", window=WINDOW))
    )


def test_window_that_is_used_up() -> None:
    """A broken cap allows nothing more; a building that exports draws nothing."""
    broken = WindowView(
        **{**{f: getattr(WINDOW, f) for f in WINDOW.__struct_fields__}, "allowed_w": -90.0, "forecast_w": -300.0}
    )
    said = told("window main", group("main", window=broken), **waits)
    assert "nothing more is allowed in it, and 300 W are generated." in said


def test_solar() -> None:
    """What the sun leaves over, and what the cars may draw together (the sum over the phases)."""
    assert (
        f"{GETS} The sun leaves 21.3 A over, all phases together, "
        "and the cars of group roof that live on it may draw 27.3 A together."
        == told("solar roof", group("roof", excess_a=21.34, budget_a=27.34))
    )
    assert "The sun leaves nothing over (4 A are imported besides these cars)" in told(
        "solar roof", group("roof", excess_a=-4.0, budget_a=0.0), **waits
    )
    assert "No meter shows how much solar power is left over." in told("solar roof", group("roof"))


def test_timer() -> None:
    """Enough sun, but not for long enough."""
    assert (
        f"{WAITS} The sun covers its minimum (21 A over, all phases together), but not yet for long enough to start it."
        == told("timer solar roof", group("roof", excess_a=21.0, budget_a=21.0), **waits)
    )


def test_a_minimum_that_is_kept_without_sun() -> None:
    """Until disable_s is over it keeps its minimum, though the sun leaves nothing over."""
    assert (
        f"{GETS} The sun does not cover its minimum (2 A, all phases together, are there for cars); "
        "it keeps it until that has lasted for disable_s."
        == told("solar roof", group("roof", excess_a=2.0, budget_a=2.0))
    )


def test_timer_with_backup() -> None:
    """What the grid may add is told beside the sun's."""
    assert "(12 A over, 18 A with what the grid may add, all phases together)" in told(
        "timer solar roof", group("roof", excess_a=12.0, budget_a=18.0), **waits
    )


def test_a_raise_that_leaves_something_free() -> None:
    """What a noisy load comes back to, or less than `min_change_a`: the decision does not say which."""
    assert told("fuse garage L2", target_a=9.0).endswith(
        "Its fair share is 9 A; the rest is left to a load that comes back, or too little for a setpoint of its own."
    )


@pytest.mark.parametrize(("phases", "waits"), [(None, "is"), (1, "has to wait until its phases are changed, or is")])
def test_a_raise_that_waits_though_nothing_but_the_rating_binds(phases: int | None, waits: str) -> None:
    """It is not said that the connector cannot give what is to come."""
    on = "per phase" if phases is None else "on one phase alone"
    assert (
        f"CP-1/1 may draw 15.7 A {on} of the 16 A that it wants. "
        f"Its fair share is 16 A; the rest {waits} too little for a setpoint of its own."
        == told("max_a", limit_a=15.7, target_a=16.0, phases=phases)
    )


def holds(n: int, reserved_a: float) -> ConnectorView:
    """Another connector, and what it holds."""
    return ConnectorView(
        charger=f"CP-{n}",
        connector=1,
        state="charging",
        wanted_a=16.0,
        target_a=reserved_a,
        limit_a=reserved_a,
        reserved_a=reserved_a,
        binding="fuse garage L1",
    )


def test_waiting_while_others_hold_what_is_there() -> None:
    """They are named with what they hold, the largest first; many are counted together."""
    few = [holds(2, 6.5), holds(3, 9.5), holds(4, 0.0)]
    assert told("waiting", others=few, **waits) == (
        f"{WAITS} There is not enough left for its minimum while CP-3/1 holds 9.5 A and CP-2/1 holds 6.5 A; "
        "while somebody waits, turns change."
    )
    many = [holds(n, float(n)) for n in range(6, 12)]
    assert "CP-11/1 holds 11 A, CP-10/1 holds 10 A, CP-9/1 holds 9 A and 3 more hold 21 A together; while" in told(
        "waiting", others=many, **waits
    )


def test_waiting_beside_a_car_that_takes_too_much() -> None:
    """Who takes the current is named."""
    other = Alarm(kind="over_draw", charger="CP-2", connector=1, text="it draws 14.0 A, it was allowed 10 A")
    assert told("waiting", alarms=[other], **waits).endswith("turns change. CP-2/1 takes more than allowed meanwhile.")


def test_reservation() -> None:
    """What is there, what is held, and what of its share is still to come."""
    assert (
        f"{GETS} On L2 of group garage 13 A are there for cars, and 12 A may still be drawn without asking again: "
        "a raise waits until others are seen to have come down. "
        "Its fair share is 9 A; it gets the rest as soon as that is free."
        == told("reservation garage L2", target_a=9.0)
    )
    assert "of group garage for a raise: 36 A are held, all phases together." in told("reservation garage")
    assert "is too much of the limit for a raise" in told("reservation unbalance L1")


@pytest.mark.parametrize(
    ("binding", "other", "expected"),
    [
        (
            "unbalance",
            {},
            f"{GETS} Connectors on fewer than three phases may load one phase no further (max_unbalance_a).",
        ),
        (
            "unbalance",
            {"max_unbalance_a": 20.0},
            (f"{GETS} Connectors on fewer than three phases may load one phase with no more than 20 A together "
            "(max_unbalance_a)."),
        ),
        (
            "under_draw",
            {"wanted_a": 6.5},
            ("CP-1/1 may draw 6.5 A per phase, all that it wants. Its car has drawn less than offered for a while, "
            "so 6.5 A, a little more than it draws, count as what it wants."),
        ),
        ("waiting", waits, f"{WAITS} There is not enough left for its minimum; while somebody waits, turns change."),
        (
            "idle",
            {"state": "available", "limit_a": 0.0, "target_a": 0.0, "wanted_a": 0.0},
            "CP-1/1 has no car that wants current; it is offered 0 A. It gets its share as soon as a car asks for it.",
        ),
        (
            "stale meter p1",
            {"target_a": 9.0},
            (f"{GETS} The newest reading of meter p1 is old, and nothing below it rises: it stays at 6.5 A until that "
            "reports again. Its fair share is 9 A."),
        ),
        (
            "stale meter p1",
            waits,
            (f"{WAITS} The newest reading of meter p1 is old, and nothing below it rises: it gets nothing until that "
            "reports again."),
        ),
        (
            "lost meter p1",
            {},
            f"{GETS} Nothing is heard of meter p1 any more: everything below it goes to its fallback.",
        ),
        (
            "offline",
            {"state": "offline"},
            ("CP-1/1 is offline, so the 6.5 A that it may still draw stay reserved. "
            "It can be told nothing until it is back."),
        ),
        (
            "increase_every_s",
            {"target_a": 9.0},
            f"{GETS} It was raised a moment ago; the next raise has to wait (increase_every_s). Its fair share is 9 A.",
        ),
        ("idle", {"state": "unknown"}, "Nothing was heard of CP-1/1 yet, so 6.5 A stay reserved for it."),
        (
            "removed",
            {"limit_a": 0.0, "target_a": 0.0},
            ("CP-1/1 may draw 0 A per phase of the 16 A that it wants. "
            "Its location does not have it any more: it is told to stop, and then forgotten."),
        ),
    ],
)  # fmt: skip
def test_what_has_no_number_of_its_own(binding: str, other: dict[str, Any], expected: str) -> None:
    """What is so, why, and what is still to come."""
    assert expected == told(binding, **other)


def test_an_alarm_of_the_connector_is_told_with_it() -> None:
    """An alarm of another one is not."""
    mine = Alarm(kind="over_draw", charger="CP-1", connector=1, text="it draws 20.0 A, it was allowed 6.5 A")
    other = Alarm(kind="over_draw", charger="CP-2", connector=1, text="no")
    assert told("max_a", alarms=[mine, other]).endswith("Alarm: it draws 20.0 A, it was allowed 6.5 A.")


def test_a_decision_of_the_core_is_told_with_its_numbers() -> None:
    """From readings to words: 16 A less 4 A of the building, shared by two cars."""
    connectors = [{"id": 1, "max_a": 16, "min_a": 2}]
    document = {
        "location": "home",
        "groups": [{"id": "main", "limit_a": 16, "meter": "p1"}],
        "meters": [{"id": "p1"}],
        "chargers": [{"id": c, "group": "main", "fallback_a": 0, "connectors": connectors} for c in "AB"],
    }
    core = Core(tree_of(document))
    for car in "AB":
        reading = {"charger": car, "connector": 1, "online": True, "status": "Charging", "current_a": [0, 0, 0]}
        core.tell("telemetry.chargers", {"location": "home", "at": moment(0), **reading})
    core.tell("telemetry.meters", {"location": "home", "meter": "p1", "at": moment(0), "current_a": [1, 4, 1]})

    decision = core.decide(1).decision

    assert (
        "A/1 may draw 6 A per phase of the 16 A that it wants. On L2 the fuse of group main leaves 12 A to the cars "
        "below it (16 A less 4 A that the building draws)." == explain(decision, by_key(decision.connectors)["A/1"])
    )
