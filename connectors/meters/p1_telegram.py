"""One P1 telegram becomes what the meter said: dsmr-parser checks the CRC and reads the lines, we keep those we use.

Sources: DSMR 5.0.2 P1 companion standard; e-MUCS-H P1 (Fluvius): 1-0:1.4.0 is the running average of the quarter,
1-0:1.6.0 the month's peak with the time at which it was reached.

Only the lines that we use are given to the parser: a text message, a gas meter or a failure log that is malformed must
not cost the currents.
"""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from dsmr_parser import telegram_specifications
from dsmr_parser.exceptions import InvalidChecksumError, ParseError
from dsmr_parser.parsers import TelegramParser

from connectors.meters.measured import Measured, NotAReading, Phase

Variant = Literal["fluvius", "dsmr5", "dsmr4", "dsmr2.2"]

_SPECIFICATIONS = {
    "fluvius": telegram_specifications.BELGIUM_FLUVIUS,
    "dsmr5": telegram_specifications.V5,
    "dsmr4": telegram_specifications.V4,
    "dsmr2.2": telegram_specifications.V2_2,  # no CRC, no time, no phases: totals of a one-phase meter at best
}
_USED = frozenset(
    {
        "P1_MESSAGE_TIMESTAMP",
        "ELECTRICITY_USED_TARIFF_1",
        "ELECTRICITY_USED_TARIFF_2",
        "ELECTRICITY_DELIVERED_TARIFF_1",
        "ELECTRICITY_DELIVERED_TARIFF_2",
        "BELGIUM_CURRENT_AVERAGE_DEMAND",
        "BELGIUM_MAXIMUM_DEMAND_MONTH",
        "CURRENT_ELECTRICITY_USAGE",
        "CURRENT_ELECTRICITY_DELIVERY",
        *(
            f"INSTANTANEOUS_{what}"
            for phase in ("L1", "L2", "L3")
            for what in (
                f"CURRENT_{phase}",
                f"VOLTAGE_{phase}",
                f"ACTIVE_POWER_{phase}_POSITIVE",
                f"ACTIVE_POWER_{phase}_NEGATIVE",
            )
        ),
    }
)

# The parser logs every bad line with a traceback, as often as it comes; we count them and log at a bounded rate.
logging.getLogger("dsmr_parser").setLevel(logging.CRITICAL)


def _parser(variant: str) -> TelegramParser:
    whole = _SPECIFICATIONS[variant]
    return TelegramParser({**whole, "objects": [line for line in whole["objects"] if line["value_name"] in _USED]})


_PARSERS = {variant: _parser(variant) for variant in _SPECIFICATIONS}


def read_telegram(telegram: bytes, variant: Variant) -> Measured:
    """What the meter said. Raises NotAReading when the CRC is wrong or a line that we use cannot be read."""
    try:
        lines = _PARSERS[variant].parse(telegram.decode("ascii"), throw_ex=True)
    except InvalidChecksumError:
        raise NotAReading("checksum", "the CRC does not match: bytes were lost or changed on the line") from None
    except (ParseError, ValueError, ArithmeticError, IndexError) as problem:  # the parser lets Decimal's errors through
        raise NotAReading("unreadable", f"not a telegram of variant {variant}: {type(problem).__name__}") from None
    phases = tuple(_phase(lines, name) for name in ("L1", "L2", "L3"))
    if all(phase.power_w is None for phase in phases):  # totals only: right for a meter with one phase
        phases = (
            Phase(phases[0].current_a, _power_w(lines, "CURRENT_ELECTRICITY_{}", "USAGE", "DELIVERY")),
            *phases[1:],
        )
    return Measured(
        phases=phases,
        own_time=_value(lines, "P1_MESSAGE_TIMESTAMP"),
        import_wh=_register_wh(lines, "USED"),
        export_wh=_register_wh(lines, "DELIVERED"),
        demand_w=_thousand(_number(lines, "BELGIUM_CURRENT_AVERAGE_DEMAND")),
        month_peak_w=_thousand(_number(lines, "BELGIUM_MAXIMUM_DEMAND_MONTH")),
        month_peak_at=_peak_time(lines),
    )


def _phase(lines: Any, name: str) -> Phase:
    current, voltage = (_number(lines, f"INSTANTANEOUS_{what}_{name}") for what in ("CURRENT", "VOLTAGE"))
    return Phase(
        current_a=None if current is None else float(current),
        power_w=_power_w(lines, f"INSTANTANEOUS_ACTIVE_POWER_{name}_{{}}", "POSITIVE", "NEGATIVE"),
        voltage_v=float(voltage) if voltage else None,  # a phase that is not connected reads 000.0 V
    )


def _power_w(lines: Any, pattern: str, taken: str, given: str) -> float | None:
    """Import less export; a meter without export (some have no line for it) exports nothing."""
    power_in = _number(lines, pattern.format(taken))
    return None if power_in is None else _thousand(power_in - (_number(lines, pattern.format(given)) or 0))


def _register_wh(lines: Any, direction: str) -> float | None:
    """Both tariffs together: one alone would jump back when the tariff changes."""
    day, night = (_number(lines, f"ELECTRICITY_{direction}_TARIFF_{tariff}") for tariff in (1, 2))
    return None if day is None or night is None else _thousand(day + night)


def _peak_time(lines: Any) -> datetime | None:
    peak = getattr(lines, "BELGIUM_MAXIMUM_DEMAND_MONTH", None)
    return None if peak is None else peak.datetime


def _value(lines: Any, name: str) -> Any:
    line = getattr(lines, name, None)
    return None if line is None else line.value


def _number(lines: Any, name: str) -> Decimal | None:
    number = _value(lines, name)
    if number is not None and not number.is_finite():  # Decimal("NaN") is a number to the parser
        raise NotAReading("unreadable", f"{name} is not a finite number")
    return number  # type: ignore[no-any-return]


def _thousand(kilo: Decimal | None) -> float | None:
    """kW to W and kWh to Wh, exact in decimals."""
    return None if kilo is None else float(kilo * 1000)
