"""What the historian counts, for /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECORDS = Counter("sunshave_historian_records_total", "Records read.", ["topic"])
SKIPPED = Counter("sunshave_historian_skipped_total", "Records that could not be stored.", ["topic"])
SAVED = Counter("sunshave_historian_lines_saved_total", "Lines that are saved.")
EXPIRED = Counter("sunshave_historian_lines_expired_total", "Lines older than the database keeps.")
REFUSED = Counter("sunshave_historian_lines_refused_total", "Lines that the database refused for good.")
RETRIES = Counter("sunshave_historian_retries_total", "Batches that had to be written again.")
UNSAVED = Gauge("sunshave_historian_oldest_unsaved_seconds", "Age of the oldest record that is read and not saved.")
LAG = Gauge("sunshave_historian_lag_records", "Records that are not read yet.", ["topic", "partition"])
