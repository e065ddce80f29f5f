"""What a meter said in one message, in our units, before anything is concluded from it.

Every format ends here, and `readings` begins here: signs, missing phases and times are judged in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["checksum", "unreadable", "incomplete", "invalid", "retained", "foreign", "overlong"]
"""A short fixed list, because it becomes a label of a metric."""


class NotAReading(ValueError):  # noqa: N818 -- an answer about a message, not a failure of ours
    """Why a message gives no reading. It is counted by `kind`; the stream goes on."""

    def __init__(self, kind: Kind, reason: str) -> None:
        self.kind: Kind = kind
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase as the meter told it. `current_a` may lack its sign, `power_w` has it (+ import). None = not told."""

    current_a: float | None = None
    power_w: float | None = None
    voltage_v: float | None = None

    def is_silent(self) -> bool:
        """Nothing flows here, or nothing is known."""
        return not self.current_a and not self.power_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One message: the phases in the meter's order, its own time if it told one, its registers and averages."""

    phases: tuple[Phase, ...]
    own_time: datetime | None = None
    signed_current: bool = False
    import_wh: float | None = None
    export_wh: float | None = None
    demand_w: float | None = None
    month_peak_w: float | None = None
    month_peak_at: datetime | None = None
