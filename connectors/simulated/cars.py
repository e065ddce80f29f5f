"""Cars at simulated charge points: real OCPP 1.6J clients on real WebSockets, whose cars obey charging profiles.

`run_charge_point` is a charger with its cars for as long as it is not cancelled. It connects (and connects again when
the socket drops), boots, reports status, transactions and meter values, and keeps charging by its profiles while
nobody is there to talk to: also the dead man of the leases can be watched on it.

`speed` makes a car's life faster (when it plugs in, leaves, and how quickly energy is taken); currents, ramps and
meter values stay in real time, so that what controls them sees real dynamics.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ocpp.exceptions import OCPPError
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Protocol
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.headers import build_authorization_basic
from websockets.typing import Subprotocol

from connectors.simulated.battery import Car, Charge
from connectors.simulated.obedience import Profiles

log = logging.getLogger(__name__)

STEP_S = 0.25
"""Between steps of the physics. Larger: ramps look like stairs. Smaller: CPU."""
CANCEL_AGAIN_S = 0.2
"""Until a cancellation counts as lost: a car that is told to end waited 40 s for an answer that nobody read."""
RECONNECT_S = 2.0
"""Before a dropped socket is replaced."""
VOLTAGE_V = 230.0

Draw = Callable[[str, tuple[float, float, float]], None]
"""Told at each step: charger id, and amperes on its three phases (its own frame, all connectors)."""


class Connector:
    """One socket of the charge point: its status, its transaction, and the charge of the car in it."""

    def __init__(self, number: int, cars: Sequence[Car]) -> None:
        self.number = number
        self.coming = sorted(cars, key=lambda car: car.arrives_s)
        self.charge: Charge | None = None
        self.status = "Available"
        self.transaction: int | None = None
        self.meter_wh = 0.0

    @property
    def current_a(self) -> tuple[float, float, float]:
        """Amperes on the charger's phases."""
        return self.charge.current_a if self.charge else (0.0, 0.0, 0.0)

    def status_now(self, limit_a: float) -> str:
        """What the pilot line says."""
        if self.charge is None:
            return "Available"
        if self.transaction is None:
            return "Preparing"
        if limit_a < self.charge.car.min_a:
            return "SuspendedEVSE"
        return "SuspendedEV" if self.charge.full else "Charging"


class ChargePoint:
    """A charger with its cars. `current_a` is what it draws now, per phase of its own frame."""

    def __init__(self, charger_id: str, cars: Sequence[Car], *, speed: float = 1.0, max_a: float = 32.0) -> None:
        numbers = sorted({car.connector for car in cars} or {1})
        self.id = charger_id
        self.connectors = {n: Connector(n, [car for car in cars if car.connector == n]) for n in numbers}
        self.profiles = Profiles(max_a)
        self.speed = speed
        self._began = time.monotonic()
        self._stepped = self._began

    @property
    def current_a(self) -> tuple[float, float, float]:
        """Amperes per phase, all connectors together."""
        drawn = [connector.current_a for connector in self.connectors.values()]
        return (sum(a[0] for a in drawn), sum(a[1] for a in drawn), sum(a[2] for a in drawn))

    def limit_a(self, connector: Connector) -> float:
        """What the profiles allow now; nothing flows outside a transaction."""
        return self.profiles.limit_a(connector.number, connector.transaction, datetime.now(UTC))

    def step(self) -> None:
        """Let time pass: cars come and go, and charge."""
        now = time.monotonic()
        step_s, self._stepped = now - self._stepped, now
        life_s = (now - self._began) * self.speed
        for connector in self.connectors.values():
            self._come_and_go(connector, life_s)
            if connector.charge is not None:
                offered_a = self.limit_a(connector) if connector.transaction is not None else 0.0
                taken_wh = connector.charge.step(offered_a, step_s, self.speed, VOLTAGE_V)
                connector.meter_wh += taken_wh

    def _come_and_go(self, connector: Connector, life_s: float) -> None:
        if connector.charge is not None and life_s >= connector.charge.car.leaves_s:
            connector.charge = None
        if connector.charge is None and connector.coming and connector.coming[0].arrives_s <= life_s:
            car = connector.coming.pop(0)
            connector.charge = Charge(car) if life_s < car.leaves_s else None


class _Client(Protocol):  # type: ignore[misc]
    """The charge point's side of one socket."""

    def __init__(self, point: ChargePoint, socket: Any, meter_values_every_s: float) -> None:
        super().__init__(point.id, socket)
        self._point = point
        self._every_s = meter_values_every_s
        self._reports: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def live(self) -> None:
        """Boot, then report for ever. Ends with an exception when the socket closes."""
        boot = call.BootNotification(charge_point_model="Simulated", charge_point_vendor="sunshave")
        await self.call(boot, suppress=False)
        for connector in self._point.connectors.values():
            await self._status(connector)
        due = time.monotonic() + self._every_s
        while True:
            with suppress(TimeoutError):
                message, number = await asyncio.wait_for(self._reports.get(), STEP_S)
                await self._triggered(message, number)
            for connector in self._point.connectors.values():
                await self._transactions(connector)
                if connector.status != connector.status_now(self._point.limit_a(connector)):
                    await self._status(connector)
            if time.monotonic() >= due:
                due += self._every_s
                for connector in self._point.connectors.values():
                    await self._meter_values(connector)

    async def _triggered(self, message: str, number: int) -> None:
        for connector in self._point.connectors.values():
            if number in (0, connector.number):
                await (self._status(connector) if message == "StatusNotification" else self._meter_values(connector))

    async def _transactions(self, connector: Connector) -> None:
        """Plug and charge: a transaction lasts as long as the cable is in."""
        if connector.charge is not None and connector.transaction is None:
            await self._status(connector)
            start = call.StartTransaction(connector.number, "simulated", round(connector.meter_wh), _now())
            answer = await self.call(start, suppress=False)
            connector.transaction = answer.transaction_id
        elif connector.charge is None and connector.transaction is not None:
            stop = call.StopTransaction(round(connector.meter_wh), _now(), connector.transaction)
            self._point.profiles.end(connector.number)
            connector.transaction = None
            await self.call(stop, suppress=False)

    async def _status(self, connector: Connector) -> None:
        connector.status = connector.status_now(self._point.limit_a(connector))
        await self.call(
            call.StatusNotification(connector.number, "NoError", connector.status, timestamp=_now()), suppress=False
        )

    async def _meter_values(self, connector: Connector) -> None:
        amperes = connector.current_a
        values = [_sample("Current.Import", "A", a, f"L{k}") for k, a in enumerate(amperes, 1)]
        values.append(_sample("Power.Active.Import", "W", sum(amperes) * VOLTAGE_V))
        values.append(_sample("Energy.Active.Import.Register", "Wh", connector.meter_wh))
        if connector.charge is not None:
            values.append(_sample("SoC", "Percent", connector.charge.soc_pct))
        meter = [{"timestamp": _now(), "sampledValue": values}]
        await self.call(call.MeterValues(connector.number, meter, connector.transaction), suppress=False)

    @on(Action.set_charging_profile)  # type: ignore[untyped-decorator]
    def _set_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> call_result.SetChargingProfile:
        connector = self._point.connectors.get(connector_id)
        running = connector.transaction if connector else None
        taken = self._point.profiles.put(connector_id, cs_charging_profiles, running)
        return call_result.SetChargingProfile("Accepted" if taken else "Rejected")

    @on(Action.clear_charging_profile)  # type: ignore[untyped-decorator]
    def _clear_profile(self, **criteria: Any) -> call_result.ClearChargingProfile:
        return call_result.ClearChargingProfile("Accepted" if self._point.profiles.clear(criteria) else "Unknown")

    @on(Action.get_configuration)  # type: ignore[untyped-decorator]
    def _configuration(self, key: list[str] | None = None, **_more: Any) -> call_result.GetConfiguration:
        known = {
            "ChargingScheduleAllowedChargingRateUnit": "Current",
            "ChargeProfileMaxStackLevel": "10",
            "ChargingScheduleMaxPeriods": "24",
            "MeterValueSampleInterval": str(max(1, round(self._every_s))),
        }
        found = [{"key": k, "readonly": True, "value": v} for k, v in known.items() if key is None or k in key]
        return call_result.GetConfiguration(found, [k for k in key or [] if k not in known])

    @on(Action.change_configuration)  # type: ignore[untyped-decorator]
    def _change_configuration(self, **_change: Any) -> call_result.ChangeConfiguration:
        return call_result.ChangeConfiguration("NotSupported")

    @on(Action.trigger_message)  # type: ignore[untyped-decorator]
    def _trigger(self, requested_message: str, connector_id: int = 0, **_more: Any) -> call_result.TriggerMessage:
        if requested_message not in ("StatusNotification", "MeterValues"):
            return call_result.TriggerMessage("NotImplemented")
        self._reports.put_nowait((requested_message, connector_id))
        return call_result.TriggerMessage("Accepted")


async def run_charge_point(
    url: str,
    charger_id: str,
    cars: Sequence[Car],
    *,
    speed: float = 1.0,
    meter_values_every_s: float = 10.0,
    password: str | None = None,
    draw: Draw | None = None,
    point: ChargePoint | None = None,
) -> None:
    """Be a charge point at `url`/`charger_id` until cancelled. `point`: use this one, to look into it from outside."""
    charger = point or ChargePoint(charger_id, cars, speed=speed)
    physics = asyncio.create_task(_physics(charger, draw))
    try:
        while True:
            await _connected(url, charger, meter_values_every_s, password)
            await asyncio.sleep(RECONNECT_S)
    finally:
        physics.cancel()
        await asyncio.gather(physics, return_exceptions=True)


async def _physics(point: ChargePoint, draw: Draw | None) -> None:
    while True:
        point.step()
        if draw is not None:
            draw(point.id, point.current_a)
        await asyncio.sleep(STEP_S)


async def _connected(url: str, point: ChargePoint, every_s: float, password: str | None) -> None:
    """One socket, until it drops."""
    headers = {"Authorization": build_authorization_basic(point.id, password)} if password is not None else None
    address = f"{url.rstrip('/')}/{point.id}"
    try:
        async with connect(
            address, subprotocols=[Subprotocol("ocpp1.6")], additional_headers=headers, compression=None, proxy=None
        ) as socket:
            client = _Client(point, socket, every_s)
            await _until_one_ends(client.start(), client.live())
    except InvalidHandshake as refusal:
        log.warning("%s was refused: %s", point.id, refusal)
    except (OSError, WebSocketException, TimeoutError, OCPPError) as problem:
        log.info("%s: connection lost: %s", point.id, problem or type(problem).__name__)


async def _until_one_ends(*parts: Any) -> None:
    """Run side by side; the first that ends (by its exception) ends the other."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pending = set(tasks)
        while pending:  # before Python 3.12 `wait_for` may swallow a cancellation (cpython #86296): then once more
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for problem in results:
        if isinstance(problem, Exception):
            raise problem


def _sample(measurand: str, unit: str, value: float, phase: str | None = None) -> dict[str, Any]:
    sample = {"value": f"{value:.1f}", "measurand": measurand, "unit": unit, "context": "Sample.Periodic"}
    return sample | {"phase": phase} if phase else sample


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
