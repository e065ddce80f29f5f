"""What is known of one connector, and the reading that says it (`telemetry.chargers`).

Times are ours: chargers' clocks are hours off, in local time, or in 1970 (facts #65). A status in which nothing flows
makes the currents zero when it is newer than the measured value, because many chargers keep repeating their last one
(facts #53); a value newer than the status is believed, whatever the status says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args

from connectors.ocpp.meter_values import WHOLE, Measured, currents, power_w
from connectors.ocpp.registry import ConnectorPlate, Plate
from pipeline.moments import to_moment
from pipeline.records import ChargerReading, Status

STATUSES = frozenset(get_args(Status))
NO_FLOW = frozenset({"Available", "Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved"})
"""Nothing flows in these: the contactor is open, or the car takes nothing."""
RUNNING = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
REORDER_S = 60
"""For how long after a value an older one (by the charger's clock) is taken for late and dropped. Smaller: buffered
values of an hour ago pass for now. Larger: a charger whose clock was set back is not heard for that long."""


@dataclass(slots=True)
class ConnectorState:
    """What a connector said last. `at`s are ours, in milliseconds."""

    status: Status | None = None
    last_status: Status | None = None
    """The one before the charger connected anew: it holds only for saying that the charger is gone."""
    stopped: bool = False
    """The transaction ended, and no status or value came since: nothing flows."""
    transaction: int | None = None
    ended: int | None = None
    """The last transaction that ended: closing values of it must not revive it (facts #54)."""
    current_a: list[float] | None = None
    power_w: float | None = None
    value_at: int = -1
    value_time: datetime | None = None
    energy_wh: float | None = None
    offered_a: float | None = None
    soc_pct: float | None = None
    published_at: int = 0
    reading_at: int = 0

    def on_connect(self) -> None:
        """A new socket: what was known is as old as the last one, and must be heard again."""
        self.last_status = self.status or self.last_status
        self.status, self.stopped = None, False
        self.current_a, self.power_w, self.value_at = None, None, -1
        self.published_at = 0

    def on_status(self, status: Any) -> bool:
        """Take in a StatusNotification. False for a status that OCPP does not know."""
        if not isinstance(status, str) or status not in STATUSES:
            return False
        self.status, self.stopped = cast(Status, status), False
        if status == "Available" and self.transaction is not None:
            self.end(self.transaction)  # a StopTransaction was missed (facts #70)
        if not self.flows():
            self.current_a = self.power_w = None
        return True

    def on_values(self, measured: Measured, plate: ConnectorPlate, cap_a: float, now_ms: int) -> bool:
        """Take in a MeterValues. False if it is about the past, or says nothing."""
        if self._late(measured, now_ms) or (measured.transaction and measured.transaction == self.ended):
            return False
        self.value_time = measured.timestamp or self.value_time
        if measured.transaction is not None and self.status in (None, *RUNNING):
            self.transaction = measured.transaction  # it went on while we were away (facts #69)
        self.energy_wh = _first(_sum(measured.energy), self.energy_wh)
        self.offered_a = _first(max(measured.offered.values(), default=None), self.offered_a)
        self.soc_pct = _first(max(measured.soc.values(), default=None), self.soc_pct)
        amperes = currents(measured, plate.phases, plate.phase_v, cap_a)
        if amperes is None:
            return False
        self.current_a, self.power_w, self.value_at = amperes, power_w(measured), now_ms
        self.stopped = False
        if self.status is None and (self.transaction is not None or max(amperes) > 1):
            self.status = "Charging"
        return True

    def begin(self, transaction: int) -> None:
        """A transaction starts: nothing learnt before is about it."""
        self.transaction = transaction
        self.soc_pct = None

    def end(self, transaction: int) -> bool:
        """A transaction ended, and with it the flow. False if it is another one."""
        if transaction != self.transaction:
            return False
        self.ended, self.transaction, self.stopped = transaction, None, True
        self.current_a, self.power_w, self.value_at = None, None, -1
        self.soc_pct = None
        return True

    def flows(self) -> bool:
        """Whether current may flow, as far as the status tells."""
        if self.status in ("Unavailable", "Faulted"):
            return self.transaction is not None
        return not self.stopped and self.status not in NO_FLOW

    def certain(self) -> bool:
        """Whether the last reading still holds without asking the charger."""
        return self.status is not None and not self.flows() and not any(self.current_a or ())

    def reading(self, plate: Plate, connector: ConnectorPlate, now_ms: int, *, online: bool) -> ChargerReading | None:
        """The reading of now; None while the status is not known. Its `at` never goes back."""
        status = self.status if online else self.status or self.last_status
        if status is None:
            return None
        self.reading_at = max(now_ms, self.reading_at + 1)
        self.published_at = now_ms
        amperes, watts = self._flow(connector) if online else (None, None)
        energy = self.energy_wh
        return ChargerReading(
            location=plate.location,
            charger=plate.id,
            connector=connector.id,
            at=to_moment(self.reading_at),
            online=online,
            status=status,
            transaction=None if self.transaction is None else str(self.transaction),
            current_a=amperes,
            power_w=watts,
            energy_wh=energy if energy is None or energy >= 0 else None,
            offered_a=None if self.offered_a is None else max(0.0, self.offered_a),
            soc_pct=self.soc_pct,
        )

    def _flow(self, connector: ConnectorPlate) -> tuple[list[float] | None, float | None]:
        """Currents and power now. None where the last value is older than the status and does not fit it."""
        if self.current_a is not None:
            return self.current_a, self.power_w
        return (None, None) if self.flows() else ([0.0] * connector.phases, 0.0)

    def _late(self, measured: Measured, now_ms: int) -> bool:
        fresh = now_ms - self.value_at < REORDER_S * 1000
        known = measured.timestamp is not None and self.value_time is not None
        return bool(fresh and known and measured.timestamp < self.value_time)  # type: ignore[operator]


def _sum(values: dict[int, float]) -> float | None:
    if WHOLE in values:
        return values[WHOLE]
    return sum(values.values()) if values else None


def _first(new: float | None, old: float | None) -> float | None:
    return old if new is None else new
