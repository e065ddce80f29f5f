"""What a charger says becomes readings: zeros only where they are certain, times ours, and never silence."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.ocpp.registry import plates
from connectors.ocpp.station import Outlet, Station
from pipeline.records import CHARGERS, ChargerReading, decode, encode
from tests.connectors.ocpp.desk import QUICK, Charger, Desk, charger, location, open_desk

START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-22T08:00:00Z"}

WORDS = [
    "Available",
    "Charging",
    "Faulted",
    "L1",
    "Current.Import",
    "Voltage",
    "Power.Active.Import",
    "9.9",
    "1e308",
    "NaN",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.integers()
    | st.floats()
    | st.sampled_from([*WORDS, "0001-01-01T00:00:00+14:00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "connectorId": st.integers(0, 3) | inner,
                "transactionId": st.integers(0, 6) | inner,
                "status": st.sampled_from(WORDS) | inner,
                "meterValue": st.lists(inner, max_size=2),
                "sampledValue": st.lists(inner, max_size=3),
                "timestamp": inner,
                "value": inner,
                "phase": inner,
                "measurand": st.sampled_from(WORDS),
            },
        )
    ),
    max_leaves=25,
)


async def status(client: Charger, name: str, connector: int = 1) -> None:
    await client.call("StatusNotification", {"connectorId": connector, "errorCode": "NoError", "status": name})


async def values(client: Charger, amperes: float, at: str = "2026-11-22T08:00:00Z", **fields: Any) -> None:
    samples = [{"value": str(amperes), "measurand": "Current.Import", "phase": f"L{k}"} for k in (1, 2, 3)]
    await client.call(
        "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": samples}], **fields}
    )


def last(desk: Desk, connector: int = 1) -> ChargerReading:
    return [r for r in desk.readings if r.connector == connector][-1]


def test_flow_is_zero_when_the_status_is_newer() -> None:
    """Available, Suspended and Finishing after a value mean that nothing flows; a newer value is believed again."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            await values(client, 10)
            for name in ("SuspendedEV", "SuspendedEVSE", "Finishing", "Available"):
                await status(client, name)
                assert [0.0, 0.0, 0.0] == last(desk).current_a
                await values(client, 9)
                assert [9.0, 9.0, 9.0] == last(desk).current_a

    asyncio.run(story())


def test_old_value_does_not_return_with_charging() -> None:
    """After a pause the last value is not known to be true again: the current is unknown until it is measured."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            await values(client, 16)
            await status(client, "SuspendedEVSE")
            await status(client, "Charging")

            assert last(desk).current_a is None

    asyncio.run(story())


def test_arrays_have_as_many_entries_as_the_connector_has_phases() -> None:
    """Connector 2 has one."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Available", 2)

            assert [0.0] == last(desk, 2).current_a

    asyncio.run(story())


def test_connector_zero_is_not_a_connector() -> None:
    """Its status and values are the charger's, and count for none."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Available", 0)
            await values(client, 10, connectorId=0)

            assert [] == desk.readings

    asyncio.run(story())


def test_times_are_ours_and_never_go_back() -> None:
    """A charger that lives in 1970 is heard now; of two readings in one millisecond the second is later."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            for amperes in (1, 2, 3):
                await values(client, amperes, at="1970-01-01T00:00:00")
            times = [r.at for r in desk.readings]

            assert sorted(set(times)) == times
            assert times[0].year > 2000
            assert [3.0, 3.0, 3.0] == last(desk).current_a

    asyncio.run(story())


def test_late_values_do_not_replace_newer_ones() -> None:
    """Out of order by the charger's own clock: dropped (facts #58)."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            await values(client, 10, at="2026-11-22T08:00:10Z")
            await values(client, 16, at="2026-11-22T08:00:00Z")

            assert [10.0, 10.0, 10.0] == last(desk).current_a

    asyncio.run(story())


def test_disconnect_is_told_with_the_last_status() -> None:
    """`online` false, and no current: nobody knows it now."""

    async def story() -> None:
        async with open_desk() as desk:
            async with charger(desk) as client:
                await status(client, "Charging")
                await values(client, 10)
            await desk.until(lambda: not last(desk).online)

            assert ("Charging", None) == (last(desk).status, last(desk).current_a)

    asyncio.run(story())


def test_idle_connector_is_never_silent() -> None:
    """Nothing flows, certainly: its reading is repeated."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Available")
            await desk.until(lambda: len(desk.readings) >= 2)

            assert [0.0, 0.0, 0.0] == last(desk).current_a
            assert "MeterValues" not in [p.get("requestedMessage") for _, p in client.calls]

    asyncio.run(story())


def test_charging_connector_is_asked_not_guessed() -> None:
    """An old value is never repeated; the charger is asked for a new one."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            await values(client, 10)
            asked = {"requestedMessage": "MeterValues", "connectorId": 1}
            await desk.until(lambda: asked in [payload for _, payload in client.calls])

            assert 2 == len(desk.readings)

    asyncio.run(story())


def test_reconnected_charger_is_asked_what_it_does() -> None:
    """Without BootNotification it says nothing unasked: status and values of each connector are triggered."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk, boot=False) as client:
            wanted = {(m, c) for m in ("StatusNotification", "MeterValues") for c in (1, 2)}

            def asked() -> set[Any]:
                calls = [payload for action, payload in client.calls if action == "TriggerMessage"]
                return {(p["requestedMessage"], p["connectorId"]) for p in calls}

            await desk.until(lambda: wanted <= asked())

    asyncio.run(story())


def test_transaction_ids_grow_and_repeat_for_repetitions() -> None:
    """A start that is sent again has its id again; another one has another, seconds since 1970 or higher."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            ids = [
                (await client.call("StartTransaction", START | more))["transactionId"]
                for more in ({}, {}, {"meterStart": 5}, {"connectorId": 2})
            ]
            assert ids[0] == ids[1]
            assert ids[0] < ids[2] < ids[3]
            assert 1_700_000_000 < ids[0] < 2**31

    asyncio.run(story())


def test_running_transaction_is_adopted() -> None:
    """After our restart the first sign of it is a MeterValues; it gets its lease as a TxProfile then."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            await values(client, 10, transactionId=4711)

            assert "4711" == last(desk).transaction

    asyncio.run(story())


def test_stopped_transaction_is_over() -> None:
    """Zeros at once, and its closing values do not revive it; an unknown one is accepted (facts #54, #70)."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await status(client, "Charging")
            transaction = (await client.call("StartTransaction", START))["transactionId"]
            await values(client, 10, transactionId=transaction)
            stop = {"transactionId": transaction, "meterStop": 1, "timestamp": "2026-11-22T09:00:00Z"}
            await client.call("StopTransaction", stop)
            assert (None, [0.0, 0.0, 0.0]) == (last(desk).transaction, last(desk).current_a)
            count = len(desk.readings)
            await values(client, 10, transactionId=transaction)
            await client.call("StopTransaction", stop | {"transactionId": 99})

            assert count == len(desk.readings)

    asyncio.run(story())


def test_available_ends_a_transaction_whose_stop_was_lost() -> None:
    """The cable is out (facts #70)."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            await client.call("StartTransaction", START)
            await status(client, "Charging")
            assert last(desk).transaction is not None
            await status(client, "Available")

            assert last(desk).transaction is None

    asyncio.run(story())


@given(events=st.lists(st.tuples(st.sampled_from(["status", "values", "start", "stop", "tick"]), JSON), max_size=8))
def test_whatever_a_charger_says_only_valid_records_leave(events: list[tuple[str, Any]]) -> None:
    """Messages of any content, in any order: no exception, and each reading is a valid record, later than the last."""
    readings: list[ChargerReading] = []
    clock = iter(range(10**12, 2 * 10**12, 7))
    outlet = Outlet(readings.append, lambda _: None, lambda: 5, lambda: next(clock))
    station = Station(next(plates(location())), outlet, QUICK)
    for kind, content in events:
        fields = content if isinstance(content, dict) else {"connectorId": 1, "meterValue": content}
        match kind:
            case "status":
                station.on_status(fields.get("connectorId"), fields.get("status", content))
            case "values":
                station.on_meter_values(fields)
            case "start":
                station.start_transaction(fields.get("connectorId"), (str(content),))
            case "stop":
                station.stop_transaction(fields.get("transactionId"))
            case "tick":
                station.tick()
    for reading in readings:
        assert reading == decode(CHARGERS, encode(reading))
    for connector in (1, 2):
        times = [reading.at for reading in readings if reading.connector == connector]
        assert sorted(set(times)) == times
