"""What a worker counts, for /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter("sunshave_records", "Records read, by topic.", ["topic"])
DECISIONS = Counter("sunshave_decisions", "Decisions written.")
DEADLETTERS = Counter(
    "sunshave_deadletters", "Records that were not folded, by the first word of the reason.", ["reason"]
)
RETRIES = Counter("sunshave_write_retries", "Records that had to be written again.")
TOO_LARGE = Counter("sunshave_too_large", "Records that the broker never takes.")
REBALANCES = Counter("sunshave_rebalances", "Changes of ownership that this worker took part in.")
RESTARTS = Counter("sunshave_restarts", "Times that this worker left its group and joined it anew by itself.")
LOCATIONS = Gauge("sunshave_locations", "Locations that this worker owns.")
CATCHING_UP = Gauge("sunshave_partitions_catching_up", "Partitions with a backlog that is being read.")
LAG = Gauge("sunshave_lag_records", "Records that the broker has and the worker has not read.", ["topic", "partition"])
INPUT_AGE = Gauge("sunshave_input_age_seconds", "Age of the newest record that was read, by partition.", ["partition"])
UNCONFIRMED = Gauge("sunshave_setpoints_unconfirmed", "Connectors that have not accepted their newest setpoint.")
