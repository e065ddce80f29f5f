"""Billed windows over a day: each is published once, exactly, and again only when late data changes it."""

from __future__ import annotations

import random
from typing import Any

from pipeline.records import METERS, ClosedWindow
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import moment

QUARTER_S = 900


def _core() -> Core:
    group = {"id": "main", "limit_a": 40, "meter": "p1", "capacity": {"cap_kw": 6}}
    return Core(tree_of({"location": "w", "groups": [group], "meters": [{"id": "p1"}]}))


def _reading(at_s: float, power_w: float, register_wh: float | None) -> dict[str, Any]:
    return {
        "location": "w",
        "meter": "p1",
        "at": moment(at_s),
        "power_w": [power_w, 0.0, 0.0],
        "import_wh": register_wh,
    }


def _run(
    seed: int, every_s: int, hours: int, *, registers: bool, loss: float = 0.0
) -> tuple[list[ClosedWindow], list[float]]:
    """Some hours of a meter whose power changes at random; the windows that came out, and the true energies (Wh)."""
    chance = random.Random(seed)
    core, windows, energies = _core(), [], [0.0]
    register_wh, power_w = 1000.0, 500.0
    for at_s in range(0, hours * 3600 + 120, every_s):
        if chance.random() >= loss:
            assert core.tell(METERS, _reading(at_s, power_w, register_wh if registers else None), at_s) is None
        windows += core.decide(at_s + 1).windows
        if (at_s + every_s) % QUARTER_S == 0:
            energies[-1] += power_w * every_s / 3600
            energies.append(0.0)
        else:
            energies[-1] += power_w * every_s / 3600
        register_wh += power_w * every_s / 3600
        power_w = chance.choice([power_w, power_w, chance.uniform(0, 9000)])
    return windows, energies


def test_each_quarter_of_a_day_is_published_once_and_exact() -> None:
    """96 quarters, no revision, the energy of each to a thousandth of a watt-hour."""
    windows, energies = _run(1, 60, 24, registers=True)

    assert [0] * 96 == [w.revision for w in windows]
    assert all(w.complete and w.source == "register" for w in windows)
    assert max(abs(e - w.import_wh) for e, w in zip(energies, windows, strict=False)) < 0.001


def test_quarters_without_a_register_are_the_integral() -> None:
    """The same from power alone: each reading holds until the next."""
    windows, energies = _run(2, 10, 4, registers=False)

    newest = {w.start: w for w in windows}
    assert 16 == len(newest)
    assert max(abs(e - w.import_wh) for e, w in zip(energies, newest.values(), strict=False)) < 0.05


def test_lost_readings_lose_no_energy_of_the_day() -> None:
    """With two of three readings lost the quarters still add up to what the register counted."""
    windows, energies = _run(3, 30, 8, registers=True, loss=0.66)

    newest = {w.start: w for w in windows}
    assert 32 == len(newest)
    assert abs(sum(w.import_wh for w in newest.values()) - sum(energies[:32])) < 10  # the last boundary is a guess


def test_late_register_reading_corrects_its_window() -> None:
    """A reading from the end of a quarter, late by a minute and a half, comes as revision 1 of that quarter."""
    core = _core()
    core.tell_all([(METERS, _reading(0, 0, 1000)), (METERS, _reading(600, 0, 1400)), (METERS, _reading(960, 0, 1600))])
    first = core.decide(975).windows
    core.tell_all([(METERS, _reading(900, 0, 1590))])
    second = core.decide(980).windows

    assert [(0, 566.667)] == [(w.revision, w.import_wh) for w in first]
    assert [(1, 590.0, True)] == [(w.revision, w.import_wh, w.complete) for w in second]
