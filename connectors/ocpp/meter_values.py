"""MeterValues as chargers really send them, read before and without any schema.

A strict reader would lose readings over a misspelt unit; a reading lost is a car that counts at its reservation. So:
anything may be missing, empty, or of a kind never heard of, and what is left is read. Values that cannot be told apart
by phase are spread so that no phase is counted too low.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any

Frame = dict[str, Any]

_SCALE = {"kwh": 1000.0, "kw": 1000.0, "ma": 0.001, "mv": 0.001, "kva": 1000.0}
_PHASES = {"L1": 1, "L2": 2, "L3": 3, "L1-N": 1, "L2-N": 2, "L3-N": 3}
_SKIPPED_CONTEXTS = frozenset({"Transaction.Begin"})
"""Values from before the contactor closed; some carry a register of 0 (facts #55)."""
_OTHER_SIDES = frozenset({"Inlet", "Body", "EV"})
"""What is measured there is not what flows out of the connector."""
WHOLE = 0
"""The "phase" of a value without one."""
MATCH = 0.15
"""How far a value may be off and still be "the same" as another. Charger meters are 1 to 2 %, and voltage and power
factor are guessed. Larger: a sum over two phases passes for an average over three."""

NONSENSE = 1e12
"""No meter of a charger says this much of anything (a lifetime in mWh is below it); sums of larger ones overflow."""


@dataclass(slots=True)
class Measured:
    """What one MeterValues message says, in A, W, Wh, V: per phase (1 to 3) or as a `WHOLE`."""

    connector: int
    transaction: int | None
    timestamp: datetime | None = None
    current: dict[int, float] = field(default_factory=dict)
    power: dict[int, float] = field(default_factory=dict)
    voltage: dict[int, float] = field(default_factory=dict)
    energy: dict[int, float] = field(default_factory=dict)
    offered: dict[int, float] = field(default_factory=dict)
    soc: dict[int, float] = field(default_factory=dict)


_KINDS = {
    "Current.Import": "current",
    "Power.Active.Import": "power",
    "Voltage": "voltage",
    "Energy.Active.Import.Register": "energy",
    "Current.Offered": "offered",
    "SoC": "soc",
}


def read_meter_values(payload: Frame) -> Measured | None:
    """What a MeterValues payload says; None where it names no connector."""
    connector = whole_number(payload.get("connectorId"))
    if connector is None:
        return None
    transaction = whole_number(payload.get("transactionId"))
    measured = Measured(connector, transaction if transaction and transaction > 0 else None)
    for timestamp, samples in _in_order(payload.get("meterValue")):
        measured.timestamp = timestamp or measured.timestamp
        for sample in samples:
            _take(measured, sample)
    return measured


def _in_order(groups: Any) -> list[tuple[datetime | None, list[Frame]]]:
    """The groups of samples, the newest last (facts #58); as they came where a time cannot be read."""
    if not isinstance(groups, list):
        return []
    read = [(read_time(g.get("timestamp")), list(_samples(g))) for g in groups if isinstance(g, dict)]
    if all(timestamp is not None for timestamp, _ in read):
        read.sort(key=lambda group: group[0] or datetime.min.replace(tzinfo=UTC))
    return read


def _samples(group: Frame) -> Iterator[Frame]:
    samples = group.get("sampledValue")
    if isinstance(samples, list):
        yield from (sample for sample in samples if isinstance(sample, dict))


def _take(measured: Measured, sample: Frame) -> None:
    kind = _KINDS.get(str(sample.get("measurand") or "Energy.Active.Import.Register").strip())
    value = _number(sample.get("value"))
    if kind is None or value is None or sample.get("format") == "SignedData":
        return
    if str(sample.get("context")) in _SKIPPED_CONTEXTS or str(sample.get("location")) in _OTHER_SIDES:
        return
    phase = sample.get("phase")
    place = WHOLE if phase is None else _PHASES.get(str(phase).strip().upper())
    if place is None:
        return  # N alone, or between two lines
    getattr(measured, kind)[place] = value * _SCALE.get(str(sample.get("unit") or "").strip().lower(), 1.0)


def whole_number(value: Any) -> int | None:
    """An int, also from a text or 1.0; None for everything else."""
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _number(value: Any) -> float | None:
    """A finite number. Empty and "-" mean that it is not known, not 0 (facts #48)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) and abs(number) < NONSENSE else None


def read_time(value: Any) -> datetime | None:
    """A charger's time. Without a zone it counts as UTC: it is only compared with other times of the same charger."""
    try:
        moment = datetime.fromisoformat(value.strip())
    except (AttributeError, ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def currents(measured: Measured, phases: int, phase_v: float, cap_a: float) -> list[float] | None:
    """Amperes per charger phase, as many as the connector has; None when nothing tells them.

    `cap_a`: what a phase can carry at most, for values whose split is not known.
    """
    amperes = {phase: abs(value) for phase, value in measured.current.items()}
    if set(amperes) - {WHOLE}:
        return _tagged(amperes, measured, phases, phase_v)
    total_a = _total_a(measured, phases, phase_v)
    if WHOLE in amperes:
        return _untagged(amperes[WHOLE], total_a, phases, cap_a)
    if set(measured.power) - {WHOLE}:
        by_phase = {phase: abs(w) / _volts(measured, phase, phase_v) for phase, w in measured.power.items() if phase}
        return _per_phase(by_phase, phases)
    if total_a is not None:
        return [total_a] if phases == 1 else [min(cap_a, total_a)] * phases
    return None


def _per_phase(amperes: dict[int, float], phases: int) -> list[float]:
    if phases == 1:  # one wire, whatever the charger calls it
        return [max((a for phase, a in amperes.items() if phase), default=0.0)]
    return [amperes.get(phase, 0.0) for phase in range(1, phases + 1)]


def _tagged(amperes: dict[int, float], measured: Measured, phases: int, phase_v: float) -> list[float]:
    """Per phase as reported. Phases left out carry what the power says beyond the others, else nothing."""
    known = _per_phase(amperes, phases)
    missing = [phase for phase in range(1, phases + 1) if phase not in amperes]
    total_a = _total_a(measured, phases, phase_v)
    if phases == 1 or not missing or total_a is None:
        return known
    rest = total_a - sum(known)
    if rest <= MATCH * total_a:
        return known
    return [rest / len(missing) if phase in missing else known[phase - 1] for phase in range(1, phases + 1)]


def _untagged(value_a: float, total_a: float | None, phases: int, cap_a: float) -> list[float]:
    """One number for several phases: an average if the power agrees, else it may be one phase's or their sum."""
    if phases == 1:
        return [value_a]
    if total_a is not None and abs(value_a - total_a / phases) <= MATCH * value_a:
        return [value_a] * phases
    return [min(cap_a, value_a)] * phases


def _total_a(measured: Measured, phases: int, phase_v: float) -> float | None:
    """The sum of the phases' currents that the power means."""
    watts = power_w(measured)
    if watts is None:
        return None
    volts = [_volts(measured, phase, phase_v) for phase in range(1, phases + 1)]
    return abs(watts) * len(volts) / sum(volts)


def _volts(measured: Measured, phase: int, phase_v: float) -> float:
    """Measured where it makes sense as phase to neutral, else what the location says."""
    for volts in (measured.voltage.get(phase), measured.voltage.get(WHOLE)):
        if volts is not None and 0.7 * phase_v < volts < 1.3 * phase_v:
            return volts
    return phase_v


def power_w(measured: Measured) -> float | None:
    """The power over all phases."""
    if WHOLE in measured.power:
        return measured.power[WHOLE]
    return sum(measured.power.values()) if measured.power else None
