"""Simulated charge points against our own central system: real sockets, real profiles, a car that obeys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.ocpp.passwords import Passwords
from connectors.simulated.battery import Car, Charge
from connectors.simulated.cars import ChargePoint, run_charge_point
from connectors.simulated.obedience import Profiles
from tests.connectors.ocpp.desk import Desk, location, open_desk, setpoint

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SPRINTER = {"delay_s": 0.0, "ramp_a_per_s": 1000.0}


@asynccontextmanager
async def running(desk: Desk, *cars: Car, **options: Any) -> AsyncIterator[ChargePoint]:
    point = ChargePoint("CP-1", cars, speed=options.pop("speed", 1.0))
    task = asyncio.create_task(
        run_charge_point(desk.url, "CP-1", cars, meter_values_every_s=0.3, point=point, **options)
    )
    try:
        yield point
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_car_charges_by_its_lease_and_falls_back_without_us() -> None:
    """Plug in, transaction, lease, measured current; and when the lease ends the car draws the fallback by itself."""

    async def story() -> None:
        async with open_desk() as desk, running(desk, Car("CP-1", **SPRINTER)) as point:
            await desk.until(lambda: any(r.transaction for r in desk.readings))
            desk.central.offer(setpoint(1, 12, valid_s=3))
            assert "accepted" == (await desk.terminal(1)).state
            await desk.until(lambda: desk.readings[-1].current_a == [12.0, 12.0, 12.0])
            assert ("Charging", 12.0) == (desk.readings[-1].status, point.current_a[0])
            await desk.until(lambda: desk.readings[-1].current_a == [6.0, 6.0, 6.0])

    asyncio.run(story())


def test_paused_car_keeps_its_transaction() -> None:
    """0 A suspends; the next limit wakes it."""

    async def story() -> None:
        async with open_desk() as desk, running(desk, Car("CP-1", **SPRINTER)):
            await desk.until(lambda: any(r.transaction for r in desk.readings))
            desk.central.offer(setpoint(1, 0))
            await desk.until(lambda: desk.readings[-1].status == "SuspendedEVSE")
            assert desk.readings[-1].transaction is not None
            desk.central.offer(setpoint(2, 8))
            await desk.until(lambda: desk.readings[-1].current_a == [8.0, 8.0, 8.0])

    asyncio.run(story())


def test_car_comes_fills_and_leaves_at_its_own_speed() -> None:
    """Available, Preparing, Charging, SuspendedEV, Available: a life in seconds."""

    async def story() -> None:
        car = Car("CP-1", arrives_s=100, leaves_s=700, energy_wh=150, phases=1, **SPRINTER)
        async with open_desk() as desk, running(desk, car, speed=200):
            await desk.until(lambda: desk.readings and desk.readings[-1].status == "Available")
            await desk.until(lambda: desk.readings[-1].status == "SuspendedEV")
            await desk.until(lambda: desk.readings[-1].status == "Available")
            seen = list(dict.fromkeys(r.status for r in desk.readings))

            assert ["Available", "Preparing", "Charging", "SuspendedEV"] == seen
            assert max(r.energy_wh or 0 for r in desk.readings) == pytest.approx(150, abs=80)

    asyncio.run(story())


def test_dropped_socket_is_replaced_and_the_session_goes_on(tmp_path: Path) -> None:
    """With its password, and the same transaction, which the central system adopts."""
    (tmp_path / "s").write_text("{CP-1: secret}")

    async def story() -> None:
        passwords = Passwords(tmp_path / "s")
        async with open_desk(passwords=passwords) as desk, running(desk, Car("CP-1", **SPRINTER), password="secret"):
            transaction = await desk.until(lambda: desk.readings and desk.readings[-1].transaction)
            desk.central.put_location("house", None)
            await desk.until(lambda: desk.central.health()["connected"] == 0)
            desk.readings.clear()
            desk.central.put_location("house", location())
            await desk.until(lambda: desk.readings and desk.readings[-1].online and desk.readings[-1].transaction)

            assert transaction == desk.readings[-1].transaction

    asyncio.run(story())


def test_car_ramps_up_slowly_and_down_quickly() -> None:
    """Nothing for some seconds, then 3 A/s; a lower offer is obeyed within two."""
    charge = Charge(Car("CP-1"))
    rise = []
    for _ in range(10):
        charge.step(16, 1.0, 1.0, 230)
        rise.append(charge.current_a[0])
    for _ in range(2):
        charge.step(6, 1.0, 1.0, 230)

    assert [0.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 16.0, 16.0, 16.0] == rise
    assert 6.0 == charge.current_a[0]


@pytest.mark.parametrize(("phases", "expected"), [(1, (16, 0, 0)), (2, (16, 16, 0)), (3, (16, 16, 16))])
def test_car_uses_its_phases(phases: int, expected: tuple[float, ...]) -> None:
    """A car with fewer than its charger uses the first ones."""
    charge = Charge(Car("CP-1", phases=phases, **SPRINTER))
    charge.step(32, 1.0, 1.0, 230)

    assert expected == charge.current_a


def profile(number: int, level: int, limit: float, purpose: str = "TxDefaultProfile", **more: Any) -> dict[str, Any]:
    schedule = {
        "charging_rate_unit": "A",
        "start_schedule": "2026-11-22T08:00:00Z",
        "charging_schedule_period": [{"start_period": 0, "limit": limit}],
    } | more.pop("schedule", {})
    return {
        "charging_profile_id": number,
        "stack_level": level,
        "charging_profile_purpose": purpose,
        "charging_profile_kind": "Absolute",
        "charging_schedule": schedule,
        **more,
    }


def test_stacking_is_that_of_the_specification() -> None:
    """The highest level wins, not the lowest limit; a TxProfile replaces the default; the end uncovers the next."""
    profiles = Profiles(32)
    assert 32 == profiles.limit_a(1, 7, NOW)
    profiles.put(1, profile(1, 0, 6), None)
    profiles.put(1, profile(2, 1, 10, schedule={"duration": 60}), None)
    assert (10, 6) == (profiles.limit_a(1, 7, NOW), profiles.limit_a(1, 7, NOW + timedelta(seconds=60)))
    assert profiles.put(1, profile(3, 1, 20, "TxProfile", transaction_id=7), 7)
    assert (20, 10) == (profiles.limit_a(1, 7, NOW), profiles.limit_a(1, None, NOW))
    profiles.end(1)
    profiles.put(0, profile(4, 0, 8, "ChargePointMaxProfile"), None)
    assert 8 == profiles.limit_a(1, 7, NOW)
    assert profiles.clear({"id": 4})
    assert not profiles.clear({"id": 4})


def test_profile_without_its_transaction_is_refused() -> None:
    """A TxProfile needs the running one; Relative is not spoken."""
    profiles = Profiles(32)

    assert not profiles.put(1, profile(3, 1, 20, "TxProfile", transaction_id=7), None)
    assert not profiles.put(1, profile(3, 1, 20, "TxProfile", transaction_id=7), 8)
    assert not profiles.put(1, profile(1, 0, 6) | {"charging_profile_kind": "Relative"}, None)
