"""Which cars come when, drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from connectors.simulated.battery import Car
from sunshave.simulation.plan import Cars, draw
from sunshave.simulation.read import Task
from topology.tree import Socket, Tree


def visits(task: Task, tree: Tree) -> list[list[Car]]:
    """For each connector the cars that come to it, in that order. Seconds count from the start of the simulation."""
    zone = ZoneInfo(tree.location.timezone)
    coming: list[list[Car]] = [[] for _ in tree.sockets]
    for i, cars in enumerate(task.site.cars):
        for socket in tree.sockets:
            if _meant(cars, socket):
                chance = Random(f"{task.seed} {task.name} cars {i} {socket.name}")  # noqa: S311 -- seeded
                coming[socket.index] += _of_days(cars, socket, task, zone, chance)
    for queue in coming:
        queue.sort(key=lambda car: car.arrives_s)
    return coming


def _meant(cars: Cars, socket: Socket) -> bool:
    named = cars.charger == ("all",) or socket.charger.id in cars.charger
    return named and cars.connector in (None, socket.connector.id)


def _of_days(cars: Cars, socket: Socket, task: Task, zone: ZoneInfo, chance: Random) -> Iterator[Car]:
    """One car a day. Each draws all its numbers, whether it comes or not: one more day changes no other."""
    for day in days(task, zone):
        car = _car(cars, socket, task, zone, day, chance)
        comes = chance.random() < cars.chance and cars.day in (None, day)
        if comes and 0 <= car.arrives_s < task.seconds:
            yield car


def _car(cars: Cars, socket: Socket, task: Task, zone: ZoneInfo, day: date, chance: Random) -> Car:
    arrives_s, leaves_s = draw(cars.arrives, chance), draw(cars.leaves, chance)
    if leaves_s <= arrives_s:
        leaves_s += 86_400
    return Car(
        socket.charger.id,
        socket.connector.id,
        arrives_s=second_of(task, zone, day, arrives_s),
        leaves_s=second_of(task, zone, day, leaves_s),
        max_a=draw(cars.max_a, chance),
        phases=min(socket.connector.phases, max(1, round(draw(cars.phases, chance)))),
        energy_wh=max(1.0, 1000 * draw(cars.energy_kwh, chance)),
        min_a=draw(cars.min_a, chance),
        delay_s=draw(cars.wake_s, chance),
        ramp_a_per_s=max(0.01, draw(cars.ramp_a_per_s, chance)),
        taper_from=min(0.999, cars.taper_from),
    )


def days(task: Task, zone: ZoneInfo, before: int = 0) -> Iterator[date]:
    """The local days that the simulation touches, and so many before."""
    day = datetime.fromtimestamp(task.start_s, UTC).astimezone(zone).date() - timedelta(days=before)
    last = datetime.fromtimestamp(task.start_s + task.seconds, UTC).astimezone(zone).date()
    while day <= last:
        yield day
        day += timedelta(days=1)


def second_of(task: Task, zone: ZoneInfo, day: date, second_of_day: float) -> int:
    """Seconds from the start of the simulation to a local time of day (24 h and more: the next day)."""
    more_days, second = divmod(int(second_of_day), 86_400)
    clock = time(second // 3600, second // 60 % 60, second % 60)
    moment = datetime.combine(day + timedelta(days=more_days), clock, zone)
    return int(moment.timestamp()) - task.start_s
