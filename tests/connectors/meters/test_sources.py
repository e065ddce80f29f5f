"""The FILE: every error at once, each with its path, and no secret shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.meters.sources import SourcesRefused, parse_sources, read_sources

P1: dict[str, Any] = {"location": "a", "meter": "p1", "type": "p1-tcp", "host": "h", "port": 1, "variant": "fluvius"}
MQTT: dict[str, Any] = {"location": "b", "meter": "m", "type": "mqtt", "host": "h", "topic": "t", "format": "sunshave"}


def problems(*sources: Any) -> tuple[str, ...]:
    """Why these are refused; nothing when they are not."""
    try:
        parse_sources(list(sources))
    except SourcesRefused as refused:
        return refused.problems
    return ()


def test_sound_sources_are_read_with_their_defaults() -> None:
    """Three phases, every reading, port 1883 for MQTT."""
    p1, mqtt = parse_sources([P1, MQTT])

    assert (3, 0.0, 1883) == (p1.phases, p1.every_s, mqtt.port)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({**P1, "port": 70000}, "[0].port: "),
        ({**P1, "host": "10.0.0..5"}, "[0].host: '10.0.0..5' is no host name"),
        ({**P1, "variant": "dsmr9"}, "[0].variant: "),
        ({**P1, "variant": "dsmr2.2"}, "[0]: a dsmr2.2 meter tells no phases"),
        ({**P1, "location": "Brügge 12"}, "[0].location: "),
        ({**P1, "phases": 4}, "[0].phases: "),
        ({**P1, "every_s": -1}, "[0].every_s: "),
        ({**P1, "every_s": float("nan")}, "[0].every_s: "),
        ({**P1, "baud": 115200}, "[0].baud: Extra"),
        ({**P1, "type": "serial"}, "[0]: "),
        ({**MQTT, "format": "tasmota"}, "[0].format: "),
        ({**MQTT, "fields": {"power_w": ["$.a"]}}, "[0]: give either `format` or `fields`"),
        ({**MQTT, "format": None}, "[0]: give either `format` or `fields`"),
        ({**MQTT, "format": None, "fields": {"power_w": ["a"]}}, "[0].fields.power_w[0].path: the path 'a'"),
        ({**MQTT, "topic": "site/#"}, "[0].topic: "),
        ({**MQTT, "password_env": "SECRET"}, "[0]: `password_env` without `username`"),
        ("p1", "[0]: "),
    ],
)
def test_error_is_named_with_its_path(source: Any, expected: str) -> None:
    """Where it is in the file, and what is wrong."""
    (said,) = problems(source)

    assert said.startswith(expected)


def test_all_errors_are_listed() -> None:
    """Also across sources, and a meter that has two."""
    said = problems({**P1, "port": 0, "host": ""}, {**P1, "location": "c", "variant": "x"}, P1, MQTT)

    assert ["[0].host", "[0].port", "[1].variant", "[2].meter"] == sorted(line.partition(": ")[0] for line in said)


def test_password_in_the_file_is_refused_and_not_repeated() -> None:
    """Secrets come from the environment; one in the wrong place does not get into the log as well."""
    (said,) = problems({**MQTT, "password": "hunter2"})

    assert said.startswith("[0].password: ")
    assert "hunter2" not in said


GARBAGE = [
    "",
    "[]",
    "{}",
    "location: a",
    "- [",
    "\x00",
    "[" * 5000,
    "- 2026-13-45",
    "- !!int x",
    "- !!bool x",
    "- " + "9" * 5000,
]


@pytest.mark.parametrize("text", GARBAGE)
def test_file_that_is_no_list_of_sources_is_refused(tmp_path: Path, text: str) -> None:
    """With one sentence, whatever it is."""
    file = tmp_path / "meters.yaml"
    file.write_text(text)

    with pytest.raises(SourcesRefused, match=r"^\(document\): "):
        read_sources(file)


def test_what_is_told_is_one_printable_line() -> None:
    """Keys and values of a file are anybody's, and the terminal is the user's."""
    said = problems({**P1, "type": "\x1b[31m\nred"}, {**P1, "\x1b[2Jkey": 1})

    assert said
    assert [] == [line for line in said if not line.isprintable()]
