"""The registers of an electricity meter: energy in and out, the running average of the quarter, the month's peak.

Phases are netted, as Belgian and Dutch meters do: what one phase gives is taken off what another draws. Moments are
seconds since 1970; quarters are those of the clock, months those of the meter's zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

QUARTER_S = 900


@dataclass(slots=True)
class Registers:
    """What a meter counts. `month_peak_at_s`: the end of the quarter that is the month's peak so far."""

    zone: str = "Europe/Brussels"
    import_wh: float = 0.0
    export_wh: float = 0.0
    quarter_wh: float = 0.0
    month_peak_w: float = 0.0
    month_peak_at_s: float | None = None

    @property
    def demand_w(self) -> float:
        """The energy of the quarter so far over the whole quarter (P1 1-0:1.4.0): it rises from 0 to the average."""
        return self.quarter_wh * 3600 / QUARTER_S

    def count(self, power_w: float, since_s: float, until_s: float) -> list[tuple[float, float]]:
        """A power, + is import, has flowed from one moment to another. Gives the quarters that closed: (end, watts)."""
        closed = []
        while since_s < until_s:
            quarter_end_s = since_s - since_s % QUARTER_S + QUARTER_S
            end_s = min(until_s, quarter_end_s)
            flowed_wh = power_w * (end_s - since_s) / 3600
            if flowed_wh > 0:
                self.import_wh += flowed_wh
                self.quarter_wh += flowed_wh
            else:
                self.export_wh -= flowed_wh
            if end_s == quarter_end_s:
                closed.append((end_s, self._close_quarter(end_s)))
            since_s = end_s
        return closed

    def _close_quarter(self, end_s: float) -> float:
        demand_w, self.quarter_wh = self.demand_w, 0.0
        if demand_w > self.month_peak_w:
            self.month_peak_w, self.month_peak_at_s = demand_w, end_s
        local = datetime.fromtimestamp(end_s, UTC).astimezone(ZoneInfo(self.zone))
        if local.day == 1 and local.hour == local.minute == 0:
            self.month_peak_w, self.month_peak_at_s = 0.0, None
        return demand_w
