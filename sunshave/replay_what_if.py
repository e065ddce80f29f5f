"""What if: a recorded run decided anew with another document of its location, and what would have been different."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.decide import Outcome
from pipeline.emission import Batch, Incoming
from pipeline.engine import Engine
from pipeline.kept import DOCUMENT
from pipeline.moments import rfc3339, to_moment, to_ms
from pipeline.records import (
    CHARGERS,
    FEEDBACK,
    LIMITS,
    LOCATIONS,
    METERS,
    ClosedWindow,
    Decision,
    Feedback,
    MeterReading,
    NotARecord,
    Setpoint,
    decode,
    encode,
)
from sunshave.replay_again import Again
from sunshave.replay_draws import IMPORT_WH, Draws
from sunshave.replay_steps import Record, Step
from topology.read import LocationRefused, read_location_json
from topology.tree import build_tree

FIRST_OFFSET = 1 << 40
"""The records of a what-if are counted from here, above all that a kept state has seen."""
QUARTER_MS = 900_000
GAP_MS = 60_000
"""No power is taken to last longer than this without a reading."""


@dataclass(slots=True)
class Account:
    """What one way of deciding came to."""

    setpoints: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    granted_ah: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    windows: dict[tuple[str, int], ClosedWindow] = field(default_factory=dict)
    quarters: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Start -> watt-milliseconds of import at the main meter."""
    _before: Decision | None = None
    _power: tuple[int, float] | None = None

    def decided(self, decision: Decision, windows: Iterable[ClosedWindow]) -> None:
        """Count a decision."""
        before, self._before = self._before, decision
        self.setpoints += len(decision.setpoints)
        if before is not None:
            hours = (decision.at - before.at).total_seconds() / 3600
            for view in before.connectors:
                granted_a = view.limit_a if view.state == "charging" else 0.0
                self.granted_ah[f"{view.charger}/{view.connector}"] += granted_a * hours
        known = {(a.kind, a.group, a.charger, a.connector) for a in before.alarms} if before is not None else set()
        self.alarms.update(a.kind for a in decision.alarms if (a.kind, a.group, a.charger, a.connector) not in known)
        for window in windows:
            self.windows[(window.group, to_ms(window.start))] = window

    def measured(self, at_ms: int, power_w: float) -> None:
        """Count a reading of the main meter."""
        if self._power is not None:
            since_ms, watts = self._power
            at, end_ms = since_ms, min(at_ms, since_ms + GAP_MS)
            while at < end_ms:
                until_ms = min(end_ms, (at // QUARTER_MS + 1) * QUARTER_MS)
                self.quarters[at // QUARTER_MS * QUARTER_MS] += max(0.0, watts) * (until_ms - at)
                at = until_ms
        if self._power is None or at_ms > self._power[0]:
            self._power = (at_ms, power_w)

    def summary(self) -> dict[str, Any]:
        """As JSON: watts, euros, ampere-hours per phase."""
        billed = {}
        for group in sorted({group for group, _ in self.windows}):
            windows = [w for (of, _), w in sorted(self.windows.items()) if of == group]
            billed[group] = {
                "windows": len(windows),
                "highest_w": max(w.demand_w for w in windows),
                "month_peak_w": windows[-1].month_peak_w,
                "cost_eur": windows[-1].cost_eur,
            }
        return {
            "highest_quarter_w": round(max(self.quarters.values(), default=0.0) / QUARTER_MS, 1),
            "import_wh": round(sum(self.quarters.values()) / IMPORT_WH, 1),
            "billed": billed,
            "granted_ah": {name: round(ah, 2) for name, ah in sorted(self.granted_ah.items())},
            "setpoints": self.setpoints,
            "alarms": dict(sorted(self.alarms.items())),
        }


class WhatIf:
    """One location under two documents: as it was, and as it would be. LocationRefused where the new one is."""

    def __init__(self, document: bytes) -> None:
        location = read_location_json(document).location
        self.name = location.location
        self.was, self.would_be = Account(), Account()
        self.span_ms: list[int] = []
        self._document = document
        self._tree = build_tree(location)
        self._again = Again()
        self._engine: Engine | None = None
        self._draws: Draws | None = None
        self._online: dict[tuple[str, int], bool] = {}
        self._answers: list[tuple[str, bytes]] = []
        self._offset = FIRST_OFFSET

    def take(self, step: Step, *, counts: bool) -> None:
        """Decide one step twice. `counts`: whether it is in the span that is asked for."""
        if step.aside or step.wrong is not None:
            return
        if step.skip is not None:
            self._again.take(step)
            if step.base is not None:
                self._know(step.base[self.name.encode() + DOCUMENT])
                kept = {**step.base, self.name.encode() + DOCUMENT: self._document}
                self._engine = Engine(step.partition, "what-if", kept, step.at_ms)
            return
        outcome = self._again.decide(step)
        records = list(self._records(step))
        if outcome is None or self._draws is None:
            return
        if self._engine is None:
            self._engine = Engine(step.partition, "what-if", {}, step.at_ms)
            records.insert(0, (LOCATIONS, self._record(self._document, step.at_ms)))
        would = self._decide(step, self._engine, records)
        self._note(self._draws.told_was_a, outcome, self.was if counts else None)
        self._note(self._draws.told_would_a, would, self.would_be if counts else None)
        if counts:
            self.span_ms = [*self.span_ms[:1], step.at_ms]

    def answer(self) -> dict[str, Any]:
        """Both accounts, and of which time."""
        begin, end = (rfc3339(self.span_ms[0]), rfc3339(self.span_ms[-1])) if self.span_ms else (None, None)
        accounts = {"was": self.was.summary(), "would_be": self.would_be.summary()}
        return {"location": self.name, "from": begin, "until": end, **accounts}

    def _decide(self, step: Step, engine: Engine, records: list[tuple[str, Incoming]]) -> Outcome:
        assert self._draws is not None
        answers, self._answers = self._answers, []
        records += [(topic, self._record(value, step.at_ms)) for topic, value in answers]
        for reading in self._draws.newcomers(step.at_ms):
            records.append((CHARGERS, self._record(encode(reading), step.at_ms)))
        for topic, record in records:
            engine.fold(Batch(topic, step.partition, [record], record.offset + 1), step.at_ms)
        outcome = engine.decide_again(self.name, step.at_ms)
        engine.take()
        assert outcome is not None
        self._answers = [(FEEDBACK, encode(self._taken(s, step.at_ms))) for s in outcome.decision.setpoints]
        return outcome

    def _records(self, step: Step) -> Iterator[tuple[str, Incoming]]:
        """What would have come in: documents are replaced, and the answers were to other setpoints."""
        for topic, record in step.records:
            if topic == LOCATIONS and record.value is not None:
                self._know(record.value)
            elif topic == LIMITS:
                yield topic, self._record(record.value, record.timestamp)
            elif topic in (METERS, CHARGERS) and self._draws is not None:
                try:
                    said = decode(topic, record.value)
                except NotARecord:
                    continue
                would = self._meter(said) if isinstance(said, MeterReading) else self._draws.charger(said)
                if topic == CHARGERS:
                    self._online[(said.charger, said.connector)] = said.online
                if would is not None:
                    yield topic, self._record(encode(would), record.timestamp)

    def _meter(self, said: MeterReading) -> MeterReading | None:
        assert self._draws is not None
        old, new = self._draws.old, self._draws.new
        if said.meter not in old.meter_ids or len(said.current_a or said.power_w or ()) != old.phases:
            return None  # a dead letter
        would = self._draws.meter(said)
        metered, main = self._draws.meters.get(said.meter), new.nodes[new.root].meter
        if metered is not None and main is not None and main.id == said.meter:
            self.was.measured(metered.at_ms, metered.was_w)
            self.would_be.measured(metered.at_ms, metered.would_w)
        return would

    def _know(self, document: bytes) -> None:
        """Another document of then: from now on readings are read with it."""
        try:
            tree = build_tree(read_location_json(document).location)
        except LocationRefused:
            return
        if self._draws is None:
            self._draws = Draws(tree, self._tree)
        self._draws.old = tree

    def _note(self, told_a: dict[tuple[str, int], float], outcome: Outcome, account: Account | None) -> None:
        told_a.update({(v.charger, v.connector): v.limit_a for v in outcome.decision.connectors})
        if account is not None:
            account.decided(outcome.decision, outcome.windows)

    def _taken(self, setpoint: Setpoint, at_ms: int) -> Feedback:
        """Chargers obey at once; one that was offline cannot."""
        online = self._online.get((setpoint.charger, setpoint.connector), True)
        return Feedback(
            location=self.name,
            charger=setpoint.charger,
            connector=setpoint.connector,
            seq=setpoint.seq,
            at=to_moment(at_ms),
            state="accepted" if online else "offline",
            limit_a=setpoint.limit_a,
            lease_until=setpoint.valid_until,
            fallback_a=setpoint.fallback_a,
        )

    def _record(self, value: bytes | None, stamp_ms: int) -> Record:
        self._offset += 1
        return Record(self.name.encode(), value, self._offset, stamp_ms)
