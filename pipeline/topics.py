"""The topics of the stream: what each is called, how it is kept, and whether a cluster has them as they must be.

All topics that a location touches have the same number of partitions and are keyed by the location (`ocpp.setpoints`
by `charger/connector`, because the newest of each connector is kept), so that everything about a location is on one
partition and one worker owns it (design §7). We make every topic ourselves, also those that Faust would make: brokers
that make topics on demand give them another number of partitions than Faust asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from pipeline.records import (
    CHARGERS,
    DEADLETTERS,
    DECISIONS,
    FEEDBACK,
    LIMITS,
    LOCATIONS,
    METERS,
    SETPOINTS,
    WINDOWS,
)

APP = "sunshave"
"""The consumer group of the workers, and the beginning of the names of Faust's own topics."""
TABLE = "locations"
CHANGELOG = f"{APP}-{TABLE}-changelog"
LEADER = f"{APP}-__assignor-__leader"

DEFAULT_PARTITIONS = 12
"""How many workers can ever share the work. State is by partition, so this number is for ever: a large fleet takes ten
times the workers that it expects. More cost files and seconds of recovery on the broker."""

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""Of a state or a decision. A site of 1,000 connectors needs about 0.5 MB; Kafka's own 1 MB would be its end soon."""

MAX_LETTER_BYTES = MAX_RECORD_BYTES * 3 // 2
"""Of a dead letter: the largest record in base64, a third more, and why. Smaller: its bytes are left out."""

COMPACTION_LAG_MS = 600_000
"""How long superseded records stay in a compacted topic. Longer: recovery reads them all (4,000 records/s); shorter:
the broker rewrites segments all the time."""

REQUEST_TIMEOUT_MS = 10_000
"""For one answer of the broker. Less fails while a cluster elects a leader; more keeps a user waiting for bad news."""

BOOTSTRAP_TIMEOUT_MS = 5_000
"""For the first contact. Less calls a slow network no broker; more delays the bad news, and a stop meanwhile."""

_COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": str(COMPACTION_LAG_MS),
    "max.compaction.lag.ms": str(COMPACTION_LAG_MS),
    "min.cleanable.dirty.ratio": "0.1",
}
_LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}


class TopicsUnusable(Exception):  # noqa: N818 -- an answer to the user, not a failure of ours
    """Why the topics of a cluster cannot be used, one sentence per problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class BrokerAway(TopicsUnusable):
    """No broker answers: it may later."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it must be. `partitions` None: as many as all the others."""

    name: str
    configs: Mapping[str, str] = field(default_factory=dict)
    partitions: int | None = None

    @property
    def cleanup(self) -> str:
        """How old records go: `compact` keeps the newest of each key, `delete` all of them for some time."""
        return self.configs.get("cleanup.policy", "delete")


TOPICS = (
    Topic(METERS),
    Topic(CHARGERS),
    Topic(LIMITS),
    Topic(FEEDBACK),
    Topic(LOCATIONS, _COMPACT | _LARGE),
    Topic(SETPOINTS, _COMPACT),
    Topic(DECISIONS, _LARGE),
    Topic(WINDOWS),
    Topic(DEADLETTERS, {"max.message.bytes": str(MAX_LETTER_BYTES)}),
    Topic(CHANGELOG, _COMPACT | _LARGE),
    Topic(LEADER, partitions=1),
)
SOURCES = (METERS, CHARGERS, LIMITS, FEEDBACK, LOCATIONS)
"""What a worker reads; the same partition of each is always on the same worker."""


@contextmanager
def admin_client(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """A connection to the cluster. TopicsUnusable where it does not answer."""
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id=APP,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS,
        )
    except (KafkaError, ValueError) as problem:
        raise BrokerAway([f"no broker answers at {bootstrap} ({problem})"]) from None
    try:
        yield client
    except KafkaError as problem:
        raise TopicsUnusable([f"the cluster at {bootstrap} refuses: {problem}"]) from None
    finally:
        client.close()


def create_topics(bootstrap: str, partitions: int, replication: int) -> list[str]:
    """Make what is missing, and name it. TopicsUnusable, and nothing made, where one is there in another form."""
    with admin_client(bootstrap) as client:
        counts = _partition_counts(client)
        wrong = list(_wrong(client, counts, partitions))
        if wrong:
            raise TopicsUnusable(wrong)
        missing = [topic for topic in TOPICS if topic.name not in counts]
        if missing:
            _create(client, missing, partitions, replication)
        return [topic.name for topic in missing]


def check_topics(bootstrap: str, partitions: int | None = None) -> int:
    """The common number of partitions. TopicsUnusable where a topic is missing or not as it must be."""
    with admin_client(bootstrap) as client:
        counts = _partition_counts(client)
        wanted = partitions or counts.get(LOCATIONS, DEFAULT_PARTITIONS)
        missing = [f"topic {topic.name} is missing" for topic in TOPICS if topic.name not in counts]
        problems = [*missing, *_wrong(client, counts, wanted)]
        if problems:
            raise TopicsUnusable(problems)
        return wanted


def _create(client: KafkaAdminClient, missing: list[Topic], partitions: int, replication: int) -> None:
    """Make them, and wait until every partition has a leader; else the next command would not find them."""
    wanted: dict[str, Any] = {
        topic.name: {
            "num_partitions": topic.partitions or partitions,
            "replication_factor": replication,
            "configs": {**topic.configs, **_min_in_sync(replication)},
        }
        for topic in missing
    }
    answer = client.create_topics(wanted, raise_errors=False)
    refused = [
        f"topic {topic['name']} cannot be made: {topic['error_message'] or for_code(topic['error_code']).__name__}"
        for topic in answer["topics"]
        if topic["error_code"] not in (0, TopicAlreadyExistsError.errno)  # somebody else creates them at this moment
    ]
    if refused:
        raise TopicsUnusable(refused)
    client.wait_for_topics(list(wanted))


def _min_in_sync(replication: int) -> dict[str, str]:
    """Most of the copies must have a record before it counts as written: the loss of one broker then costs neither
    records nor the right to write. One or two copies cannot have both; there we go on writing."""
    return {"min.insync.replicas": str((replication + 1) // 2)} if replication > 2 else {}


def _partition_counts(client: KafkaAdminClient) -> dict[str, int]:
    """How many partitions each of our topics has that is there."""
    there = set(client.list_topics()) & {topic.name for topic in TOPICS}
    if not there:
        return {}
    described = client.describe_topics(sorted(there))
    return {topic["name"]: len(topic["partitions"]) for topic in described}


def _wrong(client: KafkaAdminClient, counts: Mapping[str, int], partitions: int) -> Iterator[str]:
    """One sentence for everything that is there in another form than it must be."""
    cleanups = _cleanup_policies(client, counts)
    for topic in TOPICS:
        count = counts.get(topic.name)
        if count is None:
            continue
        wanted = topic.partitions or partitions
        if count != wanted:
            yield f"topic {topic.name} has {count} partition(s), not {wanted}"
        cleanup = cleanups.get(topic.name)
        if cleanup is not None and cleanup != topic.cleanup:
            yield f"topic {topic.name} has cleanup.policy={cleanup}, not {topic.cleanup}"


def _cleanup_policies(client: KafkaAdminClient, names: Iterable[str]) -> dict[str, str]:
    """The cleanup policies, as far as the broker says them."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]  # Tansu hangs up when a key is named
    if not asked:
        return {}
    answer = client.describe_configs(asked, config_filter="all").get("topic", {})
    return {name: str(keys["cleanup.policy"]["value"]) for name, keys in answer.items() if "cleanup.policy" in keys}
