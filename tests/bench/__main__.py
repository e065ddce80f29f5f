"""Run every comparison, print a table, and write what was measured as JSON."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.bench import deciding, reacting, readers, recovering

DECIDING_S = 1.5
"""Per size and solver. Less: a loaded machine shows; more: the run takes longer than anybody waits."""


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("build/bench.json"))
@click.option("--rivals-python", type=click.Path(exists=True, path_type=Path), help="Where the rivals are installed.")
def main(out: Path, rivals_python: Path | None) -> None:
    """What a record, a decision and a recovery cost here."""
    console = Console()
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, Python {platform.python_version()}"}
    found["reading"] = readers.measured(rivals_python)
    console.print(_readers_table(found["reading"]))
    found["deciding"] = deciding.measured(DECIDING_S)
    console.print(_deciding_table(found["deciding"]))
    found["recovering"] = recovering.measured()
    taken = found["recovering"]
    console.print(
        f"{taken['locations']:,} locations of {taken['bytes_each']:,} bytes taken over in {taken['seconds']:.1f} s"
    )
    found["reacting"] = reacting.measured()
    console.print(_reacting_table(found["reacting"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    console.print(f"written to {out}")


def _readers_table(found: dict[str, Any]) -> Table:
    table = Table("reader", "µs CPU per record", "bare loop = 1", title=f"A backlog of {found['records']:,} readings")
    names = {"bare": "aiokafka and msgspec, nothing else", "worker": "sunshave worker, decisions and all"}
    for name, words in (names | readers.RIVALS).items():
        cost = found.get(f"{name}_us")
        if cost is None:
            table.add_row(words, "skipped", found[f"{name}_skipped"])
        else:
            table.add_row(words, f"{cost:.1f}", f"{found['bare_us'] / cost:.3f}")
    return table


def _deciding_table(found: dict[str, Any]) -> Table:
    title = f"One decision; it grows with the connectors to the power of {found['growth_exponent']:.2f}"
    table = Table("connectors", "decide, ms", "from nothing, ms", "a linear program (HiGHS), ms", title=title)
    for size in found["sizes"]:
        costs = [f"{size[name]:.2f}" for name in ("decide_ms", "from_nothing_ms", "highs_ms")]
        table.add_row(str(size["connectors"]), *costs)
    return table


def _reacting_table(found: list[dict[str, Any]]) -> Table:
    title = f"From a reading to its setpoint, in intervals of {found[0]['interval_s']:g} s"
    table = Table("homes", "worker ran, waited for a core", "what happened", "times", "p50", "p99", title=title)
    for size in found:
        load = f"{size['ran']:.0%}, {size['waited']:.0%}"
        for what, took in size["kinds"].items():
            table.add_row(
                str(size["homes"]), load, what, str(took["count"]), f"{took['p50']:.2f}", f"{took['p99']:.2f}"
            )
    return table


if __name__ == "__main__":
    main()
