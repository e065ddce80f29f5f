"""One socket of a charger: frames in and out, one call in flight, and the messages' answers.

The `ocpp` library gives the actions, the routing of the rare messages (`@on`) and the official schemas, by which every
call of ours is checked before it leaves. Three things are done before it: the messages that come all day are answered
without its validation (60 to 150 times cheaper, measured, and a misspelt unit loses no reading); nothing malformed can
end the task; and a call fails at once when the socket drops, instead of after its time-out.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import Any, Protocol

from ocpp.exceptions import OCPPError
from ocpp.messages import Call, validate_payload
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from connectors.ocpp import metrics
from connectors.ocpp.frames import Reply, Request, error, read_frame, result
from connectors.ocpp.settings import Settings

log = logging.getLogger(__name__)

HOT = ("MeterValues", "StatusNotification", "Heartbeat")
"""The messages that come all day."""


class Refused(Exception):  # noqa: N818 -- an answer of the charger
    """A CALLERROR."""


class Disconnected(Exception):  # noqa: N818 -- what happened, to whoever waits for an answer
    """The socket closed before the answer."""


class Listener(Protocol):
    """What a station hears from its socket. None of these may wait."""

    def on_message(self, session: Session, action: str) -> None:
        """Something came in."""

    def on_boot(self, session: Session, vendor: str, model: str) -> None:
        """The charger (re)started."""

    def on_status(self, connector: Any, status: Any) -> None:
        """StatusNotification."""

    def on_meter_values(self, payload: dict[str, Any]) -> None:
        """MeterValues, raw."""

    def start_transaction(self, connector: Any, request: tuple[Any, ...]) -> int:
        """The id of a transaction that starts; `request` tells a repetition."""

    def stop_transaction(self, transaction: Any) -> None:
        """A transaction ended."""


class Session(ChargePoint):  # type: ignore[misc]
    """The socket that a charger has now."""

    def __init__(self, charger: str, socket: ServerConnection, listener: Listener, settings: Settings) -> None:
        super().__init__(charger, socket, response_timeout=settings.call_timeout_s, logger=_quiet)
        self._socket = socket
        self._listener = listener
        self._settings = settings
        self._waiting: tuple[str, asyncio.Future[Reply]] | None = None
        self.closed = asyncio.Event()

    async def serve(self) -> None:
        """Read until the socket closes. Then whoever waits for an answer learns it at once."""
        try:
            async for frame in self._socket:
                await self._receive(frame)
        except (ConnectionClosed, Disconnected):
            pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Give up on this socket: whoever waits for an answer learns it now."""
        self.closed.set()
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(Disconnected())

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; a charger that does not answer is cut off."""
        await self._socket.close(code, reason)

    async def ask(self, action: Action, payload: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
        """The payload of the charger's answer. Raises Refused, Disconnected or TimeoutError.

        Only one call may be in flight (OCPP-J §4.1.1): the station asks one after the other.
        """
        assert self._waiting is None, "one call at a time"
        request = Call(str(uuid.uuid4()), str(action.value), payload)
        await validate_payload(request, "1.6")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting = (request.unique_id, answer)
        outcome = "disconnected"
        try:
            await self._send(request.to_json())
            reply = await asyncio.wait_for(answer, timeout_s or self._settings.call_timeout_s)
            outcome = "answered" if reply.error is None else "refused"
        except TimeoutError:
            outcome = "timeout"
            raise
        finally:
            self._waiting = None
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, also when sending failed first
            metrics.CALLS.labels(action.value, outcome).inc()
        if reply.error is not None:
            raise Refused(reply.error)
        return reply.payload if isinstance(reply.payload, dict) else {}

    async def _receive(self, frame: str | bytes) -> None:
        message = read_frame(frame)
        if message is None:
            metrics.MALFORMED.inc()
            log.debug("%s: a frame of %d characters is no OCPP message", self.id, len(frame))
        elif isinstance(message, Reply):
            self._deliver(message)
        else:
            await self._answer(message)

    def _deliver(self, reply: Reply) -> None:
        if self._waiting is None or self._waiting[0] != reply.id or self._waiting[1].done():
            log.debug("%s: an answer that nobody waits for", self.id)
            return
        self._waiting[1].set_result(reply)

    async def _answer(self, request: Request) -> None:
        known = request.action in self.route_map or request.action in HOT
        metrics.MESSAGES.labels(request.action if known else "other").inc()
        try:
            self._listener.on_message(self, request.action)
            if request.action in HOT:
                await self._send(result(request, self._hot(request)))
            else:
                await self._handle_call(Call(request.id, request.action, request.payload))
        except Disconnected:
            raise
        except OCPPError as problem:
            await self._send(error(request, problem.code, problem.description))
        except RecursionError:
            await self._send(error(request, "FormationViolation", "nested too deeply"))
        except Exception:  # a bug of ours with one message must not cost the charger its socket
            log.exception("%s: its %s failed", self.id, request.action)
            await self._send(error(request, "InternalError", "the central system failed"))

    def _hot(self, request: Request) -> dict[str, Any]:
        """The answer to one of the `HOT` messages."""
        if request.action == "MeterValues":
            self._listener.on_meter_values(request.payload)
            return {}
        if request.action == "StatusNotification":
            self._listener.on_status(request.payload.get("connectorId"), request.payload.get("status"))
            return {}
        return {"currentTime": _now()}

    async def _send(self, message: str) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await self._socket.send(message)
        except ConnectionClosed:
            raise Disconnected from None
        except TimeoutError:
            log.warning("%s: does not read what it is sent, cut off", self.id)
            self._socket.transport.abort()
            raise Disconnected from None

    @on(Action.boot_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _boot(self, **payload: Any) -> call_result.BootNotification:
        vendor, model = (str(payload.get(f"charge_point_{name}", "?"))[:50] for name in ("vendor", "model"))
        self._listener.on_boot(self, vendor, model)
        return call_result.BootNotification(_now(), self._settings.heartbeat_s, "Accepted")

    @on(Action.authorize, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _authorize(self, **_payload: Any) -> call_result.Authorize:
        # Who may charge is not our business (facts #72): the platform in front of us knows its cards.
        return call_result.Authorize({"status": "Accepted"})

    @on(Action.start_transaction, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _start(self, **payload: Any) -> call_result.StartTransaction:
        request = tuple(str(payload.get(name)) for name in ("connector_id", "timestamp", "id_tag", "meter_start"))
        transaction = self._listener.start_transaction(payload.get("connector_id"), request)
        return call_result.StartTransaction(transaction, {"status": "Accepted"})

    @on(Action.stop_transaction, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _stop(self, **payload: Any) -> call_result.StopTransaction:
        # One that we do not know is accepted too, or it is repeated for ever (facts #70).
        self._listener.stop_transaction(payload.get("transaction_id"))
        return call_result.StopTransaction()

    @on(Action.data_transfer, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _data(self, **_payload: Any) -> call_result.DataTransfer:
        return call_result.DataTransfer("UnknownVendorId")

    @on(Action.firmware_status_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _firmware(self, **_payload: Any) -> call_result.FirmwareStatusNotification:
        return call_result.FirmwareStatusNotification()

    @on(Action.diagnostics_status_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _diagnostics(self, **_payload: Any) -> call_result.DiagnosticsStatusNotification:
        return call_result.DiagnosticsStatusNotification()

    @on(Action.security_event_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _security(self, **_payload: Any) -> call_result.SecurityEventNotification:
        return call_result.SecurityEventNotification()

    @on(Action.log_status_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _log_status(self, **_payload: Any) -> call_result.LogStatusNotification:
        return call_result.LogStatusNotification()

    @on(Action.signed_firmware_status_notification, skip_schema_validation=True)  # type: ignore[untyped-decorator]
    def _signed_firmware(self, **_payload: Any) -> call_result.SignedFirmwareStatusNotification:
        return call_result.SignedFirmwareStatusNotification()


def _now() -> str:
    """`currentTime`: UTC with a Z and no fraction, which every charger reads (facts #66)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_trace(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


_quiet = logging.getLogger("ocpp")
_quiet.addFilter(_without_trace)  # a charger that sends garbage would fill the log with stack traces
