"""What is written into a charger: the lease of a setpoint and the safe default below it.

An expired or missing profile means *full* power in OCPP 1.6. So the step down is inside the profile: a lease has two
periods, the limit now and the fallback from the end of the lease on, and needs nobody alive to take effect. Under it
lies a permanent default with the fallback, for a charger that lost the lease.

Where the fallback is not known (`fallback_a` None) the lease has one period and a duration. A second period would be a
guess: 0 A would strand cars at a site whose owner did not ask for it, and holding the last limit would go on acting
after `valid_until`. The planner reserves the connector's `max_a` from the end of the lease on, so whatever the
charger then does is paid for.

Currents are per phase. Watts follow errata 3.69: amperes × 230 V × numberPhases, whatever the real voltage is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import Any, Literal

from connectors.ocpp.registry import ConnectorPlate
from pipeline.moments import to_moment

NOMINAL_V = 230
"""The voltage by which OCPP 1.6 turns watts into amperes (errata 3.69); not a measured one."""
START_BACK_S = 60
"""How far a schedule's start lies in the past. Chargers' clocks run some seconds late, and a start in their future
means no limit yet (evcc #16263). Smaller: that. Larger: clocks far ahead lose nothing, it only moves numbers."""
LEASE_LEVEL = 1
"""The stack level of leases. Not the highest one: MicroOcpp loses that at a reboot (measured)."""

Purpose = Literal["TxProfile", "TxDefaultProfile"]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this connection's charger has shown, or said, that it can do."""

    unit: Literal["A", "W"] = "A"
    max_level: int = 100
    tx_profile: bool = True
    two_periods: bool = True
    trigger: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a lease."""

    purpose: Purpose
    two_periods: bool


def forms(abilities: Abilities, transaction: int | None, fallback_a: float | None) -> tuple[Form, ...]:
    """The ways to try, best first: each refusal moves one step down, and nothing is tried twice."""
    tx = abilities.tx_profile and transaction is not None
    two = abilities.two_periods and fallback_a is not None
    ways = [Form("TxProfile", two)] if tx else []
    ways.append(Form("TxDefaultProfile", two))
    if two:
        ways.append(Form("TxDefaultProfile", False))
    return tuple(ways)


def learnt(abilities: Abilities, first: Form, accepted: Form) -> Abilities:
    """What the charger can do, after it refused the first form and accepted another."""
    return replace(
        abilities,
        tx_profile=abilities.tx_profile and first.purpose == accepted.purpose,
        two_periods=abilities.two_periods and first.two_periods == accepted.two_periods,
    )


def legal_limit(limit_a: float, plate: ConnectorPlate) -> float:
    """The limit that a charger may be told: one decimal, rounded down, and never between 0 and its minimum.

    IEC 61851 cannot signal less than 6 A; chargers pause, clamp or ignore it (facts 1.4).
    """
    tenths = floor(min(limit_a, plate.max_a) * 10 + 1e-6) / 10
    return tenths if tenths + 1e-6 >= plate.min_a else 0.0


def lease(
    plate: ConnectorPlate,
    abilities: Abilities,
    form: Form,
    transaction: int | None,
    *,
    limit_a: float,
    phases: int,
    fallback_a: float | None,
    until_ms: int,
    now_ms: int,
) -> dict[str, Any]:
    """A SetChargingProfile request that ends, by the charger's own clock, no later than `until_ms`."""
    start_s = now_ms // 1000 - START_BACK_S
    end_s = until_ms // 1000 - start_s
    schedule = _schedule(abilities, start_s, [(0, legal_limit(limit_a, plate))], phases)
    if form.two_periods:
        assert fallback_a is not None
        step = (end_s, legal_limit(fallback_a, plate))
        schedule["chargingSchedulePeriod"] += _periods(abilities, [step], phases)
    else:
        schedule["duration"] = end_s
    profile = _profile(plate, form.purpose, min(LEASE_LEVEL, abilities.max_level), schedule)
    if form.purpose == "TxProfile":
        profile["transactionId"] = transaction
    return {"connectorId": plate.id, "csChargingProfiles": profile}


def safe_default(plate: ConnectorPlate, abilities: Abilities, fallback_a: float, now_ms: int) -> dict[str, Any]:
    """A SetChargingProfile request that holds for ever, below every lease."""
    periods = [(0, legal_limit(fallback_a, plate))]
    schedule = _schedule(abilities, now_ms // 1000 - START_BACK_S, periods, plate.phases)
    return {"connectorId": plate.id, "csChargingProfiles": _profile(plate, "TxDefaultProfile", 0, schedule)}


def profile_id(connector: int, purpose: Purpose, level: int) -> int:
    """Always the same number for the same thing, so that a new one replaces the old one; small, because some take no
    id above MaxChargingProfilesInstalled."""
    return 3 * (connector - 1) + (3 if purpose == "TxProfile" else 1 + min(level, 1))


def _profile(plate: ConnectorPlate, purpose: Purpose, level: int, schedule: dict[str, Any]) -> dict[str, Any]:
    return {
        "chargingProfileId": profile_id(plate.id, purpose, level),
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        # Relative would count from the start of the transaction: long past, hence full power (facts 1.2)
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }


def _schedule(abilities: Abilities, start_s: int, steps: list[tuple[int, float]], phases: int) -> dict[str, Any]:
    return {
        "chargingRateUnit": abilities.unit,
        "startSchedule": to_moment(start_s * 1000).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chargingSchedulePeriod": _periods(abilities, steps, phases),
    }


def _periods(abilities: Abilities, steps: list[tuple[int, float]], phases: int) -> list[dict[str, Any]]:
    def rate(amperes: float) -> float:
        return floor(amperes * NOMINAL_V * phases * 10 + 1e-6) / 10 if abilities.unit == "W" else amperes

    return [{"startPeriod": start, "limit": rate(amperes), "numberPhases": phases} for start, amperes in steps]


def read_abilities(before: Abilities, configuration: dict[str, str]) -> Abilities:
    """What GetConfiguration says, keys in lower case. Absent or odd: as before."""
    units = configuration.get("chargingscheduleallowedchargingrateunit", "").lower()
    names = {part.strip(" \"'") for part in units.replace(";", ",").split(",")}
    watts_only = bool(names & {"power", "w"}) and not names & {"current", "a"}
    level = configuration.get("chargeprofilemaxstacklevel", "").strip()
    periods = configuration.get("chargingschedulemaxperiods", "").strip()
    return replace(
        before,
        unit="W" if watts_only else before.unit,
        max_level=int(level) if level.isdecimal() else before.max_level,
        two_periods=before.two_periods and periods != "1",
    )
