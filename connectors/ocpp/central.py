"""The central system: the WebSocket server, who may connect to it, and all stations."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from connectors.ocpp import metrics
from connectors.ocpp.passwords import Passwords
from connectors.ocpp.registry import Plate, Registry, identity
from connectors.ocpp.settings import Settings
from connectors.ocpp.station import Outlet, Station
from connectors.ocpp.unread import Unread
from pipeline.moments import to_moment, to_ms
from pipeline.records import ChargerReading, Feedback, Setpoint
from topology.location import Location

log = logging.getLogger(__name__)

OCPP16 = Subprotocol("ocpp1.6")


class Central:
    """All chargers. Everything runs in the event loop's thread, and nothing but `serving` waits."""

    def __init__(
        self,
        publish_reading: Callable[[ChargerReading], None],
        publish_feedback: Callable[[Feedback], None],
        repeat_setpoint: Callable[[Setpoint], None],
        *,
        settings: Settings | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self._settings = settings or Settings()
        self._passwords = passwords
        self._registry = Registry()
        self._stations: dict[str, Station] = {}
        self._transaction = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._publish_reading = publish_reading
        self._repeat_setpoint = repeat_setpoint
        self._repeated: dict[tuple[str, int], int] = {}
        """Connector -> the seq that we wrote once more: the topic brings it back, and that is no news."""
        self._outlet = Outlet(self._reading, publish_feedback, self._new_transaction, now_ms)
        self.loaded = False
        """Whether the locations are known. Until then nobody is turned away for good (503, not 404)."""

    # --- what the topics say

    def put_location(self, name: str, location: Location | None) -> None:
        """A location's newest record; None: it is removed."""
        for charger in self._registry.put(name, location):
            self._settle(charger)

    def offer(self, setpoint: Setpoint, *, restored: bool = False) -> None:
        """A setpoint from the topic; `restored`: it was there before we started. What lives of those reaches its
        charger although no location has it any more: it was removed while nobody was here to tell it."""
        name = (setpoint.charger, setpoint.connector)
        if not restored and self._repeated.get(name) == setpoint.seq:
            del self._repeated[name]
            return
        if restored and self._is_of_nobody(setpoint):
            for charger in self._registry.leave(setpoint):
                self._settle(charger)
        station = self._stations.get(setpoint.charger)
        reason = _odd(setpoint, station.plate if station else None)
        if station is not None and reason is None:
            station.offer(setpoint, restored=restored)
        elif not restored:
            log.warning("A setpoint for %s/%d is ignored: %s", setpoint.charger, setpoint.connector, reason)
            metrics.SETPOINTS.labels("unsupported").inc()
            self._outlet.feedback(_unsupported(setpoint, reason))
        if not restored:
            self._keep_newest(*name, setpoint)

    def forget(self, charger: str, connector: int) -> None:
        """The topic has nothing for a connector any more."""
        station = self._stations.get(charger)
        if station is not None and connector in station.slots:
            station.slots[connector].forgotten = True
            self._keep_newest(charger, connector, None)

    def health(self) -> dict[str, int | bool]:
        """Numbers for /health."""
        connected = sum(station.session is not None for station in self._stations.values())
        return {"loaded": self.loaded, "chargers": len(self._stations), "connected": connected}

    def _keep_newest(self, charger: str, connector: int, last: Setpoint | None) -> None:
        """What counts is the last that the topic says of a connector, or compaction would take it: it is written once
        more behind the end of the location that the charger was in before, and behind what a late worker wrote."""
        station = self._stations.get(charger)
        standing = station.standing(connector) if station is not None else None
        if standing is None:
            return
        if last is None or (last.location, last.seq) != (standing.location, standing.seq):
            self._repeated[charger, connector] = standing.seq
            self._repeat_setpoint(standing)

    def _settle(self, charger: str) -> None:
        """A station as the registry has it now."""
        plate, station = self._registry.find(charger), self._stations.get(charger)
        if plate is None or plate.id != charger:
            self._remove(charger)
        elif station is not None:
            station.change(plate)
        else:
            self._stations[charger] = Station(plate, self._outlet, self._settings)

    def _is_of_nobody(self, setpoint: Setpoint) -> bool:
        plate = self._registry.find(setpoint.charger)
        unknown = plate is None or plate.connector(setpoint.connector) is None
        return unknown and to_ms(setpoint.valid_until) > now_ms()

    def _let_go(self, station: Station) -> None:
        """Connectors that have left; a charger without any is disconnected."""
        left = station.left()
        if left:
            station.change(self._registry.forget(station.plate.id, left))  # first: what is gone says no `offline`
        if not station.plate.connectors:
            self._remove(station.plate.id)

    def _reading(self, reading: ChargerReading) -> None:
        """Of a location that was removed nobody takes readings."""
        if self._registry.has(reading.location):
            self._publish_reading(reading)

    def _remove(self, charger: str) -> None:
        station = self._stations.pop(charger, None)
        if station is not None and station.session is not None:
            log.info("%s: in no location any more, disconnected", charger)
            closing = asyncio.ensure_future(station.session.close(1008, "in no location any more"))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _new_transaction(self) -> int:
        """Unique also after a restart: seconds since 1970, or one more than the last (facts #69; fits 32 bits)."""
        self._transaction = max(self._transaction + 1, int(time.time()))
        return self._transaction

    # --- the server

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen until the block ends; gives the port. Then calls in flight are finished, and sockets closed (1001)."""
        settings = self._settings
        server = await serve(
            self._serve,
            host,
            port,
            select_subprotocol=_subprotocol,
            process_request=self._admit,
            compression=None,  # 58 kB per charger instead of 22 (measured)
            max_size=settings.max_frame_bytes,
            max_queue=settings.max_queued_frames,
            ping_interval=settings.ping_s,
            ping_timeout=settings.ping_s,
            open_timeout=settings.open_timeout_s,
            close_timeout=settings.shutdown_s,
            backlog=settings.backlog,
            server_header=None,
            logger=_server_log,
        )
        ticking = asyncio.create_task(self._tick(server))
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await self._shut(server)
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Who may connect: known chargers (404, OCPP-J errata 3.68) with the right password (401)."""
        if not self.loaded:
            return _refuse(connection, HTTPStatus.SERVICE_UNAVAILABLE, "the locations are not known yet")
        name = identity(request.path)
        plate = self._registry.find(name)
        if plate is None:
            log.warning("Refused %.64r: in no location", name)
            return _refuse(connection, HTTPStatus.NOT_FOUND, "no such charger")
        if self._passwords is None or self._passwords.allow(plate.id, _authorization(request)):
            return None
        log.warning("Refused %s: its password is missing or wrong", plate.id)
        response = _refuse(connection, HTTPStatus.UNAUTHORIZED, "wrong charger id or password")
        response.headers["WWW-Authenticate"] = 'Basic realm="OCPP"'
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        plate = self._registry.find(identity(socket.request.path))
        station = self._stations.get(plate.id) if plate else None
        if station is None:
            await socket.close(1008, "in no location any more")
            return
        log.info("%s: connected", station.plate.id)
        metrics.CONNECTED.inc()
        try:
            await station.attach(socket)
        finally:
            metrics.CONNECTED.dec()
            log.info("%s: disconnected (%s)", station.plate.id, socket.close_code)

    async def _tick(self, server: Server) -> None:
        unread = Unread(self._settings)
        while True:
            await asyncio.sleep(self._settings.tick_s)
            for socket in unread.hopeless(server.connections, time.monotonic()):
                log.warning("%s: does not read what it is sent, cut off", socket.remote_address)
                socket.transport.abort()
            for station in tuple(self._stations.values()):
                try:
                    station.tick()
                    self._let_go(station)
                except Exception:  # a bug with one charger must not stop the clock of all others
                    log.exception("%s: its clock failed", station.plate.id)

    async def _shut(self, server: Server) -> None:
        """No new sockets and calls; those in flight may end. Profiles stay as they are: leases end by themselves."""
        server.close(close_connections=False)
        settling = [asyncio.create_task(station.drain()) for station in self._stations.values()]
        if settling:
            _, late = await asyncio.wait(settling, timeout=self._settings.shutdown_s)
            for task in late:
                task.cancel()
        await asyncio.gather(*(socket.close(1001, "going away") for socket in server.connections))
        await server.wait_closed()


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Port scans and health checks of proxies open sockets that say nothing: no news, and no stack trace."""
    return record.msg != "opening handshake failed"


_server_log = logging.getLogger(f"{__name__}.server")
_server_log.setLevel(logging.WARNING)
_server_log.addFilter(_worth_a_line)


def now_ms() -> int:
    """The clock of readings and leases: UTC, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _odd(setpoint: Setpoint, plate: Plate | None) -> str | None:
    """Why a setpoint is for nobody."""
    if plate is None:
        return "no location has such a charger"
    if plate.location != setpoint.location:
        return f"the charger belongs to {plate.location}, not to {setpoint.location}"
    if plate.connector(setpoint.connector) is None:
        return "the charger has no such connector"
    return None


def _unsupported(setpoint: Setpoint, reason: str | None) -> Feedback:
    return Feedback(
        location=setpoint.location,
        charger=setpoint.charger,
        connector=setpoint.connector,
        seq=setpoint.seq,
        at=to_moment(now_ms()),
        state="unsupported",
        error=reason,
    )


def _subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """OCPP 1.6; a charger that offers nothing is taken for one (facts #2)."""
    if not offered:
        return None
    if OCPP16 in offered:
        return OCPP16
    raise NegotiationError(f"only {OCPP16} is spoken here")


def _authorization(request: Request) -> str | None:
    """The header; two of them are none."""
    values = request.headers.get_all("Authorization")
    return values[0] if len(values) == 1 else None


def _refuse(connection: ServerConnection, status: HTTPStatus, reason: str) -> Response:
    metrics.REFUSED.labels(str(status.value)).inc()
    return connection.respond(status, reason + "\n")
