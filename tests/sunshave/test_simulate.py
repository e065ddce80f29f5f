"""`sunshave simulate` as it is installed: what it prints, refuses, writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sunshave.simulation.read import FileRefused, read_simulation

COMMAND = Path(sys.executable).with_name("sunshave")
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "simulate"
TIMEOUT_S = 120

SMALL: dict[str, Any] = {
    "start": "2026-11-24T17:00:00",
    "hours": 1,
    "seed": 7,
    "location": {
        "location": "brugge-12",
        "groups": [{"id": "main", "limit_a": 25, "meter": "p1"}],
        "meters": [{"id": "p1"}],
        "chargers": [
            {"id": "CP-1", "group": "main", "fallback_a": 0, "connectors": [{"max_a": 16}]},
            {"id": "CP-2", "group": "main", "fallback_a": 0, "connectors": [{"max_a": 16}]},
        ],
    },
    "house": [{"appliances": ["kettle", "oven", "hob"]}],
    "cars": [{"arrives": "17:05", "leaves": "17:50", "energy_kwh": {"from": 3, "to": 9}}],
}
FAULTS = {
    "loss": 0.2,
    "delay_s": 5,
    "double": 0.2,
    "reject": 0.1,
    "timeout": 0.1,
    "ignore": 0.1,
    "offline_per_hour": 6,
    "meter_outages_per_hour": 6,
    "restarts_per_hour": 20,
}


def simulate(folder: Path, document: object, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it on a document."""
    (folder / "run.yaml").write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    call = [COMMAND, "simulate", "run.yaml", *options]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_the_same_seed_gives_the_same_bytes_however_many_processes(tmp_path: Path) -> None:
    """Every fault is drawn from the one seed; another seed is another run."""
    document = {**SMALL, "hours": 0.2, "copies": 2, "faults": FAULTS}
    first = simulate(tmp_path, document, "--no-report", "--processes", "2")
    second = simulate(tmp_path, document, "--no-report", "--processes", "1")
    other = simulate(tmp_path, document, "--no-report", "--seed", "8")

    assert (0, 0, 0) == (first.returncode, second.returncode, other.returncode), first.stderr
    assert first.stdout == second.stdout
    assert first.stdout != other.stdout
    assert ["brugge-12-1", "brugge-12-2"] == [found["location"] for found in json.loads(first.stdout)["locations"]]


def test_the_report_has_the_charts_and_stands_alone(tmp_path: Path) -> None:
    """Group, cars, setpoints, quarters and the table of cars, without anything from the net."""
    done = simulate(tmp_path, {**SMALL, "hours": 0.5}, "--report", "out/report.html")

    page = (tmp_path / "out" / "report.html").read_text()
    named = [
        "What flows into group main",
        "What the cars draw",
        "What the cars were told",
        "Clock quarters of group main",
    ]
    assert [] == [name for name in named if name not in page]
    assert page.count("<tr><td>CP-") == 2
    assert "<script src=" not in page
    assert "out/report.html" in done.stderr


def test_the_export_is_decided_again_the_same(tmp_path: Path) -> None:
    """It has every record, every moment and every decision, also those after a restart: `replay` finds them the same,
    and `decide` refuses nothing."""
    document = {**SMALL, "hours": 0.4, "faults": FAULTS}
    done = simulate(tmp_path, document, "--no-report", "--export", "run.jsonl")
    again = [
        subprocess.run([COMMAND, word, "run.jsonl"], cwd=tmp_path, capture_output=True, timeout=TIMEOUT_S, check=False)
        for word in ("decide", "replay")
    ]

    total = json.loads(done.stdout)["total"]
    answers = [json.loads(line) for line in again[0].stdout.splitlines()]
    assert (0, 0, 0) == (done.returncode, *(each.returncode for each in again)), again[1].stderr
    assert total["decisions"] == len(answers) == sum("decisions" in answer for answer in answers)
    assert total["decisions"] == json.loads(again[1].stdout)["same"]
    assert total["faults"]["restart"] > 0


@pytest.mark.parametrize(("meter_every_s", "flicker_a"), [(1, 1.0), (1, 3.0), (10, 2.0)])
def test_a_car_beside_a_noisy_house_is_not_told_something_all_the_time(
    meter_every_s: int, flicker_a: float, tmp_path: Path
) -> None:
    """At most 30 setpoints an hour, leases included, though the car uses all that is left but for the noise."""
    document = {
        **SMALL,
        "hours": 2,
        "meter_every_s": meter_every_s,
        "house": [{"base_a": [12, 12, 12], "flicker_a": flicker_a}],
        "cars": [{"charger": "CP-1", "arrives": "17:00", "leaves": "23:00", "energy_kwh": 50}],
    }
    [found] = json.loads(simulate(tmp_path, document, "--no-report").stdout)["locations"]

    assert found["setpoints"]["per_car_hour"] <= 30
    assert found["share_of_ideal"] > 1 - flicker_a / 15
    assert found["overload"]["avoidable_as"] == 0


@pytest.mark.parametrize(("min_change_a", "least", "most"), [(0.5, 8, 35), (0, 100, 400)])
def test_below_a_billed_window_a_raise_is_worth_a_setpoint(
    min_change_a: float, least: int, most: int, tmp_path: Path
) -> None:
    """Its allowance grows all the time towards the end; who wants every raise says so with `min_change_a`."""
    location = {**SMALL["location"], "control": {"min_change_a": min_change_a}}
    capacity = {"tariff": "plain", "cap_kw": 9, "follow_month_peak": False}
    location["groups"] = [{"id": "main", "limit_a": 63, "meter": "p1", "capacity": capacity}]
    document = {
        **SMALL,
        "location": location,
        "meter_every_s": 1,
        "house": [{"base_a": [2, 2, 2], "flicker_a": 2}],
        "cars": [{"charger": "CP-1", "arrives": "17:00", "leaves": "23:00", "energy_kwh": 50}],
    }
    [found] = json.loads(simulate(tmp_path, document, "--no-report").stdout)["locations"]

    assert least <= found["setpoints"]["per_car_hour"] <= most
    assert (0, True) == (found["peaks"][0]["windows_above_cap"], found["peaks"][0]["highest_quarter_w"] > 0.97 * 9000)


def test_every_error_is_named_with_its_path(tmp_path: Path) -> None:
    """Wrong values, misspelt keys, and names that the location does not have, all at once; status 2."""
    document = {
        **SMALL,
        "hors": 3,
        "cars": [
            {"charger": "CP-9", "arrives": "25:00", "leaves": "18:00", "energy_kwh": 3},
            {"arrives": "17:00", "leaves": "18:00", "energy_kwh": {"from": 3}},
        ],
        "house": [{"group": "mian"}],
        "faults": {"loss": 1.5, "los": 1},
    }
    refused = simulate(tmp_path, document, "--no-report")
    misfit = simulate(
        tmp_path, {**SMALL, "house": [{"group": "mian"}], "cars": [{**SMALL["cars"][0], "charger": "CP-9"}]}
    )

    expected = [
        "cars[0].arrives: a time of day is written HH:MM",
        "cars[1].energy_kwh.to: Field required",
        "faults.loss: Input should be less than or equal to 1",
        "faults.los: there is no key los (did you mean loss?)",
        "hors: there is no key hors (did you mean hours?)",
    ]
    assert (2, "") == (refused.returncode, refused.stdout)
    assert sorted(f"Error: run.yaml: {e}" for e in expected) == sorted(refused.stderr.splitlines())
    assert 2 == misfit.returncode
    assert "house[0].group: there is no group mian (did you mean main?)" in misfit.stderr
    assert "cars[0].charger: there is no charger CP-9 " in misfit.stderr


CAR = SMALL["cars"][0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"cars": [{**CAR, "energy_kwh": -1}]}, "cars[0].energy_kwh: Input should be greater than or equal to 0"),
        ({"cars": [{**CAR, "energy_kwh": [1]}]}, "cars[0].energy_kwh: a number is needed here, not a list"),
        ({"cars": [{**CAR, "charger": 5}]}, "cars[0].charger: Input should be a valid string"),
        (
            {"cars": [{**CAR, "charger": ["CP-1", "CP 2"]}]},
            "cars[0].charger[1]: String should match pattern '^[A-Za-z0-9._:-]{1,64}$'",
        ),
        ({"start": "soon"}, "start: Input should be a valid datetime or date, input is too short"),
        ({"location": "gone.yaml"}, "location: cannot read gone.yaml: No such file or directory"),
        ({"location": "two.yaml"}, "location: two.yaml must hold one location"),
        ({"location": 5}, "location: a location is a mapping of keys to values"),
    ],
)
def test_one_mistake_is_one_error_with_the_path_of_the_file(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    """However many ways there are to write a value."""
    (tmp_path / "two.yaml").write_text("a: 1\n---\nb: 2\n")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**SMALL, **changed}))

    with pytest.raises(FileRefused) as refused:
        read_simulation(tmp_path / "run.yaml")
    assert [told] == [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize("start", ["2026-11-24", "'2026-11-24'", "2026-11-24 00:00", "2026-11-23T23:00:00Z"])
def test_a_day_begins_at_its_midnight(start: str, tmp_path: Path) -> None:
    """Local time, unless it says a zone."""
    (tmp_path / "run.yaml").write_text(f"start: {start}\n{yaml.safe_dump({'location': SMALL['location']})}")

    [task] = read_simulation(tmp_path / "run.yaml").tasks
    assert datetime(2026, 11, 23, 23, tzinfo=UTC).timestamp() == task.start_s


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("[1, 2]", "a simulation is a mapping"),
        ("{", "neither YAML nor JSON"),
        (f"seed: {'9' * 5000}", "neither YAML nor JSON"),
        ({**SMALL, "start": "0001-01-01T00:00"}, "start: a year within 1971 and 8999 is needed"),
        ("hours: 1", "location: what to simulate"),
        ("location: gone.yaml", "cannot read gone.yaml"),
        ("locations: []", "locations: a list of locations"),
        ({**SMALL, "location": {**SMALL["location"], "groups": []}}, "location.groups"),
        ({**SMALL, "house": [{"base_a": [1]}]}, "house[0].base_a: 1 value(s) for 3 phase(s)"),
    ],
)
def test_what_cannot_be_simulated_is_a_sentence(document: object, told: str, tmp_path: Path) -> None:
    """No stack trace, status 2."""
    done = simulate(tmp_path, document)

    assert 2 == done.returncode, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """And so is a report that cannot be written, before anything is simulated."""
    call = [COMMAND, "simulate", "gone.yaml"]
    gone = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    (tmp_path / "taken").write_text("")
    blocked = simulate(tmp_path, SMALL, "--report", "taken/report.html")

    assert (2, True) == (gone.returncode, "cannot read gone.yaml" in gone.stderr)
    assert (1, True) == (blocked.returncode, "cannot write taken/report.html" in blocked.stderr)


def test_one_location_may_be_written_at_the_top_or_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The same bytes for all three ways; JSON is YAML, too."""
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(SMALL["location"]))
    short = {**SMALL, "hours": 0.1}
    ways = [short, {**short, "location": "site.yaml"}, {**short, **SMALL["location"]}]
    printed = [simulate(tmp_path, json.dumps(way), "--no-report") for way in ways]

    assert [""] * 3 == [p.stderr[: p.stderr.find("0.1 h")] for p in printed]
    assert 1 == len({p.stdout for p in printed})


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_its_processes_without_a_trace(number: int, status: int, tmp_path: Path) -> None:
    """Also when the signal reaches only the parent."""
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**SMALL, "hours": 500, "copies": 3}))
    mark = {**os.environ, "SUNSHAVE_MARK": str(tmp_path)}
    process = subprocess.Popen(
        [COMMAND, "simulate", "run.yaml", "--no-report", "--processes", "2"],
        cwd=tmp_path, env=mark, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(_marked(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)

    assert (status, "", "") == (process.returncode, out, said)
    deadline = time.monotonic() + 10
    while _marked(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == _marked(tmp_path)


def _marked(mark: Path) -> list[str]:
    """Processes of ours that are still there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"SUNSHAVE_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found
