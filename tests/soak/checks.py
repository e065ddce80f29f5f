"""What must hold after a soak; each check gives what is wrong in words, nothing where all is well."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from scipy.stats import theilslopes

from pipeline.moments import parse_moment, to_ms
from pipeline.records import DEADLETTERS, DECISIONS, SETPOINTS, WINDOWS
from tests.parts.tail import Seen
from tests.soak.building import VOLTS, WINDOW_S
from tests.soak.chaos import Event
from tests.soak.fleet import Account

TAKEOVER_S = 15.0
"""From a kill to the next decision of each location (issue of the stream: how it is judged)."""
CLOSED_S = 35
"""From the end of a minute until it is closed: late readings have 30 s."""
ZOMBIE_S = 5.0
"""How much longer than its session a former owner may still be seen."""
GROWTH_MB = 10.0
"""What a worker may grow in the last two thirds of its life, by its trend: the first third fills caches and sees the
first faults, and a step at one of them (ten minutes of changelog read again) is no trend. In the 20 minutes that are
left of the long run a leak of 300 bytes per record is more."""

History = dict[str, list[Seen]]
"""Topic -> its records, in the order of each partition."""


def check_dead_letters(history: History, account: Account) -> Iterator[str]:
    """Each bad record is one, with its bytes; no good one is. A crash may repeat some."""
    letters = defaultdict(list)
    for seen in history[DEADLETTERS]:
        letter = seen.value
        letters[letter["topic"], letter["partition"], letter["offset"]].append(letter)
    for place, raw in account.bad.items():
        found = letters.pop(place, [])
        if not found:
            yield f"{place} is no dead letter"
        for letter in found:
            if raw != (None if letter["value"] is None else base64.b64decode(letter["value"])):
                yield f"the dead letter of {place} has other bytes: {letter}"
    for place, found in letters.items():
        if place in account.good or account.unsure == 0:
            yield f"{place} is no bad record, yet a dead letter: {found[0]['reason']}"


def check_sequence(history: History) -> Iterator[str]:
    """`seq` never goes backwards, and one number says one thing."""
    last: dict[str, dict[str, object]] = {}
    for seen in history[SETPOINTS]:
        assert seen.key is not None
        before = last.get(seen.key)
        if before is not None and seen.value["seq"] < before["seq"]:  # type: ignore[operator]
            yield f"{seen.key}: {seen.value['seq']} after {before['seq']} (offset {seen.offset})"
        elif before is not None and seen.value["seq"] == before["seq"] and seen.value != before:
            yield f"{seen.key}: {seen.value['seq']} says two things"
        else:
            last[seen.key] = seen.value


def check_everything_was_folded(history: History, newest: Mapping[tuple[str, str], tuple[int, int]]) -> Iterator[str]:
    """The last decision of each location has seen what was, some time before, its newest record of each topic."""
    last = {seen.key: seen.value["inputs"] for seen in history[DECISIONS]}
    for (name, topic), (partition, offset) in newest.items():
        seen = last.get(name, {}).get(topic, [partition, -1])
        if seen[0] != partition or seen[1] < offset:
            yield f"{name}: {topic}/{partition}@{offset} was not folded, only {seen}"


def check_energy(history: History, account: Account) -> Iterator[str]:
    """Every closed minute has the energy of all of its readings: one that was lost would be missing."""
    newest: dict[tuple[str, int], dict[str, float]] = {}
    for seen in history[WINDOWS]:
        start_ms = to_ms(parse_moment(seen.value["start"]))
        known = newest.get((seen.value["location"], start_ms))
        if known is None or seen.value["revision"] >= known["revision"]:
            newest[seen.value["location"], start_ms] = seen.value
    for name, readings in account.meter_a.items():
        expected = _energy_wh(readings)
        closed_ms = readings[-1][0] - (WINDOW_S + CLOSED_S) * 1000
        for start_ms in [
            start_ms for start_ms in sorted(expected)[1:] if start_ms < closed_ms
        ]:  # the first is not whole
            window = newest.get((name, start_ms))
            if window is None:
                yield f"{name}: the minute at {start_ms} was never closed"
            elif abs(window["import_wh"] - expected[start_ms]) > 0.01 or not window["complete"]:
                yield f"{name}: the minute at {start_ms} has {window}, not {expected[start_ms]:.4f} Wh"


def check_owners(history: History, session_s: float) -> Iterator[str]:
    """Once a newer generation has decided for a location, an older one is soon silent."""
    newest: dict[str, tuple[int, str, float]] = {}
    for seen in history[DECISIONS]:
        _, pid, number = seen.value["worker"].rsplit(":", 2)
        at_s, generation = seen.timestamp_ms / 1000, int(number)
        known = newest.get(seen.value["location"])
        if known is None or generation > known[0]:
            newest[seen.value["location"]] = (generation, pid, at_s)
        elif generation < known[0] and at_s - known[2] > session_s + ZOMBIE_S:
            yield f"{seen.value['location']}: {pid} decided {at_s - known[2]:.1f} s after {known[1]} took over"
        elif generation == known[0] and pid != known[1]:
            yield f"{seen.value['location']}: {pid} and {known[1]} own it in generation {generation}"


def takeovers_s(history: History, events: Iterable[Event]) -> list[tuple[str, float]]:
    """For each kill how long it took until each location of the killed worker was decided again: the longest."""
    decided: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for seen in history[DECISIONS]:
        decided[seen.value["location"]].append((seen.timestamp_ms / 1000, seen.value["worker"].split(":")[1]))
    found = []
    for event in events:
        if event.kind != "kill":
            continue
        longest_s = 0.0
        for moments in decided.values():
            before = [worker for at_s, worker in moments if at_s <= event.begin_s]
            after = [at_s for at_s, worker in moments if at_s > event.begin_s and worker != str(event.pid)]
            if before and before[-1] == str(event.pid):
                longest_s = max(longest_s, (after[0] if after else float("inf")) - event.begin_s)
        found.append((f"kill at {event.begin_s:.0f}", longest_s))
    return found


def growth_mb(sizes_mb: Sequence[float]) -> float:
    """By how much a worker grew in the last two thirds of its life: the median of the slopes between any two looks."""
    late = sizes_mb[len(sizes_mb) // 3 :]
    return float(theilslopes(late).slope) * len(late)


def check_memory(sizes_mb: Mapping[int, Sequence[float]], least: int) -> Iterator[str]:
    """A worker that lived for so many looks at least does not grow."""
    for pid, sizes in sizes_mb.items():
        if len(sizes) >= least and growth_mb(sizes) > GROWTH_MB:
            yield f"worker {pid} grew by {growth_mb(sizes):.0f} MB to {sizes[-1]:.0f} MB"


def _energy_wh(readings: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Minute -> what the readings say: each holds until the next one, milliwatts as the pipeline counts them."""
    found: dict[int, int] = defaultdict(int)
    for (at_ms, current_a), (until_ms, _) in pairwise(readings):
        power_mw = round(max(0.0, current_a * VOLTS) * 1000)
        while at_ms < until_ms:
            start_ms = at_ms - at_ms % (WINDOW_S * 1000)
            end_ms = min(until_ms, start_ms + WINDOW_S * 1000)
            found[start_ms] += power_mw * (end_ms - at_ms)
            at_ms = end_ms
    return {start_ms: total / 3.6e9 for start_ms, total in found.items()}
