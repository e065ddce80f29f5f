"""From a setpoint to a profile in a charger, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.connectors.ocpp.desk import QUICK, Charger, Desk, charger, location, open_desk, setpoint

START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-22T08:00:00Z"}


async def limits(client: Charger, desk: Desk, seq: int) -> list[float]:
    await desk.terminal(seq)
    return [p["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] for p in client.profiles(level=1)]


def test_setpoint_becomes_a_lease_and_is_accepted() -> None:
    """`sent`, then `accepted` with the limit that the charger holds, until when, and what it falls to."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            one = setpoint(1, 10.07)
            desk.central.offer(one)
            feedback = await desk.terminal(1)

            assert ["sent", "accepted"] == desk.states(1)
            assert (10.0, one.valid_until, 6.0) == (feedback.limit_a, feedback.lease_until, feedback.fallback_a)
            assert [10.0] == await limits(client, desk, 1)

    asyncio.run(story())


def test_safe_default_comes_first() -> None:
    """Each connector has its permanent default before any lease, and gets it once."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.offer(setpoint(1))
            await desk.terminal(1)
            levels = [(p["on"], p["stackLevel"]) for p in client.profiles()]

            assert [(1, 0), (2, 0), (1, 1)] == levels

    asyncio.run(story())


def test_unknown_fallback_writes_no_default() -> None:
    """`fallback_a` null: nothing permanent is written, and the accepted lease names no fallback."""

    async def story() -> None:
        async with open_desk(place=location(fallback_a=None)) as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, fallback_a=None))

            assert (await desk.terminal(1)).fallback_a is None
            assert [] == client.profiles(level=0)
            assert "duration" in client.profiles(level=1)[0]["chargingSchedule"]

    asyncio.run(story())


def test_changed_fallback_is_written() -> None:
    """When the location names another fallback, the permanent default follows at once."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await desk.until(lambda: len(client.profiles(level=0)) == 2)
            desk.central.put_location("house", location(fallback_a=8))
            await desk.until(lambda: len(client.profiles(level=0)) == 4)
            periods = [p["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] for p in client.profiles(level=0)]

            assert [6.0, 6.0, 8.0, 8.0] == periods

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"status": "Rejected"}, "rejected"),
        ({"status": "NotSupported"}, "unsupported"),
        ({"error": "NotImplemented"}, "unsupported"),
        ({"error": "PropertyConstraintViolation"}, "rejected"),
        ({"status": "ACCEPTED", "extra": 1}, "accepted"),
        ({}, "timeout"),
        (None, "timeout"),
    ],
)
def test_answer_becomes_a_terminal_state(answer: dict[str, Any] | None, state: str) -> None:
    """What a charger answers; nothing, or nothing clear, may mean that it took it."""

    async def story() -> None:
        async with open_desk(place=location(fallback_a=None)) as desk, charger(desk, {"SetChargingProfile": answer}):
            desk.central.offer(setpoint(1))
            await desk.terminal(1)

            assert ["sent", state] == desk.states(1)

    asyncio.run(story())


def test_offline_charger_is_said_at_once() -> None:
    """And when it comes, the old setpoint is not applied behind the planner's back."""

    async def story() -> None:
        async with open_desk() as desk:
            desk.central.offer(setpoint(1))
            assert ["offline"] == desk.states(1)
            async with charger(desk) as client:
                await desk.until(lambda: len(client.profiles(level=0)) == 2)
                await asyncio.sleep(0.2)

                assert [] == client.profiles(level=1)
                assert ["offline"] == desk.states(1)

    asyncio.run(story())


def test_restored_setpoint_is_applied_when_the_charger_comes() -> None:
    """What was on the topic before our start reaches the charger, unless it is over."""

    async def story() -> None:
        async with open_desk() as desk:
            desk.central.offer(setpoint(1), restored=True)
            desk.central.offer(setpoint(2, connector=2, valid_s=-1, phases=1), restored=True)
            assert [] == desk.feedback
            async with charger(desk) as client:
                assert "accepted" == (await desk.terminal(1)).state
                assert [1] == [p["on"] for p in client.profiles(level=1)]
                assert [] == desk.states(2, connector=2)

    asyncio.run(story())


def test_disconnect_before_the_answer_is_a_timeout_at_once() -> None:
    """The charger may have taken it: that must not be called offline, and nobody waits for the time-out."""
    patient = type(QUICK)(**{**{f: getattr(QUICK, f) for f in QUICK.__slots__}, "call_timeout_s": 30.0})

    async def story() -> None:
        async with open_desk(settings=patient, place=location(fallback_a=None)) as desk:
            async with charger(desk, {"SetChargingProfile": None}) as client:
                desk.central.offer(setpoint(1))
                await desk.until(lambda: client.set_profiles())
                desk.central.offer(setpoint(2))
            await desk.terminal(1)

            assert ["sent", "timeout"] == desk.states(1)
            assert ["offline"] == desk.states(2)

    asyncio.run(story())


def test_newest_wins_while_a_call_is_in_flight() -> None:
    """Of what came meanwhile only the newest is handed over."""

    async def story() -> None:
        async with open_desk(place=location(fallback_a=None)) as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, 7))
            for seq in (2, 3, 4):
                desk.central.offer(setpoint(seq, 7 + seq))
            desk.central.offer(setpoint(3, 10))

            assert 11.0 == (await limits(client, desk, 4))[-1]
            assert ["superseded"] == desk.states(2)
            assert ["superseded"] == list(dict.fromkeys(desk.states(3)))

    asyncio.run(story())


def test_decreases_go_first() -> None:
    """A connector that must fall does not wait for one that may rise."""

    async def story() -> None:
        async with open_desk(place=location(fallback_a=None)) as desk, charger(desk) as client:
            for connector, seq in ((1, 1), (2, 2)):
                desk.central.offer(setpoint(seq, 10, connector=connector, phases=1))
                await desk.terminal(seq, connector)
            desk.central.offer(setpoint(3, 16, connector=1, phases=1))
            desk.central.offer(setpoint(4, 6, connector=2, phases=1))
            await desk.terminal(3)

            assert [1, 2, 2, 1] == [p["on"] for p in client.profiles(level=1)]

    asyncio.run(story())


def test_expired_setpoint_is_never_sent() -> None:
    """One that runs out while the charger is being set up is given up."""

    async def story() -> None:
        async with (
            open_desk(place=location(fallback_a=None)) as desk,
            charger(desk, {"GetConfiguration": None}) as client,
        ):
            desk.central.offer(setpoint(1, valid_s=0.1))

            assert "expired" == (await desk.terminal(1)).state
            assert [] == client.profiles()

    asyncio.run(story())


@pytest.mark.parametrize(
    "fields", [{"connector": 7}, {"charger": "CP-2"}, {"location": "other"}], ids=["connector", "charger", "location"]
)
def test_setpoint_for_nobody_is_unsupported(fields: dict[str, Any]) -> None:
    """It is answered, and harms nothing."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, **fields))

            assert ["unsupported"] == [f.state for f in desk.feedback]
            assert [] == client.profiles(level=1)

    asyncio.run(story())


def test_new_transaction_gets_the_current_limit() -> None:
    """What was accepted as a default is written for the transaction, without new feedback."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, 10))
            await desk.terminal(1)
            answer = await client.call("StartTransaction", START)
            await desk.until(lambda: client.profiles("TxProfile"))
            profile = client.profiles("TxProfile")[0]

            assert answer["transactionId"] == profile["transactionId"]
            assert 10.0 == profile["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]
            assert ["sent", "accepted"] == desk.states(1)

    asyncio.run(story())


def test_default_lease_never_outlives_a_lower_limit() -> None:
    """A decrease within a transaction also lowers the default lease, or the next car would begin with the old one."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, 16))
            await desk.terminal(1)
            await client.call("StartTransaction", START)
            await desk.until(lambda: client.profiles("TxProfile"))
            desk.central.offer(setpoint(2, 8))
            await desk.terminal(2)
            defaults = lambda: client.profiles("TxDefaultProfile", level=1)  # noqa: E731 -- read twice
            await desk.until(lambda: len(defaults()) == 2)

            assert 8.0 == defaults()[1]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]

    asyncio.run(story())


def test_refused_form_is_replaced_once_and_remembered() -> None:
    """A charger without TxProfile gets defaults, an older TxProfile is cleared, and the next setpoint goes straight."""

    def no_tx(payload: dict[str, Any]) -> dict[str, Any]:
        purpose = payload["csChargingProfiles"]["chargingProfilePurpose"]
        return {"status": "Rejected" if purpose == "TxProfile" else "Accepted"}

    async def story() -> None:
        async with open_desk() as desk, charger(desk, {"SetChargingProfile": no_tx}) as client:
            await client.call("StartTransaction", START)
            for seq in (1, 2):
                desk.central.offer(setpoint(seq))
                assert "accepted" == (await desk.terminal(seq)).state
            purposes = [p["chargingProfilePurpose"] for p in client.profiles(level=1)]

            assert ["TxProfile", "TxDefaultProfile", "TxDefaultProfile"] == purposes
            assert {"id": 3} in [payload for action, payload in client.calls if action == "ClearChargingProfile"]

    asyncio.run(story())


def test_charger_of_one_period_gets_a_duration() -> None:
    """Where two periods are refused, the lease ends by its duration above the safe default."""

    def one_period(payload: dict[str, Any]) -> dict[str, Any]:
        periods = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
        return {"status": "Accepted" if len(periods) == 1 else "Rejected"}

    async def story() -> None:
        async with open_desk() as desk, charger(desk, {"SetChargingProfile": one_period}) as client:
            desk.central.offer(setpoint(1))

            assert ("accepted", 6.0) == (lambda f: (f.state, f.fallback_a))(await desk.terminal(1))
            assert 120 == pytest.approx(client.profiles(level=1)[-1]["chargingSchedule"]["duration"], abs=2)

    asyncio.run(story())


def test_watts_for_a_charger_that_takes_only_watts() -> None:
    """GetConfiguration is asked first, because such a charger refuses every profile in amperes."""
    watts = {
        "configurationKey": [{"key": "ChargingScheduleAllowedChargingRateUnit", "value": "Power", "readonly": True}]
    }

    async def story() -> None:
        async with open_desk() as desk, charger(desk, {"GetConfiguration": watts}) as client:
            desk.central.offer(setpoint(1, 10))

            assert 10.0 == (await desk.terminal(1)).limit_a
            assert ("W", 6900.0) == (lambda s: (s["chargingRateUnit"], s["chargingSchedulePeriod"][0]["limit"]))(
                client.profiles(level=1)[0]["chargingSchedule"]
            )

    asyncio.run(story())


def test_rebooted_charger_is_told_again() -> None:
    """After BootNotification: the safe default, then the living setpoint, without new feedback."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.offer(setpoint(1, 10))
            await desk.terminal(1)
            before = len(client.profiles())
            await client.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
            await desk.until(lambda: len(client.profiles()) >= before + 3)

            assert [(1, 0), (2, 0), (1, 1)] == [(p["on"], p["stackLevel"]) for p in client.profiles()[before:]]
            assert ["sent", "accepted"] == desk.states(1)

    asyncio.run(story())


def test_charger_that_answers_nothing_still_gets_its_setpoint() -> None:
    """No answer of the handshake is waited for in vain: the setpoint goes out within seconds."""
    silent: dict[str, Any] = {"GetConfiguration": None, "TriggerMessage": None, "ClearChargingProfile": None}

    async def story() -> None:
        async with open_desk() as desk, charger(desk, silent, boot=False) as client:
            desk.central.offer(setpoint(1))

            assert "accepted" == (await desk.terminal(1)).state
            assert 1 == len(client.profiles(level=1))

    asyncio.run(story())
