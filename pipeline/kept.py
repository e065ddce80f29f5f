"""What the workers' changelog keeps of a location: its document, its state, and what was about to be sent.

Two keys per location, so that the document is written only when it changes: `NAME` holds the state, `NAME\\0document`
the location as it was accepted (the topic of locations may meanwhile hold a newer one that was refused).

Decisions travel with the state that counts them as made: the state is on the broker *before* they go out. Whoever takes
over knows every setpoint that a charger may have got, and sends those again that may be missing (same `seq`, same
content: a repetition); without a setpoint, too, or the history would have a decision less than the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct, field

from pipeline.state import VERSION as STATE_VERSION
from pipeline.state import LocationState, decode_state, encode_state

VERSION = 1
"""Of the envelope; the state in it has its own. A worker reads its own version and those before it."""
DOCUMENT = b"\0document"
"""Ends the key of a document. No location's name has a zero byte."""


class Envelope(Struct, array_like=True, gc=False):
    """The value under a location's name. `decided_ms` and `offsets` (the newest folded of each topic) are those of the
    state, for `pipeline.fencing`, which looks at every record of a recovery and has no time to read states."""

    version: int
    state: bytes
    unsent: Sequence[bytes]
    decided_ms: int = -1
    offsets: dict[str, int] = field(default_factory=dict)


_DECODER = msgspec.msgpack.Decoder(Envelope)
_ENCODER = msgspec.msgpack.Encoder()
_STATE_VERSION = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Kept:
    """A location as it comes back. `unsent`: decisions that may not have gone out."""

    name: str
    document: bytes
    encoded: bytes | None
    """Its state, not read yet: a worker that takes over ten thousand locations reads each when it is needed."""
    unsent: Sequence[bytes]

    @property
    def state(self) -> LocationState:
        """Its state, read anew for each who asks."""
        return LocationState() if self.encoded is None else decode_state(self.encoded)


def keep_state(state: LocationState, unsent: Sequence[bytes] = ()) -> bytes:
    """The value under a location's name."""
    offsets = {topic: offset for topic, (_, offset) in state.inputs.items()}
    return _ENCODER.encode(Envelope(VERSION, encode_state(state), unsent, state.decided_ms, offsets))


def come_back(kept: Mapping[bytes, bytes]) -> Iterator[Kept]:
    """The locations of a partition. ValueError where one was kept by a newer version of sunshave.

    A state without a document is what is left of a location that was removed.
    """
    for key, document in kept.items():
        if not key.endswith(DOCUMENT):
            continue
        name = key.removesuffix(DOCUMENT)
        value = kept.get(name)
        encoded, unsent = _read(value) if value is not None else (None, [])
        yield Kept(name.decode(), document, encoded, unsent)


def _read(value: bytes) -> tuple[bytes, Sequence[bytes]]:
    envelope = _DECODER.decode(value)
    if envelope.version > VERSION:
        raise ValueError(f"kept by version {envelope.version}, this worker reads up to {VERSION}")
    state_version, _ = _STATE_VERSION.decode(envelope.state)
    if state_version > STATE_VERSION:
        raise ValueError(f"a state of version {state_version}, this worker reads up to {STATE_VERSION}")
    return envelope.state, envelope.unsent
