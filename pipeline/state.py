"""What sunshave remembers of a location: a fold of its records, and what its own decisions set in motion.

One struct per location, small enough to be written once per batch (it is the value of a changelog record). Everything
is keyed by ids, never by places in the tree, so that a changed location forgets no reservation, window or peak.

Fields in the first part of a struct come from records alone (`pipeline.fold`); those below `# decided` change only in
`pipeline.decide.commit`: a decision that was not written never happened, which is what makes replay exact.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from pipeline.records import CHARGERS, FEEDBACK, LOCATIONS

VERSION = 3
"""Written first into every encoded state. A worker reads states of its own version and of those before it; fields that
are only added, at the end of a struct, need no new one. 1: a rise of a meter was put down to single cars. 2: a load's
wander was the spread between one reading and the next."""

RECENT_READINGS = 64
"""Readings kept per source between two written decisions. Fewer: a rise may be put down to the wrong moment; more:
the state of a busy location grows, and with it every changelog record."""

KEPT_ORDER = 256
"""Changes of the order kept between two written decisions. Fewer: what was read from a backlog cannot be decided again
to the bit; more: a charger that answers without end fills the state."""

KEPT_TOLD = 8
"""Limits kept that a connector was told. Fewer: a pause between two of its reports is overlooked, and the fall of the
meter taken for the building's; more: the state grows."""


class Reading(Struct, array_like=True, gc=False):
    """A charger reading as it was folded. `current_a` is in the charger's frame, None when it was not said."""

    at_ms: int
    online: bool
    status: str
    transaction: str | None
    current_a: tuple[float, ...] | None

    @property
    def draw_a(self) -> float:
        """The highest phase; 0 when nothing was said."""
        return max(self.current_a) if self.current_a else 0.0


class Grant(Struct, array_like=True, gc=False):
    """A setpoint that a connector may be acting on. `state`: "sent" (no answer yet), "timeout", "accepted", or
    "unseen" (replaced by a lower one that was accepted but not yet seen in the measured current)."""

    seq: int
    limit_a: float
    at_ms: int
    """When it was issued; when accepted, the moment of the acceptance."""
    until_ms: int | None
    """The end of its lease; None where it ends only when it is seen (the fallback before the first lease)."""
    state: str
    one_phase: bool = False
    """Whether it allows current on the first charger phase only (`pipeline.switching`)."""


class ConnectorState(Struct, array_like=True, gc=False):
    """One connector: what it says, what it was told, and what was learnt of its car."""

    reading: Reading | None = None
    recent: list[Reading] = field(default_factory=list)
    """Readings since the last written decision and the one before them, oldest first."""
    wants_since_ms: int | None = None
    grants: list[Grant] = field(default_factory=list)
    failed: bool = False
    """The newest setpoint was not taken (or timed out), and none was accepted since."""
    seq: int = 0
    """The newest sequence number that was sent or answered."""
    # decided
    sent: Grant | None = None
    """The newest setpoint that went out; None before the first."""
    unanswered_since_ms: int | None = None
    last_increase_ms: int | None = None
    turned_ms: int | None = None
    """When it went to the end of its queue; None while it has its arrival's place."""
    covered_since_ms: int | None = None
    uncovered_since_ms: int | None = None
    solar_running: bool = False
    under_since_ms: int | None = None
    under_draw: bool = False
    fewer_since_ms: int | None = None
    seen_phases: tuple[int, ...] = ()
    """Charger phases in use since `fewer_since_ms`."""
    learnt_phases: tuple[int, ...] | None = None
    learnt_at_ms: int = 0
    """The newest reading that learning has seen."""
    learnt_transaction: str | None = None
    one_phase: bool = False
    """Of a connector that can switch: whether it was told to charge on its first phase only."""
    switch_since_ms: int | None = None
    """Since when the other number of phases would have been better."""
    started_ms: int | None = None
    """Of a connector that can switch: since when it may charge without a pause."""
    switched_ms: int | None = None
    """When it was last switched to another number of phases."""
    burst_ms: int | None = None
    """The start of the window in which it was last started, where windows are used in bursts (`pipeline.bursts`)."""
    slept_ms: int | None = None
    """The newest report that its car takes nothing of its offer (SuspendedEV), if it has only been paused since."""
    told: list[tuple[int, float]] = field(default_factory=list)
    """The limits that it was told last (ms, amperes), renewals left out: between two reports it may have obeyed any."""
    ignores_phases: bool = False
    """It drew on all phases when it was told one: until its car leaves it counts as one that cannot switch."""
    # folded
    obeys: tuple[int, float, int] | None = None
    """The order of `told` that it was last seen to obey, and when (`pipeline.orders`): (given_ms, amperes, seen_ms)."""
    left: tuple[int, int] | None = None
    """The order that was seen to be over, with those before it: when it was given, and the report that showed it."""


class MeterPoint(Struct, array_like=True, gc=False):
    """A meter reading as it was folded: signed currents of the building, and the active power summed over them."""

    at_ms: int
    current_a: tuple[float, ...]
    power_w: float
    of_lines: bool = False
    """Whether the power was worked out from the line currents of a delta, which have no sum that is one."""


class Wander(Struct, array_like=True, gc=False):
    """Between which bounds the unmanaged load of a meter went lately (`pipeline.wander`): hundredths of amperes per
    phase, and of the sum over the phases."""

    heard: int
    """How many readings there were."""
    since_ms: int
    """The first of the span that is not over."""
    readings: int
    """How many of that."""
    low: tuple[int, ...]
    high: tuple[int, ...]
    spans: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    """Lowest and highest of those before, oldest first."""
    ranges: tuple[int, ...] = ()
    """The median of how far apart those are."""


class Past(Struct, array_like=True, gc=False):
    """The recent unmanaged load of a meter (`pipeline.forecast`)."""

    at_ms: int
    power_w: float
    """The newest value, which holds until the next."""
    since_ms: int
    used: float
    """Watt-milliseconds since then, up to the newest value."""
    means: list[int]
    """Means of the ten seconds before, oldest first."""
    highs: list[int] = field(default_factory=list)
    """The highest of them in each of the last quarter-hours, oldest first."""


class MeterState(Struct, array_like=True, gc=False):
    """One meter: its newest reading, those not yet settled, its billed energy, its official month peak."""

    newest: MeterPoint | None = None
    recent: list[MeterPoint] = field(default_factory=list)
    registers: dict[int, tuple[int, float, int, float]] = field(default_factory=dict)
    """Window start (ms) -> first and last register reading in it: (first_ms, first_wh, last_ms, last_wh)."""
    demands: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Window start -> newest running average in it: (at_ms, demand_w)."""
    integrals: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Window start -> (known since ms, milliwatt-milliseconds of import integrated so far)."""
    powers: list[tuple[int, int]] = field(default_factory=list)
    """Import powers (at_ms, mW) that late ones may still come before; the first is integrated already."""
    month_peak: tuple[int, float] | None = None
    """The newest official month peak: (at_ms, watts)."""
    # decided
    unmanaged_a: tuple[float, ...] | None = None
    """What is not the chargers', signed, per phase: at the newest reading that no report can explain any more."""
    settled_ms: int = -1
    rises_ms: dict[int, int] = field(default_factory=dict)
    """Phase -> since when a rise was put down to cars then (`pipeline.ramps`)."""
    wander: Wander | None = None
    # folded
    slot_s: int = 0
    """Window length that registers, demands and integrals are kept by; 0: as the tariff says."""
    suspect: tuple[int, float] | None = None
    """A register reading that does not go on from the one before it, until the next says which is wrong."""
    register_since_ms: int = 0
    """First reading of the present register: the meter was replaced then."""
    gaps: list[int] = field(default_factory=list)
    """Starts of the windows whose integral bridges a gap."""
    changes: int = 0
    """Counts readings that may change a window that has closed (`WindowBook.changes`)."""
    # decided
    past: Past | None = None
    walked_ms: int = -1
    """The newest reading at the last written decision."""
    # folded
    offset_wh: float = 0.0
    """What the meters before the present one counted: added to its register."""
    breaks: list[int] = field(default_factory=list)
    """Starts of the windows in which the meter was replaced."""
    # folded; a written decision publishes and settles
    finished: dict[int, tuple[float, str, bool]] = field(default_factory=dict)
    """Start of a window that no written decision has published, before its readings are forgotten
    (`pipeline.finished`) -> (import_wh, source, complete)."""
    finished_ms: int = 0
    """Every window that began before is in `finished`, was settled by a decision, or nothing was known of it."""
    another: bool = False
    """The next register reading is another meter's, whatever it says (`pipeline.handing_over`)."""
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The newest readings of the energy of windows, where powers went on without one for longer than they are kept:
    at_ms -> (window start, milliwatt-milliseconds integrated in it until then)."""
    month_peak_before: tuple[int, float] | None = None
    """The newest official month peak of a local month before that of `month_peak`."""


class WindowBook(Struct, array_like=True, gc=False):
    """The billed windows of one group. Closed ones stay open to late data while they are in `closed`."""

    closed: dict[int, tuple[float, float, str, bool, int]] = field(default_factory=dict)
    """Window start -> (import_wh, demand_w, month, complete, revision) as it was published."""
    month_peaks: dict[str, float] = field(default_factory=dict)
    """Local month -> highest average of the windows that left `closed`."""
    days: dict[str, float] = field(default_factory=dict)
    """Local day -> the same, of the three highest days of a period."""
    officials: dict[str, float] = field(default_factory=dict)
    """Local month -> the meter's own month peak, as it was last said in that month."""
    window_s: int = 0
    """Length of the windows in `closed`; 0: none closed yet."""
    from_ms: int = 0
    """Windows that began before are not published (any more): they had another length."""
    changes: int = -1
    """`MeterState.changes` at the last written decision."""
    settled_ms: int = 0
    """Every window that began before was published, or nothing was known of it."""


class LimitEntry(Struct, array_like=True, gc=False):
    """A limit from outside, for one group and source."""

    from_ms: int
    until_ms: int | None
    limit_a: float | None
    limit_w: float | None


class Leaving(Struct, array_like=True, gc=False):
    """A connector that its location no longer has (`pipeline.winding_down`)."""

    charger: bytes
    """What the document said of it, with this connector alone: the JSON of `topology.location.Charger`."""
    after_seq: int
    """Its newest sequence number when it was removed: what it is told because of that has a higher one."""
    told: bool = False
    """It was told 0 A, and the topic of setpoints has forgotten it."""


class LocationState(Struct, array_like=True, gc=False):
    """Everything that a decision of one location depends on, besides its document and the moment."""

    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    connectors: dict[str, ConnectorState] = field(default_factory=dict)
    meters: dict[str, MeterState] = field(default_factory=dict)
    limits: dict[str, dict[str, list[LimitEntry]]] = field(default_factory=dict)
    # decided
    books: dict[str, WindowBook] = field(default_factory=dict)
    turn_clocks: dict[str, int] = field(default_factory=dict)
    """Queue (priority class) -> when somebody began to wait, or when the turns last changed."""
    decided_ms: int = -1
    decisions: int = 0
    """How many were written."""
    # folded
    order: list[dict[str, tuple[int, int]]] = field(default_factory=list)
    """`inputs` at the moments since the last written decision at which `in_order` says no."""
    answered: bool = False
    """Whether an answer was folded since the last of them."""
    first: dict[str, int] = field(default_factory=dict)
    """Topic -> offset of the first record ever folded, where that was since the last written decision."""
    leaving: dict[str, Leaving] = field(default_factory=dict)
    """Connectors that wind down."""
    removed: bool = False
    """Whether the location itself was removed."""


_ENCODER = msgspec.msgpack.Encoder()
_VERSIONED = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_STATE = msgspec.msgpack.Decoder(LocationState)


def new_state() -> LocationState:
    """The state of a location of which nothing was heard."""
    return LocationState()


def encode_state(state: LocationState) -> bytes:
    """The state as bytes, its version first."""
    return _ENCODER.encode((VERSION, state))


def decode_state(data: bytes) -> LocationState:
    """The state of `encode_state`, also of an older version. ValueError when it is none or of a newer one."""
    version, content = _VERSIONED.decode(data)
    if version > VERSION:
        raise ValueError(f"a state of version {version}, this worker reads up to {VERSION}")
    return _STATE.decode(content) if version == VERSION else _from_before(version, msgspec.msgpack.decode(content))


def _from_before(version: int, state: list[Any]) -> LocationState:
    """Of the load only how much is unmanaged is kept; whose ramp it was, and how it wanders, is found out anew."""
    anew, fields = MeterState(), MeterState.__struct_fields__
    for meter in state[LocationState.__struct_fields__.index("meters")].values():
        for name in ("rises_ms", "wander") if version == 1 else ("wander",):
            if len(meter) > fields.index(name):
                meter[fields.index(name)] = getattr(anew, name)
    return msgspec.convert(state, LocationState, strict=False)


def mark_applied(state: LocationState, topic: str, partition: int, offset: int, first: int | None = None) -> bool:
    """Note that a record is folded, or all from `first` to it. False when it was: it must not be folded again."""
    known = state.inputs.get(topic)
    if known is not None and known[0] == partition and offset <= known[1]:
        return False
    if not in_order(state, topic) and len(state.order) < KEPT_ORDER:
        state.order.append(dict(state.inputs))
        state.answered = False
    if known is None:
        state.first[topic] = offset if first is None else first
    state.answered = state.answered or topic == FEEDBACK
    state.inputs[topic] = (partition, offset)
    return True


def newest_applied(state: LocationState, topic: str, partition: int) -> int:
    """The offset of the newest record that is folded; -1 where none is."""
    known = state.inputs.get(topic)
    return known[1] if known is not None and known[0] == partition else -1


def in_order(state: LocationState, topic: str) -> bool:
    """Whether a record comes as a replay would fold it: documents first, answers last (design §9 The stream).

    What a charger draws and what it answers judge each other, and a document judges everything; between all other
    topics the order does not matter.
    """
    if topic == LOCATIONS:
        return not state.inputs
    return topic != CHARGERS or not state.answered


def connector_key(charger: str, connector: int) -> str:
    """The key of a connector in a state, and on the topic `ocpp.setpoints`."""
    return f"{charger}/{connector}"
