"""What a case expects, held against what came out: a sentence for each difference."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.scenarios.talk import Answer, Key, Sent, Talk, key_of

STEP_A, WATT, OTHER = 0.1, 1.0, 0.01
"""Tolerances: currents that are set, powers, everything else. A case may set its own."""
OF_CONNECTORS = ("limit_a", "target_a", "reserved_a", "wanted_a")
OF_DECISIONS = {*OF_CONNECTORS, "binding", "total_a", "groups", "setpoints", "setpoint", "alarm"}
ROUNDING = 1e-6


def differences(talk: Talk, answer: Answer, want: Mapping[str, Any]) -> Iterator[str]:
    """Everything in which one answer is not what the case expects, or what it must always be."""
    where = f"at {answer.at_s:g} s"
    name = talk.location["location"]
    if "locations" in want:
        yield from _one(talk, where, "locations", [d["location"] for d in answer.decisions], want["locations"])
    if "windows" in want:
        yield from _windows(talk, where, answer, want["windows"])
    yield from _dead_letters(talk, where, answer, want.get("deadletters", []))
    decision = next((d for d in answer.decisions if d["location"] == name), None)
    if decision is not None:
        yield from _always(talk, where, decision)
        yield from _connectors(talk, where, decision, want)
        yield from _rest(talk, where, decision, want)
    elif want.keys() & OF_DECISIONS:
        yield f"{where}: no decision for {name}"


def _connectors(talk: Talk, where: str, decision: Mapping[str, Any], want: Mapping[str, Any]) -> Iterator[str]:
    got = _by_key(decision)
    for word in OF_CONNECTORS:
        for name, value in want.get(word, {}).items():
            found = got.get(key_of(name), {}).get(word)
            yield from _one(talk, f"{where}: {name}", word, found, value, STEP_A)
    for name, value in want.get("binding", {}).items():
        found = str(got.get(key_of(name), {}).get("binding"))
        if not found.startswith(tuple(value) if isinstance(value, list) else value):
            yield f"{where}: {name}: binding expected {value}, got {found}"
    for names, value in want.get("total_a", {}).items():
        total = sum(got[key_of(name)]["limit_a"] for name in names.split())
        yield from _one(talk, f"{where}: {names}", "total_a", total, value)


def _rest(talk: Talk, where: str, decision: Mapping[str, Any], want: Mapping[str, Any]) -> Iterator[str]:
    groups = {g["group"]: g for g in decision["groups"]}
    for name, values in want.get("groups", {}).items():
        yield from _nested(talk, f"{where}: {name}", groups.get(name), values)
    if "setpoints" in want:
        yield from _one(talk, where, "setpoints", len(decision["setpoints"]), want["setpoints"])
    setpoints = {(s["charger"], s["connector"]): s for s in decision["setpoints"]}
    for name, values in want.get("setpoint", {}).items():
        yield from _nested(talk, f"{where}: setpoint of {name}", setpoints.get(key_of(name)), values)
    if "alarm" in want:
        alarms, expected = decision["alarms"], want["alarm"]
        as_expected = bool(alarms) == expected if isinstance(expected, bool) else expected in json.dumps(alarms)
        if not as_expected:
            yield f"{where}: alarm expected {expected}, got {alarms}"


def _windows(talk: Talk, where: str, answer: Answer, want: list[Mapping[str, Any]]) -> Iterator[str]:
    if len(answer.windows) != len(want):
        yield f"{where}: {len(want)} closed windows expected, got {answer.windows}"
        return
    for window, values in zip(answer.windows, want, strict=True):
        yield from _nested(talk, f"{where}: window {window['start']}", window, values)


def _nested(talk: Talk, where: str, got: Mapping[str, Any] | None, want: Mapping[str, Any]) -> Iterator[str]:
    for word, value in want.items():
        found = (got or {}).get(word)
        if isinstance(value, Mapping):
            yield from _nested(talk, f"{where}: {word}", found, value)
        else:
            yield from _one(talk, where, word, found, value)


def _dead_letters(talk: Talk, where: str, answer: Answer, want: list[str]) -> Iterator[str]:
    reasons = [letter["reason"] for letter in answer.deadletters]
    if len(reasons) != len(want):
        yield f"{where}: {len(want)} dead letters expected, got {reasons}"
        return
    for letter, text in zip(answer.deadletters, want, strict=True):
        if text.lower() not in letter["reason"].lower():
            yield f"{where}: dead letter expected {text!r}, got {letter['reason']!r}"
        original = _squeezed(base64.b64decode(letter["value"]).decode(errors="replace"))
        if not any(original in _squeezed(line) for line in talk.said):
            yield f"{where}: the dead letter's value is not what was sent: {original[:100]!r}"


def _always(talk: Talk, where: str, decision: Mapping[str, Any]) -> Iterator[str]:
    """A limit is 0 or within [min_a, max_a] and on the step; a setpoint says its limit; `seq` grows."""
    got = _by_key(decision)
    for charger in talk.location["chargers"]:
        for connector in charger["connectors"]:
            view = got.get((charger["id"], connector["id"]))
            if view is not None and not _settable(view["limit_a"], connector):
                yield f"{where}: {charger['id']}/{connector['id']}: {view['limit_a']} A is not a limit it can have"
    for setpoint in decision["setpoints"]:
        key = (setpoint["charger"], setpoint["connector"])
        if abs(setpoint["limit_a"] - got[key]["limit_a"]) > ROUNDING:
            yield f"{where}: setpoint of {key} says {setpoint['limit_a']} A, the decision {got[key]['limit_a']} A"
        before = [s.setpoint["seq"] for s in _earlier(talk, key, setpoint)]
        if before and setpoint["seq"] <= before[-1]:
            yield f"{where}: seq {setpoint['seq']} of {key} does not grow"


def _earlier(talk: Talk, key: Key, setpoint: Mapping[str, Any]) -> list[Sent]:
    sent = talk.sent.get(key, [])
    place = next((i for i, s in enumerate(sent) if s.setpoint is setpoint), len(sent))
    return sent[:place]


def _settable(limit_a: float, connector: Mapping[str, Any]) -> bool:
    steps = limit_a / connector.get("step_a", 0.1)
    within = connector.get("min_a", 6) - ROUNDING <= limit_a <= connector["max_a"] + ROUNDING
    return abs(limit_a) < ROUNDING or (within and abs(steps - round(steps)) < 1e-3)


def _by_key(decision: Mapping[str, Any]) -> dict[Key, dict[str, Any]]:
    return {(c["charger"], c["connector"]): c for c in decision["connectors"]}


def _one(talk: Talk, where: str, word: str, got: Any, want: Any, usual: float | None = None) -> Iterator[str]:
    if isinstance(got, str) and isinstance(want, int | float):
        got = (datetime.fromisoformat(got) - talk.case.start).total_seconds()
    if usual is None:
        usual = WATT if word.endswith("_w") else OTHER
    if not agrees(got, want, (talk.case.tolerance or {}).get(word, usual)):
        yield f"{where}: {word} expected {want}, got {got}"


def agrees(got: Any, want: Any, tolerance: float) -> bool:
    """Whether a value is as expected: numbers within the tolerance, `"<=12"` and `">=6"` are bounds."""
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return False
        return all(agrees(g, w, tolerance) for g, w in zip(got, want, strict=True))
    if isinstance(want, str) and want[:2] in ("<=", ">="):
        sign = 1 if want[0] == "<" else -1
        return _number(got) and sign * got <= sign * float(want[2:]) + tolerance
    if _number(want):
        return _number(got) and abs(got - want) <= tolerance + ROUNDING
    return bool(got == want)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def names_path(text: str, path: str) -> bool:
    """Whether a text names a path: `groups.1.parent` is found in `groups[1].parent: …`."""
    plain = re.sub(r"[\[/]", ".", text).replace("]", "")
    return re.search(rf"(?<!\w){re.escape(path)}(?!\w)", plain) is not None


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)
