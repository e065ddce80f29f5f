"""`sunshave decide` as it is installed: lines in, lines out, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("sunshave")
TIMEOUT_S = 30

LOCATION: dict[str, Any] = {
    "location": "brugge-12",
    "groups": [{"id": "main", "limit_a": 25, "meter": "p1"}],
    "meters": [{"id": "p1"}],
    "chargers": [{"id": "CP-1", "group": "main", "fallback_a": 0, "connectors": [{"id": 1, "max_a": 16}]}],
}
METER = {"location": "brugge-12", "meter": "p1", "at": "2026-11-24T08:00:00Z", "current_a": [12, 3, 3]}
CHARGER = {"location": "brugge-12", "charger": "CP-1", "connector": 1, "at": "2026-11-24T08:00:00Z", "online": True,
           "status": "Charging", "current_a": [0, 0, 0]}  # fmt: skip
NOW = json.dumps({"now": "2026-11-24T08:00:01Z"})


def line(topic: str, value: object) -> str:
    return json.dumps({"topic": topic, "value": value})


GOOD = [
    line("topology.locations", LOCATION),
    line("telemetry.meters", METER),
    line("telemetry.chargers", CHARGER),
    NOW,
]


def decide(lines: Iterable[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    text = "".join(f"{one}\n" for one in lines)
    return subprocess.run(
        [COMMAND, "decide", *arguments], input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_each_now_is_answered_with_one_line() -> None:
    """Records in, one line of decisions out, nothing on standard error, exit status 0."""
    done = decide([*GOOD, NOW])

    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert (0, "", 2) == (done.returncode, done.stderr, len(answers))
    assert [{"decisions", "windows"}] * 2 == [set(answer) for answer in answers]
    assert 13.0 == answers[0]["decisions"][0]["connectors"][0]["limit_a"]
    assert [1, 0] == [len(answer["decisions"][0]["setpoints"]) for answer in answers]


def test_a_file_is_read_as_standard_input_is(tmp_path: Path) -> None:
    """The same lines give the same bytes, from FILE, from `-`, and without an argument."""
    file = tmp_path / "input.jsonl"
    file.write_text("\n".join(GOOD))

    outputs = [decide([], str(file)).stdout, decide(GOOD, "-").stdout, decide(GOOD).stdout]

    assert [outputs[0]] * 3 == outputs
    assert outputs[0]


def test_answers_come_line_by_line() -> None:
    """Who asks gets his answer before he says more: the output is flushed."""
    with subprocess.Popen([COMMAND, "decide"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"{one}\n" for one in GOOD))
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.stdin.close()
        rest = process.stdout.read()

    assert ("brugge-12", "", 0) == (first["decisions"][0]["location"], rest, process.returncode)


def test_bad_lines_are_answered_and_end_nothing() -> None:
    """Each bad line is a dead letter before the next answer, those after the last `now` at the end; exit status 0."""
    done = decide(["{", "5", '{"topic": "weather", "value": 1}', *GOOD, '{"now": "soon"}'])

    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert 0 == done.returncode
    reasons = [answer["deadletter"]["reason"].split(":")[0] for answer in answers if "deadletter" in answer]
    assert ["unreadable", "unreadable", "unknown", "unreadable"] == reasons
    assert "decisions" in answers[3]


def test_a_refused_location_is_said_at_once_and_the_running_one_stays() -> None:
    """Every error is on standard error, decisions go on with the old location, and the exit status is 2."""
    wrong = {**LOCATION, "groups": [{"id": "main", "limit_a": -5, "meter": "p7"}]}
    done = decide([*GOOD, line("topology.locations", wrong), NOW])

    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert (2, 2) == (done.returncode, len(answers))
    assert "groups[0].limit_a" in done.stderr
    assert "groups[0].meter" in done.stderr
    assert "Traceback" not in done.stderr
    assert 13.0 == answers[1]["decisions"][0]["connectors"][0]["limit_a"]


def test_an_odd_location_is_warned_of() -> None:
    """What is legal but odd runs, with a warning that names it; exit status 0."""
    done = decide([line("topology.locations", {**LOCATION, "colour": "red"}), NOW])

    assert 0 == done.returncode
    assert "Warning: location brugge-12: colour" in done.stderr


@pytest.mark.parametrize("path", ["no/such/file", "."])
def test_a_file_that_cannot_be_read_is_said_in_a_sentence(path: str) -> None:
    """Exit status 2, the file's name, and no stack trace."""
    done = decide([], path)

    assert (2, "") == (done.returncode, done.stdout)
    assert path in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_in_nothing_out() -> None:
    """An empty input is no error, and a `now` without a location has no decisions."""
    assert (0, "", "") == (decide([]).returncode, decide([]).stdout, decide([]).stderr)
    assert {"decisions": [], "windows": []} == json.loads(decide([NOW]).stdout)


def test_a_location_is_removed_as_on_its_topic() -> None:
    """By a record with its key and no value: its cars are told to stop; who speaks of it then is refused."""
    removed = json.dumps({"topic": "topology.locations", "key": "brugge-12", "value": None})
    done = decide([*GOOD, removed, line("telemetry.meters", METER), NOW.replace(":01Z", ":02Z")])

    last = [json.loads(text) for text in done.stdout.splitlines()][1:]
    assert (0, ["unknown: location brugge-12"]) == (done.returncode, [last[0]["deadletter"]["reason"]])
    assert [(0.0, "removed")] == [(s["limit_a"], s["reason"]) for s in last[1]["decisions"][0]["setpoints"]]


@pytest.mark.parametrize(
    ("moment", "is_one"),
    [
        ("2026-11-24t08:00:01z", True),
        ("2026-11-24 08:00:01.5Z", True),
        ("2026-11-24T09:00:01+01:00", True),
        ("2026-W48-2T08:00:01Z", False),
        ("2026-11-24T08:00:01,5Z", False),
        ("2026-11-24T08:00Z", False),
        ("2026-11-24T08Z", False),
        ("2026-11-24T08:00:60Z", False),
        ("2026-11-24T08:00:01", False),
    ],
)
def test_a_now_is_read_as_the_at_of_a_record(moment: str, is_one: bool) -> None:
    """Both are RFC 3339."""
    said = [GOOD[0], line("telemetry.meters", {**METER, "at": moment}), NOW, json.dumps({"now": moment})]
    answers = [json.loads(text) for text in decide(said).stdout.splitlines()]

    assert [2 if is_one else 1, 0 if is_one else 2] == [
        sum(k in a for a in answers) for k in ("decisions", "deadletter")
    ]


@pytest.mark.parametrize("topic", ["telemetry.meters", "weather"])
def test_the_dead_letter_of_a_null_record_has_no_value(topic: str) -> None:
    """As on its topic (design section 9), known or not; any other has its bytes."""
    said = [line(topic, None), json.dumps({"topic": topic}), line(topic, 5)]
    letters = [json.loads(text)["deadletter"] for text in decide([GOOD[0], *said]).stdout.splitlines()]
    assert [None, None, "NQ=="] == [letter["value"] for letter in letters]


def test_a_key_that_is_not_the_location_is_a_dead_letter() -> None:
    """As on its topic (design section 9)."""
    said = [json.dumps({**json.loads(one), "key": "gent-3"}) for one in GOOD[:2]]
    answers = [json.loads(text) for text in decide([GOOD[0], *said, NOW]).stdout.splitlines()]
    assert ["invalid: the key is not the location"] * 2 == [a["deadletter"]["reason"] for a in answers[:-1]]


@pytest.mark.parametrize(
    ("streams", "status", "told"),
    [
        ("<&-", 0, ""),
        (">&-", 0, ""),
        ("> /dev/full", 1, "Error: cannot write the answer: No space left on device\n"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_stack_trace(
    streams: str, status: int, told: str, tmp_path: Path
) -> None:
    """It is an empty one, or a sentence."""
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(GOOD))
    file = "" if "<" in streams else str(lines)
    call = ["bash", "-c", f"exec '{COMMAND}' decide {file} {streams}"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (status, told) == (done.returncode, done.stderr)


def test_a_reader_that_leaves_is_no_stack_trace() -> None:
    """`sunshave decide | head -1` ends quietly, with the status of who writes to nobody."""
    with subprocess.Popen(
        [COMMAND, "decide"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("".join(f"{one}\n" for one in GOOD))
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(f"{NOW}\n" * 100)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already: as it should be
        told = process.stderr.read()

    assert (128 + signal.SIGPIPE, "") == (process.returncode, told)


def test_two_locations_are_answered_in_the_order_of_their_names() -> None:
    """One line for each `now`, with a decision for each location known so far."""
    other = {**LOCATION, "location": "aalst-1", "chargers": []}
    done = decide([*GOOD, line("topology.locations", other), NOW])

    last = json.loads(done.stdout.splitlines()[-1])
    assert ["aalst-1", "brugge-12"] == [decision["location"] for decision in last["decisions"]]
