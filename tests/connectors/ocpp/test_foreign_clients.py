"""Charge points that we did not write: npm `ocpp-rpc` in strict mode, and PyPI `test-ocpp`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.ocpp.passwords import Passwords
from tests.connectors.ocpp.desk import QUICK, Desk, open_desk, setpoint
from tests.parts import used
from tests.parts.node import ocpp_rpc_command

PASSWORD = "0123456789abcdef"
START_S = 40.0
"""For Node to start and read all schemas. It takes one second, and ten on a machine that is busy with other tests."""


@pytest.fixture
def passwords(tmp_path: Path) -> Passwords:
    """One charger's."""
    (tmp_path / "secrets.yaml").write_text(f'CP-1: "{PASSWORD}"\n')
    return Passwords(tmp_path / "secrets.yaml")


class Foreign:
    """The running client and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def listen(self) -> None:
        """Collect its lines."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.events.append(json.loads(line))

    def named(self, event: str) -> list[dict[str, Any]]:
        """Its events of one kind."""
        return [e for e in self.events if e["event"] == event]

    def limits(self) -> list[float]:
        """The limits that its profiles meant, as they changed."""
        return [e["limit"] for e in self.named("limit")]


@asynccontextmanager
async def strict_client(desk: Desk, command: list[str]) -> AsyncIterator[Foreign]:
    process = await asyncio.create_subprocess_exec(
        *command, desk.url, "CP-1", PASSWORD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    foreign = Foreign(process)
    listening = asyncio.create_task(foreign.listen())
    try:
        await desk.until(lambda: foreign.named("charging"), START_S)
        yield foreign
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


@pytest.mark.node
def test_strict_client_obeys_and_falls_back_when_the_lease_ends(passwords: Passwords) -> None:
    """Its strict mode accepts every message of ours; it draws the limit, then the fallback, with nobody telling it."""
    command = ocpp_rpc_command()

    async def story() -> None:
        async with open_desk(passwords=passwords) as desk, strict_client(desk, command) as foreign:
            desk.central.offer(setpoint(1, 12.4, valid_s=3))
            feedback = await desk.terminal(1)
            assert ("accepted", 12.4, 6.0) == (feedback.state, feedback.limit_a, feedback.fallback_a)
            await desk.until(lambda: desk.readings[-1].current_a == [12.4, 12.4, 12.4])
            await desk.until(lambda: desk.readings[-1].current_a == [6.0, 6.0, 6.0], 10)
            await desk.until(lambda: foreign.limits()[-2:] == [12.4, 6.0])  # it prints what it has already reported

            assert str(foreign.named("charging")[0]["transaction"]) == desk.readings[-1].transaction
        assert [] == foreign.named("strict")
        assert {"Accepted"} == {e["status"] for e in foreign.named("profile")}

    asyncio.run(story())


@pytest.mark.node
def test_strict_client_rejects(passwords: Passwords) -> None:
    """What it rejects is told as rejected, after every form was tried, and its old limit stays."""
    command = ocpp_rpc_command()

    async def story() -> None:
        async with open_desk(passwords=passwords) as desk, strict_client(desk, command) as foreign:
            desk.central.offer(setpoint(1, 10))
            await desk.terminal(1)
            assert foreign.process.stdin is not None
            foreign.process.stdin.write(b"reject\n")
            await foreign.process.stdin.drain()
            await desk.until(lambda: foreign.named("rejecting"))
            desk.central.offer(setpoint(2, 16))

            assert "rejected" == (await desk.terminal(2)).state
        assert [] == foreign.named("strict")

    asyncio.run(story())


@pytest.mark.node
def test_strict_client_is_told_that_we_go(passwords: Passwords) -> None:
    """A stopping dispatcher closes with 1001 and leaves the profiles alone."""
    command = ocpp_rpc_command()

    async def story() -> None:
        async with open_desk(settings=replace(QUICK, shutdown_s=10.0), passwords=passwords) as desk:
            client = strict_client(desk, command)
            foreign = await client.__aenter__()
            count = len(foreign.named("profile"))
        async with asyncio.timeout(10):  # its socket is closed before its program has seen that: it is given the time
            await foreign.process.wait()
        await client.__aexit__(None, None, None)

        assert [1001] == [e["code"] for e in foreign.named("closed")]
        assert count <= len(foreign.named("profile"))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "password", "good"), [("CP-1", PASSWORD, True), ("CP-1", "wrong", False), ("CP-9", PASSWORD, False)]
)
def test_test_ocpp_agrees(passwords: Passwords, name: str, password: str, good: bool) -> None:
    """The one-line client from PyPI boots with the right password, and only then."""
    tool = Path(sys.executable).with_name("test-ocpp")

    async def story() -> int:
        async with open_desk(passwords=passwords) as desk:
            command = [str(tool), desk.url, name, "--password", password]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            return await process.wait()

    assert good == (asyncio.run(story()) == 0)
    used["test-ocpp"] = "1.0.0"
