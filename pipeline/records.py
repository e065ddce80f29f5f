"""The records of every topic (design §5): tolerant in reading, strict in meaning.

Unknown fields are ignored, missing optional ones are None. JSON has no NaN and no infinities, so neither has a record.
What only the location can judge (is there such a meter? does it have so many phases?) is judged in `pipeline.fold`.

Frames: a meter's arrays are the building's phases, a charger's arrays its own. Signs: + is import from the grid.
One JSON Schema per topic is generated from these models (`json_schemas`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,64}$"

Id = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"pattern": ID_PATTERN})]
"""In the published schema with its pattern; not checked letter by letter in every record (a third of the decoding): an
id that the location does not have is refused as unknown, and those that it has passed `topology.read`."""
NewId = Annotated[str, Meta(pattern=ID_PATTERN)]
"""An id that no location knows beforehand."""
Moment = Annotated[datetime, Meta(tz=True)]
MOST = 1e12
"""No current, power or energy is larger. Without an end, sums of what a broken device sends are infinite, and the
differences of infinities are no numbers; smaller, a large register is refused."""
LAST_SEQ = 10**15
"""Sequence numbers that are answered: milliseconds until the year 33658. Larger ones leave no room to count on."""
Signed = Annotated[float, Meta(ge=-MOST, le=MOST)]
NotNegative = Annotated[float, Meta(ge=0, le=MOST)]
PerPhase = Annotated[list[Signed], Meta(min_length=1, max_length=3)]
NotNegativePerPhase = Annotated[list[NotNegative], Meta(min_length=1, max_length=3)]
Number = Annotated[int, Meta(ge=0)]

Status = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]
FeedbackState = Literal[
    "sent",
    "accepted",
    "rejected",
    "unsupported",
    "timeout",
    "offline",
    "superseded",
    "expired",
    "confirmed",
    "violating",
]
WANTING = frozenset({"Charging", "SuspendedEVSE", "SuspendedEV"})
"""The statuses in which a connector wants current; in all others it is idle."""


class MeterReading(Struct, frozen=True, kw_only=True, gc=False):
    """`telemetry.meters`: signed currents and powers per phase, registers, and the meter's own running averages."""

    location: Id
    meter: Id
    at: Moment
    current_a: PerPhase | None = None
    power_w: PerPhase | None = None
    voltage_v: NotNegativePerPhase | None = None
    import_wh: NotNegative | None = None
    export_wh: NotNegative | None = None
    demand_w: NotNegative | None = None
    month_peak_w: NotNegative | None = None

    def __post_init__(self) -> None:
        if self.current_a is None and self.power_w is None:
            raise ValueError("neither current_a nor power_w")


class ChargerReading(Struct, frozen=True, kw_only=True, gc=False):
    """`telemetry.chargers`: one connector, in the charger's own frame."""

    location: Id
    charger: Id
    connector: Number
    at: Moment
    online: bool
    status: Status
    transaction: str | int | None = None
    current_a: NotNegativePerPhase | None = None
    power_w: float | None = None
    energy_wh: NotNegative | None = None
    offered_a: NotNegative | None = None
    soc_pct: float | None = None


class Limit(Struct, frozen=True, kw_only=True, gc=False):
    """`topology.limits`: a limit from outside. `limit_a` is per phase, `limit_w` the import summed over the phases."""

    location: Id
    group: Id
    source: NewId
    from_: Moment = field(name="from")
    limit_a: NotNegative | None = None
    limit_w: NotNegative | None = None
    until: Moment | None = None

    def __post_init__(self) -> None:
        if self.limit_a is None and self.limit_w is None:
            raise ValueError("neither limit_a nor limit_w")


class Setpoint(Struct, frozen=True, kw_only=True, gc=False):
    """`ocpp.setpoints`: what a connector may draw per phase until `valid_until`, then it falls to `fallback_a`."""

    location: Id
    charger: Id
    connector: Number
    seq: Number
    decision: str
    issued_at: Moment
    valid_until: Moment
    limit_a: NotNegative
    phases: Annotated[int, Meta(ge=1, le=3)]
    fallback_a: NotNegative | None
    reason: str


class Feedback(Struct, frozen=True, kw_only=True, gc=False):
    """`ocpp.feedback`: what became of a setpoint."""

    location: Id
    charger: Id
    connector: Number
    seq: Annotated[int, Meta(ge=0, le=LAST_SEQ)]
    at: Moment
    state: FeedbackState
    limit_a: NotNegative | None = None
    lease_until: Moment | None = None
    fallback_a: NotNegative | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if self.state == "accepted" and (self.limit_a is None or self.lease_until is None):
            raise ValueError("accepted without limit_a and lease_until")


class WindowView(Struct, frozen=True, kw_only=True, gc=False):
    """The running billed window of a group, as a decision saw it."""

    start: Moment
    used_wh: float
    cap_w: float
    allowed_w: float
    forecast_w: float
    month_peak_w: float | None
    cost_of_1kw_eur: float
    threshold_w: float = 0.0
    """From which average of this window on one more kilowatt costs something."""
    end: Moment | None = None
    """None only in decisions from before it was said: then the window is a quarter."""


class GroupView(Struct, frozen=True, kw_only=True, gc=False):
    """A group in a decision. Arrays have one entry per building phase."""

    group: Id
    limit_a: list[float]
    limited_by: list[str]
    unmanaged_a: list[float]
    headroom_a: list[float]
    overload_a: list[float]
    reserved_a: list[float]
    excess_a: float | None = None
    budget_a: float | None = None
    window: WindowView | None = None
    meter_state: Literal["fresh", "stale", "lost"] | None = None
    limits_w: dict[str, float] | None = None
    """The limits on its import that are in force, by source, where there are any."""


class ConnectorView(Struct, frozen=True, kw_only=True, gc=False):
    """A connector in a decision: what it wants, its fair share, what is released now, and what stops it."""

    charger: Id
    connector: int
    state: Literal["charging", "waiting", "available", "offline", "faulted", "unknown"]
    wanted_a: float
    target_a: float
    limit_a: float
    reserved_a: float
    binding: str
    phases: int | None = None
    """On how many phases it is told to charge, where that is chosen (`can_switch`)."""


class Alarm(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something that somebody must know. It names a group, or a charger and its connector."""

    kind: Literal["overload", "window", "limit", "over_draw", "meter", "silent"]
    text: str
    group: Id | None = None
    charger: Id | None = None
    connector: int | None = None


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """`decisions`: one decision, complete enough to explain and to replay it."""

    location: Id
    decision: str
    at: Moment
    inputs: dict[str, tuple[int, int]]
    groups: list[GroupView]
    connectors: list[ConnectorView]
    setpoints: list[Setpoint]
    alarms: list[Alarm]
    worker: str | None = None
    number: int = 0
    """Counts the written decisions of a location: one that is missing is noticed. 0 where it is not said."""
    order: list[dict[str, tuple[int, int]]] = []
    """Stops on the way from the inputs of the decision before to these: a replay folds up to each of them in turn."""
    first: dict[str, int] = {}
    """Topics that were folded for the first time since the decision before, and from which offset on: what lies before
    that came when the location was not known."""
    max_unbalance_a: float | None = None
    """What the connectors on fewer than three phases may load one phase with, where the grid is limited so."""


class ClosedWindow(Struct, frozen=True, kw_only=True, gc=False):
    """`windows`: one closed billed window, again with a higher `revision` when late data changes it."""

    location: Id
    group: Id
    start: Moment
    end: Moment
    import_wh: float
    demand_w: float
    source: Literal["register", "demand", "integrated"]
    complete: bool
    revision: int
    cap_w: float
    month: str
    month_peak_w: float
    mean12_w: float | None = None
    cost_eur: float | None = None
    threshold_w: float | None = None


class DeadLetter(Struct, frozen=True, kw_only=True, gc=False):
    """`deadletters`: a record that was not folded, with its bytes. (topic, partition, offset) identifies it."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes | None


METERS = "telemetry.meters"
CHARGERS = "telemetry.chargers"
LOCATIONS = "topology.locations"
LIMITS = "topology.limits"
SETPOINTS = "ocpp.setpoints"
FEEDBACK = "ocpp.feedback"
DECISIONS = "decisions"
WINDOWS = "windows"
DEADLETTERS = "deadletters"

Folded = MeterReading | ChargerReading | Limit | Feedback

FOLDED: Mapping[str, type[Folded]] = {
    METERS: MeterReading,
    CHARGERS: ChargerReading,
    LIMITS: Limit,
    FEEDBACK: Feedback,
}
"""The topics that are folded into a location's state, and their records."""

MODELS: Mapping[str, type[Struct]] = {
    **FOLDED,
    SETPOINTS: Setpoint,
    DECISIONS: Decision,
    WINDOWS: ClosedWindow,
    DEADLETTERS: DeadLetter,
}
"""Every topic's record, but `topology.locations` whose model is `topology.location.Location`."""

_DECODERS = {topic: msgspec.json.Decoder(model) for topic, model in MODELS.items()}
_ENCODER = msgspec.json.Encoder()


class NotARecord(ValueError):  # noqa: N818 -- an answer about a record, not a failure of ours
    """Why some bytes are no record: the text begins with `unreadable:` or `invalid:` (design §9)."""


def decode(topic: str, value: bytes | msgspec.Raw | None) -> Any:
    """The record of a topic. Raises NotARecord with the reason."""
    if value is None:
        raise NotARecord("invalid: the value is null")
    decoder = _DECODERS.get(topic)
    if decoder is None:
        raise NotARecord(f"invalid: there is no topic {topic!r}")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as problem:
        raise NotARecord(f"invalid: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise NotARecord(f"unreadable: {problem}") from None


NOT_DECODED = (msgspec.MsgspecError, TypeError, ValueError, RecursionError)
"""What a quick decoder raises where `decode` says why."""


def quick_decoder(topic: str) -> Callable[[bytes | None], Any]:
    """Decodes good records of a topic, without a word about the others (the hot path)."""
    return _DECODERS[topic].decode  # type: ignore[return-value]  # of None it raises a TypeError


def encode(record: Struct) -> bytes:
    """The JSON of a record."""
    return _ENCODER.encode(record)


def json_schemas() -> dict[str, dict[str, Any]]:
    """One JSON Schema (2020-12) per topic; that of `topology.locations` comes from `topology.read`."""
    return {topic: msgspec.json.schema(model) for topic, model in MODELS.items()}
