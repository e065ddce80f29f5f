"""What the dispatcher counts, for /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CONNECTED = Gauge("sunshave_ocpp_chargers_connected", "Chargers that have a socket now.")
MESSAGES = Counter("sunshave_ocpp_messages_total", "Messages from chargers, by action.", ["action"])
CALLS = Counter("sunshave_ocpp_calls_total", "Calls to chargers, by action and outcome.", ["action", "outcome"])
SETPOINTS = Counter("sunshave_ocpp_setpoints_total", "Setpoints, by what became of them.", ["state"])
REFUSED = Counter("sunshave_ocpp_refused_total", "Handshakes refused, by HTTP status.", ["status"])
MALFORMED = Counter("sunshave_ocpp_malformed_total", "Frames that are no OCPP message, and records that are none.")
READINGS = Counter("sunshave_ocpp_readings_total", "Readings published.")
DROPPED = Counter("sunshave_ocpp_dropped_total", "Records dropped because Kafka was behind.", ["topic"])
