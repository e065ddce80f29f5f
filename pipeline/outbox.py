"""What an engine has to say since it was last asked: records to emit, and states to keep with them."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping

from pipeline.decide import Outcome
from pipeline.emission import Emission, Incoming, Out
from pipeline.kept import DOCUMENT, keep_state
from pipeline.moments import to_ms
from pipeline.owned import Owned
from pipeline.records import DECISIONS, SETPOINTS, WINDOWS, DeadLetter, Decision, Setpoint, decode, encode
from pipeline.state import connector_key
from pipeline.winding_down import Ending


class Outbox:
    """Collects until `take`."""

    def __init__(self) -> None:
        self._out = Emission()
        self._changed: dict[str, list[bytes]] = {}
        """Locations to keep with the next emission, and their decisions in it."""
        self._unsaved: set[str] = set()
        """Locations that changed since they were last kept."""

    @property
    def letters(self) -> int:
        """Dead letters that are waiting."""
        return len(self._out.letters)

    def take(self, owned: Mapping[str, Owned]) -> Emission:
        """What to emit since the last call: what that gave must be on the broker by now."""
        out, self._out = self._out, Emission()
        for name, unsent in self._changed.items():
            self._unsaved.discard(name)
            out.kept.append((owned[name].key, keep_state(owned[name].state, unsent)))
        self._changed.clear()
        return out

    def note_change(self, name: str) -> None:
        """Its state is to be kept before offsets are committed."""
        self._unsaved.add(name)

    def keep(self, name: str) -> None:
        """Its state goes with the next emission."""
        self._changed.setdefault(name, [])

    def keep_changed(self) -> None:
        for name in sorted(self._unsaved):
            self.keep(name)

    def keep_document(self, owned: Owned, document: bytes) -> None:
        self._out.kept.append((owned.key + DOCUMENT, document))

    def forget(self, name: str, owned: Owned) -> None:
        """Nothing is kept of it any more."""
        self._changed.pop(name, None)
        self._unsaved.discard(name)
        self._out.kept += [(owned.key + DOCUMENT, None), (owned.key, None)]

    def decided(self, name: str, owned: Owned, outcome: Outcome, decision: Decision) -> None:
        """Its windows, the decision and its setpoints, and the state that counts them."""
        encoded = encode(decision)
        self._out.decisions += 1
        self._out.first += [(WINDOWS, owned.key, encode(window)) for window in outcome.windows]
        self._out.last.append((DECISIONS, owned.key, encoded))
        self._out.last += _setpoints(decision.setpoints)
        self._changed.setdefault(name, []).append(encoded)

    def ended(self, endings: Iterable[Ending]) -> None:
        """The topic of setpoints forgets connectors that wound down."""
        self._out.first += [(SETPOINTS, ending.name.encode(), None) for ending in endings if ending.told]

    def send_again(self, unsent: Iterable[bytes], now_ms: int) -> None:
        """What the owner before us may not have sent, decision and setpoints: a repetition, if it had."""
        for encoded in unsent:
            decision: Decision = decode(DECISIONS, encoded)
            self._out.first.append((DECISIONS, decision.location.encode(), encoded))
            self._out.first += _setpoints(s for s in decision.setpoints if to_ms(s.valid_until) > now_ms)

    def refuse(self, topic: str, partition: int, record: Incoming, reason: str) -> None:
        """A dead letter."""
        letter = DeadLetter(topic=topic, partition=partition, offset=record.offset, reason=reason, value=record.value)
        self._out.letters.append(letter)

    def failed(self, at_what: str) -> None:
        """The exception that is being handled, a mistake of ours, for the log."""
        self._out.failures.append(f"{at_what}: {traceback.format_exc()}")


def _setpoints(setpoints: Iterable[Setpoint]) -> list[Out]:
    return [(SETPOINTS, connector_key(s.charger, s.connector).encode(), encode(s)) for s in setpoints]
