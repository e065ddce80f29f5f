"""`sunshave meters` as a user runs it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.meters.p1_telegram import read_telegram
from connectors.meters.p1_wire import Framer
from connectors.simulated.p1_port import Building, serve_p1
from sunshave.cli import main
from tests.connectors.meters.test_publisher import IN_TIME_S, create_topic, published
from tests.parts import free_port
from tests.parts.waiting import wait_until

GOOD = "- {location: brugge-12, meter: p1, type: p1-tcp, host: 127.0.0.1, port: 2001, variant: fluvius}\n"


@contextmanager
def p1_port(building: Building) -> Iterator[int]:
    """A simulated port in a thread of its own."""
    loop, stop, where = asyncio.new_event_loop(), asyncio.Event(), []
    ready = threading.Event()

    async def serve() -> None:
        async with serve_p1("127.0.0.1", 0, building, every_s=0.1) as port:
            where.append(port)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(IN_TIME_S)
        yield where[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def test_check_of_a_good_file_is_silent_success(tmp_path: Path) -> None:
    """Exit status 0."""
    file = tmp_path / "meters.yaml"
    file.write_text(GOOD)
    result = CliRunner().invoke(main, ["meters", "check", str(file)])

    assert (0, "") == (result.exit_code, result.stdout)
    assert "1 source, no errors" in result.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_every_error_of_the_file_is_listed(tmp_path: Path, command: str) -> None:
    """On standard error, a line for each with file and path; exit status 2, and nothing is started."""
    file = tmp_path / "meters.yaml"
    file.write_text(GOOD + GOOD + GOOD.replace("2001", "70000").replace("fluvius", "dsmr9").replace("p1,", "p2,"))
    result = CliRunner().invoke(main, ["meters", command, str(file)])

    assert 2 == result.exit_code
    lines = sorted(result.stderr.splitlines())
    expected = [f"Error: {file}: {path}: " for path in ("[1].meter", "[2].port", "[2].variant")]
    assert len(expected) == len(lines)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """No stack trace."""
    result = CliRunner().invoke(main, ["meters", "check", str(tmp_path / "none.yaml")])

    assert 2 == result.exit_code
    assert f"Error: {tmp_path / 'none.yaml'}: No such file or directory\n" == result.stderr


def test_missing_password_is_named_before_anything_starts(tmp_path: Path) -> None:
    """By the name of its variable."""
    file = tmp_path / "meters.yaml"
    file.write_text(
        "- {location: a, meter: m, type: mqtt, host: h, topic: t, format: sunshave, username: u, password_env: NOT_SET}"
    )
    result = CliRunner().invoke(main, ["meters", "run", str(file)])

    assert 2 == result.exit_code
    assert "a/m: `password_env` names NOT_SET, which the environment lacks" in result.stderr


def test_capture_of_nobody_is_a_sentence() -> None:
    """Exit status 1: the call was right, the port is not there."""
    result = CliRunner().invoke(main, ["meters", "capture", f"127.0.0.1:{free_port()}"])

    assert 1 == result.exit_code
    assert "Traceback" not in result.stderr


def test_capture_writes_what_a_port_sends() -> None:
    """Whole telegrams, ready to be a test file."""
    with p1_port(Building(lambda: (1.0, 2.0, -3.0))) as port:
        command = [sys.executable, "-m", "sunshave", "meters", "capture", f"127.0.0.1:{port}", "--telegrams", "2"]
        done = subprocess.run(_cli(command), capture_output=True, timeout=IN_TIME_S, check=True)

    said = [read_telegram(telegram, "fluvius") for telegram in Framer().feed(done.stdout)]
    assert 2 == len(said)
    assert [1.0, 2.0, 3.0] == [phase.current_a for phase in said[0].phases]


@pytest.mark.embedded
def test_p1_port_to_topic_and_a_clean_end(tansu: str, tmp_path: Path) -> None:
    """A port in, records on `telemetry.meters`, equal to what flowed; /health tells it; SIGTERM ends it with 0."""
    create_topic(tansu)
    http = free_port()
    with p1_port(Building(lambda: (3.1, 2.0, -4.5))) as port:
        file = tmp_path / "meters.yaml"
        file.write_text(GOOD.replace("2001", str(port)).replace("brugge-12", "command-1"))
        command = [sys.executable, "-m", "sunshave", "meters", "run", str(file)]
        process = subprocess.Popen(
            [*_cli(command), "--kafka", tansu, "--http", f"127.0.0.1:{http}"], stderr=subprocess.PIPE, text=True
        )
        try:
            found = [record for _, record in published(tansu, "command-1", 3)]
            health = _get(f"http://127.0.0.1:{http}/health")
            metrics = _get(f"http://127.0.0.1:{http}/metrics")
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=IN_TIME_S)
        finally:
            process.kill()
            process.wait()

    assert [[3.1, 2.0, -4.5]] * 3 == [record.current_a for record in found[:3]]
    assert [713.0, 460.0, -1035.0] == found[0].power_w
    assert json.loads(health)["sources"][0]["connected"]
    assert re.search(r'sunshave_meter_readings_total\{location="command-1",meter="p1"\} [1-9]', metrics)
    assert (0, False) == (process.returncode, "Traceback" in log)


def test_end_without_kafka_and_without_meter_is_clean_too(tmp_path: Path) -> None:
    """Neither is there: it goes on trying, and SIGTERM still ends it with 0."""
    file = tmp_path / "meters.yaml"
    file.write_text(GOOD.replace("2001", str(free_port())))
    http = free_port()
    command = [sys.executable, "-m", "sunshave", "meters", "run", str(file), "--kafka", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen([*_cli(command), "--http", f"127.0.0.1:{http}"], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: _status(f"http://127.0.0.1:{http}/health") == 503, IN_TIME_S, "no health")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=IN_TIME_S)
    finally:
        process.kill()
        process.wait()

    assert (0, False) == (process.returncode, "Traceback" in log)
    assert len(log.splitlines()) < 6, log


def test_address_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    """Somebody else serves there: exit status 1, nothing was wrong with the call."""
    file = tmp_path / "meters.yaml"
    file.write_text(GOOD)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        result = CliRunner().invoke(main, ["meters", "run", str(file), "--http", address])

    assert (1, f"Error: cannot listen on {address}: Address already in use\n") == (result.exit_code, result.stderr)


def _cli(command: list[str]) -> list[str]:
    """The installed command's module way, which needs no script on the PATH."""
    return [command[0], "-m", "sunshave", *command[3:]]


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return int(refused.code)
    except OSError:
        return None
