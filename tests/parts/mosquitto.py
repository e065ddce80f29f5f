"""Mosquitto, the MQTT broker: found on the PATH, or installed as the Debian package where CI runs as root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import free_port, missing, used
from tests.parts.waiting import wait_for_port

START_S = 10.0
"""It is ready in milliseconds; less than this fails on a loaded machine, more delays the news that it is broken."""

INSTALL_S = 80.0
"""For each of two steps. Less fails on a slow mirror; more than a test may take (180 s) says nothing new."""

USER, PASSWORD = "reader", "not a secret"


@dataclass(slots=True)
class Mosquitto:
    """A broker on loopback that lets in USER with PASSWORD only. It can go away and come back, at the same port."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Kill it, as a power cut does."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """The same broker, without what it had retained."""
        self.process = _start(self.port, self.folder)


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A broker of the test's own."""
    with running_mosquitto() as broker:
        yield broker


@contextmanager
def running_mosquitto() -> Iterator[Mosquitto]:
    """A broker of one's own on a free port."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        _configure(port, folder)
        broker = Mosquitto(port, folder, _start(port, folder))
        try:
            yield broker
        finally:
            broker.stop()


def _configure(port: int, folder: Path) -> None:
    passwords = folder / "passwords"
    subprocess.run([_found("mosquitto_passwd"), "-b", "-c", str(passwords), USER, PASSWORD], check=True)
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", "persistence false"]
    if os.geteuid() == 0:
        lines.append("user root")  # else it gives its rights up for a user that may not read our folder
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")


def _start(port: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [_found("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port, process, START_S)
    return process


def _found(program: str) -> str:
    """The program's path. Debian puts the broker where only root's PATH leads."""
    where = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    path = shutil.which(program, path=where)
    if path is None and os.environ.get("CI") == "true" and os.geteuid() == 0:
        _install()
        path = shutil.which(program, path=where)
    if path is None:
        missing("Mosquitto", f"no {program} on the PATH; `apt-get install mosquitto` brings it")
    used["mosquitto"] = _version(where)
    return path


def _install() -> None:
    quiet = {
        "check": True,
        "timeout": INSTALL_S,
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    try:
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mosquitto"], **quiet)
    except (OSError, subprocess.SubprocessError) as problem:
        missing("Mosquitto", f"apt-get: {problem}")


def _version(where: str) -> str:
    broker = shutil.which("mosquitto", path=where) or "mosquitto"
    said = subprocess.run([broker, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"mosquitto version (\S+)", said)
    return found[1] if found else ""
