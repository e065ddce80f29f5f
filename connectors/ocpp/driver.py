"""What is said to a charger, and in which order: one call at a time, what matters first.

1. After a (re)start: which unit and how many periods it takes, then the safe default of each connector. Every answer is
   optional; a charger that gives none gets its setpoints all the same.
2. Setpoints, decreases first; then what a new transaction or a reboot made the charger forget.
3. Errands: the questions of commissioning, and readings that are overdue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpp.exceptions import OCPPError
from ocpp.v16.enums import Action

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
from connectors.ocpp.session import Disconnected, Refused, Session
from connectors.ocpp.settings import Settings
from connectors.ocpp.slots import Answer
from pipeline.moments import to_ms
from pipeline.records import FeedbackState, Setpoint

if TYPE_CHECKING:
    from connectors.ocpp.station import Station

log = logging.getLogger(__name__)

Errand = Callable[[], Awaitable[object]]

ASKED_KEYS = (
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleMaxPeriods",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
)
"""All keys at once fail on some; asking for a few works everywhere (facts #16: GetConfigurationMaxKeys is 10)."""
WANTED_VALUES = "Current.Import,Power.Active.Import,Energy.Active.Import.Register,Voltage"
DEFAULT_TRIES = 2
"""How often a safe default is tried per connection. More: a charger that refuses it is asked for ever."""


class Driver:
    """Talks to a charger while one socket lasts."""

    def __init__(self, station: Station, session: Session, settings: Settings) -> None:
        self._station = station
        self._session = session
        self._settings = settings
        self.abilities = Abilities()
        self.booted = False
        self.vendor = ""
        self._set_up = False
        self._wake = asyncio.Event()
        self._errands: dict[tuple[str, object], Errand] = {}
        self._renew: set[int] = set()
        self._mirror: set[int] = set()
        self._default_tries: dict[tuple[int, float], int] = {}
        self.idle = asyncio.Event()
        """No call is in flight."""
        self.idle.set()

    def wake(self) -> None:
        """Something changed: look for what to do next."""
        self._wake.set()

    def restarted(self, vendor: str) -> None:
        """BootNotification: set it up (anew), and tell it again what it may have forgotten."""
        self.booted, self.vendor, self._set_up = True, vendor, False
        self._default_tries.clear()
        self._renew.update(self._station.slots)
        self.wake()

    def renew(self, connector: int) -> None:
        """A transaction began: its limit must be written for it."""
        self._renew.add(connector)
        self.wake()

    def trigger(self, connector: int, message: str) -> None:
        """Ask for a StatusNotification or MeterValues when there is time; asked twice is asked once."""
        if self.abilities.trigger:
            self._errands.setdefault((message, connector), partial(self._trigger, connector, message))
            self.wake()

    async def run(self) -> None:
        """Until the socket closes."""
        await self._first_message()
        while not self._session.closed.is_set():
            errand = self._next()
            if errand is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self.idle.clear()
            try:
                await errand()
            except Disconnected:
                return
            finally:
                self.idle.set()
            await asyncio.sleep(self._settings.spacing_s)

    async def _first_message(self) -> None:
        """Some firmware refuses calls before its first message; some never sends one unasked."""
        try:
            async with asyncio.timeout(self._settings.boot_wait_s):
                await self._wake.wait()
        except TimeoutError:
            log.info("%s: says nothing, so we begin", self._station.plate.id)

    def _next(self) -> Errand | None:
        station = self._station
        if station.draining:
            return None
        if not self._set_up:
            self._set_up = True
            return self._configure
        missing = self._missing_default()
        if missing is not None:
            return partial(self._write_default, missing)
        waiting = [
            (not slot.falls(), slot.newest_seq(), number) for number, slot in station.slots.items() if slot.waiting
        ]
        if waiting:
            return partial(self._send_setpoint, min(waiting)[2])
        for pending, task in ((self._mirror, self._lower_default), (self._renew, self._send_again)):
            if pending:
                return partial(task, pending.pop())
        key = next(iter(self._errands), None)
        return None if key is None else self._errands.pop(key)

    # --- setting up

    async def _configure(self) -> None:
        status, answer = await self._ask(
            Action.get_configuration, {"key": list(ASKED_KEYS)}, self._settings.config_timeout_s
        )
        keys = answer.get("configurationKey") if status == "answered" else None
        found: dict[str, str] = {}
        for entry in keys if isinstance(keys, list) else []:
            if isinstance(entry, dict):
                found[str(entry.get("key")).lower()] = str(entry.get("value", ""))
        self.abilities = read_abilities(self.abilities, found)
        self._plan_changes(found)
        if not self.booted:  # one that only reconnects says nothing of its own (facts 1.3)
            for number in self._station.slots:
                self.trigger(number, "StatusNotification")
                self.trigger(number, "MeterValues")

    def _plan_changes(self, found: dict[str, str]) -> None:
        """Only keys that it named, and only when the value does not do: some reboot at every change."""
        wanted = self._settings.meter_interval_s
        interval = found.get("metervaluesampleinterval", "").strip()
        if interval.isdecimal() and not 0 < int(interval) <= wanted:
            self._change("MeterValueSampleInterval", str(wanted))
        values = found.get("metervaluessampleddata")
        # ABB Terra AC accepts every measurand, then reboots for ever (facts #19): never touched.
        if values is not None and "current.import" not in values.lower() and "abb" not in self.vendor.lower():
            self._change("MeterValuesSampledData", WANTED_VALUES)

    def _change(self, key: str, value: str) -> None:
        payload = {"key": key, "value": value}
        self._errands.setdefault(("change", key), partial(self._ask, Action.change_configuration, payload))

    def _missing_default(self) -> ConnectorPlate | None:
        plate = self._station.plate
        if plate.fallback_a is None:
            return None
        for connector in plate.connectors:
            tried = self._default_tries.get((connector.id, plate.fallback_a), 0)
            if self._station.defaults.get(connector.id) != plate.fallback_a and tried < DEFAULT_TRIES:
                return connector
        return None

    async def _write_default(self, connector: ConnectorPlate) -> None:
        fallback_a = self._station.plate.fallback_a
        assert fallback_a is not None
        key = (connector.id, fallback_a)
        self._default_tries[key] = self._default_tries.get(key, 0) + 1
        payload = safe_default(connector, self.abilities, fallback_a, self._station.now_ms())
        status, answer = await self._ask(Action.set_charging_profile, payload, self._settings.config_timeout_s)
        if status == "answered" and _status(answer) == "accepted":
            self._station.defaults[connector.id] = fallback_a
            return
        log.warning("%s/%d: no safe default: %s", self._station.plate.id, connector.id, _status(answer) or status)
        if status != "timeout":
            self._default_tries[key] = DEFAULT_TRIES

    # --- setpoints

    async def _send_setpoint(self, number: int) -> None:
        station, slot = self._station, self._station.slots[number]
        setpoint, said = slot.take(station.now_ms())
        station.say(said)
        connector = station.plate.connector(number)
        if setpoint is None or connector is None:
            return
        station.say([Answer(setpoint, "sent")])
        try:
            state, problem = await self._write(connector, setpoint)
        except Disconnected:
            if station.session is not None and station.session is not self._session:
                station.say(slot.put_back(setpoint, station.now_ms()))
                station.wake()
            else:
                lost = Answer(setpoint, "timeout", "the charger disconnected before it answered")
                station.say(slot.answer(lost, station.now_ms()))
            raise
        answer = Answer(setpoint, state, problem)
        if state == "accepted":
            answer = replace(
                answer, limit_a=legal_limit(setpoint.limit_a, connector), fallback_a=self._held(connector, setpoint)
            )
        station.say(slot.answer(answer, station.now_ms()))

    def _held(self, connector: ConnectorPlate, setpoint: Setpoint) -> float | None:
        """What the connector falls to when the lease ends: the lease's own step, or the permanent default if it is
        there; None where nothing holds it."""
        default_a = self._station.defaults.get(connector.id)
        if self.abilities.two_periods and setpoint.fallback_a is not None:
            return legal_limit(setpoint.fallback_a, connector)
        return None if default_a is None else legal_limit(default_a, connector)

    async def _send_again(self, number: int) -> None:
        """What the charger accepted before it began a transaction, or rebooted. The planner knows it already."""
        setpoint = self._station.slots[number].again(self._station.now_ms()) if number in self._station.slots else None
        connector = self._station.plate.connector(number)
        if setpoint is None or connector is None:
            return
        state, problem = await self._write(connector, setpoint)
        if state != "accepted":
            log.warning("%s/%d: setpoint %d again: %s %s", self._station.plate.id, number, setpoint.seq, state, problem)

    async def _lower_default(self, number: int) -> None:
        """A TxDefault lease from before this transaction allows more than was accepted since: the next car to come
        would begin with it. Written down to the limit of now."""
        setpoint = self._station.slots[number].again(self._station.now_ms()) if number in self._station.slots else None
        connector = self._station.plate.connector(number)
        if setpoint is None or connector is None:
            return
        two = self.abilities.two_periods and setpoint.fallback_a is not None
        await self._try(connector, setpoint, Form("TxDefaultProfile", two), None)

    async def _write(self, connector: ConnectorPlate, setpoint: Setpoint) -> tuple[FeedbackState, str | None]:
        """Write a lease, in the best form that the charger takes. What became of it, and why."""
        transaction = self._station.states[connector.id].transaction
        ways = forms(self.abilities, transaction, setpoint.fallback_a)
        state: FeedbackState = "rejected"
        problem: str | None = None
        for way in ways:
            if way is not ways[0]:
                await asyncio.sleep(self._settings.spacing_s)
                if ways[0].purpose == "TxProfile" and way is ways[1]:
                    await self._clear_transaction(connector)
            state, problem = await self._try(connector, setpoint, way, transaction)
            if state == "accepted":
                self.abilities = learnt(self.abilities, ways[0], way)
                return state, None
            if state == "timeout":
                break
        return state, problem

    async def _clear_transaction(self, connector: ConnectorPlate) -> None:
        """An older TxProfile that it did take would win over the default that we write next."""
        await self._ask(Action.clear_charging_profile, {"id": profile_id(connector.id, "TxProfile", 1)})
        await asyncio.sleep(self._settings.spacing_s)

    async def _try(
        self, connector: ConnectorPlate, setpoint: Setpoint, way: Form, transaction: int | None
    ) -> tuple[FeedbackState, str | None]:
        now_ms, until_ms = self._station.now_ms(), to_ms(setpoint.valid_until)
        if now_ms >= until_ms:
            return "rejected", "valid_until passed while the charger refused"
        payload = lease(
            connector,
            self.abilities,
            way,
            transaction,
            limit_a=setpoint.limit_a,
            phases=setpoint.phases,
            fallback_a=setpoint.fallback_a,
            until_ms=until_ms,
            now_ms=now_ms,
        )
        status, answer = await self._ask(Action.set_charging_profile, payload)
        state, problem = _verdict(status, answer)
        if state == "accepted":
            self._accepted(connector, way, legal_limit(setpoint.limit_a, connector), until_ms)
        return state, problem

    def _accepted(self, connector: ConnectorPlate, way: Form, limit_a: float, until_ms: int) -> None:
        leases = self._station.default_leases
        if way.purpose == "TxDefaultProfile":
            leases[connector.id] = (limit_a, until_ms)
            return
        above_a, above_until_ms = leases.get(connector.id, (0.0, 0))
        if above_a > limit_a and above_until_ms > self._station.now_ms():
            self._mirror.add(connector.id)

    # --- calls

    async def _trigger(self, connector: int, message: str) -> None:
        payload = {"requestedMessage": message, "connectorId": connector}
        status, _ = await self._ask(Action.trigger_message, payload)
        if status.startswith(("NotImplemented", "NotSupported")):
            self.abilities = replace(self.abilities, trigger=False)

    async def _ask(
        self, action: Action, payload: dict[str, Any], timeout_s: float | None = None
    ) -> tuple[str, dict[str, Any]]:
        """ "answered" and the answer, or "timeout", or what the charger's CALLERROR says. Raises Disconnected."""
        try:
            return "answered", await self._session.ask(action, payload, timeout_s)
        except TimeoutError:
            return "timeout", {}
        except Refused as refusal:
            return str(refusal), {}
        except OCPPError as problem:  # the schema refuses what we would send: ours to mend, not the charger's
            log.error("%s: %s was not sent: %s", self._station.plate.id, action.value, problem)
            return "InternalError (not sent)", {}


def _status(answer: dict[str, Any]) -> str:
    """Chargers write it in any letter case."""
    return str(answer.get("status", "")).strip().casefold()


def _verdict(status: str, answer: dict[str, Any]) -> tuple[FeedbackState, str | None]:
    """The feedback state that an answer to SetChargingProfile means. An answer that says nothing may mean yes."""
    if status == "timeout":
        return "timeout", "no answer in time"
    if status != "answered":
        unsupported = status.startswith(("NotImplemented", "NotSupported"))
        return ("unsupported" if unsupported else "rejected"), status
    match _status(answer):
        case "accepted":
            return "accepted", None
        case "rejected":
            return "rejected", "Rejected"
        case "notsupported":
            return "unsupported", "NotSupported"
        case other:
            return "timeout", f"answered with the status {other[:40]!r}"
