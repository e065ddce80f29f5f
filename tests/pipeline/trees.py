"""Random installations, and what they allow, computed a second time: slow, obvious, and without the core's code.

`Site` draws everything from one seed: a tree of fuses with limits, meters, loads and chargers. It writes the location
document and the records that the core reads, and knows by itself what each fuse may still carry (`rows`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import permutations
from math import ceil
from typing import Any

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
VOLTS = 230.0
NAME = "site"


@dataclass(slots=True)
class Row:
    """`Σ per_a[k]·a_k ≤ room`: one thing that must not be exceeded."""

    name: str
    room: float
    per_a: dict[str, float]


@dataclass(slots=True)
class Fuse:
    """A group as it was drawn."""

    id: str
    parent: str | None
    limit_a: list[float]
    margin_a: float
    house_a: list[float]
    """What its own sockets and machines draw, signed: below 0 the sun shines."""
    metered: bool
    credit: bool
    shaved_a: float | None = None
    outside_a: float | None = None
    outside_w: float | None = None

    @property
    def phases(self) -> range:
        return range(len(self.limit_a))


@dataclass(slots=True)
class Plug:
    """A connector as it was drawn. `status`: what it says in the first reading."""

    charger: str
    connector: int
    group: str
    phases: int
    rotation: str
    min_a: float
    max_a: float
    step_a: float
    priority: int
    weight: float
    status: str

    @property
    def key(self) -> str:
        return f"{self.charger}/{self.connector}"

    @property
    def lowest_a(self) -> float:
        """Its minimum, on the step."""
        return ceil(self.min_a / self.step_a - 1e-6) * self.step_a

    @property
    def highest_a(self) -> float:
        """Its rating, on the step."""
        return int(self.max_a / self.step_a + 1e-6) * self.step_a

    @property
    def wants(self) -> bool:
        return self.status in ("Charging", "SuspendedEVSE", "SuspendedEV")

    def on(self, grid_phases: int) -> list[float]:
        """Amperes at most on each building phase for one ampere of its limit."""
        letters = "RST"[:grid_phases]
        ways = (
            ["".join(w) for w in permutations(letters, self.phases)] if self.rotation == "unknown" else [self.rotation]
        )
        return [float(any(letter in way for way in ways)) for letter in letters]


@dataclass(slots=True)
class Site:
    """A location drawn from a seed: `groups` fuses in up to four levels, `plugs` connectors."""

    seed: int
    groups: int = 4
    plugs: int = 6
    one_class: bool = False
    step_a: float | None = None
    unbalance: bool = True
    unknown: float = 0.2
    """Share of the connectors whose rotation nobody knows."""
    fuses: list[Fuse] = field(default_factory=list)
    sockets: list[Plug] = field(default_factory=list)
    grid_phases: int = 3
    max_unbalance_a: float | None = None

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.grid_phases = chance.choice([3, 3, 3, 2, 1])
        if self.unbalance and chance.random() < 0.2:
            self.max_unbalance_a = chance.choice([10.0, 20.0, 37.5])
        depth = {"g0": 0}
        for i in range(self.groups):
            parent = None if i == 0 else chance.choice([g for g, d in depth.items() if d < 3])
            depth[f"g{i}"] = 0 if parent is None else depth[parent] + 1
            self.fuses.append(self._fuse(chance, f"g{i}", parent))
        for i in range(self.plugs):
            self.sockets.append(self._plug(chance, i))
        if any(p.rotation == "unknown" for p in self.sockets):
            for (
                fuse
            ) in self.fuses:  # the sun behind a car of unknown rotation looks like its rotation: no meter can tell
                fuse.house_a = [max(0.0, a) for a in fuse.house_a]

    def _fuse(self, chance: random.Random, name: str, parent: str | None) -> Fuse:
        size_a = chance.choice([16, 20, 25, 32, 40, 63, 100, 200])
        even = chance.random() < 0.8
        return Fuse(
            id=name,
            parent=parent,
            limit_a=[float(size_a if even else size_a + chance.choice([0, 5, 9.5])) for _ in range(self.grid_phases)],
            margin_a=chance.choice([0, 0, 0, 2.5]),
            house_a=[round(chance.choice([0.0, chance.uniform(-8, 15)]), 2) for _ in range(self.grid_phases)],
            metered=parent is None or chance.random() < 0.4,
            credit=chance.random() < 0.2,
            shaved_a=chance.choice([None, None, None, round(size_a * chance.uniform(0.3, 1), 1)]),
            outside_a=chance.choice([None, None, None, None, round(size_a * chance.uniform(0, 1), 1)]),
            outside_w=chance.choice([None, None, None, None, round(size_a * VOLTS * chance.uniform(0.2, 3))]),
        )

    def _plug(self, chance: random.Random, i: int) -> Plug:
        phases = min(self.grid_phases, chance.choice([3, 3, 1, 1, 2]))
        letters = "RST"[: self.grid_phases]
        rotation = "".join(chance.sample(letters, phases)) if chance.random() < 1 - self.unknown else "unknown"
        min_a = chance.choice([6.0, 6.0, 6.0, 8.0, 1.5])
        max_a = min_a + chance.choice([0, 2, 7.3, 10, 26])
        step_a = self.step_a or chance.choice([0.1, 0.1, 0.5, 1.0])
        return Plug(
            charger=f"c{i // 2:02}",
            connector=i % 2 + 1,
            group=self.fuses[(i // 2) * 7919 % len(self.fuses)].id,
            phases=phases,
            rotation=rotation,
            min_a=min_a,
            max_a=max_a,
            step_a=step_a if max_a > min_a else min(step_a, 0.5),
            priority=0 if self.one_class else chance.choice([0, 0, 0, 1, -1]),
            weight=chance.choice([1, 1, 1, 2, 0.5, 3.3]),
            status=chance.choice(["Charging"] * 6 + ["SuspendedEVSE", "SuspendedEV", "Available", "Finishing"]),
        )

    def document(self, **control: Any) -> dict[str, Any]:
        """The location document."""
        base = {"min_change_a": 0, "increase_every_s": 0, "settle_s": 3600, "turn_s": 86400, "lease_s": 3600}
        return {
            "location": NAME,
            "grid": {"type": "TN", "phases": self.grid_phases, "max_unbalance_a": self.max_unbalance_a},
            "groups": [self._group(f) for f in self.fuses],
            "meters": [{"id": f"m-{f.id}"} for f in self.fuses if f.metered],
            "chargers": [self._charger(name) for name in dict.fromkeys(p.charger for p in self.sockets)],
            "control": {**base, **control},
        }

    def _group(self, fuse: Fuse) -> dict[str, Any]:
        return {
            "id": fuse.id,
            "parent": fuse.parent,
            "limit_a": fuse.limit_a,
            "margin_a": fuse.margin_a,
            "meter": f"m-{fuse.id}" if fuse.metered else None,
            "peak_shaving": None if fuse.shaved_a is None else {"limit_a": fuse.shaved_a},
            "credit_generation": fuse.credit,
        }

    def _charger(self, name: str) -> dict[str, Any]:
        own = [p for p in self.sockets if p.charger == name]
        words = ("phases", "rotation", "min_a", "max_a", "step_a", "priority", "weight")
        connectors = [{"id": p.connector, **{w: getattr(p, w) for w in words}} for p in own]
        return {"id": name, "group": own[0].group, "fallback_a": 0, "connectors": connectors}

    def limits(self) -> Iterator[dict[str, Any]]:
        """The records of `topology.limits`."""
        for fuse in self.fuses:
            if fuse.outside_a is not None or fuse.outside_w is not None:
                value = {"location": NAME, "group": fuse.id, "source": "dso", "from": moment(0)}
                yield {**value, "limit_a": fuse.outside_a, "limit_w": fuse.outside_w}

    def readings(
        self, at_s: float, draw_a: Mapping[str, float], status: Mapping[str, str] | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """One reading of every charger and meter at one moment, with the topic; `draw_a` per connector."""
        for p in self.sockets:
            said = (status or {}).get(p.key, p.status)
            yield (
                "telemetry.chargers",
                {"location": NAME, "charger": p.charger, "connector": p.connector, "at": moment(at_s), "online": True,
                 "status": said, "current_a": [draw_a.get(p.key, 0.0)] * p.phases},
            )  # fmt: skip
        for fuse in self.fuses:
            if fuse.metered:
                current_a = [round(a, 6) for a in self.flow_a(fuse.id, draw_a)]
                yield (
                    "telemetry.meters",
                    {"location": NAME, "meter": f"m-{fuse.id}", "at": moment(at_s), "current_a": current_a},
                )

    def below(self, group: str) -> set[str]:
        """A group and all groups below it."""
        found = {group}
        for fuse in self.fuses:  # parents come first in the list
            if fuse.parent in found:
                found.add(fuse.id)
        return found

    def true_on(self, plug: Plug) -> list[float]:
        """Where a connector really is: with an unknown rotation one after the other, which nobody has told the core."""
        letters = "RST"[: self.grid_phases]
        first = (2 * int(plug.charger[1:]) + plug.connector) % len(letters)
        turned = letters[first:] + letters[:first]
        way = turned[: plug.phases] if plug.rotation == "unknown" else plug.rotation
        return [float(letter in way) for letter in letters]

    def flow_a(self, group: str, draw_a: Mapping[str, float]) -> list[float]:
        """What really flows into a group, per phase."""
        inside = self.below(group)
        flow = [sum(f.house_a[p] for f in self.fuses if f.id in inside) for p in range(self.grid_phases)]
        for plug in self.sockets:
            if plug.group in inside and plug.key in draw_a:
                flow = [a + draw_a[plug.key] * on for a, on in zip(flow, self.true_on(plug), strict=True)]
        return flow

    def seen_load_a(self, group: str) -> list[float]:
        """The load besides the chargers that the meters show of a group, signed: its own meter, or those below."""
        fuse = next(f for f in self.fuses if f.id == group)
        if fuse.metered:
            return self.flow_a(group, {})
        below = [self.seen_load_a(f.id) for f in self.fuses if f.parent == group]
        return [sum(load[p] for load in below) for p in range(self.grid_phases)]

    def rows(self, really: bool = False) -> list[Row]:
        """Everything that the connectors' limits must keep, less the load besides them. `really`: where the cars of
        unknown rotation are, instead of wherever they may be."""
        on = {u.key: self.true_on(u) if really else u.on(self.grid_phases) for u in self.sockets}
        found: list[Row] = []
        for fuse in self.fuses:
            inside = self.below(fuse.id)
            under = [p for p in self.sockets if p.group in inside]
            load = self.seen_load_a(fuse.id)
            for p in fuse.phases:
                counted = load[p] if fuse.credit else max(0.0, load[p])
                caps = [fuse.limit_a[p] - fuse.margin_a, fuse.shaved_a, fuse.outside_a]
                room = max(0.0, min(c for c in caps if c is not None) - counted)
                found.append(Row(f"{fuse.id} L{p + 1}", room, {u.key: on[u.key][p] for u in under}))
            if fuse.outside_w is not None:
                watts = fuse.outside_w - VOLTS * sum(load)
                found.append(Row(f"{fuse.id} W", watts, {u.key: VOLTS * u.phases for u in under}))
        if self.max_unbalance_a is not None and self.grid_phases > 1:
            few = [(u.key, on[u.key]) for u in self.sockets if u.phases < 3]
            found += [
                Row(f"unbalance L{p + 1}", self.max_unbalance_a, {key: on[p] for key, on in few})
                for p in range(self.grid_phases)
            ]
        return found


def moment(seconds: float) -> str:
    """A moment on the wire, so many seconds after the start."""
    at = datetime.fromtimestamp(START.timestamp() + seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def used(row: Row, amperes: Mapping[str, float]) -> float:
    """How much of a row so many amperes per connector use."""
    return sum(unit * amperes.get(key, 0.0) for key, unit in row.per_a.items())


def exceeded(rows: Sequence[Row], amperes: Mapping[str, float], slack: float = 1e-4) -> list[str]:
    """The rows that the amperes exceed, in words."""
    return [
        f"{r.name}: {u:.4f} of {r.room:.4f}"
        for r in rows
        if (u := used(r, amperes)) > max(0.0, r.room) + slack * max(1.0, abs(r.room))
    ]
