"""The steps of a history, one per written decision: what was folded before it, the moment, and what was decided.

Histories come from Kafka (`replay_history`) or from a file (`replay_file`); what is done with them is the business of
`replay_again` (the same?), `replay_export` (a file for somebody else) and `replay_what_if`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from pipeline.emission import Batch, Incoming
from pipeline.records import CHARGERS, FEEDBACK, LIMITS, LOCATIONS, METERS, Decision

FOLD_ORDER = (LOCATIONS, LIMITS, METERS, CHARGERS, FEEDBACK)
"""The order of the topics between two stops (`pipeline.state.in_order`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that does not come from Kafka's client."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int


@dataclass(slots=True)
class Step:
    """One decision of one location."""

    location: str
    partition: int
    at_ms: int
    records: list[tuple[str, Incoming]] = field(default_factory=list)
    """Topic and record, in the order in which they were folded."""
    was: Decision | None = None
    """What was decided; None where the file does not say."""
    offsets: bool = True
    """Whether the records have the offsets that `inputs` names."""
    skip: str | None = None
    """Why it cannot be decided again."""
    wrong: str | None = None
    """What is wrong with it, without deciding it again."""
    anew: bool = False
    """Whether the location begins here, whatever was before: the end of an earlier life may not have been written."""
    aside: bool = False
    """Whether the location goes on as if this had not been written."""
    base: Mapping[bytes, bytes] | None = None
    """What the changelog kept right after this decision: from here on the location can be decided again."""

    def batches(self) -> Iterator[Batch]:
        """The records as an engine takes them."""
        for topic, group in groupby(self.records, key=lambda pair: pair[0]):
            records = [record for _, record in group]
            yield Batch(topic, self.partition, records, records[-1].offset + 1)
