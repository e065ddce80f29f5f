"""Who may connect, what a second socket means, and that garbage ends nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from connectors.ocpp.passwords import Passwords, PasswordsUnreadable
from connectors.ocpp.station import Station
from tests.connectors.ocpp.desk import QUICK, Desk, charger, location, open_desk, setpoint


async def status(desk: Desk, name: str, password: str | None = None) -> int:
    """The HTTP status of a handshake."""
    try:
        async with charger(desk, name=name, password=password, boot=False):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


@pytest.mark.parametrize(
    ("name", "expected"), [("CP-1", 101), ("cp-1", 101), ("a/b/CP-1", 101), ("CP-1/", 101), ("CP-2", 404), ("", 404)]
)
def test_last_segment_names_the_charger(name: str, expected: int) -> None:
    """In any letter case and behind any prefix; one that no location has gets 404."""

    async def story() -> None:
        async with open_desk() as desk:
            assert expected == await status(desk, name)

    asyncio.run(story())


def test_nobody_is_turned_away_before_the_locations_are_known() -> None:
    """503 means later, 404 would mean never."""

    async def story() -> None:
        async with open_desk() as desk:
            desk.central.loaded = False
            assert 503 == await status(desk, "CP-1")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("password", "expected"), [("secret", 101), ("wrong", 401), (None, 401), ("", 401), ("secret:more", 401)]
)
@pytest.mark.parametrize("stored", ["secret", "sha256:" + sha256(b"secret").hexdigest()], ids=["plain", "hash"])
def test_password(tmp_path: Path, stored: str, password: str | None, expected: int) -> None:
    """The right one connects; everything else is 401, a charger without a stored one too."""
    (tmp_path / "secrets.yaml").write_text(f'{{cp-1: "{stored}"}}')

    async def story() -> None:
        async with open_desk(passwords=Passwords(tmp_path / "secrets.yaml")) as desk:
            assert expected == await status(desk, "CP-1", password)

    asyncio.run(story())


def test_key_in_hex_digits_may_come_as_its_bytes(tmp_path: Path) -> None:
    """An AuthorizationKey is hex on OCPP's wire, and some chargers send the bytes it means (facts #8)."""
    (tmp_path / "s").write_text("{CP-1: 00ff10ab}")
    passwords = Passwords(tmp_path / "s")

    assert passwords.allow("CP-1", _basic("CP-1", b"00ff10ab"))
    assert passwords.allow("CP-1", _basic("CP-1", bytes.fromhex("00ff10ab")))
    assert not passwords.allow("CP-1", _basic("CP-2", b"00ff10ab"))


def test_passwords_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    """A new charger needs no restart; a file that became unreadable changes nothing."""
    file = tmp_path / "secrets.json"
    file.write_text('{"CP-1": "one"}')
    passwords = Passwords(file)
    file.write_text('{"CP-1": "second"}')
    assert passwords.allow("CP-1", _basic("CP-1", b"second"))
    file.write_text("[")
    assert passwords.allow("CP-1", _basic("CP-1", b"second"))


def _basic(user: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()


@pytest.mark.parametrize("text", ["[1]", "{CP-1: 123}", "{CP-1: ''}", "{", "{CP-1: 'sha256:123'}"])
def test_unreadable_passwords_are_refused_without_naming_one(tmp_path: Path, text: str) -> None:
    """0123 would silently be a number, so a password must be a text; a hash with a digit too few would be one."""
    (tmp_path / "s").write_text(text)
    with pytest.raises(PasswordsUnreadable) as refusal:
        Passwords(tmp_path / "s")

    assert "123" not in str(refusal.value).replace(str(tmp_path), "")


def test_authorization_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the header nor the password, at any level of ours."""
    (tmp_path / "s").write_text("{CP-1: hushhush}")

    async def story() -> None:
        async with open_desk(passwords=Passwords(tmp_path / "s")) as desk:
            await status(desk, "CP-1", "guessguess")
            await status(desk, "CP-1", "hushhush")

    with caplog.at_level("DEBUG", logger="connectors"):
        asyncio.run(story())

    assert "Refused CP-1" in caplog.text
    for secret in ("hushhush", "guessguess", "Basic "):
        assert secret not in "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("connectors"))


def test_second_socket_wins() -> None:
    """The older one is closed, its pending call goes out again on the new one, and the charger was never offline."""

    async def story() -> None:
        places = open_desk(place=location(fallback_a=None))
        async with places as desk, charger(desk, {"SetChargingProfile": None}) as old:
            await old.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
            desk.central.offer(setpoint(1))
            await desk.until(lambda: old.set_profiles())
            async with charger(desk) as new:
                assert "accepted" == (await desk.terminal(1)).state
                assert 1 == len(new.profiles(level=1))
                await desk.until(lambda: old.socket.close_code)
                assert 1012 == old.socket.close_code
                assert [] == [r for r in desk.readings if not r.online]

    asyncio.run(story())


def test_removed_charger_is_disconnected() -> None:
    """When its location goes, so does the charger."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            desk.central.put_location("house", None)
            await desk.until(lambda: client.socket.close_code)

            assert 1008 == client.socket.close_code
            assert 404 == await status(desk, "CP-1")

    asyncio.run(story())


def test_only_ocpp16_is_spoken() -> None:
    """None offered is taken for 1.6; another version alone is refused."""

    async def story() -> None:
        async with open_desk() as desk:
            async with connect(f"{desk.url}/CP-1", proxy=None) as socket:
                assert socket.subprotocol is None
            with pytest.raises(InvalidStatus):
                await connect(f"{desk.url}/CP-1", subprotocols=["ocpp2.0.1"], proxy=None)  # type: ignore[list-item]

    asyncio.run(story())


def masked(kind: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it; its mask is four zeros."""
    size = [len(payload)] if len(payload) < 126 else [126, *len(payload).to_bytes(2, "big")]
    return bytes([0x80 | kind, 0x80 | size[0], *size[1:], 0, 0, 0, 0]) + payload


GARBAGE = [
    "",
    "{}",
    "[]",
    "nothing",
    "[2]",
    '[2,"1"]',
    '[2,"1",["a"],{}]',
    '[2,"1",{"a":1},{}]',
    '[2,1,"Heartbeat",{}]',
    '[2,"1","Heartbeat",[]]',
    '[3,"unasked",{}]',
    '[4,"unasked"]',
    '[4,"unasked","X","",{}]',
    '[6,"1","A",{}]',
    "[" * 5000 + "]" * 5000,
    '[2,"1","MeterValues",' + '{"meterValue":' * 900 + "1" + "}" * 900 + "]",
    b"\xff\xfe",
    json.dumps([2, "x" * 5000, "Heartbeat", {}]),
    "1e999",
]


def test_garbage_ends_nothing() -> None:
    """Whatever comes in, the connection lives and the next message is answered."""

    async def story() -> None:
        async with open_desk() as desk, connect(f"{desk.url}/CP-1", proxy=None) as socket:
            for frame in GARBAGE:
                await socket.send(frame)
            await socket.send('[2,"last","Heartbeat",null]')
            async with asyncio.timeout(5):
                while True:
                    answer = json.loads(await socket.recv())
                    if answer[:2] == [3, "last"]:
                        return

    asyncio.run(story())


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", {}),
        ("BootNotification", {"chargePointVendor": ["x"], "self": 1, "chargePointSerialNumber": "x" * 60}),
        ("StartTransaction", {"connectorId": "one"}),
        ("StopTransaction", {"transactionId": None}),
        ("StatusNotification", {"connectorId": 99, "status": "Odd"}),
        ("StatusNotification", {}),
        ("MeterValues", {"connectorId": 1, "meterValue": "x"}),
        ("MeterValues", {}),
        ("Authorize", {}),
        ("DataTransfer", {"vendorId": "x"}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
        ("NoSuchAction", {}),
        ("RemoteStartTransaction", {}),
    ],
)
def test_every_call_is_answered(action: str, payload: dict[str, object]) -> None:
    """A call without an answer is repeated for ever, so even the oddest gets one."""

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            assert await client.call(action, payload) is not None

    asyncio.run(story())


@pytest.mark.parametrize("action", ["MeterValues", "StatusNotification", "Heartbeat"])
def test_failure_of_ours_costs_no_socket(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is answered with an error, the next one as usual."""

    def broken(*_anything: object) -> None:
        raise ZeroDivisionError

    async def story() -> None:
        async with open_desk() as desk, charger(desk) as client:
            with monkeypatch.context() as patched:
                for name in ("on_message", "on_meter_values", "on_status"):
                    patched.setattr(Station, name, broken)
                assert "InternalError" == await client.call(action, {})
            assert {} == await client.call("StatusNotification", {})

    asyncio.run(story())


PING = masked(9, b"x" * 120)
HEARTBEAT = masked(1, b'[2,"%s","Heartbeat",{}]' % (b"x" * 100))
STATUS = masked(1, b'[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]')


@pytest.mark.parametrize(
    ("frame", "limits"),
    [
        (PING, {"send_timeout_s": 60.0}),
        (PING, {"send_timeout_s": 1.0, "max_unread_bytes": 2**30}),
        (HEARTBEAT, {"send_timeout_s": 1.0}),
    ],
    ids=["too many pongs", "pongs for too long", "answers for too long"],
)
def test_charger_that_asks_and_never_reads_is_cut_off(frame: bytes, limits: dict[str, Any]) -> None:
    """What waits for it has an end, in bytes and in seconds."""

    async def story() -> None:
        settings = replace(QUICK, call_timeout_s=60.0, config_timeout_s=60.0, **limits)
        async with open_desk(settings=settings, place=location(fallback_a=None)) as desk:
            with await deaf_socket(desk) as deaf:
                flooding = asyncio.create_task(flood(deaf, frame))
                await desk.until(lambda: not desk.central.health()["connected"], 20)
                flooding.cancel()
                await asyncio.gather(flooding, return_exceptions=True)

    asyncio.run(story())


def test_charger_that_never_reads_is_offline_soon() -> None:
    """It stays silent while it is sent setpoint after setpoint: each has its answer, and the charger counts as gone."""

    async def story() -> None:
        settings = replace(QUICK, call_timeout_s=0.1, config_timeout_s=0.1, ping_s=0.5, shutdown_s=0.5)
        async with open_desk(settings=settings, place=location(fallback_a=None)) as desk:
            with await deaf_socket(desk) as deaf:
                await asyncio.get_running_loop().sock_sendall(deaf, STATUS)
                await desk.until(lambda: desk.readings)
                seq = 0
                while desk.readings[-1].online:
                    seq += 1
                    desk.central.offer(setpoint(seq))
                    await asyncio.sleep(0.05)

            assert not desk.central.health()["connected"]
            assert set(range(1, seq + 1)) == {answer.seq for answer in desk.feedback if answer.state != "sent"}

    asyncio.run(asyncio.wait_for(story(), 20))


async def deaf_socket(desk: Desk) -> socket.socket:
    """A charger's socket of which nobody reads more than the handshake's answer."""
    host, _, port = desk.url.removeprefix("ws://").rpartition(":")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, (host, int(port)))
    key = base64.b64encode(bytes(16)).decode()
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key"
    await loop.sock_sendall(deaf, f"GET /CP-1 HTTP/1.1\r\nHost: x\r\n{upgrade}: {key}\r\n\r\n".encode())
    assert (await loop.sock_recv(deaf, 4096)).startswith(b"HTTP/1.1 101")
    await desk.until(lambda: desk.central.health()["connected"])
    return deaf


async def flood(deaf: socket.socket, frame: bytes) -> None:
    """Send a frame again and again."""
    while True:
        await asyncio.get_running_loop().sock_sendall(deaf, frame * 500)


def test_stopping_says_going_away() -> None:
    """Chargers are told 1001, after the call in flight had its answer."""

    async def story() -> None:
        desks = AsyncExitStack()
        desk = await desks.enter_async_context(open_desk(place=location(fallback_a=None)))
        async with charger(desk) as client:
            desk.central.offer(setpoint(1))
            await desk.until(lambda: client.set_profiles())
            stopping = asyncio.create_task(desks.aclose())
            await desk.until(lambda: client.socket.close_code)
            await stopping

            assert 1001 == client.socket.close_code
            assert ["sent", "accepted"] == desk.states(1)

    asyncio.run(story())
