"""A dispatcher's central system without Kafka, and a charger of bare frames that does exactly what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.headers import build_authorization_basic

from connectors.ocpp.central import Central
from connectors.ocpp.passwords import Passwords
from connectors.ocpp.settings import Settings
from pipeline.records import ChargerReading, Feedback, Setpoint
from topology.location import Location
from topology.read import read_location

QUICK = Settings(
    call_timeout_s=1.0,
    config_timeout_s=0.5,
    boot_wait_s=0.2,
    spacing_s=0.02,
    tick_s=0.1,
    quiet_s=0.5,
    shutdown_s=2.0,
)
"""As in the field, only sooner."""

Answer = dict[str, Any] | None
"""What the charger answers; None: nothing, ever."""


def location(**charger: Any) -> Location:
    """A building with one charger, CP-1, of two connectors: three phases, and one."""
    connectors = [{"id": 1, "max_a": 16}, {"id": 2, "max_a": 16, "phases": 1}]
    document = {
        "location": "house",
        "groups": [{"id": "main", "limit_a": 63}],
        "chargers": [{"id": "CP-1", "group": "main", "connectors": connectors, "fallback_a": 6, **charger}],
    }
    return read_location(document).location


def setpoint(
    seq: int, limit_a: float = 10.0, *, valid_s: float = 60.0, now: datetime | None = None, **fields: Any
) -> Setpoint:
    """A setpoint for CP-1/1, issued `now`."""
    now = now or datetime.now(UTC)
    values: dict[str, Any] = {
        "location": "house",
        "charger": "CP-1",
        "connector": 1,
        "seq": seq,
        "decision": "d",
        "issued_at": now,
        "valid_until": now + timedelta(seconds=valid_s),
        "limit_a": limit_a,
        "phases": 3,
        "fallback_a": 6.0,
        "reason": "test",
    }
    return Setpoint(**{**values, **fields})


@dataclass
class Desk:
    """The central system, and what it published."""

    central: Central
    url: str = ""
    readings: list[ChargerReading] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    repeated: list[Setpoint] = field(default_factory=list)
    """Setpoints that were written once more."""

    def states(self, seq: int, connector: int = 1) -> list[str]:
        """What was said about a setpoint, in order."""
        return [f.state for f in self.feedback if (f.seq, f.connector) == (seq, connector)]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 5.0) -> Any:
        """The first true answer."""
        async with asyncio.timeout(timeout_s):
            while not (found := condition()):  # noqa: ASYNC110 -- it looks at published records, nobody sets an event
                await asyncio.sleep(0.01)
        return found

    async def terminal(self, seq: int, connector: int = 1) -> Feedback:
        """The terminal feedback of a setpoint."""

        def found() -> Feedback | None:
            mine = [f for f in self.feedback if (f.seq, f.connector) == (seq, connector) and f.state != "sent"]
            return mine[0] if mine else None

        feedback = await self.until(found)
        assert isinstance(feedback, Feedback)
        return feedback


@asynccontextmanager
async def open_desk(
    *, settings: Settings = QUICK, passwords: Passwords | None = None, place: Location | None = None
) -> AsyncIterator[Desk]:
    """A central system that listens, and knows one location."""
    desk = Desk(
        Central(
            lambda r: desk.readings.append(r),
            lambda f: desk.feedback.append(f),
            lambda s: desk.repeated.append(s),
            settings=settings,
        )
    )
    desk.central._passwords = passwords
    desk.central.put_location("house", place or location())
    desk.central.loaded = True
    async with desk.central.serving("127.0.0.1", 0) as port:
        desk.url = f"ws://127.0.0.1:{port}"
        yield desk


class Charger:
    """Bare frames. `answers`: action -> payload, or a function of the request; {"error": CODE} is a CALLERROR."""

    def __init__(self, socket: ClientConnection, answers: dict[str, Any]) -> None:
        self.socket = socket
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._results: dict[str, asyncio.Future[Any]] = {}
        self._number = 0

    async def listen(self) -> None:
        """Answer calls until the socket closes."""
        async for frame in self.socket:
            kind, key, *rest = json.loads(frame)
            if kind == 2:
                await self._answer(key, *rest)
            else:
                self._results.pop(key).set_result(rest)

    async def _answer(self, key: str, action: str, payload: dict[str, Any]) -> None:
        self.calls.append((action, payload))
        answer = self.answers.get(action, {"error": "NotImplemented"})
        answer = answer(payload) if callable(answer) else answer
        if answer is None:
            return
        frame = [4, key, answer["error"], "", {}] if "error" in answer else [3, key, answer]
        await self.socket.send(json.dumps(frame))

    async def call(self, action: str, payload: Any) -> Any:
        """What the central system answers."""
        self._number += 1
        key = str(self._number)
        self._results[key] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps([2, key, action, payload]))
        result = await asyncio.wait_for(self._results[key], 5)
        return result[0]

    def profiles(self, purpose: str | None = None, level: int | None = None) -> list[dict[str, Any]]:
        """The profiles that were sent to it."""
        sent = [payload["csChargingProfiles"] | {"on": payload["connectorId"]} for _, payload in self.set_profiles()]
        return [p for p in sent if purpose in (None, p["chargingProfilePurpose"]) and level in (None, p["stackLevel"])]

    def set_profiles(self) -> list[tuple[str, dict[str, Any]]]:
        """The SetChargingProfile calls."""
        return [(action, payload) for action, payload in self.calls if action == "SetChargingProfile"]


ACCEPTS = {
    "SetChargingProfile": {"status": "Accepted"},
    "ClearChargingProfile": {"status": "Unknown"},
    "GetConfiguration": {"configurationKey": []},
    "TriggerMessage": {"status": "Accepted"},
    "ChangeConfiguration": {"status": "Accepted"},
}


@asynccontextmanager
async def charger(
    desk: Desk,
    answers: dict[str, Any] | None = None,
    *,
    name: str = "CP-1",
    password: str | None = None,
    boot: bool = True,
) -> AsyncIterator[Charger]:
    """A charger that is connected, and has booted and said that it is there."""
    headers = {"Authorization": build_authorization_basic(name, password)} if password else None
    async with connect(
        f"{desk.url}/{name}",
        subprotocols=["ocpp1.6"],
        additional_headers=headers,
        proxy=None,  # type: ignore[list-item]
    ) as socket:
        client = Charger(socket, ACCEPTS | (answers or {}))
        listening = asyncio.create_task(client.listen())
        try:
            if boot:
                await client.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
