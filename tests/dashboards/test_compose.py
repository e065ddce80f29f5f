"""The compose file, as the tool that users have reads it, and the files that it mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dashboards.sources import Influx, data_sources
from sunshave.cli import main
from tests.parts import missing

ROOT = Path(__file__).parents[2]
SECRETS = {"INFLUX_PASSWORD": "a", "INFLUX_TOKEN": "b", "GRAFANA_PASSWORD": "c"}
EXAMPLE = ROOT / ".env.example"


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The tool, with exactly these variables."""
    return subprocess.run(
        [*_tool(), "--file", str(ROOT / "docker-compose.yml"), "--env-file", str(EXAMPLE), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
    )


def _tool() -> list[str]:
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    if not shutil.which("docker-compose"):
        missing("compose", "there is neither `docker compose` nor `docker-compose` (Debian package docker-compose)")
    return ["docker-compose"]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services after variables and anchors are resolved."""
    done = compose("config", **SECRETS)
    assert 0 == done.returncode, done.stderr
    return dict(yaml.safe_load(done.stdout)["services"])


def test_compose_accepts_the_file(services: dict[str, Any]) -> None:
    """Every part is there, and the file needs neither a name nor a version."""
    assert {
        "kafka",
        "influxdb",
        "grafana",
        "mosquitto",
        "topics",
        "worker",
        "dispatcher",
        "historian",
    } == set(services)


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_starts_with_an_empty_secret(name: str) -> None:
    """There is no default password: an empty one is refused, and the message names the file to fill in."""
    done = compose("config", **{**SECRETS, name: ""})

    assert 0 != done.returncode
    assert ".env.example" in done.stderr


def test_every_port_is_on_loopback(services: dict[str, Any]) -> None:
    """Nothing is open to the network before its owner says so."""
    for name, service in services.items():
        for port in service.get("ports", []):
            address = port.get("host_ip") if isinstance(port, dict) else str(port).rpartition(":")[0]
            assert str(address).startswith("127.0.0.1"), name


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    """`latest` of InfluxDB is another database."""
    for name, service in services.items():
        if "build" not in service:
            assert service["image"].partition(":")[2] not in ("", "latest"), name


def test_what_is_mounted_exists(services: dict[str, Any]) -> None:
    """A file that is missing would be made as an empty folder."""
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.partition(":")[0]
            if str(source).startswith(("/", ".")):
                assert (ROOT / source).exists(), f"{name}: {source}"
    assert os.access(ROOT / "deploy/influxdb/history.sh", os.X_OK)


def test_our_commands_exist_with_these_options(services: dict[str, Any]) -> None:
    """A misspelt option would restart for ever."""
    for service in services.values():
        if "build" not in service:
            continue
        command = service["command"]
        words = command.split() if isinstance(command, str) else list(command)
        shown = CliRunner().invoke(main, [*(word for word in words if word.isalpha()), "--help"])
        assert 0 == shown.exit_code, shown.output
        for option in (word for word in words if word.startswith("--")):
            assert option in shown.output


def test_kafka_tells_each_world_the_address_that_it_can_reach(services: dict[str, Any]) -> None:
    """One advertised address for both sends the containers to themselves."""
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]

    assert "INSIDE://kafka:19092,OUTSIDE://localhost:9092" == advertised
    assert {"kafka:19092"} == {
        service["environment"]["SUNSHAVE_KAFKA"] for service in services.values() if "build" in service
    }


def test_provisioned_data_sources_are_those_of_the_publisher() -> None:
    """Compose and `sunshave dashboards publish` make the same ones."""
    provisioned = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/sunshave.yaml").read_text())

    assert data_sources(Influx("http://influxdb:8086", token="$INFLUX_TOKEN")) == provisioned["datasources"]


def test_image_is_built_of_all_rooms_and_not_run_as_root() -> None:
    """A room that is missing is a command that does not start."""
    dockerfile = (ROOT / "Dockerfile").read_text()

    for room in ("topology", "pipeline", "connectors", "dashboards", "sunshave"):
        assert f"COPY {room} {room}" in dockerfile
        assert f"!{room}" in (ROOT / ".dockerignore").read_text()
    assert "\nUSER sunshave\n" in dockerfile
