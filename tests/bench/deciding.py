"""One decision, for more and more connectors, beside a linear program of the same fuses and cars (HiGHS).

The program is asked for less: the largest sum of all currents, without minimums, fairness, steps, reservations or
reasons. Its rows are the same: each fuse on each phase.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linprog

from pipeline.decide import decide
from pipeline.fold import fold
from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, METERS, decode, encode
from pipeline.state import LocationState, new_state
from tests.bench.backlog import reading
from topology.read import read_location_json
from topology.tree import Tree, build_tree

SIZES = (10, 100, 1000)
PER_FUSE = 10
FUSE_A = 100.0
"""For ten cars of 16 A on three phases."""
MAX_A = 16.0
NOW_MS = 1_795_334_400_000


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


def prepared(connectors: int) -> tuple[Tree, LocationState]:
    """All cars are plugged in and draw their fallback."""
    tree = build_tree(read_location_json(json.dumps(site(connectors)).encode()).location)
    state = new_state()
    for n in range(connectors):
        car = {"online": True, "status": "Charging", "transaction": "1", "current_a": [6.0, 6.0, 6.0]}
        value = {"location": "site", "charger": f"CP-{n}", "connector": 1, "at": rfc3339(NOW_MS), **car}
        assert fold(tree, state, decode(CHARGERS, json.dumps(value).encode()), NOW_MS) is None
    meter = {**reading("site", NOW_MS, 1), "current_a": [connectors * 6.0 + 5] * 3, "power_w": None}
    assert fold(tree, state, decode(METERS, json.dumps(meter).encode()), NOW_MS) is None
    return tree, state


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


def measured(seconds: float) -> dict[str, Any]:
    """Milliseconds of a decision and of the program, and how the decision grows with the connectors."""
    sizes = []
    for connectors in SIZES:
        tree, state = prepared(connectors)
        decision_s = best_s(lambda: decide(tree, state, NOW_MS + 500), seconds)  # noqa: B023 -- at once
        written_s = best_s(lambda: encode(decide(tree, state, NOW_MS + 500).decision), seconds)  # noqa: B023
        program_s = best_s(program(connectors), seconds)
        sizes.append(
            {
                "connectors": connectors,
                "decide_ms": decision_s * 1000,
                "decide_and_encode_ms": written_s * 1000,
                "highs_ms": program_s * 1000,
            }
        )
    first, last = sizes[0], sizes[-1]
    growth = math.log(last["decide_ms"] / first["decide_ms"]) / math.log(last["connectors"] / first["connectors"])
    return {"sizes": sizes, "growth_exponent": growth}
