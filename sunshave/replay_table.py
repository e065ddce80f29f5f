"""The answer of a what-if as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table


def comparison(answer: dict[str, Any]) -> Table:
    """What was beside what would be, one figure a row."""
    table = Table(title=f"{answer['location']}, {answer['from']} to {answer['until']}")
    table.add_column("")
    for column in ("was", "would be"):
        table.add_column(column, justify="right")
    rows = [dict(_rows(answer[way])) for way in ("was", "would_be")]
    for name in dict.fromkeys([*rows[0], *rows[1]]):
        table.add_row(name, *(row.get(name, "–") for row in rows))
    return table


def _rows(account: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "highest quarter", f"{account['highest_quarter_w']:.0f} W"
    yield "import", f"{account['import_wh'] / 1000:.2f} kWh"
    for group, billed in account["billed"].items():
        yield f"billed windows of {group}", str(billed["windows"])
        yield f"highest window of {group}", f"{billed['highest_w']:.0f} W"
        yield f"month peak of {group}", f"{billed['month_peak_w']:.0f} W"
        if billed["cost_eur"] is not None:
            yield f"its cost in {group}", f"{billed['cost_eur']:.2f} EUR"
    for connector, ah in account["granted_ah"].items():
        yield f"granted to {connector}", f"{ah:.2f} A·h per phase"
    yield "setpoints sent", str(account["setpoints"])
    for kind, many in account["alarms"].items():
        yield f"alarms: {kind}", str(many)
