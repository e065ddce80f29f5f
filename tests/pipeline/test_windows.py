"""Billed windows over a day: each is published once, exactly, and again only when late data changes it."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from pipeline.records import METERS, ClosedWindow
from pipeline.state import decode_state, encode_state
from tests.pipeline.run import Core, tree_of
from tests.pipeline.trees import moment

QUARTER_S = 900


def _core(**capacity: Any) -> Core:
    group = {"id": "main", "limit_a": 40, "meter": "p1", "capacity": capacity or {"cap_kw": 6}}
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


def _feed(core: Core, readings: list[tuple[float, dict[str, Any]]]) -> list[ClosedWindow]:
    """Fold readings and decide a second after each; all windows that came out."""
    windows: list[ClosedWindow] = []
    for at_s, fields in readings:
        core.tell_all([(METERS, {**_reading(at_s, 2000.0, None), **fields})])
        windows += core.decide(at_s + 1).windows
    return windows


def _newest(windows: list[ClosedWindow]) -> list[tuple[str, float, str]]:
    newest = {w.start: w for w in windows}
    return [(f"{start:%H:%M}", w.import_wh, w.source) for start, w in sorted(newest.items())]


def test_a_replaced_meter_counts_from_its_own_first_reading() -> None:
    """At 10 minutes the register falls from 5,050 kWh to 0: the quarter is integrated, the next one counted again."""
    old = [(t, {"import_wh": 5_000_000 + t / 1.8}) for t in range(0, 600, 60)]
    new = [(t, {"import_wh": (t - 600) / 1.8}) for t in range(600, 1900, 60)]

    assert [("08:00", 500.0, "integrated"), ("08:15", 500.0, "register")] == _newest(_feed(_core(), old + new))


def test_a_meter_replaced_between_two_quarters_counts_the_whole_next_one() -> None:
    """The old one was last read at 14 minutes, the new one begins with the second quarter: it knows all of it."""
    old = [(t, {"import_wh": 5_000_000 + t / 1.8}) for t in range(0, 900, 60)]
    new = [(t, {"import_wh": (t - 900) / 1.8}) for t in range(900, 1900, 60)]
    windows = _feed(_core(), old + new)

    assert [("08:00", 500.0, "integrated"), ("08:15", 500.0, "register")] == _newest(windows)
    assert windows[-1].complete


def test_a_slip_of_the_register_is_no_energy() -> None:
    """One reading of 0, and one of a thousand times too much, are as if they had never been there."""
    readings = [(t, {"import_wh": 5_000_000 + t / 1.8}) for t in range(0, 1900, 60)]
    readings[4] = (240, {"import_wh": 0.0})
    readings[9] = (540, {"import_wh": 5e9})

    assert [("08:00", 500.0, "register"), ("08:15", 500.0, "register")] == _newest(_feed(_core(), readings))


def test_two_slips_in_a_row_cost_a_quarter_its_register_and_no_more() -> None:
    """What looks like another meter for a moment is left again: the quarter is integrated, those after it counted."""
    readings = [(t, {"import_wh": 5_000_000 + t / 1.8}) for t in range(0, 2800, 60)]
    readings[4:6] = [(240, {"import_wh": 0.0}), (300, {"import_wh": 0.0})]
    windows = _newest(_feed(_core(), readings))

    assert [("08:00", 500.0, "integrated"), ("08:15", 500.0, "register"), ("08:30", 500.0, "register")] == windows


@pytest.mark.parametrize("skew_s", [-4, 0, 4])
def test_a_running_average_of_a_skewed_clock_gives_the_same_quarters(skew_s: int) -> None:
    """2 kW as the meter's own average, whose quarter begins some seconds before or after that of its readings."""
    times = [t for t in range(1, 2800) if t % 20 == 0 or (t + 15) % 900 < 30]
    readings = [(t, {"demand_w": ((t + skew_s) % 900) * 2000 / 900}) for t in times]
    windows = [w for w in _newest(_feed(_core(), readings)) if w[0] != "07:45"]  # only its end was seen

    assert ["08:00", "08:15", "08:30"] == [start for start, _, _ in windows]
    assert all(source == "demand" and abs(wh - 500) < 3 for _, wh, source in windows)


def test_a_running_average_at_the_boundary_is_that_of_the_quarter_that_ends() -> None:
    """At 08:15:00 the meter may still show the average of the quarter that is over."""
    windows = _feed(_core(), [(600, {"demand_w": 1300}), (900, {"demand_w": 2000}), (910, {"demand_w": 22})])

    assert [("08:00", 500.0, "demand")] == _newest(windows)
    assert windows[-1].complete


def test_what_only_the_meters_average_knows_is_known() -> None:
    """A start in the middle of a quarter: the register has just begun, the average knows the beginning, too."""
    core = _core()
    core.tell_all([(METERS, {**_reading(450, 0.0, 1000.0), "demand_w": 1000.0})])

    window = core.decide(450).decision.groups[0].window
    assert window is not None
    assert (250.0, 10_000.0) == (window.used_wh, window.allowed_w + 0.0)


def test_a_gap_makes_an_integrated_quarter_incomplete() -> None:
    """Two minutes without a reading are bridged with the last power, and said."""
    times = [t for t in range(0, 1900, 20) if not 300 < t < 420]
    windows = {w.start: w for w in _feed(_core(), [(t, {}) for t in times])}

    assert [(500.0, False), (500.0, True)] == [(w.import_wh, w.complete) for _, w in sorted(windows.items())]


@pytest.mark.parametrize("registers", [True, False])
def test_a_tariff_with_longer_windows_forgets_neither_window_nor_peak(registers: bool) -> None:
    """From quarters to hours at half past: the running hour holds its first two quarters, their peak stays."""
    core = _core()
    readings = [(t, {"import_wh": t / 1.8 if registers else None}) for t in range(0, 1801, 20)]
    before = _feed(core, readings)
    core.tree = _core(tariff="plain", window_s=3600, cap_kw=6).tree
    window = core.decide(1802).decision.groups[0].window
    rest = [(t, {"import_wh": t / 1.8 if registers else None}) for t in range(1820, 3700, 20)]
    after = _feed(core, rest)

    assert window is not None
    assert pytest.approx(1000, abs=2) == window.used_wh
    assert pytest.approx(2000, abs=1) == window.month_peak_w
    assert [3600.0] == [(w.end - w.start).total_seconds() for w in after]
    assert pytest.approx(2000, abs=1) == after[0].import_wh
    assert all(w.end - w.start == before[0].end - before[0].start for w in before)


def test_a_tariff_with_shorter_windows_goes_on_from_the_registers() -> None:
    """From hours to quarters at 40 minutes: the third quarter counts from its beginning, none is published twice."""
    core = _core(tariff="plain", window_s=3600, cap_kw=6)
    _feed(core, [(t, {"import_wh": t / 1.8}) for t in range(0, 2401, 60)])
    core.tree = _core().tree
    after = _feed(core, [(t, {"import_wh": t / 1.8}) for t in range(2460, 3700, 60)])

    assert [("08:30", 500.0, "register"), ("08:45", 500.0, "register")] == _newest(after)


def test_the_official_peak_of_a_past_month_stays_in_the_mean() -> None:
    """The meter said 5 kW in November; in December, at 3 kW so far, the mean of the two is 4 kW."""
    core = _core()
    december_s = 6 * 86_400 + 15 * 3600
    _feed(core, [(december_s - 60, {"import_wh": 0.0, "month_peak_w": 5000.0}), (december_s, {"import_wh": 0.0})])
    windows = _feed(core, [(december_s + 1, {"month_peak_w": 3000.0}), (december_s + 900, {"import_wh": 250.0})])

    assert [("2026-12", 3000.0, 4000.0)] == [(w.month, w.month_peak_w, w.mean12_w) for w in windows][-1:]
    assert {"2026-11": 5000.0, "2026-12": 3000.0} == core.state.books["main"].officials


def test_a_state_from_before_these_fields_is_read() -> None:
    """A worker that is updated in the middle of a quarter goes on with the energy and the peaks that it has."""
    core = _core()
    _feed(core, [(t, {"import_wh": t / 1.8}) for t in range(0, 1200, 20)])
    version, fields = msgspec.msgpack.decode(encode_state(core.state), strict=False)
    for meter in fields[2].values():
        del meter[7:]  # up to the official month peak
    for book in fields[4].values():
        del book[2:]
    core.state = decode_state(msgspec.msgpack.encode((version, fields)))
    window = core.decide(1190).decision.groups[0].window

    assert window is not None
    assert (161.111, 2000.0) == (window.used_wh, window.month_peak_w)
    assert [] == core.decide(1191).windows
