"""Buildings that live on a worker's topics, each with its own second: what happens there, and how soon it is answered.

Two things call for a setpoint: the house draws more while its cars use all that is left (the fuse is violated, which is
decided at once), and a car comes (which is decided when `interval_s` has passed). Counted is from the moment at which
the reading is written until the setpoint is back with the dispatcher.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import time
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.moments import parse_moment
from pipeline.records import LOCATIONS, METERS, SETPOINTS
from tests.soak.building import LIMIT_A, Building, Message

MORE_LOAD, A_CAR = "more load", "a car"
STEP_A = 6.0
STEP_SHARE = 0.1
"""Of the seconds in which a house could draw more, those in which it does."""
STEPPED_S = 20
"""How long it does. Less: the cars are not back at all that is left before the next step."""
RESTED_S = 10
"""After a change, until the next car counts: a raise waits for the one before it, and for what others give up."""
GIVEN_UP_MS = 10_000
"""What is not answered by then is not counted as answered."""
SPREAD = 0.618034
"""Of a second between the seconds of one building and of the next: they are spread evenly, however many there are."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What happened (where a car came, to which connector), and when its reading was written."""

    what: str
    key: str | None
    since_ms: int

    def is_answered(self, key: str, before_a: float, limit_a: float) -> bool:
        """Whether a setpoint is what was waited for: less for another one, or more for the car."""
        return limit_a < before_a if key != self.key else limit_a > before_a


@dataclass(slots=True)
class Home:
    """A building, and what of it waits for an answer."""

    building: Building
    second: int = 0
    stepped_s: int = -STEPPED_S
    told_s: int = 0
    waits: Waiting | None = None
    told_a: dict[str, float] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)

    def live(self, now_ms: int) -> list[Message]:
        """One second: what is to be written."""
        self.second += 1
        stepped = self._step()
        self.building.second(self.second, calm=False)
        readings = self.building.chargers(self.second, now_ms)
        came = next((key for _, value in readings if (key := self._came(value))), None)
        if stepped and self.building.flow_a > LIMIT_A:  # not where a car left in this second: nothing is to be said
            self.waits = Waiting(MORE_LOAD, None, now_ms)
        elif came is not None and self.waits is None:
            self.waits = Waiting(A_CAR, came, now_ms)
        return [*readings, (METERS, self.building.meter(now_ms))]

    def answered_ms(self, key: str, limit_a: float, now_ms: int) -> tuple[str, int] | None:
        """A setpoint came: what it answers, and how long that took."""
        before_a, self.told_a[key] = self.told_a.get(key, 0.0), limit_a
        if limit_a != before_a:
            self.told_s = self.second
        if self.waits is None or not self.waits.is_answered(key, before_a, limit_a):
            return None
        answered, self.waits = self.waits, None
        return answered.what, now_ms - answered.since_ms

    def gave_up(self, now_ms: int) -> bool:
        """Whether what happened is waited for no longer."""
        if self.waits is None or now_ms - self.waits.since_ms < GIVEN_UP_MS:
            return False
        self.waits = None
        return True

    def _step(self) -> bool:
        """Whether the house draws more from now on, though the cars use all that is left."""
        if self.second == self.stepped_s + STEPPED_S:
            self.building.base_a -= STEP_A
        resting = self.second > self.stepped_s + 2 * STEPPED_S
        used_up = self.building.flow_a > LIMIT_A - 3
        if not (resting and used_up and self.waits is None and self.building.chance.random() < STEP_SHARE):
            return False
        self.stepped_s = self.second
        self.building.base_a += STEP_A
        return True

    def _came(self, reading: dict[str, object]) -> str | None:
        """The connector to which a car came, where there is room for it, and nobody was told anything just before."""
        key = f"{reading['charger']}/{reading['connector']}"
        before, self.status[key] = self.status.get(key), str(reading["status"])
        came = before == "Available" and self.status[key] != "Available"
        free = self.building.flow_a < LIMIT_A / 2 and self.second > self.told_s + RESTED_S
        return key if came and free else None


@dataclass(slots=True)
class Found:
    """What was measured."""

    took_ms: dict[str, list[int]] = field(default_factory=lambda: {MORE_LOAD: [], A_CAR: []})
    unanswered: int = 0
    late_ms: int = 0
    """How late a building's second ever began: this process was too busy."""


class Town:
    """Homes, a producer for what happens in them, and a consumer for what they are told."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.found = Found()
        self._homes: dict[str, Home] = {}
        self._due: list[tuple[float, str]] = []
        self._begin_ms = time.time_ns() // 1_000_000
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        self._consumer.assign([TopicPartition(SETPOINTS, partition) for partition in range(partitions)])
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        await self._producer.start()
        await self._consumer.start()
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._obey())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def grow(self, count: int) -> None:
        """So many homes there are now."""
        for n in range(len(self._homes), count):
            home = Home(Building(f"home-{n}", random.Random(n)))
            await self._write((LOCATIONS, home.building.document()))
            self._homes[home.building.name] = home
            heapq.heappush(self._due, (time.time() + n * SPREAD % 1, home.building.name))

    def forget(self) -> None:
        """Count anew."""
        self.found = Found()

    async def _live(self) -> None:
        while True:
            now_s = time.time()
            while self._due and self._due[0][0] <= now_s:
                due_s, name = heapq.heappop(self._due)
                heapq.heappush(self._due, (due_s + 1, name))
                self.found.late_ms = max(self.found.late_ms, round((time.time() - due_s) * 1000))
                home, now_ms = self._homes[name], time.time_ns() // 1_000_000
                self.found.unanswered += home.gave_up(now_ms)
                for message in home.live(now_ms):
                    await self._write(message)
            await asyncio.sleep(0.002)

    async def _obey(self) -> None:
        async for record in self._consumer:
            if record.value is None:
                continue
            setpoint, now_ms = json.loads(record.value), time.time_ns() // 1_000_000
            home = self._homes[setpoint["location"]]
            answered = home.answered_ms(f"{setpoint['charger']}/{setpoint['connector']}", setpoint["limit_a"], now_ms)
            if answered is not None:
                self.found.took_ms[answered[0]].append(answered[1])
            left_s = parse_moment(setpoint["valid_until"]).timestamp() - now_ms / 1000
            for message in home.building.obey(setpoint, home.second, home.second + left_s, now_ms):
                await self._write(message)

    async def _write(self, message: Message) -> None:
        topic, value = message
        await self._producer.send(topic, json.dumps(value).encode(), key=value["location"].encode())
