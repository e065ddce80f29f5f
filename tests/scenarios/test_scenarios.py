"""Every numeric case of `tests/scenarios/*.yaml`, through the pure core."""

from __future__ import annotations

import pytest

from tests.scenarios.cases import Case, read_cases
from tests.scenarios.compare import differences, names_path
from tests.scenarios.talk import Talk

CASES = list(read_cases())


def _parameter(case: Case) -> object:
    marks = [pytest.mark.xfail(reason=case.pending)] if case.pending else []
    return pytest.param(case, id=case.id, marks=marks)


def play(case: Case) -> tuple[Talk, list[str]]:
    """Run a case to its end: the talk, and every difference from what it expects."""
    talk = Talk(case)
    expected = iter(case.expect)
    found: list[str] = []
    for step in case.steps:
        answer = talk.step(step)
        if answer is not None:
            found += differences(talk, answer, next(expected, {}))
    talk.end()
    return talk, found


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_a_case_is_decided_as_its_file_says(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Each case gives the limits, bindings, groups, windows, alarms and dead letters that it names, and no other."""
    talk, found = play(case)

    told = capsys.readouterr().err
    found += [f"standard error does not name {path}" for path in case.refused if not names_path(told, path)]
    if talk.dialogue.refused != bool(case.refused):
        found.append(f"refused expected {bool(case.refused)}, got {talk.dialogue.refused}: {told}")
    assert [] == found, "\n".join([case.title, f"because: {case.why}", *found, "input:", *talk.said])


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES])
def test_the_same_lines_give_the_same_bytes(case: Case) -> None:
    """A second run of the same input answers byte for byte the same."""
    assert play(case)[0].heard == play(case)[0].heard


def test_every_case_has_an_id_of_its_own() -> None:
    """An id names one case, so that a failure can be found."""
    ids = [case.id for case in CASES]

    assert sorted(set(ids)) == sorted(ids)


def test_every_expectation_belongs_to_a_now() -> None:
    """No expectation is left over: it would never be looked at."""
    for case in CASES:
        assert len(case.expect) <= sum("now" in step for step in case.steps), case.id
