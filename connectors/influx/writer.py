"""Lines to InfluxDB 1.8, 2.x or 3, in synchronous batches: an offset may be committed only when `write` has returned.

(The client's batching mode loses errors: `write` returns None, and a refusal is only logged.)

What the answers mean, one rule for all versions:
204            all saved.
400, 422       1.8 saved the good lines and 2.x perhaps none: halve the batch until the bad line stands alone, refuse
               it and go on. Writing a good line again changes nothing.
               "retention policy" in the text: the lines are too old to be kept. Dropped and counted, else the replay of
               an old topic fills the dead letters.
401, 403, 404  nothing will ever be taken: Unusable.
413            too much at once: halve.
429, 5xx, none Away: the caller waits and writes the same batch again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from connectors.influx.recorder import Line
from connectors.influx.schema import Database
from connectors.influx.sinks import Away, Outcome, Refused, Unusable

BATCH = 5000
"""Lines in a request. Fewer cost round trips (2,000 lines/s at 100), more make a refused batch dear to halve."""
TIMEOUT_MS = 30_000
"""For one request. Less gives up on a busy server that would have saved; more holds the historian when it hangs."""
MOST_WHY = 300
"""Characters of the server's answer that are kept. Less hides the field, more fills the dead letters."""

NANOSECONDS: Any = WritePrecision.NS  # the client types its constants as str, and its parameter as their class

_DROPPED = re.compile(r"retention policy.*?dropped=(\d+)|retention policy", re.DOTALL)


class InfluxWriter:
    """Writes to the two databases: `bucket`, and `bucket` + `_history`."""

    def __init__(self, url: str, token: str, org: str, bucket: str) -> None:
        self._bucket = bucket
        self._url = url
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=TIMEOUT_MS, enable_gzip=True)
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, lines: Sequence[Line]) -> Outcome:
        """Save a batch; when this returns, every line is saved, expired or refused. Raises Away or Unusable."""
        outcome = Outcome()
        for database in Database:
            for batch in _batches([line for line in lines if line.database is database]):
                outcome += self._save(f"{self._bucket}{database.value}", batch)
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _save(self, bucket: str, lines: Sequence[Line]) -> Outcome:
        """Save, halving where the server refuses (with a list, so that its depth has no limit)."""
        outcome = Outcome()
        waiting = [lines]
        while waiting:
            batch = waiting.pop()
            answer = self._send(bucket, batch)
            if answer is not None:
                outcome += answer
            else:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
        return outcome

    def _send(self, bucket: str, batch: Sequence[Line]) -> Outcome | None:
        """One request. None: to be halved."""
        text = "\n".join(line.text for line in batch)
        try:
            self._api.write(bucket=bucket, record=text, write_precision=NANOSECONDS)
        except ApiException as problem:
            return self._judge(problem, bucket, batch)
        except (HTTPError, OSError) as problem:
            raise Away(f"no answer from {self._url}: {_reason(problem)}") from problem
        return Outcome(saved=len(batch))

    def _judge(self, problem: ApiException, bucket: str, batch: Sequence[Line]) -> Outcome | None:
        status, why = problem.status or 0, _why(problem)
        if status in (401, 403):
            raise Unusable(f"{self._url} refuses the token for {bucket!r} ({status}): {why}") from problem
        if status == 404:
            raise Unusable(f"{self._url} has no database {bucket!r} ({status}): {why}") from problem
        if status in (400, 413, 422):
            return _expired(why, batch) or _alone(why, batch)
        raise Away(f"{self._url} answers {status}: {why}", _retry_after_s(problem)) from problem


def _expired(why: str, batch: Sequence[Line]) -> Outcome | None:
    """The server kept the young lines and says how many it dropped; without a number, only a single line is judged."""
    found = _DROPPED.search(why)
    if found is None or "unable to parse" in why:
        return None
    if found[1] is not None:
        dropped = min(int(found[1]), len(batch))
        return Outcome(saved=len(batch) - dropped, expired=dropped)
    return Outcome(expired=1) if len(batch) == 1 else None


def _alone(why: str, batch: Sequence[Line]) -> Outcome | None:
    return Outcome(refused=(Refused(batch[0], why),)) if len(batch) == 1 else None


def _batches(lines: Sequence[Line]) -> Iterable[Sequence[Line]]:
    return (lines[start : start + BATCH] for start in range(0, len(lines), BATCH))


def _why(problem: ApiException) -> str:
    """The server's own words: `message` in 2.x, `error` in 1.8."""
    body = problem.body or b""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        answer = json.loads(text)
        text = str(answer.get("message") or answer.get("error") or text)
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:MOST_WHY] or str(problem.reason)


def _reason(problem: Exception) -> str:
    """Without the object addresses that urllib3 puts in front."""
    return re.sub(r"<[^>]*>:? ?", "", str(getattr(problem, "reason", None) or problem))[:MOST_WHY]


def _retry_after_s(problem: ApiException) -> float | None:
    value = str(problem.retry_after or "")
    return float(value) if value.isdigit() else None
