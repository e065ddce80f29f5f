"""One charger, whatever socket it has: its setpoints, its transactions, its readings."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection

from connectors.ocpp import metrics
from connectors.ocpp.driver import Driver
from connectors.ocpp.leaving import has_left
from connectors.ocpp.meter_values import read_meter_values, whole_number
from connectors.ocpp.registry import Plate
from connectors.ocpp.session import Session
from connectors.ocpp.settings import Settings
from connectors.ocpp.slots import Answer, Slot
from connectors.ocpp.telemetry import ConnectorState
from pipeline.moments import to_moment, to_ms
from pipeline.records import ChargerReading, Feedback, Setpoint

log = logging.getLogger(__name__)

STARTS_KEPT = 32
"""Transaction starts remembered per charger, to answer a repeated one alike. Fewer: a retry gets a second id."""
RAMP_S = 30
"""For how long after a decrease a phase may still carry the old limit; only for values of unknown split."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where records go, and what a station asks of the world."""

    reading: Callable[[ChargerReading], None]
    feedback: Callable[[Feedback], None]
    new_transaction: Callable[[], int]
    now_ms: Callable[[], int]


class Station:
    """A charger of the registry. Outlives its sockets."""

    def __init__(self, plate: Plate, outlet: Outlet, settings: Settings) -> None:
        self._outlet = outlet
        self._settings = settings
        self.now_ms = outlet.now_ms
        self.session: Session | None = None
        self.driver: Driver | None = None
        self.draining = False
        self.slots: dict[int, Slot] = {}
        self.states: dict[int, ConnectorState] = {}
        self.defaults: dict[int, float] = {}
        """The fallback that each connector's permanent default holds, as far as it was accepted."""
        self.default_leases: dict[int, tuple[float, int]] = {}
        """Limit and end of the last lease accepted as a TxDefaultProfile."""
        self._starts: OrderedDict[tuple[Any, ...], int] = OrderedDict()
        self._asked_ms: dict[int, int] = {}
        self.plate = plate
        self.change(plate)

    def change(self, plate: Plate) -> None:
        """A location says something new about this charger."""
        if plate.location != self.plate.location:
            for slot in self.slots.values():
                self.say(slot.withdraw(f"the charger belongs to {plate.location} now"))
        self.plate = plate
        known = {connector.id for connector in plate.connectors}
        for number in known - self.slots.keys():
            self.slots[number], self.states[number] = Slot(), ConnectorState()
        for number in self.slots.keys() - known:
            del self.slots[number], self.states[number]
        self.wake()

    def left(self) -> frozenset[int]:
        """Its removed connectors for which nothing more can be done."""
        skew_s, seen_s, now_ms = self.plate.lease_skew_s, self._settings.seen_s, self.now_ms()
        leaving = self.plate.leaving
        return frozenset(n for n in leaving if has_left(self.slots[n], self.states[n], skew_s, seen_s, now_ms))

    def wake(self) -> None:
        """There may be something to say to the charger."""
        if self.driver is not None:
            self.driver.wake()

    async def drain(self) -> None:
        """Begin no further call, and wait for the one in flight."""
        self.draining = True
        if self.driver is not None:
            await self.driver.idle.wait()

    # --- its socket

    async def attach(self, socket: ServerConnection) -> None:
        """Serve a new socket until it closes. It replaces the one before: a charger that connects again has lost it."""
        session = Session(self.plate.id, socket, self, self._settings)
        before, replaced, self.session = self.session, self.driver, session
        driver = self.driver = Driver(self, session, self._settings)
        closing = None
        if before is not None:
            log.info("%s: connected again, the older socket is closed", self.plate.id)
            before.abandon()
            if replaced is not None:
                replaced.wake()
            closing = asyncio.create_task(before.close(1012, "replaced by a newer connection"))
        for state in self.states.values():
            state.on_connect()
        self._asked_ms = dict.fromkeys(self.states, self.now_ms())
        driving = asyncio.create_task(self._drive(driver))
        try:
            await session.serve()
        finally:
            if self.session is session:
                self._detach()
            driver.wake()
            await asyncio.gather(driving, *([closing] if closing else []))

    async def _drive(self, driver: Driver) -> None:
        try:
            await driver.run()
        except Exception:
            # A bug of ours must not be a silent charger: the socket closes, and everything begins anew.
            log.exception("%s: the driver failed", self.plate.id)
            if self.driver is driver and self.session is not None:
                await self.session.close(1011, "internal error")

    def _detach(self) -> None:
        self.session = self.driver = None
        for number, slot in self.slots.items():
            self.say(slot.gone())
            self._publish(number, online=False)

    # --- setpoints

    def offer(self, setpoint: Setpoint, *, restored: bool = False) -> None:
        """A setpoint of one of its connectors."""
        slot = self.slots[setpoint.connector]
        if restored:
            slot.restore(setpoint, self.now_ms())
        else:
            self.say(slot.offer(setpoint, self.now_ms(), online=self.session is not None))
        self.wake()

    def standing(self, number: int) -> Setpoint | None:
        """The setpoint that counts for a connector, if there is one: of the location that has it now, and alive."""
        newest = self.slots[number].newest if number in self.slots else None
        if newest is None or number in self.plate.leaving or newest.location != self.plate.location:
            return None
        return newest if to_ms(newest.valid_until) > self.now_ms() else None

    def say(self, answers: Iterable[Answer]) -> None:
        """Publish what became of setpoints."""
        for answer in answers:
            metrics.SETPOINTS.labels(answer.state).inc()
            self._outlet.feedback(self._feedback(answer))
            level = logging.INFO if answer.state in ("sent", "accepted") else logging.WARNING
            log.log(level, "%s", _sentence(answer))

    def _feedback(self, answer: Answer) -> Feedback:
        setpoint, accepted = answer.setpoint, answer.state == "accepted"
        return Feedback(
            location=setpoint.location,
            charger=setpoint.charger,
            connector=setpoint.connector,
            seq=setpoint.seq,
            at=to_moment(self.now_ms()),
            state=answer.state,
            limit_a=answer.limit_a if accepted else None,
            lease_until=setpoint.valid_until if accepted else None,
            fallback_a=answer.fallback_a if accepted else None,
            error=answer.error,
        )

    # --- what the charger says (session.Listener)

    def on_message(self, session: Session, action: str) -> None:
        """Anything at all: the charger speaks, so it may be spoken to."""
        if session is self.session:
            self.wake()

    def on_boot(self, session: Session, vendor: str, model: str) -> None:
        """BootNotification: what it held may be gone."""
        log.info("%s: started (%s %s)", self.plate.id, vendor, model)
        self.defaults.clear()
        if session is self.session and self.driver is not None:
            self.driver.restarted(vendor)

    def on_status(self, connector: Any, status: Any) -> None:
        """StatusNotification. One about connector 0 is about the charger, and no connector's."""
        number = whole_number(connector)
        state = self.states.get(number) if number else None
        if number and state is not None and state.on_status(status):
            log.info("%s/%d: %s", self.plate.id, number, status)
            self._publish(number)

    def on_meter_values(self, payload: dict[str, Any]) -> None:
        """MeterValues."""
        measured = read_meter_values(payload)
        plate = self.plate.connector(measured.connector) if measured else None
        if measured is None or plate is None:
            return
        state = self.states[plate.id]
        before = state.transaction
        if state.on_values(
            measured, plate, self.slots[plate.id].cap_a(plate.max_a, self.now_ms(), RAMP_S), self.now_ms()
        ):
            self._publish(plate.id)
        if state.transaction != before and self.driver is not None:
            self.driver.renew(plate.id)

    def start_transaction(self, connector: Any, request: tuple[Any, ...]) -> int:
        """The id of a transaction: a new one, or the same again for a repeated request (facts #68)."""
        known = self._starts.get(request)
        transaction = known if known is not None else self._outlet.new_transaction()
        self._starts[request] = transaction
        while len(self._starts) > STARTS_KEPT:
            self._starts.popitem(last=False)
        number = whole_number(connector)
        if known is None and number in self.states:
            assert number is not None
            log.info("%s/%d: transaction %d begins", self.plate.id, number, transaction)
            self.states[number].begin(transaction)
            if self.driver is not None:
                self.driver.renew(number)
        return transaction

    def stop_transaction(self, transaction: Any) -> None:
        """A transaction ended; one that nobody knows of is none of ours."""
        ended = whole_number(transaction)
        for number, state in self.states.items():
            if ended is not None and state.end(ended):
                log.info("%s/%d: transaction %d ended", self.plate.id, number, ended)
                self._publish(number)

    # --- time passes

    def tick(self) -> None:
        """Called every second: give up what waited too long, and let no connector be silent."""
        now_ms = self.now_ms()
        for slot in self.slots.values():
            self.say(slot.expire(now_ms))
        if self.driver is None:
            return
        quiet_ms = int(self._settings.quiet_s * 1000)
        for number, state in self.states.items():
            if now_ms - state.published_at < quiet_ms:
                continue
            if state.certain():
                self._publish(number)
            elif now_ms - self._asked_ms.get(number, 0) >= quiet_ms:
                self._asked_ms[number] = now_ms
                self.driver.trigger(number, "MeterValues" if state.status else "StatusNotification")

    def _publish(self, number: int, *, online: bool = True) -> None:
        connector = self.plate.connector(number)
        assert connector is not None
        reading = self.states[number].reading(self.plate, connector, self.now_ms(), online=online)
        if reading is not None:
            metrics.READINGS.inc()
            self._outlet.reading(reading)


def _sentence(answer: Answer) -> str:
    setpoint = answer.setpoint
    what = f"{setpoint.charger}/{setpoint.connector}: setpoint {setpoint.seq} ({setpoint.limit_a:g} A) {answer.state}"
    return f"{what}: {answer.error}" if answer.error else what
