"""A load that wanders: raises leave free what comes back, steps are no noise, a quiet house loses nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from pipeline.state import Wander
from pipeline.wander import SPAN_MS, SPANS, kept_free_a, kept_free_total_a, noted

SEED = 7


def _wander(loads_a: Iterable[float], every_s: int = 1) -> Wander:
    wander: Wander | None = None
    for second, load_a in enumerate(loads_a):
        wander = noted(wander, second * every_s * 1000, (load_a,))
    assert wander is not None
    return wander


def _noise(step: Callable[[float, random.Random], float]) -> Callable[[int], list[float]]:
    def draw(count: int) -> list[float]:
        chance, load_a, loads = random.Random(SEED), 10.0, []
        for _ in range(count):
            load_a = step(load_a, chance)
            loads.append(load_a)
        return loads

    return draw


white = _noise(lambda _, chance: 10 + chance.gauss(0, 0.5))
drifting = _noise(lambda load_a, chance: load_a + (10 - load_a) / 20 + chance.gauss(0, 0.15))


def held(count: int) -> list[float]:
    """A meter that is read every second, and measures every ten."""
    return [load_a for load_a in white(count // 10) for _ in range(10)]


def cycling(count: int) -> list[float]:
    """A hob that keeps its heat: 6 A on and off, fifteen seconds each."""
    return [4.0 + 6.0 * (second // 15 % 2) for second in range(count)]


def test_quiet_load_keeps_nothing_free() -> None:
    """Whoever draws the same for ever is believed."""
    assert [0.0] == kept_free_a(_wander([7.0] * 300), (7.0,))


def test_before_a_span_is_over_nothing_is_noise() -> None:
    """Then raises are not held back."""
    assert [0.0] == kept_free_a(_wander([5.0, 9.0] * (SPAN_MS // 2000)), (5.0,))


@pytest.mark.parametrize("load", [white, held, drifting, cycling])
def test_noise_keeps_free_what_the_load_reached_lately(load: Callable[[int], list[float]]) -> None:
    """However fast it is: up to its highest of the last minutes, and not much more."""
    loads_a = load(900)
    lately_a = loads_a[-SPANS * SPAN_MS // 1000 :]
    [free_a] = kept_free_a(_wander(loads_a), (loads_a[-1],))
    assert max(lately_a) <= loads_a[-1] + free_a < max(lately_a) + 0.3 * (max(lately_a) - min(lately_a))


@pytest.mark.parametrize("shift_s", range(10))
def test_noise_that_changes_with_the_spans_has_its_range_too(shift_s: int) -> None:
    """Values that are held for ten seconds, and change wherever in a span: what moves where two spans meet counts."""
    wander = _wander([10.0] * shift_s + [10.0 + step % 3 for step in range(60) for _ in range(10)])
    assert wander.ranges[0] == 200


def test_who_reports_every_minute_is_heard_in_longer_spans() -> None:
    """A span has three readings at least."""
    loads_a = white(60)
    [free_a] = kept_free_a(_wander(loads_a, every_s=60), (min(loads_a[-9:]),))
    assert free_a > 0.5


def test_step_that_is_over_is_no_noise() -> None:
    """A kettle of 9 A in a quiet house, or in a noisy one, leaves free what was left free without it."""
    assert [0.0] == kept_free_a(_wander([3.0] * 90 + [12.0] * 60 + [3.0] * 5), (3.0,))
    noise_a = white(600)
    boiled_a = [*noise_a[:500], *(a + 9 for a in noise_a[500:560]), *noise_a[560:]]
    [without_a] = kept_free_a(_wander(noise_a), (noise_a[-1],))
    [after_a] = kept_free_a(_wander(boiled_a), (noise_a[-1],))
    assert after_a == pytest.approx(without_a, abs=0.8)


def test_after_a_long_silence_all_is_forgotten() -> None:
    """What was heard before it says nothing of now."""
    before = _wander(white(300))
    assert [0.0] == kept_free_a(noted(before, (300 + SPANS * SPAN_MS) * 1000, (10.0,)), (10.0,))


def test_noises_of_two_phases_may_cancel_in_their_sum() -> None:
    """A load that moves from one phase to another and back is quiet in all."""
    wander: Wander | None = None
    for second, load_a in enumerate(white(300)):
        wander = noted(wander, second * 1000, (load_a, 20 - load_a))
    assert 0.0 == kept_free_total_a(wander, (10.0, 10.0))
    assert min(kept_free_a(wander, (10.0, 10.0))) > 0.5
