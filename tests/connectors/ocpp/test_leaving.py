"""Chargers and connectors that no location has any more: told 0 A first, then let go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.connectors.ocpp.desk import QUICK, Charger, Desk, charger, location, open_desk, setpoint
from topology.location import Location
from topology.read import read_location


def place(name: str, *connectors: int, lease_skew_s: float = 0) -> Location:
    """A location with CP-1; without connectors it has none."""
    sockets = [{"id": number, "max_a": 16} for number in connectors]
    document = {
        "location": name,
        "groups": [{"id": "main", "limit_a": 63}],
        "chargers": [{"id": "CP-1", "group": "main", "fallback_a": None, "connectors": sockets}] if connectors else [],
        "control": {"lease_skew_s": lease_skew_s},
    }
    return read_location(document).location


async def charges(desk: Desk, client: Charger, *connectors: int, valid_s: float = 60.0) -> None:
    """A car at each connector takes the 10 A that it was given."""
    for number in connectors:
        seq = 10 * number
        await client.call("StatusNotification", {"connectorId": number, "errorCode": "NoError", "status": "Charging"})
        desk.central.offer(setpoint(seq, 10, connector=number, valid_s=valid_s, fallback_a=None))
        assert "accepted" == (await desk.terminal(seq, number)).state
        await measures(client, number, 10)


async def measures(client: Charger, connector: int, amperes: float) -> None:
    sampled = [{"value": str(amperes), "measurand": "Current.Import", "phase": f"L{k}", "unit": "A"} for k in (1, 2, 3)]
    values = [{"timestamp": "2026-11-22T08:00:00Z", "sampledValue": sampled}]
    await client.call("MeterValues", {"connectorId": connector, "meterValue": values})


async def told_to_stop(desk: Desk, client: Charger, connector: int = 1, **fields: Any) -> None:
    """The planner's last word; the car stops."""
    seq = 10 * connector + 1
    desk.central.offer(setpoint(seq, 0, connector=connector, reason="removed", fallback_a=None, **fields))
    assert "accepted" == (await desk.terminal(seq, connector)).state
    await client.call(
        "StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": "SuspendedEVSE"}
    )
    await measures(client, connector, 0)


async def stays(client: Charger) -> bool:
    """Whether the socket is still there, some looks at the clock later."""
    await asyncio.sleep(3 * QUICK.tick_s)
    return client.socket.close_code is None


async def is_closed(desk: Desk, client: Charger) -> None:
    await desk.until(lambda: client.socket.close_code)
    assert 1008 == client.socket.close_code
    with pytest.raises(InvalidStatus, match="404"):
        async with charger(desk, boot=False):
            pass


@pytest.mark.parametrize("removed", [None, place("house")], ids=["its location", "the charger"])
def test_removed_charger_takes_its_zero_before_it_is_disconnected(removed: Location | None) -> None:
    """It stays until it has taken the 0 A and the topic has forgotten it."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", removed)
            assert await stays(client)
            await told_to_stop(desk, client)
            assert await stays(client)
            desk.central.forget("CP-1", 1)
            await is_closed(desk, client)

        assert 0.0 == client.profiles()[-1]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]

    asyncio.run(story())


def test_others_learn_that_a_removed_charger_came_down() -> None:
    """It is not let go before the reading that says so, or its part would be nobody's until its lease ends."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", place("house"))
            desk.central.offer(setpoint(11, 0, reason="removed", fallback_a=None))
            await desk.terminal(11)
            desk.central.forget("CP-1", 1)
            assert await stays(client)
            await measures(client, 1, 0)
            await is_closed(desk, client)

            assert [0.0, 0.0, 0.0] == desk.readings[-1].current_a

    asyncio.run(story())


def test_removed_charger_that_reports_nothing_is_let_go_in_time() -> None:
    """Nobody waits for a reading for ever."""

    async def story() -> None:
        settings = replace(QUICK, seen_s=0.5)
        async with open_desk(place=place("house", 1), settings=settings) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", None)
            desk.central.offer(setpoint(11, 0, reason="removed", fallback_a=None))
            await desk.terminal(11)
            desk.central.forget("CP-1", 1)
            await is_closed(desk, client)

    asyncio.run(story())


@pytest.mark.parametrize("answer", ["Rejected", None])
def test_removed_charger_that_does_not_take_it_stays_until_its_lease_is_over(answer: str | None) -> None:
    """It may draw what it was granted for so long, and is heard for so long; the skew counts, too."""
    skewed = place("house", 1, lease_skew_s=0.5)

    async def story() -> None:
        async with open_desk(place=skewed) as desk, charger(desk) as client:
            await charges(desk, client, 1, valid_s=2)
            client.answers["SetChargingProfile"] = answer and {"status": answer}
            desk.central.put_location("house", None)
            desk.central.offer(setpoint(11, 0, valid_s=1.0, reason="removed", fallback_a=None))
            await desk.terminal(11)
            desk.central.forget("CP-1", 1)
            assert await stays(client)
            await is_closed(desk, client)

    asyncio.run(story())


def test_removed_charger_may_connect_again_while_it_leaves() -> None:
    """And is told then what came meanwhile."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk:
            async with charger(desk) as client:
                await charges(desk, client, 1)
                desk.central.put_location("house", None)
            async with charger(desk) as again:
                await told_to_stop(desk, again)
                desk.central.forget("CP-1", 1)
                await is_closed(desk, again)

    asyncio.run(story())


def test_one_connector_leaves_and_the_other_stays() -> None:
    """The charger keeps its socket; the removed connector is told, and then not known any more."""

    async def story() -> None:
        async with open_desk(place=place("house", 1, 2)) as desk, charger(desk) as client:
            await charges(desk, client, 1, 2)
            desk.central.put_location("house", place("house", 1))
            await told_to_stop(desk, client, 2)
            desk.central.forget("CP-1", 2)
            assert await stays(client)
            for connector in (1, 2):
                desk.central.offer(setpoint(40, 8, connector=connector, fallback_a=None))

            assert ["accepted", "unsupported"] == [(await desk.terminal(40, n)).state for n in (1, 2)]

    asyncio.run(story())


def test_nobody_takes_the_readings_of_a_removed_location() -> None:
    """They would be dead letters, all of them."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", None)
            before = len(desk.readings)
            await told_to_stop(desk, client)
            desk.central.forget("CP-1", 1)
            await is_closed(desk, client)

            assert before == len(desk.readings)

    asyncio.run(story())


@pytest.mark.parametrize("order", [["house", "depot"], ["depot", "house"]], ids=["gone first", "there first"])
def test_charger_that_moves_belongs_to_the_newest_document(order: list[str]) -> None:
    """It keeps its socket, the old location's last word is not for it any more, and the new one is obeyed."""
    documents = {"house": place("house"), "depot": place("depot", 1)}

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            for name in order:
                desk.central.put_location(name, documents[name])
            desk.central.offer(setpoint(11, 0, reason="removed", fallback_a=None))
            desk.central.offer(setpoint(12, 7, location="depot", fallback_a=None))
            assert ["unsupported", "accepted"] == [(await desk.terminal(seq)).state for seq in (11, 12)]
            desk.central.forget("CP-1", 1)
            assert await stays(client)
            await measures(client, 1, 7)

            assert "depot" == desk.readings[-1].location

    asyncio.run(story())


def test_setpoint_that_waits_does_not_follow_a_charger_to_another_location() -> None:
    """It was decided for another fuse."""

    async def story() -> None:
        async with (
            open_desk(place=place("house", 1)) as desk,
            charger(desk, {"GetConfiguration": None}) as client,
        ):
            desk.central.offer(setpoint(1, 16, fallback_a=None))
            desk.central.put_location("depot", place("depot", 1))
            assert ["unsupported"] == desk.states(1)
            desk.central.offer(setpoint(2, 7, location="depot", fallback_a=None))
            await desk.terminal(2)

            assert 1 == len(client.profiles())

    asyncio.run(story())


def test_charger_goes_back_to_the_location_that_still_has_it() -> None:
    """Two documents had it; the newer one went."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            desk.central.put_location("depot", place("depot", 1))
            desk.central.put_location("depot", None)
            desk.central.offer(setpoint(1, 7, fallback_a=None))

            assert "accepted" == (await desk.terminal(1)).state
            assert await stays(client)

    asyncio.run(story())


def test_what_comes_back_before_it_left_is_served_on() -> None:
    """Removed by mistake and put again: nothing of it is let go later."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", None)
            desk.central.put_location("house", place("house", 1))
            await told_to_stop(desk, client)
            desk.central.forget("CP-1", 1)

            assert await stays(client)

    asyncio.run(story())


def test_restarted_dispatcher_delivers_what_the_topic_still_has() -> None:
    """No location has the charger; the setpoint says enough of it to tell it, and to let it go."""

    async def story() -> None:
        async with open_desk(place=location(id="CP-2")) as desk:
            desk.central.offer(setpoint(11, 0, reason="removed"), restored=True)
            desk.central.offer(setpoint(12, 9, connector=2, valid_s=-1), restored=True)
            async with charger(desk) as client:
                assert "accepted" == (await desk.terminal(11)).state
                assert [1] == [p["on"] for p in client.profiles(level=1)]
                desk.central.forget("CP-1", 1)
                await client.call(
                    "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"}
                )
                await is_closed(desk, client)

    asyncio.run(story())


def test_restarted_dispatcher_serves_a_removed_charger_until_the_planner_speaks() -> None:
    """The dispatcher was away when it was removed, and the worker, too: the 0 A comes later."""

    async def story() -> None:
        async with open_desk(place=place("house")) as desk:
            desk.central.offer(setpoint(10, 10, fallback_a=None), restored=True)
            async with charger(desk) as client:
                await desk.terminal(10)
                await told_to_stop(desk, client)
                desk.central.forget("CP-1", 1)
                await is_closed(desk, client)

            assert [0.0, 0.0, 0.0] == desk.readings[-1].current_a

    asyncio.run(story())


def test_what_counts_for_a_moved_charger_stays_on_the_topic() -> None:
    """The old location's end comes behind the new one's setpoint, with the same key: that is written once more."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("depot", place("depot", 1))
            desk.central.put_location("house", place("house"))
            moved = setpoint(12, 7, location="depot", fallback_a=None)
            desk.central.offer(moved)
            desk.central.offer(setpoint(13, 0, reason="removed", fallback_a=None))
            assert [moved] == desk.repeated
            desk.central.offer(moved)
            desk.central.forget("CP-1", 1)
            desk.central.offer(moved)

            assert [moved, moved] == desk.repeated
            assert "accepted" == (await desk.terminal(12)).state
            assert 7.0 == client.profiles()[-1]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]

    asyncio.run(story())


def test_what_counts_stays_on_the_topic_behind_what_a_late_worker_wrote() -> None:
    """A lower `seq` moves no charger, and must not be what is left after compaction."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            newest = setpoint(20, 8, fallback_a=None)
            desk.central.offer(newest)
            desk.central.offer(setpoint(19, 16, fallback_a=None))

            assert [newest] == desk.repeated
            await desk.terminal(20)
            desk.central.offer(newest)

            assert (["superseded"], ["sent", "accepted"]) == (desk.states(19), desk.states(20))
            assert [newest] == desk.repeated

    asyncio.run(story())


@pytest.mark.parametrize("gone", [None, place("house")], ids=["its location", "the charger"])
def test_what_was_removed_is_not_written_again(gone: Location | None) -> None:
    """The topic forgets it; so does whoever starts anew."""

    async def story() -> None:
        async with open_desk(place=place("house", 1)) as desk, charger(desk) as client:
            await charges(desk, client, 1)
            desk.central.put_location("house", gone)
            await told_to_stop(desk, client)
            desk.central.forget("CP-1", 1)
            await is_closed(desk, client)

            assert [] == desk.repeated

    asyncio.run(story())
