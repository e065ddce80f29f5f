"""One partition as its owner knows it: its locations, when each is due, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.agenda import AT_ONCE_MS, Agenda
from pipeline.kept import come_back
from pipeline.outbox import Outbox
from pipeline.owned import Owned
from pipeline.state import LocationState
from pipeline.winding_down import known_tree
from topology.location import Location
from topology.read import read_location_json
from topology.tree import Tree


class Partition:
    """What `pipeline.batch_fold` and `pipeline.engine` share. ValueError where a state is too new."""

    def __init__(self, number: int, kept: Mapping[bytes, bytes], now_ms: int) -> None:
        self.number = number
        self.owned: dict[str, Owned] = {}
        self.agenda = Agenda()
        self.outbox = Outbox()
        self._asleep = {back.name: back for back in come_back(kept)}
        """Locations that came back and were not needed yet."""
        for name in sorted(self._asleep):
            self.agenda.plan(name, now_ms)
        for back in self._asleep.values():
            self.outbox.send_again(back.unsent, now_ms)

    def __len__(self) -> int:
        return len(self.owned) + len(self._asleep)

    def find(self, name: str) -> Owned | None:
        """A location of this partition; one that came back is read when it is needed for the first time."""
        back = self._asleep.pop(name, None) if self._asleep else None
        if back is None:
            return self.owned.get(name)
        try:
            location, state = read_location_json(back.document).location, back.state
            return self.own(name, location, known_tree(location, state), state)
        except Exception:  # noqa: BLE001 -- ours, or a document of another version; the others of its partition go on
            self.outbox.failed(f"bringing back {name}")
            self.agenda.forget(name)
            return None

    def own(self, name: str, location: Location, tree: Tree, state: LocationState) -> Owned:
        """A location as it is from now on."""
        owned = Owned(name.encode(), location, tree, state, round(location.control.interval_s * 1000))
        self.owned[name] = owned
        return owned

    def drop(self, name: str) -> None:
        """A location that is no more."""
        self.outbox.forget(name, self.owned.pop(name))
        self.agenda.forget(name)

    def touch(self, name: str, owned: Owned, *, violation: bool = False) -> None:
        """Something changed: decide when the interval has passed; at once, and before all others, on a violation."""
        self.agenda.plan_sooner(name, AT_ONCE_MS if violation else owned.decided_ms + owned.interval_ms)
