"""What somebody must know (design §6 last line, §9): alarms, not exceptions. Each says what, where, and by how much."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.allocation import EPS_A
from pipeline.constraints import GroupNow
from pipeline.facts import Fact
from pipeline.records import Alarm


def alarms(groups: list[GroupNow], facts: list[Fact]) -> list[Alarm]:
    """Every alarm of a decision, groups first."""
    found = [alarm for group in groups for alarm in _of_group(group)]
    found += [alarm for fact in facts for alarm in _of_connector(fact)]
    return found


def _of_group(group: GroupNow) -> Iterator[Alarm]:
    name = group.node.group.id
    for phase, over_a in enumerate(group.overload_a):
        if over_a > EPS_A:
            bound = group.bounds[phase]
            kind = "limit" if bound.by.startswith("limit ") else "overload"
            load = f"the building alone draws {group.unmanaged_a[phase]:.1f} A"
            text = f"group {name} L{phase + 1}: {load}, {over_a:.1f} A more than its {bound.by} of {bound.value:g} A"
            yield Alarm(kind=kind, group=name, text=text)  # type: ignore[arg-type]
    for bound in group.power_limits:
        if group.others_w > bound.value + 0.5:
            load = f"the building alone draws {group.others_w:.0f} W"
            yield Alarm(kind="limit", group=name, text=f"group {name}: {load}, above {bound.by} of {bound.value:.0f} W")
    window = group.window
    if window is not None and max(0.0, group.others_w) > window.holds_w + 0.5:
        text = (
            f"group {name}: even with all cars off this window ends above its cap of {window.cap_w:.0f} W "
            f"({window.used_wh:.0f} Wh used, the others draw {group.others_w:.0f} W, {window.holds_w:.0f} W allowed)"
        )
        yield Alarm(kind="window", group=name, text=text)
    if group.meter_age == "lost":
        assert group.node.meter is not None
        text = f"meter {group.node.meter.id} is silent: all chargers below group {name} go to their fallback"
        yield Alarm(kind="meter", group=name, text=text)


def _of_connector(fact: Fact) -> Iterator[Alarm]:
    charger, connector = fact.socket.key
    r = fact.reservation
    if r.over_draw:
        text = f"charger {charger} connector {connector} draws {r.held_a:.1f} A, it was allowed {r.allowed_a:.1f} A"
        yield Alarm(kind="over_draw", charger=charger, connector=connector, text=text)
    if fact.silent:
        text = f"charger {charger} connector {connector} has stopped reporting: its {r.held_a:.1f} A stay reserved"
        yield Alarm(kind="silent", charger=charger, connector=connector, text=text)
