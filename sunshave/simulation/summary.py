"""The summary of a run as plain JSON values: the same bytes for the same file and seed, so no running time is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.moments import rfc3339
from sunshave.simulation.read import Simulation
from sunshave.simulation.tally import Stay
from sunshave.simulation.world import World

SHORT_WH = 100.0
"""A car that lacks less than this got what it wanted."""


def location_summary(world: World) -> dict[str, Any]:
    """The figures of one location."""
    tally = world.tally
    cars = [_car(world, stay) for stay in tally.stays]
    ideal_wh = world.ideal.energy_wh(world.now_s, world.outlets)
    plugged_h = sum(_length_s(world, stay) for stay in tally.stays) / 3600
    return {
        "location": world.task.name,
        "energy_kwh": _kwh(tally.cars_wh),
        "wanted_kwh": _kwh(sum(stay.car.energy_wh for stay in tally.stays)),
        "possible_kwh": _kwh(sum(_possible_wh(world, stay) for stay in tally.stays)),
        "ideal_kwh": _kwh(ideal_wh),
        "share_of_ideal": _share_of_ideal(tally.cars_wh, ideal_wh),
        "cars_short": sum(car["short_kwh"] > 0 for car in cars if car["left"] is not None),
        "cars_turned_away": tally.turned_away,
        "fairness": _fairness(world),
        "overload": _overload(world),
        "above_limit_w": _above_limit_w(world),
        "peaks": list(_peaks(world)),
        "grid": {"import_kwh": _kwh(tally.import_wh), "export_kwh": _kwh(tally.export_wh)},
        "solar": {
            "produced_kwh": _kwh(tally.sun_wh),
            "into_cars_kwh": _kwh(tally.cars_sun_wh),
            "share_of_charging": _share(tally.cars_sun_wh, tally.cars_wh),
        },
        "setpoints": {
            "sent": tally.setpoints,
            "to_cars": tally.setpoints_to_cars,
            "per_car_hour": round(tally.setpoints_to_cars / plugged_h, 1) if plugged_h else 0.0,
        },
        "decisions": world.controller.decided,
        "alarms": dict(sorted(world.controller.alarms.items())),
        "faults": _faults(world),
        "cars": cars,
    }


def whole_summary(simulation: Simulation, locations: list[dict[str, Any]]) -> dict[str, Any]:
    """All locations, and what they come to together."""
    run = simulation.run
    energy = {
        key: round(sum(found[key] for found in locations), 3)
        for key in ("energy_kwh", "wanted_kwh", "possible_kwh", "ideal_kwh")
    }
    return {
        "seed": run.seed,
        "start": rfc3339(simulation.tasks[0].start_s * 1000),
        "hours": run.hours,
        "total": {
            "locations": len(locations),
            "cars": sum(len(found["cars"]) for found in locations),
            **energy,
            "share_of_ideal": _share_of_ideal(energy["energy_kwh"], energy["ideal_kwh"]),
            **{key: sum(found[key] for found in locations) for key in ("cars_short", "cars_turned_away", "decisions")},
            "setpoints": sum(found["setpoints"]["sent"] for found in locations),
            "overload": {
                key: round(sum(found["overload"][key] for found in locations), 1)
                for key in ("avoidable_as", "unavoidable_as", "above_rating_as")
            },
            "above_limit_w": {
                key: round(sum(found["above_limit_w"][key] for found in locations), 1)
                for key in ("avoidable_wh", "unavoidable_wh")
            },
            "alarms": _added(found["alarms"] for found in locations),
            "faults": _added(found["faults"]["events"] for found in locations),
        },
        "locations": locations,
    }


def _kwh(wh: float) -> float:
    return round(wh / 1000, 3)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


def _share_of_ideal(delivered: float, ideal: float) -> float | None:
    """What was delivered of what an ideal controller would have delivered; None where that is nothing."""
    return round(delivered / ideal, 4) if ideal else None


def _length_s(world: World, stay: Stay) -> int:
    return (world.now_s if stay.until_s is None else stay.until_s) - stay.from_s


def _possible_wh(world: World, stay: Stay) -> float:
    """What it would have taken had nothing held it back: as much as it wants, as quickly as it and its charger can."""
    outlet = world.outlets[stay.socket]
    highest_a = min(stay.car.max_a, outlet.max_a)
    return min(stay.car.energy_wh, _length_s(world, stay) / 3600 * highest_a * stay.car.phases * outlet.voltage_v)


def _car(world: World, stay: Stay) -> dict[str, Any]:
    start_s = world.task.start_s
    short_wh = stay.car.energy_wh - stay.got_wh
    return {
        "connector": world.outlets[stay.socket].key,
        "arrived": rfc3339((start_s + stay.from_s) * 1000),
        "left": None if stay.until_s is None else rfc3339((start_s + stay.until_s) * 1000),
        "wanted_kwh": _kwh(stay.car.energy_wh),
        "got_kwh": _kwh(stay.got_wh),
        "short_kwh": _kwh(short_wh) if short_wh > SHORT_WH else 0.0,
    }


def _fairness(world: World) -> dict[str, Any]:
    """How alike cars fared that were there together: what each got of what it could have taken (Jain's index)."""
    stays = world.tally.stays
    shares = [
        stay.got_wh / possible
        for stay in stays
        if (possible := _possible_wh(world, stay)) > 0 and any(_together(world, stay, other) for other in stays)
    ]
    if not shares:
        return {"jain": None, "least": None, "most": None}
    squares = len(shares) * sum(x * x for x in shares)
    jain = sum(shares) ** 2 / squares if squares else 1.0
    return {"jain": round(jain, 4), "least": round(min(shares), 4), "most": round(max(shares), 4)}


def _together(world: World, stay: Stay, other: Stay) -> bool:
    ends = [s.from_s + _length_s(world, s) for s in (stay, other)]
    return stay is not other and stay.from_s < ends[1] and other.from_s < ends[0]


def _overload(world: World) -> dict[str, Any]:
    found = sorted(world.judge.found.items())
    nodes = world.tree.nodes
    return {
        "avoidable_as": round(sum(o.avoidable_as for _, o in found), 1),
        "unavoidable_as": round(sum(o.unavoidable_as for _, o in found), 1),
        "above_rating_as": round(sum(o.above_rating_as for _, o in found), 1),
        "reaction_s": world.reaction_s,
        "where": [
            {
                "group": nodes[node].group.id,
                "phase": f"L{phase + 1}",
                "avoidable_as": round(o.avoidable_as, 1),
                "unavoidable_as": round(o.unavoidable_as, 1),
                "above_rating_as": round(o.above_rating_as, 1),
                "seconds": o.seconds,
                "worst_a": round(o.worst_a, 2),
            }
            for (node, phase), o in found
        ],
    }


def _above_limit_w(world: World) -> dict[str, Any]:
    """What was imported above limits from outside in watts."""
    found = sorted(world.power_judge.found.items())
    return {
        "avoidable_wh": round(sum(e.avoidable_wh for _, e in found), 1),
        "unavoidable_wh": round(sum(e.unavoidable_wh for _, e in found), 1),
        "where": [
            {
                "group": world.tree.nodes[node].group.id,
                "avoidable_wh": round(e.avoidable_wh, 1),
                "unavoidable_wh": round(e.unavoidable_wh, 1),
                "seconds": e.seconds,
                "worst_w": round(e.worst_w),
            }
            for node, e in found
        ],
    }


def _peaks(world: World) -> Iterator[dict[str, Any]]:
    """The highest quarter of each metered group; and where a capacity is billed, the quarters above its cap."""
    for node, quarters in sorted(world.tally.quarters.items()):
        group = world.tree.nodes[node].group
        end_s, highest_w = max(quarters, key=lambda quarter: (quarter[1], -quarter[0]))
        peak: dict[str, Any] = {
            "group": group.id,
            "highest_quarter_w": round(highest_w),
            "ended": rfc3339(end_s * 1000),
            "month_peak_w": round(world.registers[node].month_peak_w),
        }
        windows = [w for w in world.controller.windows if w.group == group.id]
        if windows:
            peak["windows_above_cap"] = len({w.start for w in windows if w.demand_w > w.cap_w + 1})
            peak["most_above_cap_w"] = round(max(0.0, *(w.demand_w - w.cap_w for w in windows)))
        yield peak


def _faults(world: World) -> dict[str, Any]:
    """What went wrong: messages, and events with how long they lasted together."""
    tally = world.tally
    return {
        "messages": {**dict(sorted(world.network.tally.items())), "sent": world.network.count},
        "events": dict(sorted(tally.faults.items())),
        "seconds": {key: seconds for key, seconds in sorted(tally.fault_s.items()) if seconds},
    }


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for found in counts:
        for key, number in found.items():
            total[key] = total.get(key, 0) + number
    return dict(sorted(total.items()))
