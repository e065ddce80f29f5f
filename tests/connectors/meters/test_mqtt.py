"""Meters over a real MQTT broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import pytest

from connectors.meters import pace
from connectors.meters.feed import feed, tallies_of
from connectors.meters.sources import parse_sources
from connectors.meters.tally import Tally
from pipeline.records import MeterReading, encode
from tests.connectors.meters.reading_captures import CAPTURES, load
from tests.parts.mosquitto import PASSWORD, USER, Mosquitto
from tests.parts.waiting import POLL_S

pytestmark = pytest.mark.mosquitto

IN_TIME_S = 15.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MQTT_PASSWORD", PASSWORD)
    monkeypatch.setattr(pace, "FIRST_S", 0.05)


class Fed:
    """Sources that are being read, and what they gave."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.sources = parse_sources(documents)
        self.tallies: list[Tally] = tallies_of(self.sources)
        self.given: list[MeterReading] = []

    async def __aenter__(self) -> Fed:
        self._task = asyncio.create_task(feed(self.sources, self.given.append, self.tallies))
        await self.until(lambda: all(tally.connected for tally in self.tallies))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, but not for ever."""
        async with asyncio.timeout(IN_TIME_S):
            while not condition():  # noqa: ASYNC110 -- what is waited for has no event
                await asyncio.sleep(POLL_S)


def client(broker: Mosquitto) -> aiomqtt.Client:
    """Somebody who publishes."""
    return aiomqtt.Client("127.0.0.1", broker.port, username=USER, password=PASSWORD)


def document(broker: Mosquitto, **rest: Any) -> dict[str, Any]:
    """A source of this broker."""
    return {
        "location": "brugge-12",
        "meter": "grid",
        "type": "mqtt",
        "host": "127.0.0.1",
        "port": broker.port,
        "username": USER,
        "password_env": "TEST_MQTT_PASSWORD",
        **rest,
    }


OWN = {"location": "brugge-12", "meter": "grid", "at": "2026-11-22T07:15:00Z", "current_a": [1.0, 2.0, -3.0]}


def test_every_captured_format_arrives_over_the_broker(mosquitto: Mosquitto) -> None:
    """Published as the meters do it, all formats at once, each gives its stored values.

    But for the month peak: whether it is this month's depends on the day of the test where a format says no time.
    """
    apart = ("at", "meter", "month_peak_w")
    captures = {path.stem: load(path) for path in sorted(CAPTURES.glob("*.mqtt"))}
    sources, messages = [], []
    for name, capture in captures.items():
        beside = json.loads((CAPTURES / f"{name}.json").read_text())["source"]
        own = name == "sunshave"  # its payload names the meter itself
        topic = f"{name}/{beside['topic']}"
        mine = {"topic": topic, "meter": "grid" if own else name, "location": "brugge-12"}
        sources.append(document(mosquitto, **{k: v for k, v in beside.items() if k not in ("host", "port")} | mine))
        messages += [{**json.loads(line), "under": name} for line in capture.sent.splitlines()]

    async def run() -> list[MeterReading]:
        async with Fed(sources) as fed, client(mosquitto) as meters:
            for message in messages:
                await meters.publish(f"{message['under']}/{message['topic']}", message["payload"], qos=1)
            await fed.until(lambda: len(fed.given) >= sum(len(capture.records) for capture in captures.values()))
            return fed.given

    given = asyncio.run(run())
    for name, capture in captures.items():
        meter = "grid" if name == "sunshave" else name
        read = [json.loads(encode(record)) for record in given if record.meter == meter]
        without = [{k: v for k, v in record.items() if k not in apart} for record in read]

        assert [{k: v for k, v in each.items() if k not in apart} for each in capture.records] == without


def test_retained_value_without_a_time_is_not_published(mosquitto: Mosquitto) -> None:
    """What a Shelly said before it was unplugged comes first with every subscription, and is no news."""
    status = {f"{p}_{what}": 1.0 for p in "abc" for what in ("current", "act_power", "voltage")}

    async def run() -> tuple[list[MeterReading], Tally]:
        async with client(mosquitto) as meter:
            await meter.publish("s/status/em:0", json.dumps(status), qos=1, retain=True)
        async with Fed([document(mosquitto, topic="s/status/em:0", format="shelly-pro3em")]) as fed:
            await fed.until(lambda: fed.tallies[0].refused == 1)
            async with client(mosquitto) as meter:
                await meter.publish("s/status/em:0", json.dumps({**status, "a_current": 9.0}), qos=1)
                await fed.until(lambda: bool(fed.given))
            return fed.given, fed.tallies[0]

    given, tally = asyncio.run(run())

    assert [[9.0, 1.0, 1.0]] == [record.current_a for record in given]
    assert "of any age" in (tally.last_trouble or "")


def test_retained_value_with_a_time_keeps_its_age(mosquitto: Mosquitto) -> None:
    """It is published, and the pipeline sees how old it is."""

    async def run() -> list[MeterReading]:
        async with client(mosquitto) as meter:
            await meter.publish("g", json.dumps(OWN), qos=1, retain=True)
        async with Fed([document(mosquitto, topic="g", format="sunshave")]) as fed:
            await fed.until(lambda: bool(fed.given))
            return fed.given

    assert [datetime(2026, 11, 22, 7, 15, tzinfo=UTC)] == [record.at for record in asyncio.run(run())]


def test_broker_that_went_away_is_found_again(mosquitto: Mosquitto) -> None:
    """Readings go on by themselves when it is back, and nothing else is needed."""

    async def run() -> tuple[list[MeterReading], Tally]:
        async with Fed([document(mosquitto, topic="g", format="sunshave")]) as fed:
            mosquitto.stop()
            await fed.until(lambda: not fed.tallies[0].connected)
            await asyncio.to_thread(mosquitto.start_again)
            await fed.until(lambda: fed.tallies[0].connected)
            async with client(mosquitto) as meter:
                await meter.publish("g", json.dumps(OWN), qos=1)
                await fed.until(lambda: bool(fed.given))
            return fed.given, fed.tallies[0]

    given, tally = asyncio.run(run())

    assert [[1.0, 2.0, -3.0]] == [record.current_a for record in given]
    assert tally.broken >= 1


def test_wrong_password_is_told_without_the_password(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again for ever, the log says why, and never what."""
    monkeypatch.setenv("TEST_MQTT_PASSWORD", "hunter2")

    async def run() -> Tally:
        fed = Fed([document(mosquitto, topic="g", format="sunshave")])
        task = asyncio.create_task(feed(fed.sources, fed.given.append, fed.tallies))
        await fed.until(lambda: fed.tallies[0].broken >= 2)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return fed.tallies[0]

    tally = asyncio.run(run())

    assert "authori" in (tally.last_trouble or "").lower()
    assert "hunter2" not in caplog.text
    assert 1 == len([line for line in caplog.records if line.name == "connectors.meters.tally"])
