"""`sunshave replay FILE`: runs that `sunshave decide` answered, decided again, and what would have been."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.moments import rfc3339
from pipeline.records import CHARGERS, FEEDBACK, LOCATIONS, METERS
from sunshave.dialogue import Dialogue

COMMAND = Path(sys.executable).with_name("sunshave")
START_MS = 1_795_334_400_000
RUN_S = 1200


def site(cap_kw: float = 13.0, cars: str = "AB", limit_a: float = 25) -> dict[str, Any]:
    """A billed quarter, and cars that want 16 A on three phases."""
    capacity = {"tariff": "be-vlaanderen-lv", "cap_kw": cap_kw, "follow_month_peak": False}
    connectors = [{"id": 1, "min_a": 2, "max_a": 16}]
    return {
        "location": "home",
        "groups": [{"id": "main", "limit_a": limit_a, "meter": "p1", "capacity": capacity}],
        "meters": [{"id": "p1"}],
        "chargers": [{"id": c, "group": "main", "fallback_a": 0, "connectors": connectors} for c in cars],
    }


def run(document: dict[str, Any], seconds: int = RUN_S, every_s: int = 10) -> list[str]:
    """The transcript of a closed loop: the lines that `sunshave decide` reads, each `now` followed by its answer.

    Car A takes all that it may, car B never more than 7 A; the building takes 2 A.
    """
    dialogue, lines = Dialogue(), []
    limits_a = {"A": 0.0, "B": 0.0}
    register_wh = 0.0

    def say(line: dict[str, Any]) -> None:
        lines.append(json.dumps(line))
        lines.extend(answer.decode() for answer in dialogue.hear(lines[-1].encode()))

    say({"topic": LOCATIONS, "value": document})
    for at_s in range(0, seconds, every_s):
        at = rfc3339(START_MS + at_s * 1000)
        draws_a = {"A": limits_a["A"], "B": min(limits_a["B"], 7.0)}
        for car, amperes in draws_a.items():
            reading = {"charger": car, "connector": 1, "online": True, "status": "Charging", "transaction": "1"}
            say({"topic": CHARGERS, "value": {"location": "home", "at": at, "current_a": [amperes] * 3} | reading})
        total_a = 2.0 + sum(draws_a.values())
        meter = {"location": "home", "meter": "p1", "at": at, "current_a": [total_a] * 3, "import_wh": register_wh}
        say({"topic": METERS, "value": meter})
        register_wh += total_a * 3 * 230 * every_s / 3600
        say({"now": rfc3339(START_MS + at_s * 1000 + 1000)})
        for setpoint in json.loads(lines[-1])["decisions"][0]["setpoints"]:
            limits_a[setpoint["charger"]] = setpoint["limit_a"]
            answer = {k: setpoint[k] for k in ("location", "charger", "connector", "seq", "limit_a", "fallback_a")}
            answer |= {"at": setpoint["issued_at"], "state": "accepted", "lease_until": setpoint["valid_until"]}
            say({"topic": FEEDBACK, "value": answer})
    return lines


@pytest.fixture(scope="module")
def transcript() -> list[str]:
    """Twenty minutes of the site as it is."""
    return run(site())


def replay(lines: Iterable[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with the lines as its standard input."""
    text = "".join(f"{line}\n" for line in lines)
    command = [COMMAND, "replay", "-", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def what_if(lines: Iterable[str], folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The answer of `--with`."""
    file = folder / "other.json"
    file.write_text(json.dumps(document))
    done = replay(lines, "--with", str(file))
    assert (0, "") == (done.returncode, done.stderr)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


DEAD = [
    b"xx",
    b'{"topic": "telemetry.meters", "value": {"at":',
    b'"\xff"',
    b'"hello"',
    b"[]",
    b"null",
    b"5",
    b'{"now": 5}',
    b'{"now": "soon"}',
    b'{"topic": 1, "value": {}}',
    b'{"topic": "telemetry.meters", "value": {}, "key": 5}',
    b'{"topic": "telemetry.meters", "value": ' + b"[" * 3000 + b"]" * 3000 + b"}",
]


def test_lines_that_were_dead_letters_are_left_out(tmp_path: Path) -> None:
    """A run is decided again the same though it has some; that they were left out is said."""
    lines = [line.encode() for line in run(site(), 100)]
    assert [] == [line for line in DEAD if b"deadletter" not in b"".join([*(d := Dialogue()).hear(line), *d.end()])]
    (tmp_path / "run.jsonl").write_bytes(b"\n".join([*lines[:5], *DEAD, *lines[5:]]))
    done = subprocess.run(
        [COMMAND, "replay", "run.jsonl"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, {"decisions": 10, "same": 10, "different": 0}) == (done.returncode, json.loads(done.stdout))
    told = [line.split(":")[1] for line in done.stderr.splitlines()]
    assert [f" line {n} is left out" for n in range(6, 6 + len(DEAD))] == told


@pytest.mark.parametrize(
    "line", ['{"now": "2026-11-24T08:00:00Z", "decisions": 5}', '{"topic": "decisions", "value": 1}']
)
def test_what_was_decided_must_be_readable(line: str) -> None:
    """To `sunshave decide` it means nothing: it is no dead letter of its."""
    done = replay([*run(site(), 50), line])

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("Error: cannot read -: line ")


def said(*lines: dict[str, Any] | str) -> list[str]:
    """The transcript of a conversation: lines of any kind, each followed by its answers."""
    dialogue, told = Dialogue(), []
    for line in lines:
        told.append(line if isinstance(line, str) else json.dumps(line))
        told.extend(answer.decode() for answer in dialogue.hear(told[-1].encode()))
    return told


def now(second: int) -> dict[str, Any]:
    return {"now": rfc3339(START_MS + second * 1000)}


@pytest.mark.parametrize("heard", [True, False])
def test_a_location_that_was_removed_is_so_again(heard: bool) -> None:
    """Until all its connectors were told, which takes a while where they were heard of; then it is no more, and nothing
    is decided. Later it is put anew."""
    placed = {"topic": LOCATIONS, "value": site()}
    reading = {"charger": "A", "connector": 1, "online": True, "status": "Charging", "current_a": [0.0] * 3}
    charger = {"topic": CHARGERS, "value": {"location": "home", "at": rfc3339(START_MS)} | reading}
    removed = {"topic": LOCATIONS, "key": "home", "value": None}
    lines = [placed, *([charger] if heard else []), now(1), removed, now(2), now(3), now(40), now(41), placed, now(42)]
    told = said(*lines)
    decisions = sum(len(json.loads(line)["decisions"]) for line in told if line.startswith('{"decisions"'))

    done = replay(told)

    assert (5 if heard else 3) == decisions
    assert (0, "", {"decisions": decisions, "same": decisions, "different": 0}) == (
        done.returncode, done.stderr, json.loads(done.stdout)
    )  # fmt: skip


def test_an_export_of_a_run_with_a_refused_document_is_decided_again(tmp_path: Path) -> None:
    """Of its own location or of another: no offset in the export that the run did not name."""
    wrong = {**site(), "groups": []}
    placed, refused, other = (
        {"topic": LOCATIONS, "value": document} for document in (site(), wrong, {**wrong, "location": "other"})
    )
    told = said(placed, now(1), refused, now(2), other, now(3), placed, now(4))
    file = tmp_path / "exported.jsonl"
    done = replay(told, "--location", "home", "--export", str(file))
    again = replay(file.read_text().splitlines())

    assert (0, done.stdout) == (again.returncode, again.stdout)
    assert (0, {"decisions": 4, "same": 4, "different": 0}) == (done.returncode, json.loads(done.stdout))


def test_lines_without_an_offset_come_after_those_that_have_one() -> None:
    """As where somebody goes on with an export of what was in Kafka."""
    lines = run(site(), 100)
    place = next(k for k, line in enumerate(lines) if METERS in line)
    lines[place] = json.dumps({**json.loads(lines[place]), "offset": 40})
    done = replay(lines)

    assert (0, {"decisions": 10, "same": 10, "different": 0}) == (done.returncode, json.loads(done.stdout))


@pytest.mark.parametrize("kept", [slice(0), slice(-1, None)])
def test_where_nothing_can_be_decided_again_that_is_said(kept: slice, tmp_path: Path) -> None:
    """An empty file, and one that has decisions and nothing that led to them."""
    (tmp_path / "run.jsonl").write_text("\n".join(run(site(), 100)[kept]))
    done = subprocess.run(
        [COMMAND, "replay", "run.jsonl"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (2, "", "Error: run.jsonl has no decisions: there is nothing to decide again\n") == (
        done.returncode, done.stdout, done.stderr
    )  # fmt: skip


def test_a_transcript_of_decide_is_decided_again(transcript: list[str]) -> None:
    """Questions and answers in one file: all are the same."""
    done = replay(transcript)

    assert (0, "", {"decisions": 120, "same": 120, "different": 0}) == (
        done.returncode,
        done.stderr,
        json.loads(done.stdout),
    )


def test_what_was_tampered_with_is_named_with_old_and_new(transcript: list[str]) -> None:
    """One limit of one decision: the decision, the path, old → new; exit status 1."""
    place = max(k for k, line in enumerate(transcript) if line.startswith('{"decisions"'))
    answer = json.loads(transcript[place])
    limit_a = answer["decisions"][0]["connectors"][0]["limit_a"]
    answer["decisions"][0]["connectors"][0]["limit_a"] = 99.0

    done = replay([*transcript[:place], json.dumps(answer), *transcript[place + 1 :]])

    assert (1, {"decisions": 120, "same": 119, "different": 1}) == (done.returncode, json.loads(done.stdout))
    assert f"connectors[0].limit_a: 99.0 → {limit_a}" in done.stderr
    assert answer["decisions"][0]["decision"] in done.stderr


def test_a_span_counts_only_what_is_in_it(transcript: list[str]) -> None:
    """--from and --until: what was before is decided, but not counted."""
    begin, end = rfc3339(START_MS + 300_000), rfc3339(START_MS + 600_000)

    done = replay(transcript, "--from", begin, "--until", end)

    assert (0, {"decisions": 30, "same": 30, "different": 0}) == (done.returncode, json.loads(done.stdout))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["{"], "line 1"),
        (['{"now": "soon"}'], "line 1"),
        ([json.dumps({"topic": LOCATIONS, "value": site()}), '{"now": "2026-11-24T08:00:01Z"}'], "nothing to compare"),
    ],
)
def test_a_file_that_is_no_history_is_said_in_a_sentence(lines: list[str], told: str) -> None:
    """Exit status 2, which lines are left out, no stack trace."""
    done = replay(lines)

    said = done.stderr.splitlines()
    assert (2, "", True) == (done.returncode, done.stdout, said[-1].startswith("Error: "))
    assert told in said[0]
    assert all(each.startswith("Warning: line ") for each in said[:-1])


def test_under_its_own_document_a_run_would_be_as_it_was(transcript: list[str], tmp_path: Path) -> None:
    """The reference of every what-if: the same limits, the same peak, the same windows."""
    answer = what_if(transcript, tmp_path, site())

    was, would_be = answer["was"], answer["would_be"]
    assert 1 == was["billed"]["main"]["windows"]
    for key in ("highest_quarter_w", "import_wh"):
        assert was[key] == pytest.approx(would_be[key], rel=0.02)
    assert was["granted_ah"] == pytest.approx(would_be["granted_ah"], rel=0.02)
    assert was["billed"]["main"]["highest_w"] == pytest.approx(would_be["billed"]["main"]["highest_w"], rel=0.02)


def test_a_lower_cap_would_have_cost_less(transcript: list[str], tmp_path: Path) -> None:
    """5 kW in place of 13: the window ends there, and the peak costs 40.4 EUR per kW and year less."""
    answer = what_if(transcript, tmp_path, site(cap_kw=5.0))

    was, would_be = answer["was"]["billed"]["main"], answer["would_be"]["billed"]["main"]
    assert 13_000 == pytest.approx(was["highest_w"], rel=0.02)
    assert 5000 == pytest.approx(would_be["highest_w"], rel=0.02)
    assert 8 * 40.4 / 12 == pytest.approx(was["cost_eur"] - would_be["cost_eur"], rel=0.1)


def test_a_car_that_took_less_than_it_might_takes_no_more(transcript: list[str], tmp_path: Path) -> None:
    """With a cap that binds nobody car A takes its 16 A, car B its 7."""
    answer = what_if(transcript, tmp_path, site(cap_kw=40.0, limit_a=50))

    expected_wh = (2 + 16 + 7) * 3 * 230 * RUN_S / 3600
    assert expected_wh == pytest.approx(answer["would_be"]["import_wh"], rel=0.05)


def test_a_new_charger_takes_all_it_can_get(transcript: list[str], tmp_path: Path) -> None:
    """The recording knows nothing of it: the worst is assumed, and the cap still holds."""
    answer = what_if(transcript, tmp_path, site(cars="ABC"))

    assert answer["would_be"]["granted_ah"]["C/1"] > 0.5
    assert answer["was"]["granted_ah"].keys() == {"A/1", "B/1"}
    assert answer["would_be"]["billed"]["main"]["highest_w"] < 13_000 * 1.02


def test_the_comparison_can_be_a_table(transcript: list[str], tmp_path: Path) -> None:
    """--table: the figures in rows for people."""
    file = tmp_path / "other.json"
    file.write_text(json.dumps(site(cap_kw=5.0)))

    done = replay(transcript, "--with", str(file), "--table")

    assert 0 == done.returncode
    assert "would be" in done.stdout
    assert "month peak of main" in done.stdout


def test_a_refused_document_is_said_with_every_error(transcript: list[str], tmp_path: Path) -> None:
    """Exit status 2, and the path of each error in the file."""
    file = tmp_path / "other.yaml"
    file.write_text("location: home\ngroups: []\n")

    done = replay(transcript, "--with", str(file))

    assert (2, "") == (done.returncode, done.stdout)
    assert "groups" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_location_that_is_not_in_it_is_named(tmp_path: Path) -> None:
    """A misspelt name is no history that came out the same."""
    file = tmp_path / "run.jsonl"
    file.write_text("\n".join(run(site(), 60)))
    done = subprocess.run([COMMAND, "replay", file, "--location", "hom"], capture_output=True, text=True, check=False)

    assert (2, "") == (done.returncode, done.stdout)
    assert f"Error: {file} has no decisions of location hom\n" == done.stderr
