"""What became of a source's messages: counted, shown in /health, and logged at a bounded rate."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from prometheus_client import Counter

from connectors.meters.measured import NotAReading

LOG_EVERY_S = 60.0
"""A source complains at most this often. Smaller: a noisy line fills the log. Larger: a new trouble is seen late."""

READINGS = Counter("sunshave_meter_readings", "Readings given on", ["location", "meter"])
REFUSED = Counter("sunshave_meter_refused", "Messages that gave no reading", ["location", "meter", "kind"])
BROKEN = Counter("sunshave_meter_connections_broken", "Connections that failed or ended", ["location", "meter"])

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """One source's. The only mutable state of a source besides its connection."""

    location: str
    meter: str
    connected: bool = False
    readings: int = 0
    refused: int = 0
    broken: int = 0
    last_reading_s: float | None = None
    last_trouble: str | None = None
    _said_s: dict[str, float] = field(default_factory=dict)
    _unsaid: dict[str, int] = field(default_factory=dict)

    def gave(self) -> None:
        """A reading was given on."""
        self.readings += 1
        self.last_reading_s = time.monotonic()
        READINGS.labels(self.location, self.meter).inc()

    def refuse(self, why: NotAReading) -> None:
        """A message gave no reading."""
        self.refused += 1
        REFUSED.labels(self.location, self.meter, why.kind).inc()
        self._say(why.kind, str(why))

    def broke(self, why: str) -> None:
        """A connection failed or ended."""
        self.connected = False
        self.broken += 1
        BROKEN.labels(self.location, self.meter).inc()
        self._say("connection", why)

    def view(self) -> dict[str, object]:
        """For /health."""
        age_s = None if self.last_reading_s is None else round(time.monotonic() - self.last_reading_s, 1)
        return {
            "location": self.location,
            "meter": self.meter,
            "connected": self.connected,
            "readings": self.readings,
            "refused": self.refused,
            "last_reading_age_s": age_s,
            "last_trouble": self.last_trouble,
        }

    def _say(self, kind: str, text: str) -> None:
        self.last_trouble = text
        now_s = time.monotonic()
        if now_s - self._said_s.get(kind, -LOG_EVERY_S) < LOG_EVERY_S:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        more = self._unsaid.pop(kind, 0)
        self._said_s[kind] = now_s
        also = f" (and {more} more of this kind)" if more else ""
        log.warning("%s/%s: %s%s", self.location, self.meter, text, also)
