"""MeterValues as chargers really send them: a frame, the connector, and the currents that it means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ocpp.meter_values import Measured, currents, power_w, read_meter_values


def frame(*samples: dict[str, Any], **fields: Any) -> dict[str, Any]:
    group = {"timestamp": "2026-11-22T08:00:00Z", "sampledValue": list(samples)}
    return {"connectorId": 1, "transactionId": 7, "meterValue": [group], **fields}


def value(
    number: Any, measurand: str | None = "Current.Import", phase: str | None = None, **more: Any
) -> dict[str, Any]:
    sample = {"value": number, **more}
    sample |= {"measurand": measurand} if measurand else {}
    return sample | {"phase": phase} if phase else sample


def read(payload: dict[str, Any]) -> Measured:
    found = read_meter_values(payload)
    assert found is not None
    return found


L123 = [value(a, phase=p) for a, p in (("10.1", "L1"), ("10.2", "L2"), ("10.3", "L3"))]
POWER = "Power.Active.Import"

CURRENTS: list[tuple[str, list[dict[str, Any]], int, list[float] | None]] = [
    ("per phase", L123, 3, [10.1, 10.2, 10.3]),
    ("Zaptec: L1-N for currents", [value("9", phase=f"L{k}-N") for k in (1, 2, 3)], 3, [9, 9, 9]),
    ("lower case and blanks", [value(" 9.5 ", phase=" l1 ")], 1, [9.5]),
    ("a number, not a text", [value(9.5, phase="L1")], 1, [9.5]),
    ("neutral alone says nothing", [value("3", phase="N")], 3, None),
    ("neutral beside phases", [*L123, value("3", phase="N")], 3, [10.1, 10.2, 10.3]),
    ("empty is unknown, not 0", [value("", phase="L1")], 1, None),
    ("a dash is unknown", [value("-", phase="L1")], 1, None),
    ("NaN is unknown", [value("NaN", phase="L1")], 1, None),
    ("milliamperes", [value("9500", phase="L1", unit="mA")], 1, [9.5]),
    ("an illegal unit is A", [value("9.5", phase="L1", unit="Hz")], 1, [9.5]),
    ("one-phase charger on L2", [value("16", phase="L2"), value("0", phase="L1")], 1, [16]),
    ("a reversed transformer still draws", [value("-16", phase="L1")], 1, [16]),
    ("L1 only, no power: the others carry nothing", [value("16", phase="L1")], 3, [16, 0, 0]),
    ("L1 only, power of three", [value("10", phase="L1"), value("6900", POWER, unit="W")], 3, [10, 10, 10]),
    ("SAP: average without a phase", [value("10"), value("6.9", POWER, unit="kW")], 3, [10, 10, 10]),
    ("shiv3: sum without a phase, split unknown", [value("30"), value("6900", POWER, unit="W")], 3, [16, 16, 16]),
    ("no phase, no power: may be any", [value("9")], 3, [9, 9, 9]),
    ("no phase, one-phase connector", [value("9")], 1, [9]),
    ("power per phase", [value("2300", POWER, f"L{k}", unit="W") for k in (1, 2)], 3, [10, 10, 0]),
    ("total power, one phase", [value("2300", POWER, unit="W")], 1, [10]),
    ("total power, split unknown", [value("2300", POWER, unit="W")], 3, [10, 10, 10]),
    ("total power at measured voltage", [value("2400", POWER), value("240", "Voltage", "L1-N")], 1, [10]),
    ("voltage between lines is no voltage of a phase", [value("2300", POWER), value("400", "Voltage", "L1")], 1, [10]),
    ("signed data", [value("AAAA", None, format="SignedData")], 3, None),
    ("the beginning of the transaction", [value("0", phase="L1", context="Transaction.Begin")], 1, None),
    ("inside the car", [value("9", phase="L1", location="EV")], 1, None),
    ("an illegal measurand", [value("9", "Request.Energy")], 1, None),
    ("no list", [], 1, None),
]


@pytest.mark.parametrize(("samples", "phases", "expected"), [c[1:] for c in CURRENTS], ids=[c[0] for c in CURRENTS])
def test_currents(samples: list[dict[str, Any]], phases: int, expected: list[float] | None) -> None:
    """As many amperes as the connector has phases, none of them too low where the split is not known."""
    found = currents(read(frame(*samples)), phases, 230.0, 16.0)

    assert expected == (found if found is None else pytest.approx(found))


def test_newest_group_of_a_batch_counts() -> None:
    """Groups are sorted by the charger's own time before they overwrite each other."""
    groups = [
        {"timestamp": "2026-11-22T08:00:20Z", "sampledValue": [value("12", phase="L1")]},
        {"timestamp": "2026-11-22T08:00:10Z", "sampledValue": [value("8", phase="L1")]},
    ]
    assert [12.0] == currents(read(frame(meterValue=groups)), 1, 230.0, 16.0)


@pytest.mark.parametrize(
    ("sample", "wh"),
    [
        (value("1234", None), 1234),
        (value("1.5", "Energy.Active.Import.Register", unit="kWh"), 1500),
        (value("1500", "Energy.Active.Import.Register"), 1500),
    ],
)
def test_energy_is_in_watt_hours(sample: dict[str, Any], wh: float) -> None:
    """kWh and Wh come mixed; without a measurand it is the register."""
    assert {0: wh} == read(frame(sample)).energy


def test_power_of_the_phases_adds_up() -> None:
    """Some report it per phase only."""
    assert 30 == power_w(read(frame(*[value("10", POWER, f"L{k}") for k in (1, 2, 3)])))


@pytest.mark.parametrize(
    ("fields", "transaction"),
    [({}, 7), ({"transactionId": "7"}, 7), ({"transactionId": -1}, None), ({"transactionId": 0}, None)],
)
def test_transactions_below_one_are_none(fields: dict[str, Any], transaction: int | None) -> None:
    """Sessions begun offline come as -1 or 0 (facts #67)."""
    assert transaction == read(frame(**fields)).transaction


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "connectorId",
                    "transactionId",
                    "meterValue",
                    "sampledValue",
                    "timestamp",
                    "value",
                    "phase",
                    "measurand",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(payload=st.dictionaries(st.sampled_from(["connectorId", "transactionId", "meterValue"]), _JSON))
def test_no_payload_is_too_odd(payload: dict[str, Any]) -> None:
    """Whatever JSON comes, it is read or left out, never an exception."""
    found = read_meter_values(payload)
    if found is not None:
        currents(found, 3, 230.0, 16.0)
