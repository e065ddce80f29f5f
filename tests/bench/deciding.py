"""One decision, for more and more connectors, beside a linear program of the same fuses and cars (HiGHS).

The site lives: each decision follows a reading of the meter, and reports of a tenth of the cars.

The program is asked for less: the largest sum of all currents, without minimums, fairness, steps, reservations or
reasons. Its rows are the same: each fuse on each phase.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linprog

from pipeline.decide import Outcome, commit, decide
from pipeline.fold import fold
from pipeline.memo import Memo
from pipeline.moments import rfc3339
from pipeline.recording import worth_writing
from pipeline.records import CHARGERS, FEEDBACK, METERS, Decision, decode
from pipeline.state import LocationState, new_state
from topology.read import read_location_json
from topology.tree import Tree, build_tree

SIZES = (10, 100, 1000)
PER_FUSE = 10
FUSE_A = 100.0
"""For ten cars of 16 A on three phases."""
MAX_A = 16.0
NOW_MS = 1_795_334_400_000
NOISE_A = 0.3
"""Of the house, each second."""
SETTLING_S = 40
"""Until everybody has what he gets."""
LEAST = 20
"""Decisions of the largest site."""


def site(connectors: int) -> dict[str, Any]:
    """Ten cars to a fuse; the main fuse carries half of what they could take."""
    fuses = connectors // PER_FUSE
    groups: list[dict[str, Any]] = [{"id": "main", "limit_a": connectors * MAX_A / 2, "meter": "p1"}]
    groups += [{"id": f"fuse-{n}", "parent": "main", "limit_a": FUSE_A} for n in range(fuses)]
    plug = {"id": 1, "phases": 3, "rotation": "RST", "max_a": MAX_A}
    return {
        "location": "site",
        "grid": {"type": "TN", "phases": 3, "voltage_v": 230},
        "groups": groups,
        "meters": [{"id": "p1"}],
        "chargers": [
            {"id": f"CP-{n}", "group": f"fuse-{n // PER_FUSE}", "fallback_a": 6, "connectors": [plug]}
            for n in range(connectors)
        ],
    }


@dataclass(slots=True)
class Living:
    """The site as a worker sees it: a meter every second, every car every ten, all of them obeying at once."""

    connectors: int
    tree: Tree = field(init=False)
    state: LocationState = field(default_factory=new_state)
    memo: Memo = field(default_factory=Memo)
    now_ms: int = NOW_MS
    _last: Decision | None = None
    _limits_a: dict[str, float] = field(default_factory=dict)
    _noise: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self.tree = build_tree(read_location_json(json.dumps(site(self.connectors)).encode()).location)
        for n in range(self.connectors):
            self._limits_a[f"CP-{n}"] = 6.0
            self._report(n)
        self._measure()

    def live(self) -> float:
        """One second; what its decision cost, in seconds of CPU."""
        self.now_ms += 1000
        for n in range(self.now_ms // 1000 % 10, self.connectors, 10):
            self._report(n)
        self._measure()
        before_s = time.process_time()
        outcome = decide(self.tree, self.state, self.now_ms, self.memo)
        written = worth_writing(self._last, outcome)
        cost_s = time.process_time() - before_s
        if written:
            self._commit(outcome)
        return cost_s

    def _commit(self, outcome: Outcome) -> None:
        commit(self.state, outcome)
        self._last = outcome.decision
        for sent in outcome.decision.setpoints:
            self._limits_a[sent.charger] = sent.limit_a
            lease = {"seq": sent.seq, "limit_a": sent.limit_a, "lease_until": rfc3339(self.now_ms + 900_000)}
            self._tell(FEEDBACK, {"charger": sent.charger, "connector": 1, "state": "accepted", **lease})

    def _report(self, n: int) -> None:
        car = {"online": True, "status": "Charging", "transaction": "1", "current_a": [self._limits_a[f"CP-{n}"]] * 3}
        self._tell(CHARGERS, {"charger": f"CP-{n}", "connector": 1, **car})

    def _measure(self) -> None:
        house_a = 5 + self._noise.gauss(0, NOISE_A)
        self._tell(METERS, {"meter": "p1", "current_a": [sum(self._limits_a.values()) + house_a] * 3})

    def _tell(self, topic: str, value: dict[str, Any]) -> None:
        record = decode(topic, json.dumps({"location": "site", "at": rfc3339(self.now_ms)} | value).encode())
        assert fold(self.tree, self.state, record, self.now_ms) is None


def program(connectors: int) -> Callable[[], object]:
    """The linear program of the same site."""
    fuses = connectors // PER_FUSE
    rows = np.zeros((3 * (fuses + 1), connectors))
    rooms = np.empty(3 * (fuses + 1))
    rows[:3], rooms[:3] = 1.0, connectors * MAX_A / 2 - 5
    for n in range(fuses):
        rows[3 * n + 3 : 3 * n + 6, n * PER_FUSE : (n + 1) * PER_FUSE] = 1.0
        rooms[3 * n + 3 : 3 * n + 6] = FUSE_A
    bounds = [(6.0, MAX_A)] * connectors
    return lambda: linprog(-np.ones(connectors), A_ub=rows, b_ub=rooms, bounds=bounds, method="highs")


def best_s(work: Callable[[], object], seconds: float) -> float:
    """The shortest CPU time of many runs."""
    best, end_s = math.inf, time.monotonic() + seconds
    while True:
        before_s = time.process_time()
        work()
        best = min(best, time.process_time() - before_s)
        if time.monotonic() > end_s:
            return best


def lived_s(connectors: int, seconds: float) -> tuple[float, float]:
    """The median cost of a decision of a site that lives, and the cost of one from nothing."""
    site = Living(connectors)
    for _ in range(SETTLING_S):
        site.live()
    costs_s, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s or len(costs_s) < LEAST:
        costs_s.append(site.live())
    alone_s = best_s(lambda: decide(site.tree, site.state, site.now_ms), seconds / 4)
    return statistics.median(costs_s), alone_s


def measured(seconds: float) -> dict[str, Any]:
    """Milliseconds of a decision and of the program, and how the decision grows with the connectors."""
    sizes = []
    for connectors in SIZES:
        living_s, alone_s = lived_s(connectors, seconds)
        program_s = best_s(program(connectors), seconds)
        sizes.append(
            {
                "connectors": connectors,
                "decide_ms": living_s * 1000,
                "from_nothing_ms": alone_s * 1000,
                "highs_ms": program_s * 1000,
            }
        )
    first, last = sizes[0], sizes[-1]
    growth = math.log(last["decide_ms"] / first["decide_ms"]) / math.log(last["connectors"] / first["connectors"])
    return {"sizes": sizes, "growth_exponent": growth}
