"""The core, run by hand in tests: records in, decisions out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.decide import Outcome, commit, decide
from pipeline.fold import fold
from pipeline.memo import Memo
from pipeline.records import ConnectorView, Setpoint, decode
from pipeline.state import LocationState, new_state
from tests.pipeline.trees import START_MS, moment
from topology.read import read_location
from topology.tree import Tree, build_tree


def tree_of(document: dict[str, Any]) -> Tree:
    """The tree of a document that must be sound."""
    return build_tree(read_location(document).location)


@dataclass(slots=True)
class Core:
    """A location and its state, told records and asked for decisions. Times are seconds after the start."""

    tree: Tree
    state: LocationState = field(default_factory=new_state)
    memo: Memo = field(default_factory=Memo)

    def tell(self, topic: str, value: dict[str, Any], received_s: float = 1e9) -> str | None:
        """Fold one record; the reason when it is a dead letter."""
        record = decode(topic, json.dumps(value).encode())
        return fold(self.tree, self.state, record, START_MS + round(received_s * 1000))

    def tell_all(self, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Fold records that must all be good."""
        for topic, value in records:
            reason = self.tell(topic, value)
            assert reason is None, reason

    def decide(self, at_s: float) -> Outcome:
        """Decide and commit; every third decision is also made without what earlier ones worked out."""
        now_ms = START_MS + round(at_s * 1000)
        outcome = decide(self.tree, self.state, now_ms, self.memo)
        if self.state.decisions % 3 == 0:
            assert decide(self.tree, self.state, now_ms).decision == outcome.decision
        commit(self.state, outcome)
        return outcome


def accepted(setpoint: Setpoint, at_s: float) -> tuple[str, dict[str, Any]]:
    """The feedback that a setpoint was accepted."""
    value = {
        "location": setpoint.location,
        "charger": setpoint.charger,
        "connector": setpoint.connector,
        "seq": setpoint.seq,
        "at": moment(at_s),
        "state": "accepted",
        "limit_a": setpoint.limit_a,
        "lease_until": setpoint.valid_until.isoformat(),
        "fallback_a": setpoint.fallback_a,
    }
    return "ocpp.feedback", value


def by_key(views: Iterable[ConnectorView]) -> dict[str, ConnectorView]:
    """The connectors of a decision by `charger/connector`."""
    return {f"{v.charger}/{v.connector}": v for v in views}
