"""A real Apache Kafka (KRaft; one node or more), from Maven: jars into the cache once, then ready in about 4 s."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from tests.parts import free_port, installed, missing, used
from tests.parts.waiting import wait_for_port, wait_until

VERSION = "4.1.1"
DOWNLOAD_S = 600.0
"""45 jars, 10 s on a good line. Less fails on a slow one."""
START_S = 180.0
"""Ready in 4 s on an idle machine; less fails when two cores run three brokers and something else."""
EMPTY_S = 30.0
"""For topics to be deleted; a moment, unless the machine is loaded."""
STOP_S = 20.0
"""A clean stop takes 2 s; after this it is killed (the data are thrown away anyway)."""
JAVA = ("java", "-Xmx512m")
"""A test's topics are small. Less makes the collector busy; more is taken from the other parts."""
THRIFTY = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For a node of several: none of them is busy, and starting three at once is what costs."""

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sunshave.tests</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""
_PROPERTIES = """process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a cluster before it is there: its number and its ports."""

    number: int
    port: int = field(default_factory=free_port)
    controller: int = field(default_factory=free_port)


class Node:
    """One Kafka node, broker and controller: start, stop, kill, and start again with what it had written."""

    def __init__(self, folder: Path, place: Place, cluster: list[Place], identity: str) -> None:
        self.port = place.port
        self._java = JAVA if len(cluster) == 1 else THRIFTY
        self._folder = folder
        self._properties = folder / "server.properties"
        text = _PROPERTIES.format(
            number=place.number,
            port=place.port,
            controller=place.controller,
            voters=",".join(f"{each.number}@127.0.0.1:{each.controller}" for each in cluster),
            copies=len(cluster),
            data=folder / "data",
        )
        self._properties.write_text(text, encoding="utf-8")
        _java("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._properties))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What SUNSHAVE_KAFKA is set to."""
        return f"127.0.0.1:{self.port}"

    @property
    def runs(self) -> bool:
        return self._process is not None

    def launch(self) -> None:
        """Start, and do not wait: a cluster answers when most of its nodes are there."""
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "-cp", f"{_jars()}/*", "kafka.Kafka", str(self._properties)],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start, and return when it listens."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Return when it listens."""
        assert self._process is not None
        wait_for_port(self.port, self._process, START_S)

    def stop(self, *, by: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal, and return when it is gone."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def fill_disk(self) -> None:
        """Let none of its files grow any more, and return when it gave up: so it is when its disk is full."""
        assert self._process is not None
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        self._process.wait(STOP_S)
        self._process = None


@pytest.fixture(scope="session")
def shared_kafka() -> Iterator[str]:
    """The bootstrap address of a broker that lives as long as the test run."""
    with running_kafka() as node:
        yield node.bootstrap


@pytest.fixture
def kafka(shared_kafka: str) -> Iterator[str]:
    """The shared broker, empty: no test finds the topics, or the records, of another."""
    _empty(shared_kafka)
    yield shared_kafka
    _empty(shared_kafka)


def _empty(bootstrap: str) -> None:
    """Delete every topic (but Kafka's own), and with them what groups have committed."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        ours = [name for name in client.list_topics() if not name.startswith("__")]
        if ours:
            client.delete_topics(ours)
            wait_until(lambda: not {*client.list_topics()} & {*ours}, EMPTY_S, "the topics were not deleted")
    finally:
        client.close()


@contextmanager
def running_kafka() -> Iterator[Node]:
    """A node of one's own, that a test may stop and start again."""
    with running_cluster(1) as (node,):
        yield node


@contextmanager
def running_cluster(size: int) -> Iterator[list[Node]]:
    """A cluster of one's own. It works on while most of its nodes are there."""
    _jars()
    folder = Path(tempfile.mkdtemp(prefix="sunshave-kafka-"))
    nodes: list[Node] = []
    try:
        identity = _java("kafka.tools.StorageTool", "random-uuid").strip().splitlines()[-1]
        places = [Place(number) for number in range(1, size + 1)]
        for place in places:
            home = folder / str(place.number)
            home.mkdir()
            nodes.append(Node(home, place, places, identity))
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait()
        yield nodes
    finally:
        for node in nodes:
            node.stop(by=signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def bootstrap_of(nodes: list[Node]) -> str:
    """What SUNSHAVE_KAFKA is set to for a cluster: any of the nodes may be away."""
    return ",".join(node.bootstrap for node in nodes)


def _java(*arguments: str) -> str:
    command = [*THRIFTY, "-cp", f"{_jars()}/*", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _jars() -> Path:
    """The folder of the jars."""
    if shutil.which("java") is None:
        missing("Apache Kafka", "there is no java on the PATH")
    folder = installed(f"kafka-{VERSION}", _download)
    used["kafka"] = VERSION
    return folder


def _download(work: Path) -> None:
    if shutil.which("mvn") is None:
        missing("Apache Kafka", "there is no mvn on the PATH")
    pom = work / "pom.xml"
    pom.write_text(_POM, encoding="utf-8")
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={work}"]
    try:
        result = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=DOWNLOAD_S)
    except subprocess.TimeoutExpired:
        missing("Apache Kafka", f"Maven was not done in {DOWNLOAD_S} s")
    if result.returncode:
        missing("Apache Kafka", f"Maven could not get it: {result.stdout[-400:].strip()}")
