"""From the steps of a case to the lines of `sunshave decide`, and its answers, without a process in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sunshave.dialogue import Dialogue
from tests.scenarios.cases import Case, filled_in

MOMENTS = frozenset({"at", "from", "until", "issued_at", "valid_until", "lease_until"})
"""Fields that a case writes as seconds after its start."""
WITH_TRANSACTION = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})

Key = tuple[str, int]


@dataclass(slots=True)
class Answer:
    """What one `now` was answered with."""

    at_s: float
    decisions: list[dict[str, Any]]
    windows: list[dict[str, Any]]
    deadletters: list[dict[str, Any]]


@dataclass(slots=True)
class Sent:
    """A setpoint that came out, and whether the case has answered it."""

    setpoint: dict[str, Any]
    answered: bool = False


@dataclass(slots=True)
class Talk:
    """One run of one case."""

    case: Case
    dialogue: Dialogue = field(default_factory=Dialogue)
    said: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    sent: dict[Key, list[Sent]] = field(default_factory=dict)
    location: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.location = self.case.location
        self._record("topology.locations", self.location)

    def step(self, step: Mapping[str, Any]) -> Answer | None:
        """Feed one step; the answer, where it asks for a decision."""
        if "now" in step:
            return self._now(step["now"])
        if "topic" in step:
            self._record(step["topic"], step["value"])
        for word, given in step.items():
            if word not in ("topic", "value"):
                _STEPS[word](self, given)
        return None

    def end(self) -> None:
        """The end of the input."""
        self.heard += self.dialogue.end()

    def moment(self, seconds: float) -> str:
        """A moment of the case, on the wire."""
        return rfc3339(self.case.start, seconds)

    def _say(self, line: str) -> list[bytes]:
        self.said.append(line)
        answers = list(self.dialogue.hear(line.encode()))
        self.heard += answers
        return answers

    def _record(self, topic: str, value: Any) -> None:
        if isinstance(value, Mapping):
            value = {k: self.moment(v) if k in MOMENTS and _is_number(v) else v for k, v in value.items()}
        self._say(json.dumps({"topic": topic, "value": value}))

    def _now(self, at_s: float) -> Answer:
        answers = [json.loads(a) for a in self._say(json.dumps({"now": self.moment(at_s)}))]
        letters = [a["deadletter"] for a in answers[:-1]]
        answer = Answer(at_s, answers[-1]["decisions"], answers[-1]["windows"], letters)
        for decision in answer.decisions:
            if decision["location"] == self.location["location"]:
                for setpoint in decision["setpoints"]:
                    self.sent.setdefault((setpoint["charger"], setpoint["connector"]), []).append(Sent(setpoint))
        return answer

    def _of_here(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"location": self.location["location"], **value}

    def line(self, text: str) -> None:
        """Any text."""
        self._say(text)

    def meter(self, given: list[Any]) -> None:
        """`[t, p1, [10, 6, 20], {import_wh: 5}]`."""
        t, meter, current_a, *extra = given
        for at in times(t):
            value = self._of_here({"meter": meter, "at": at, "current_a": current_a})
            self._record("telemetry.meters", {**value, **_first(extra)})

    def charger(self, given: list[Any]) -> None:
        """`[t, A, Charging, [0, 0, 0], {online: false}]`."""
        t, name, status, current_a, *extra = given
        charger, connector = key_of(name)
        for at in times(t):
            value = self._of_here({"charger": charger, "connector": connector, "at": at, "online": True})
            value |= {"status": status, "current_a": current_a}
            value["transaction"] = "1" if status in WITH_TRANSACTION else None
            self._record("telemetry.chargers", {**value, **_first(extra)})

    def limit(self, given: list[Any]) -> None:
        """`[group, source, {limit_a: 13, from: 0}]`."""
        group, source, value = given
        self._record("topology.limits", self._of_here({"group": group, "source": source, "until": None, **value}))

    def change(self, changed: Mapping[str, Any]) -> None:
        """The location again, with these keys replaced; another name makes a second one beside it."""
        new = filled_in({**self.case.location, **changed}, self.case.defaults)
        if new["location"] == self.location["location"] and not self.case.refused:
            self.location = new
        self._record("topology.locations", new)

    def accept(self, given: list[Any]) -> None:
        """`[t, A, B]`; `[t]`: everybody."""
        t, *names = given
        for key in [key_of(n) for n in names] or list(self.sent):
            self._feedback(t, key, "accepted", -1, {})

    def feedback(self, given: list[Any]) -> None:
        """`[t, A, rejected, {…}]`, for the newest setpoint, if it has no answer yet."""
        t, name, state, *extra = given
        self._feedback(t, key_of(name), state, -1, _first(extra))

    def answer(self, given: list[Any]) -> None:
        """`[t, A, accepted, 0, {…}]`: for the first setpoint of A, whatever was answered before."""
        t, name, state, which, *extra = given
        self.sent[key_of(name)][which].answered = False
        self._feedback(t, key_of(name), state, which, _first(extra))

    def _feedback(self, t: float, key: Key, state: str, which: int, extra: Mapping[str, Any]) -> None:
        sent = self.sent.get(key)
        if not sent or sent[which].answered:
            return
        sent[which].answered = True
        setpoint, took = sent[which].setpoint, state == "accepted"
        value = self._of_here({"charger": key[0], "connector": key[1], "seq": setpoint["seq"], "at": t, "state": state})
        value["limit_a"] = setpoint["limit_a"] if took else None
        value["lease_until"] = setpoint["valid_until"] if took else None
        value["fallback_a"] = setpoint["fallback_a"]
        self._record("ocpp.feedback", {**value, **extra})


_STEPS: Mapping[str, Callable[[Talk, Any], None]] = {
    "meter": Talk.meter,
    "charger": Talk.charger,
    "limit": Talk.limit,
    "location": Talk.change,
    "accept": Talk.accept,
    "feedback": Talk.feedback,
    "answer": Talk.answer,
    "line": Talk.line,
}


def key_of(name: str) -> Key:
    """`A` is connector 1 of charger A, `A/2` its second."""
    charger, _, connector = name.partition("/")
    return charger, int(connector or 1)


def times(t: float | list[float]) -> Iterable[float]:
    """A moment, or every moment of `[from, to, every]`."""
    if not isinstance(t, list):
        return [t]
    first, last, every = t
    return [first + k * every for k in range(int((last - first) / every + 1e-9) + 1)]


def rfc3339(start: datetime, seconds: float) -> str:
    """`2026-11-24T08:00:01.000Z`, so many seconds after a start."""
    return (start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _first(extra: list[Any]) -> Mapping[str, Any]:
    return extra[0] if extra else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
