"""The fold of the worker, record by record, for frameworks that hand over nothing larger.

No table, no changelog, no decision: less than a worker does, so that nobody is compared with more than he was asked.
"""

from __future__ import annotations

import json

from pipeline.fold import fold
from pipeline.records import METERS, decode
from pipeline.state import LocationState, new_state
from tests.bench.backlog import document, location_names
from tests.bench.cost import Meter
from topology.read import read_location_json
from topology.tree import Tree, build_tree


class Folding:
    """All locations, and the cost of the records since the first one."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[Tree, LocationState]] = {}
        for number, name in enumerate(location_names()):
            text = json.dumps(document(name, billed=number % 2 == 0)).encode()
            self._of[name] = build_tree(read_location_json(text).location), new_state()
        self.records = 0
        self._meter: Meter | None = None

    def fold(self, value: bytes, received_ms: int) -> None:
        """Decode and fold one meter reading."""
        if self._meter is None:
            self._meter = Meter(0)
        reading = decode(METERS, value)
        tree, state = self._of[reading.location]
        refused = fold(tree, state, reading, received_ms)
        assert refused is None, refused
        self.records += 1

    def tell(self) -> None:
        """Say what it cost."""
        assert self._meter is not None
        self._meter.tell(self.records)
