"""Dashboard "Pipeline health": can I believe what I see?"""

from __future__ import annotations

from dashboards import fleet_queries as queries
from dashboards.common import GREEN, ORANGE, RED, Json, Panel, Query, dashboard
from dashboards.panels import stat, table, time_series

UID = "sunshave-health"


def build() -> Json:
    """The whole dashboard."""
    return dashboard(
        UID,
        "sunshave · Pipeline health",
        "Can I believe what I see? Workers, feeds, setpoints, dead letters and the historian itself.",
        [*_now(), *_feeds(), *_results()],
        since="now-1h",
        refresh="10s",
    )


def _now() -> list[Panel]:
    return [
        stat(
            1,
            "Oldest decision",
            "How long ago the location was decided that has waited longest; locations are looked at once a minute. "
            "Red: no worker decides for it, or nothing comes from it; see “Workers” and “Records a second”.",
            "s",
            Query(queries.oldest_decision()),
            size=(6, 4),
            steps=((None, GREEN), (60, ORANGE), (300, RED)),
            extra={"timeFrom": "5m"},
        ),
        stat(
            2,
            "Workers",
            "How many workers decided something in the last minute. Fewer than were started: the others have no "
            "partition, or died; what they did is taken over within the session time-out.",
            "short",
            Query(queries.workers()),
            size=(6, 4),
            steps=((None, RED), (1, GREEN)),
            extra={"timeFrom": "1m"},
        ),
        stat(
            3,
            "Refused lines",
            "Lines that InfluxDB refused for good in this range. Red: read the dead letters; a field has changed its "
            "type, or somebody writes to our measurements.",
            "short",
            Query(queries.refused_lines()),
            size=(6, 4),
            steps=((None, GREEN), (1, RED)),
        ),
    ]


def _feeds() -> list[Panel]:
    return [
        time_series(
            4,
            "Records a second",
            "What Kafka gets, by topic. A topic that falls to zero: its feed stopped (meters, dispatcher, workers).",
            "cps",
            Query(queries.records_per_second(), "$tag_topic"),
            size=(12, 8),
            extra={"interval": "1m"},
        ),
        time_series(
            5,
            "Decisions a second",
            "Decisions that each worker wrote. One at zero while its locations report: its partitions moved, or hang.",
            "cps",
            Query(queries.decisions_per_second(), "$tag_worker"),
            size=(12, 8),
            extra={"interval": "1m"},
        ),
        time_series(
            6,
            "How late records come",
            "Of each topic, 95 % of the records were younger than this when Kafka got them. Above 10 s: a meter's or "
            "charger's clock is off, or a line is slow; above 30 s its location counts as stale.",
            "s",
            Query(queries.lateness(), "$tag_topic"),
            size=(12, 8),
            steps=((None, "transparent"), (10, ORANGE)),
            show_steps=True,
        ),
        time_series(
            7,
            "Not read by the historian yet",
            "Records in Kafka that the historian has not read. Growing: InfluxDB is away or slow, or one historian is "
            "too few. Nothing is lost meanwhile, but these boards are late.",
            "short",
            Query(queries.lag(), "$tag_topic"),
            size=(12, 8),
        ),
    ]


def _results() -> list[Panel]:
    return [
        time_series(
            8,
            "What became of setpoints",
            "Answers of chargers and dispatcher. Many rejected or unsupported: a model that needs another profile. "
            "Many timeouts: chargers or their network are slow. Superseded is normal while limits move.",
            "short",
            Query(queries.outcomes(), "$tag_state"),
            size=(12, 8),
            stacked=True,
            bars=True,
        ),
        time_series(
            9,
            "Oldest record that is not saved",
            "How long the historian holds what it has read. Above a few seconds: InfluxDB does not take it.",
            "s",
            Query(queries.unsaved(), "$col"),
            size=(12, 8),
        ),
        time_series(
            10,
            "Dead letters",
            "Records that were not folded, by topic and reason. `future`: a clock is wrong. `unknown`: a location or "
            "meter that nobody put. `unreadable` or `invalid`: the program that writes them.",
            "short",
            Query(queries.dead_letters(), "$tag_topic $tag_reason"),
            size=(12, 8),
            stacked=True,
            bars=True,
        ),
        table(
            11,
            "Newest dead letters",
            "The last fifty, with what was wrong. The topic `deadletters` has the original bytes.",
            "none",
            Query(queries.newest_dead_letters()),
            size=(12, 8),
            hide_time=False,
        ),
    ]
