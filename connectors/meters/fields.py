"""A map from a JSON document to what a meter said: where each value is, and by what it is multiplied.

    current_a: [$.a_current, $.b_current, $.c_current]
    power_w:   [{path: $.l1.in_kw, minus: $.l1.out_kw, scale: 1000}, …]
    at:        $.params.ts

Paths are names joined by dots, `[n]` for the n-th of a list. Numbers may be written as text ("3.702"): MQTT bridges do
that. A value that is absent, null or no finite number is not told; what that means is judged in `readings`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connectors.meters.measured import Measured, Phase
from connectors.meters.readings import METER_ZONE

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str | int, ...]:
    """The keys and indices of a path. ValueError where it is none."""
    if not path.startswith("$"):
        raise ValueError(f"the path {path!r} does not begin with $")
    rest, found = path[1:], []
    while rest:
        step = _STEP.match(rest)
        if step is None:
            raise ValueError(f"the path {path!r} cannot be read at {rest!r}")
        found.append(step[1] if step[1] is not None else int(step[2]))
        rest = rest[step.end() :]
    return tuple(found)


def look_up(document: Any, path: str) -> Any:
    """What is at a path, or None."""
    for step in steps(path):
        if isinstance(document, dict):
            document = document.get(str(step))
        elif isinstance(document, list) and isinstance(step, int):
            document = document[step] if step < len(document) else None
        else:
            return None
    return document


def number(value: Any) -> float | None:
    """A finite number, also one written as text; else None. A boolean is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def moment(value: Any) -> datetime | None:
    """A time: RFC 3339, seconds or milliseconds since 1970, or YYMMDDhhmmss as P1 meters write it; else None.

    The number of digits tells the numbers apart until 2070. Without a zone it is local time of the P1 countries.
    """
    found = number(value)
    try:
        if found is not None and found < 1e11:
            return datetime.fromtimestamp(found, UTC)
        if found is not None and found >= 1e12:
            return datetime.fromtimestamp(found / 1000, UTC)
        told = datetime.strptime(f"{found:012.0f}", "%y%m%d%H%M%S") if found else datetime.fromisoformat(value)  # noqa: DTZ007 -- the zone follows
        return (told if told.tzinfo else told.replace(tzinfo=METER_ZONE)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _a_path(text: str) -> str:
    steps(text)
    return text


Path = Annotated[str, AfterValidator(_a_path)]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Value(BaseModel):
    """Where a number is. `minus` is subtracted (import less export), `scale` brings the result into our unit."""

    model_config = _STRICT

    path: Path
    minus: Path | None = None
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    def of(self, document: Any) -> float | None:
        """The number in our unit, or None."""
        found = number(look_up(document, self.path))
        taken_off = 0.0 if self.minus is None else number(look_up(document, self.minus))
        if found is None or taken_off is None:
            return None
        return round((found - taken_off) * self.scale, 6)  # 4.321 kW is 4321 W, not 4321.000000000001


Where = Annotated[Value, BeforeValidator(lambda written: {"path": written} if isinstance(written, str) else written)]
"""A path, or a path with its scale."""
PerPhase = Annotated[list[Where], Field(min_length=1, max_length=3)]


class Fields(BaseModel):
    """Where each value of a reading is in a document."""

    model_config = _STRICT

    current_a: PerPhase | None = None
    power_w: PerPhase | None = None
    voltage_v: PerPhase | None = None
    import_wh: list[Where] | Where | None = None
    export_wh: list[Where] | Where | None = None
    demand_w: Where | None = None
    month_peak_w: Where | None = None
    month_peak_at: Path | None = None
    at: Path | None = None
    signed_current: bool = False

    @model_validator(mode="after")
    def _something_to_measure(self) -> Fields:
        if self.power_w is None and (self.current_a is None or not self.signed_current):
            raise ValueError(
                "`power_w` is needed, or `current_a` with `signed_current: true`: else nothing tells export"
            )
        return self

    def names(self) -> frozenset[str]:
        """The first step of every path: the parts of a document that matter."""
        found: set[str] = set()
        for where in (self.current_a, self.power_w, self.voltage_v, self.import_wh, self.export_wh):
            for value in where if isinstance(where, list) else [where] if where else []:
                found.update(str(steps(path)[0]) for path in (value.path, value.minus) if path)
        return frozenset(found | {str(steps(self.at)[0])} if self.at else found)

    def measured(self, document: Any) -> Measured | None:
        """What the document says; None when it holds nothing of the phases at all (it is about something else)."""
        phases = self._phases(document)
        if all(phase.current_a is None and phase.power_w is None for phase in phases):
            return None
        return Measured(
            phases=phases,
            own_time=moment(look_up(document, self.at)) if self.at else None,
            signed_current=self.signed_current,
            import_wh=_total(self.import_wh, document),
            export_wh=_total(self.export_wh, document),
            demand_w=_total(self.demand_w, document),
            month_peak_w=_total(self.month_peak_w, document),
            month_peak_at=moment(look_up(document, self.month_peak_at)) if self.month_peak_at else None,
        )

    def _phases(self, document: Any) -> tuple[Phase, ...]:
        columns = [
            [value.of(document) for value in where or []] for where in (self.current_a, self.power_w, self.voltage_v)
        ]
        longest = max(map(len, columns))
        padded = [column + [None] * (longest - len(column)) for column in columns]
        return tuple(Phase(*values) for values in zip(*padded, strict=True))


def _total(where: list[Value] | Value | None, document: Any) -> float | None:
    """One value, or the sum of several; None when one of them is missing."""
    if where is None:
        return None
    values = [value.of(document) for value in (where if isinstance(where, list) else [where])]
    known = [value for value in values if value is not None]
    return round(sum(known), 6) if values and len(known) == len(values) else None
