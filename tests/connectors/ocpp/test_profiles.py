"""What is written into a charger, as tables."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import Call, _validate_payload

from connectors.ocpp.profiles import (
    Abilities,
    Form,
    forms,
    learnt,
    lease,
    legal_limit,
    profile_id,
    read_abilities,
    safe_default,
)
from connectors.ocpp.registry import ConnectorPlate

THREE = ConnectorPlate(1, 3, 6.0, 16.0, 230.0)
ONE = ConnectorPlate(2, 1, 6.0, 32.0, 230.0)
PLAIN = Abilities()
NOW_MS = 1_795_334_400_500  # 2026-11-22T08:00:00.5Z
TX2 = Form("TxProfile", True)
DEFAULT2 = Form("TxDefaultProfile", True)
DEFAULT1 = Form("TxDefaultProfile", False)


def built(plate: ConnectorPlate = THREE, form: Form = TX2, abilities: Abilities = PLAIN, **changes: object) -> dict:
    values = {
        "limit_a": 12.4,
        "phases": plate.phases,
        "fallback_a": 6.0,
        "until_ms": NOW_MS + 900_000,
        "now_ms": NOW_MS,
    }
    return lease(plate, abilities, form, 77, **{**values, **changes})


def test_lease_of_a_transaction() -> None:
    """The limit from a minute ago on, the fallback from the end of the lease on, and nothing that ends by itself."""
    expected = {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 3,
            "transactionId": 77,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "2026-11-22T07:59:00Z",
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 12.4, "numberPhases": 3},
                    {"startPeriod": 960, "limit": 6.0, "numberPhases": 3},
                ],
            },
        },
    }
    assert expected == built()


def test_default_lease_has_no_transaction() -> None:
    """Without TxProfile the lease is a default one level above the safe one, with an id of its own."""
    profile = built(form=DEFAULT2)["csChargingProfiles"]

    assert ("TxDefaultProfile", 1, 2) == (
        profile["chargingProfilePurpose"],
        profile["stackLevel"],
        profile["chargingProfileId"],
    )
    assert "transactionId" not in profile


def test_unknown_fallback_is_not_guessed() -> None:
    """With `fallback_a` null there is one period, and it ends with the lease."""
    schedule = built(form=DEFAULT1, fallback_a=None)["csChargingProfiles"]["chargingSchedule"]

    assert 960 == schedule["duration"]
    assert [0] == [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]


@given(now=st.integers(0, 2**41), lease_ms=st.integers(1, 86_400_000))
def test_step_is_never_after_the_end_of_the_lease(now: int, lease_ms: int) -> None:
    """By the charger's own clock the fallback begins at most a second before, and never after, valid_until."""
    schedule = built(now_ms=now + 10**12, until_ms=now + 10**12 + lease_ms)["csChargingProfiles"]["chargingSchedule"]
    start_ms = int(datetime.fromisoformat(schedule["startSchedule"]).timestamp() * 1000)
    step_ms = start_ms + schedule["chargingSchedulePeriod"][1]["startPeriod"] * 1000

    assert 0 <= now + 10**12 + lease_ms - step_ms < 1000


@pytest.mark.parametrize(
    ("asked", "told"),
    [(12.49, 12.4), (12.4, 12.4), (6.0, 6.0), (5.99, 0.0), (0.3, 0.0), (0.0, 0.0), (40.0, 16.0), (15.999999, 15.9)],
)
def test_limit_is_legal(asked: float, told: float) -> None:
    """One decimal rounded down, within the connector's maximum, never between 0 and its minimum."""
    assert told == legal_limit(asked, THREE)


@pytest.mark.parametrize(
    ("plate", "limit_a", "watts"), [(THREE, 10.0, 6900.0), (THREE, 12.4, 8556.0), (ONE, 16.0, 3680.0), (THREE, 4, 0.0)]
)
def test_watts_are_those_of_the_specification(plate: ConnectorPlate, limit_a: float, watts: float) -> None:
    """Amperes × 230 V × numberPhases (errata 3.69), whatever the real voltage is."""
    profile = built(plate, abilities=Abilities(unit="W"), limit_a=limit_a)["csChargingProfiles"]

    assert "W" == profile["chargingSchedule"]["chargingRateUnit"]
    assert watts == profile["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]


def test_safe_default_lies_below_and_never_ends() -> None:
    """Level 0, no duration: what holds when everything else is lost."""
    profile = safe_default(ONE, Abilities(), 6.0, NOW_MS)["csChargingProfiles"]

    assert (0, "TxDefaultProfile", 4) == (
        profile["stackLevel"],
        profile["chargingProfilePurpose"],
        profile["chargingProfileId"],
    )
    assert [{"startPeriod": 0, "limit": 6.0, "numberPhases": 1}] == profile["chargingSchedule"][
        "chargingSchedulePeriod"
    ]
    assert "duration" not in profile["chargingSchedule"]


def test_level_zero_only_charger_gets_level_zero() -> None:
    """ABB takes stack level 0 only: the lease then replaces the default, and holds the fallback itself."""
    profile = built(form=DEFAULT2, abilities=Abilities(max_level=0))["csChargingProfiles"]

    assert (0, 1) == (profile["stackLevel"], profile["chargingProfileId"])


def test_ids_are_unique_and_small() -> None:
    """One number per connector and purpose, so that a new profile replaces the old one."""
    kinds = [("TxDefaultProfile", 0), ("TxDefaultProfile", 1), ("TxProfile", 1)]
    ids = [profile_id(number, purpose, level) for number in (1, 2, 3) for purpose, level in kinds]

    assert list(range(1, 10)) == sorted(ids)


@pytest.mark.parametrize(
    ("abilities", "transaction", "fallback_a", "expected"),
    [
        (Abilities(), 77, 6.0, (TX2, DEFAULT2, DEFAULT1)),
        (Abilities(), None, 6.0, (DEFAULT2, DEFAULT1)),
        (Abilities(tx_profile=False), 77, 6.0, (DEFAULT2, DEFAULT1)),
        (Abilities(two_periods=False), 77, 6.0, (Form("TxProfile", False), DEFAULT1)),
        (Abilities(), 77, None, (Form("TxProfile", False), DEFAULT1)),
    ],
)
def test_forms_go_one_step_down_each(
    abilities: Abilities, transaction: int | None, fallback_a: float | None, expected: tuple[Form, ...]
) -> None:
    """A refusal leads to the next simpler form; none is tried twice."""
    assert expected == forms(abilities, transaction, fallback_a)


def test_what_was_refused_is_remembered() -> None:
    """The form that was accepted after others is the first one next time."""
    assert (DEFAULT1,) == forms(learnt(Abilities(), TX2, DEFAULT1), 77, 6.0)
    assert (TX2, DEFAULT2, DEFAULT1) == forms(learnt(Abilities(), TX2, TX2), 77, 6.0)


@pytest.mark.parametrize(
    ("said", "unit"),
    [("Current", "A"), ("Power", "W"), ("Current,Power", "A"), ("W", "W"), ("A;W", "A"), ("", "A"), ("odd", "A")],
)
def test_unit_is_watts_only_where_amperes_are_not_taken(said: str, unit: str) -> None:
    """ChargingScheduleAllowedChargingRateUnit in all its spellings."""
    assert unit == read_abilities(Abilities(), {"chargingscheduleallowedchargingrateunit": said}).unit


@given(
    limit_a=st.floats(0, 80),
    fallback_a=st.none() | st.floats(0, 20),
    unit=st.sampled_from(["A", "W"]),
    form=st.sampled_from([TX2, DEFAULT2, DEFAULT1]),
)
def test_every_profile_fits_the_official_schema(
    limit_a: float, fallback_a: float | None, unit: str, form: Form
) -> None:
    """Whatever the setpoint says, what leaves is valid OCPP 1.6 (limits are multiples of 0.1)."""
    form = form if fallback_a is not None else Form(form.purpose, False)
    payload = built(form=form, abilities=Abilities(unit=unit), limit_a=limit_a, fallback_a=fallback_a)  # type: ignore[arg-type]

    _validate_payload(Call("1", "SetChargingProfile", payload), "1.6")
