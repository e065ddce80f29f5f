"""All sources at once: one that fails disturbs no other."""

from __future__ import annotations

import asyncio

import pytest

from connectors.meters.feed import feed, tallies_of
from connectors.meters.sources import parse_sources
from connectors.simulated.p1_port import Building, serve_p1
from pipeline.records import MeterReading


def test_source_with_an_unforeseen_failure_disturbs_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that is no UTF-8 makes the MQTT client raise what nobody expects: it is tried again, the P1 port is
    read."""
    monkeypatch.setenv("MQTT_PASSWORD", "\udcff")
    found: list[MeterReading] = []

    async def story() -> None:
        async with serve_p1("127.0.0.1", 0, Building(lambda: (1.0, 2.0, 3.0)), every_s=0.1) as port:
            here = {"location": "a", "host": "127.0.0.1", "port": port}
            mqtt = {**here, "meter": "m1", "type": "mqtt", "topic": "t", "format": "sunshave"}
            mqtt |= {"username": "u", "password_env": "MQTT_PASSWORD"}
            sources = parse_sources([mqtt, {**here, "meter": "m2", "type": "p1-tcp", "variant": "fluvius"}])
            tallies = tallies_of(sources)
            feeding = asyncio.create_task(feed(sources, found.append, tallies))
            async with asyncio.timeout(10):
                while not (found and tallies[0].broken):  # noqa: ASYNC110 -- nobody sets an event
                    await asyncio.sleep(0.05)
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    asyncio.run(story())

    assert "a/m1 failed" in caplog.text
    assert {"m2"} == {reading.meter for reading in found}
