"""Reading a backlog: every reader in a process of its own, on the same core, from the same topic of a real Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.backlog import LOCATION_COUNT, RECORDS, SECONDS, forget_worker, records, write
from tests.bench.cost import Cost
from tests.parts.kafka import running_kafka

ROUNDS = 3
"""Of yardstick and worker, in turns: the best of each counts."""
RIVALS = {"stock": "stock Faust agent, an event per record", "quix": "quixstreams", "waxed": "bytewax"}
TIMEOUT_S = 90.0
"""For one reader. Less fails on a loaded machine; more makes a hung one the whole run."""


class NoFigure(Exception):  # noqa: N818 -- an answer, not a failure of ours
    """Why a reader gave no figure."""


def cost_of(reader: str, bootstrap: str, core: int, python: Path) -> Cost:
    """Run one reader. NoFigure where it cannot run."""
    command = ["taskset", "-c", str(core), str(python), "-m", f"tests.bench.{reader}", bootstrap]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NoFigure(f"not done in {TIMEOUT_S:g} s") from None
    said = done.stdout.strip().splitlines()
    if done.returncode or not said:
        raise NoFigure((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    return Cost(**json.loads(said[-1]))


def measured(rivals_python: Path | None) -> dict[str, Any]:
    """Microseconds of CPU per record of each reader. `rivals_python`: where quixstreams and bytewax are installed."""
    core = max(os.sched_getaffinity(0))
    with running_kafka() as node:
        asyncio.run(write(node.bootstrap, records(time.time_ns() // 1_000_000)))
        bare, ours = [], []
        for _ in range(ROUNDS):
            bare.append(cost_of("bare", node.bootstrap, core, Path(sys.executable)))
            ours.append(cost_of("ours", node.bootstrap, core, Path(sys.executable)))
            forget_worker(node.bootstrap)
        found = {
            "locations": LOCATION_COUNT,
            "seconds": SECONDS,
            "records": RECORDS,
            "bare_us": min(c.us for c in bare),
            "worker_us": min(c.us for c in ours),
        }
        for name in RIVALS:
            python = Path(sys.executable) if name == "stock" else rivals_python
            try:
                if python is None:
                    raise NoFigure("not installed: `make bench` does it")
                found[f"{name}_us"] = cost_of(name, node.bootstrap, core, python).us
            except NoFigure as reason:
                found[f"{name}_skipped"] = str(reason)
    return found
