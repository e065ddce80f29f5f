"""A Belgian P1 port over TCP, of a building that is only simulated: `sunshave meters` reads it exactly like a real one.

    building = Building(currents_a=lambda: (3.0, 2.0, -4.5))
    async with serve_p1("127.0.0.1", 0, building) as port: …

The meter is faithful where it matters: currents without a sign and with two decimals, powers in whole watts, registers
that net the phases, the running average of the quarter, the month's peak with its time, local time, and a CRC.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dsmr_parser.parsers import TelegramParser

from connectors.simulated.registers import Registers

ZONE = ZoneInfo("Europe/Brussels")
LISTENERS = 16
"""Connections at once. Smaller: a demo with a second reader fails. Larger: nothing is gained, a real port has one."""

BACKLOG_BYTES = 65_536
"""What a listener may leave unread before it is cut off. Smaller: a slow one is lost early. Larger: memory."""

Currents = tuple[float, float, float]


class Building:
    """A meter and what flows through it. `currents_a` is asked at each telegram, + is import; so is the clock."""

    def __init__(
        self,
        currents_a: Callable[[], Currents],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        voltage_v: float = 230.0,
        import_wh: float = 1_234_567.0,
        export_wh: float = 89_012.0,
    ) -> None:
        self.currents_a = currents_a
        self.clock = clock
        self.voltage_v = voltage_v
        self.registers = Registers(ZONE.key, import_wh, export_wh)
        self._at: datetime | None = None
        self._powers_w: tuple[float, ...] = (0.0, 0.0, 0.0)

    def advance(self) -> datetime:
        """Count what has flowed since the last time, at the currents of then; take the currents of now. Says the
        time."""
        now = self.clock()
        if self._at is not None:
            self.registers.count(sum(self._powers_w), self._at.timestamp(), now.timestamp())
        self._at = now
        self._powers_w = tuple(current_a * self.voltage_v for current_a in self.currents_a())
        return now

    def telegram(self) -> bytes:
        """What the port sends now."""
        now = self.advance()
        lines = ["/SUN5\\simulated", "", "0-0:96.1.4(50217)", f"0-0:1.0.0({_local(now)})"]
        lines += [*self._registers(), *self._averages()]
        total_w = sum(self._powers_w)
        lines += [f"1-0:1.7.0({_kw(max(0, total_w))})", f"1-0:2.7.0({_kw(max(0, -total_w))})"]
        for first, power_w in zip((2, 4, 6), self._powers_w, strict=True):
            lines += [f"1-0:{first}1.7.0({_kw(max(0, power_w))})", f"1-0:{first}2.7.0({_kw(max(0, -power_w))})"]
        lines += [f"1-0:{code}.7.0({self.voltage_v:05.1f}*V)" for code in (32, 52, 72)]
        lines += [
            f"1-0:{code}.7.0({abs(power_w) / self.voltage_v:06.2f}*A)"
            for code, power_w in zip((31, 51, 71), self._powers_w, strict=True)
        ]
        body = "\r\n".join([*lines, "!"])
        return f"{body}{TelegramParser.crc16(body):04X}\r\n".encode("ascii")

    def _registers(self) -> list[str]:
        """All on the first tariff: which one counts is of no matter to a fuse."""
        return [
            f"1-0:1.8.1({self.registers.import_wh / 1000:010.3f}*kWh)",
            "1-0:1.8.2(000000.000*kWh)",
            f"1-0:2.8.1({self.registers.export_wh / 1000:010.3f}*kWh)",
            "1-0:2.8.2(000000.000*kWh)",
        ]

    def _averages(self) -> list[str]:
        """1.4.0 is the energy so far over the whole quarter: it starts at 0 and rises to the final value."""
        peak_s = self.registers.month_peak_at_s
        peak_at = "632525252525W" if peak_s is None else _local(datetime.fromtimestamp(peak_s, UTC))
        peak_w = self.registers.month_peak_w
        return [f"1-0:1.4.0({_kw(self.registers.demand_w)})", f"1-0:1.6.0({peak_at})({_kw(peak_w)})"]


@asynccontextmanager
async def serve_p1(host: str, port: int, building: Building, every_s: float = 1.0) -> AsyncIterator[int]:
    """Stream telegrams to whoever connects, until the block ends; gives the port (0 = any free one)."""
    listeners: set[asyncio.StreamWriter] = set()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(listeners) >= LISTENERS:
            writer.transport.abort()
        else:
            listeners.add(writer)

    server = await asyncio.start_server(greet, host, port)
    ticking = asyncio.create_task(_tick(building, listeners, every_s))
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        ticking.cancel()
        server.close()
        for writer in listeners:
            writer.transport.abort()
        await asyncio.gather(ticking, server.wait_closed(), return_exceptions=True)


async def _tick(building: Building, listeners: set[asyncio.StreamWriter], every_s: float) -> None:
    while True:
        telegram = building.telegram()
        for writer in list(listeners):
            if writer.is_closing() or writer.transport.get_write_buffer_size() > BACKLOG_BYTES:
                writer.transport.abort()
                listeners.discard(writer)
            else:
                writer.write(telegram)
        await asyncio.sleep(every_s)


def _local(moment: datetime) -> str:
    """YYMMDDhhmmssX in local time, X = S in summer and W in winter."""
    local = moment.astimezone(ZONE)
    return f"{local:%y%m%d%H%M%S}{'S' if local.dst() else 'W'}"


def _kw(power_w: float) -> str:
    return f"{power_w / 1000:06.3f}*kW"
