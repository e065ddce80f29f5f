"""A running sunshave for tests: the real commands as processes, a simulated P1 port, real OCPP charge points."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.simulated.battery import Car
from connectors.simulated.cars import ChargePoint, run_charge_point
from connectors.simulated.p1_port import Building, serve_p1
from sunshave.demo.processes import Processes, processes
from sunshave.demo.watch import Watcher
from tests.parts import free_port
from tests.parts.brokers import Broker
from tests.parts.waiting import wait_until

WAIT_S = 45.0
"""For something to happen on a loaded machine."""


@dataclass(slots=True)
class Site:
    """The commands of one location, and what they said on the topics."""

    broker: Broker
    folder: Path
    location: dict[str, Any]
    children: Processes
    watcher: Watcher
    ocpp_port: int = field(default_factory=free_port)
    passwords: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Topics, and the location on them."""
        self.children.run("topics", "create", "--kafka", self.broker.bootstrap, "--partitions", "4")
        self.put(self.location)

    def put(self, location: dict[str, Any]) -> None:
        """Publish the location as it is from now on."""
        document = self.folder / "location.yaml"
        document.write_text(json.dumps(location))
        self.children.run("locations", "put", "--kafka", self.broker.bootstrap, str(document))

    def remove(self) -> None:
        """Take the location out of the stream."""
        self.children.run("locations", "remove", "--kafka", self.broker.bootstrap, self.location["location"])

    def start_worker(self) -> None:
        """Start (another) worker."""
        timeout = ["--session-timeout", str(self.broker.session_timeout_s)]
        profile = ["--broker-profile", self.broker.profile]
        self.children.sunshave("worker", "worker", "--kafka", self.broker.bootstrap, *timeout, *profile)

    def kill_worker(self) -> None:
        """As a power cut would."""
        name, child = next(p for p in reversed(self.children.running) if p[0] == "worker")
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.children.running.remove((name, child))

    def start_dispatcher(self) -> None:
        """Start the dispatcher with a password for each charger."""
        self.passwords = {c["id"]: f"password-of-{c['id']}" for c in self.location["chargers"]}
        keys = self.folder / "secrets.yaml"
        keys.write_text(json.dumps(self.passwords))
        listen = ["--listen", f"127.0.0.1:{self.ocpp_port}", "--secrets", str(keys)]
        self.children.sunshave("dispatcher", "dispatcher", "--kafka", self.broker.bootstrap, *listen)

    def start_meters(self, p1_port: int) -> None:
        """Read the P1 port as meter p1."""
        sources = self.folder / "meters.yaml"
        p1 = {"type": "p1-tcp", "host": "127.0.0.1", "port": p1_port, "variant": "fluvius"}
        sources.write_text(json.dumps([{"location": self.location["location"], "meter": "p1", **p1}]))
        self.children.sunshave("meters", "meters", "run", str(sources), "--kafka", self.broker.bootstrap)

    def said(self, name: str) -> str:
        """The log of a command."""
        return (self.children.folder / f"{name}.log").read_text(errors="replace")

    def limits_a(self) -> dict[str, float]:
        """The newest limit of each charger's first connector."""
        newest = list(self.watcher.history.decisions)[-1:]
        return {c.charger: c.limit_a for d in newest for c in d.connectors}

    def await_limits(self, expected: dict[str, float]) -> None:
        """Until the newest decision says these limits (0.2 A: whole-watt meters round)."""

        def as_expected() -> bool:
            self.children.check()
            got = self.limits_a()
            return all(abs(got.get(name, -1.0) - amperes) <= 0.2 for name, amperes in expected.items())

        try:
            wait_until(as_expected, WAIT_S, "the limits")
        except TimeoutError:
            raise AssertionError(f"expected {expected}, got {self.limits_a()}; {list(self.watcher.news)}") from None


@contextmanager
def site(broker: Broker, folder: Path, location: dict[str, Any]) -> Iterator[Site]:
    """A location on a broker; every process is gone when the block ends."""
    with processes(folder / "logs") as children:
        watcher = Watcher(broker.bootstrap, location["location"])
        running = Site(broker, folder, location, children, watcher)
        running.prepare()
        watcher.start()
        try:
            yield running
        finally:
            watcher.stop()


class Field(threading.Thread):
    """What is on site, in a loop of its own: the P1 port of a building, and charge points that dial in."""

    def __init__(self, house_a: Callable[[], tuple[float, float, float]]) -> None:
        super().__init__(name="field", daemon=True)
        self.p1_port = 0
        self._house_a = house_a
        self._drawn: dict[str, tuple[float, float, float]] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._points: dict[str, asyncio.Task[None]] = {}
        self._standing: dict[str, ChargePoint] = {}

    def __enter__(self) -> Field:
        self.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *failure: object) -> None:
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(10)

    def plug_in(self, running: Site, car: Car) -> None:
        """A car comes to a charge point, which connects with it."""
        url = f"ws://127.0.0.1:{running.ocpp_port}"
        asyncio.run_coroutine_threadsafe(self._plug_in(url, car, running.passwords[car.charger_id]), self._loop).result(
            5
        )

    def unplug(self, charger: str) -> None:
        """The car at a charge point leaves."""
        self._loop.call_soon_threadsafe(setattr, self._standing[charger].connectors[1], "charge", None)

    def draws_a(self, charger: str) -> float:
        """What its car draws on its highest phase."""
        return max(self._drawn.get(charger, (0.0,)))

    def run(self) -> None:
        self._loop.run_until_complete(self._live())
        self._loop.close()

    async def _plug_in(self, url: str, car: Car, password: str) -> None:
        point = self._standing[car.charger_id] = ChargePoint(car.charger_id, [car], max_a=car.max_a)
        self._points[car.charger_id] = asyncio.create_task(
            run_charge_point(
                url, car.charger_id, [car], meter_values_every_s=1.0, password=password, draw=self._draw, point=point
            )
        )

    def _draw(self, charger: str, current_a: tuple[float, float, float]) -> None:
        self._drawn[charger] = current_a

    def _currents_a(self) -> tuple[float, float, float]:
        one, two, three = (sum(a) for a in zip(self._house_a(), *self._drawn.values(), strict=True))
        return one, two, three

    async def _live(self) -> None:
        self._end = asyncio.Event()
        async with serve_p1("127.0.0.1", 0, Building(self._currents_a)) as self.p1_port:
            self._ready.set()
            await self._end.wait()
            for point in self._points.values():
                point.cancel()
            await asyncio.gather(*self._points.values(), return_exceptions=True)
