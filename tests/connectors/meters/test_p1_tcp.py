"""A P1 port over real sockets: what the house drew is what is read, and a broken connection is dialled again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

from connectors.meters import p1_tcp, pace
from connectors.meters.capture import capture_p1
from connectors.meters.feed import feed, tallies_of
from connectors.meters.sources import P1Source
from connectors.meters.tally import Tally
from connectors.simulated.house import House
from connectors.simulated.p1_port import Building, serve_p1
from connectors.simulated.sun import Sun
from pipeline.records import MeterReading
from tests.connectors.meters.telegrams import BELGIAN, DUTCH
from tests.parts import free_port

IN_TIME_S = 10.0


def source(port: int, **rest: object) -> P1Source:
    """A Belgian port on loopback."""
    return P1Source.model_validate(
        {
            "location": "brugge-12",
            "meter": "p1",
            "type": "p1-tcp",
            "host": "127.0.0.1",
            "port": port,
            "variant": "fluvius",
            **rest,
        }
    )


async def fed(
    of: P1Source, readings: int, meanwhile: Awaitable[None] | None = None
) -> tuple[list[MeterReading], Tally]:
    """So many readings of a source, and its tally."""
    given: list[MeterReading] = []
    enough = asyncio.Event()

    def publish(record: MeterReading) -> None:
        given.append(record)
        if len(given) >= readings:
            enough.set()

    tallies = tallies_of([of])
    task = asyncio.create_task(feed([of], publish, tallies))
    try:
        async with asyncio.timeout(IN_TIME_S):
            if meanwhile is not None:
                await meanwhile
            await enough.wait()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return given, tallies[0]


@asynccontextmanager
async def serving(script: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A port where the script decides what each connection gets."""
    writers: list[asyncio.StreamWriter] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            await script(writer)

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
        await server.wait_closed()


def test_readings_are_what_the_house_drew() -> None:
    """From the house's amperes through a telegram, a socket and a parser back to the same amperes, signs included."""
    house, sun = House(seed=7), Sun(seed=7, phases=(2, 3))
    noon = datetime(2026, 6, 21, 11, 0, tzinfo=UTC)
    drawn: list[tuple[float, float, float]] = []

    def currents_a() -> tuple[float, float, float]:
        at = noon + timedelta(minutes=7 * len(drawn))
        flows = zip(house.currents_a(at), sun.currents_a(at), strict=True)
        l1, l2, l3 = (taken_a - given_a for taken_a, given_a in flows)
        drawn.append((l1, l2, l3))
        return l1, l2, l3

    async def run() -> list[MeterReading]:
        async with serve_p1("127.0.0.1", 0, Building(currents_a), every_s=0.02) as port:
            return (await fed(source(port), 20))[0]

    given = asyncio.run(run())
    read = [tuple(record.current_a or ()) for record in given]
    offset = next(n for n, each in enumerate(drawn) if each == pytest.approx(read[0], abs=0.01))

    assert read == [pytest.approx(each, abs=0.01) for each in drawn[offset : offset + len(read)]]
    assert any(current_a < -1 for each in read for current_a in each)
    assert {"brugge-12"} == {record.location for record in given}
    assert all(abs((record.at - datetime.now(UTC)).total_seconds()) < IN_TIME_S for record in given)


def test_bad_telegrams_do_not_stop_the_stream() -> None:
    """A wrong CRC and a foreign variant are counted; the good ones between them are given on."""

    async def script(writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(b"\xffnoise" + BELGIAN.replace(b"008.83", b"000.83") + BELGIAN)
        await writer.drain()

    async def run() -> tuple[list[MeterReading], Tally]:
        async with serving(script) as port:
            return await fed(source(port), 3)

    given, tally = asyncio.run(run())

    assert [8.83, 7.41, 7.12] == given[-1].current_a
    assert (3, 3) == (tally.readings, tally.refused)
    assert "CRC" in (tally.last_trouble or "")


def test_port_that_ends_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dongle that restarts after every telegram, here in the middle of the next, still gives all of them."""
    monkeypatch.setattr(pace, "FIRST_S", 0.02)

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(BELGIAN + BELGIAN[:300])
        await writer.drain()
        writer.close()

    async def run() -> tuple[list[MeterReading], Tally]:
        async with serving(script) as port:
            return await fed(source(port), 3)

    given, tally = asyncio.run(run())

    assert 3 == len(given)
    assert tally.broken >= 2
    assert "ended the connection" in (tally.last_trouble or "")


def test_port_that_is_not_there_yet_is_found_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building and reader may start in any order."""
    monkeypatch.setattr(pace, "FIRST_S", 0.02)
    port = free_port()

    async def run() -> tuple[list[MeterReading], Tally]:
        reading = asyncio.create_task(fed(source(port), 1))
        await asyncio.sleep(0.1)
        async with serve_p1("127.0.0.1", port, Building(lambda: (1.0, 2.0, 3.0)), every_s=0.05):
            return await reading

    given, tally = asyncio.run(run())

    assert [1.0, 2.0, 3.0] == given[0].current_a
    assert tally.broken >= 1


def test_port_that_falls_silent_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP does not notice a peer that lost power; we do."""
    monkeypatch.setattr(pace, "FIRST_S", 0.02)
    monkeypatch.setattr(p1_tcp, "SILENCE_S", 0.2)

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(BELGIAN)
        await writer.drain()
        await asyncio.sleep(IN_TIME_S)

    async def run() -> tuple[list[MeterReading], Tally]:
        async with serving(script) as port:
            return await fed(source(port), 2)

    given, tally = asyncio.run(run())

    assert 2 == len(given)
    assert tally.broken >= 1


def test_readings_come_no_oftener_than_asked() -> None:
    """`every_s` thins a stream of one telegram a second."""

    async def run() -> tuple[list[MeterReading], Tally]:
        async with serve_p1("127.0.0.1", 0, Building(lambda: (1.0, 2.0, 3.0)), every_s=0.02) as port:
            return await fed(source(port, every_s=0.3), 3)

    started = datetime.now(UTC)
    given, _ = asyncio.run(run())

    assert 3 == len(given)
    assert (datetime.now(UTC) - started).total_seconds() >= 2 * 0.3 * pace.EARLY


def test_cancelling_closes_the_connection() -> None:
    """Nothing of ours stays open when the reader is told to stop."""

    async def run() -> bool:
        async with serve_p1("127.0.0.1", 0, Building(lambda: (1.0, 2.0, 3.0)), every_s=0.02) as port:
            await fed(source(port), 1)
            return any(task.get_name() == "brugge-12/p1" for task in asyncio.all_tasks())

    assert not asyncio.run(run())


def test_capture_is_what_the_port_sent() -> None:
    """Byte by byte, noise and all: it becomes a test file."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00noise" + DUTCH)
        await writer.drain()
        writer.close()

    async def run() -> tuple[int, bytes]:
        out = BytesIO()
        async with serving(script) as port:
            return await capture_p1("127.0.0.1", port, 5, out), out.getvalue()

    assert (1, b"\x00noise" + DUTCH) == asyncio.run(run())
