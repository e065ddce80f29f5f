"""How an OCPP 1.6 charger obeys its profiles: written from the specification, not from what our dispatcher sends.

Within a purpose the highest stack level that is valid now counts, a TxProfile replaces the TxDefaultProfile for its
transaction, a profile that is over uncovers the one below, and with none left nothing is limited (errata 3.x). The
smallest of ChargePointMaxProfile and the others holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

PURPOSES = ("ChargePointMaxProfile", "TxDefaultProfile", "TxProfile")
NOMINAL_V = 230.0


@dataclass(frozen=True, slots=True)
class Profile:
    """An installed profile. `periods`: (seconds after the start, amperes per phase)."""

    id: int
    connector: int
    purpose: str
    level: int
    transaction: int | None
    start: datetime
    duration_s: float | None
    valid_from: datetime | None
    valid_to: datetime | None
    periods: tuple[tuple[float, float], ...]

    def limit_a(self, now: datetime) -> float | None:
        """Its limit at a moment; None when it says nothing then."""
        if (self.valid_from and now < self.valid_from) or (self.valid_to and now >= self.valid_to):
            return None
        elapsed_s = (now - self.start) / timedelta(seconds=1)
        if elapsed_s < 0 or (self.duration_s is not None and elapsed_s >= self.duration_s):
            return None
        begun = [limit for start, limit in self.periods if start <= elapsed_s]
        return begun[-1] if begun else None


class Profiles:
    """The profiles in a charger."""

    def __init__(self, max_a: float) -> None:
        self._max_a = max_a
        self._installed: list[Profile] = []

    def put(self, connector: int, raw: Mapping[str, Any], running: int | None) -> bool:
        """Install one (keys in snake case); False where the specification refuses it."""
        try:
            profile = _profile(connector, raw)
        except (KeyError, ValueError, TypeError):
            return False
        if profile.purpose == "TxProfile" and (running is None or profile.transaction not in (None, running)):
            return False
        place = (profile.connector, profile.purpose, profile.level)
        kept = [p for p in self._installed if p.id != profile.id and (p.connector, p.purpose, p.level) != place]
        self._installed = [*kept, profile]
        return True

    def clear(self, criteria: Mapping[str, Any]) -> bool:
        """ClearChargingProfile: by id, or by all criteria given. Whether there was one."""
        kept = [profile for profile in self._installed if not _meets(profile, criteria)]
        found = len(kept) < len(self._installed)
        self._installed = kept
        return found

    def end(self, connector: int) -> None:
        """The transaction is over: its profiles go with it."""
        self._installed = [p for p in self._installed if (p.purpose, p.connector) != ("TxProfile", connector)]

    def limit_a(self, connector: int, transaction: int | None, now: datetime) -> float:
        """Amperes per phase that may flow now."""
        mine = [p for p in self._installed if p.connector in (0, connector)]
        highest = _top((p for p in mine if p.purpose == "ChargePointMaxProfile"), now)
        of_transaction = _top((p for p in mine if p.purpose == "TxProfile" and transaction is not None), now)
        default = _top((p for p in mine if p.purpose == "TxDefaultProfile"), now)
        own = default if of_transaction is None else of_transaction
        return min([self._max_a, *(limit for limit in (highest, own) if limit is not None)])


def _top(profiles: Iterable[Profile], now: datetime) -> float | None:
    valid = [(profile.level, limit) for profile in profiles if (limit := profile.limit_a(now)) is not None]
    return max(valid)[1] if valid else None


def _meets(profile: Profile, criteria: Mapping[str, Any]) -> bool:
    if criteria.get("id") is not None:
        return profile.id == int(criteria["id"])
    wanted = {
        "connector_id": profile.connector,
        "charging_profile_purpose": profile.purpose,
        "stack_level": profile.level,
    }
    return all(criteria[key] == value for key, value in wanted.items() if criteria.get(key) is not None)


def _profile(connector: int, raw: Mapping[str, Any]) -> Profile:
    schedule = raw["charging_schedule"]
    if raw["charging_profile_kind"] != "Absolute" or raw["charging_profile_purpose"] not in PURPOSES:
        raise ValueError("only Absolute")
    return Profile(
        int(raw["charging_profile_id"]),
        connector,
        raw["charging_profile_purpose"],
        int(raw["stack_level"]),
        raw.get("transaction_id"),
        datetime.fromisoformat(schedule["start_schedule"]),
        schedule.get("duration"),
        _moment(raw.get("valid_from")),
        _moment(raw.get("valid_to")),
        tuple(sorted(_period(schedule["charging_rate_unit"], p) for p in schedule["charging_schedule_period"])),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _period(unit: str, period: Mapping[str, Any]) -> tuple[float, float]:
    limit = float(period["limit"])
    amperes = limit if unit == "A" else limit / (NOMINAL_V * (period.get("number_phases") or 3))
    return float(period["start_period"]), amperes
