"""The writer against a real InfluxDB, and against answers that a healthy one does not give."""

from __future__ import annotations

import gzip
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connectors.influx.recorder import Line
from connectors.influx.schema import Database
from connectors.influx.sinks import Away, FileSink, Outcome, Unusable
from connectors.influx.writer import InfluxWriter
from tests.parts import free_port
from tests.parts.influxd import Node, running_influxd

START_NS = 1_795_305_600_000_000_000


def detail(*texts: str) -> list[Line]:
    return [Line(text, Database.DETAIL, None) for text in texts]


def numbers(count: int, first: int = 0) -> list[Line]:
    return detail(*(f"thing,a=b n={n}i {START_NS + n}" for n in range(first, first + count)))


def writer_to(url: str, token: str = "") -> InfluxWriter:
    return InfluxWriter(url, token, "-", "sunshave")


@pytest.mark.influxdb
def test_lines_are_stored_with_their_nanoseconds(influxd: Node) -> None:
    """What is written is there, at the time that the line says."""
    outcome = writer_to(influxd.url).write(numbers(12_000))

    assert Outcome(saved=12_000) == outcome
    assert [12_000] == [row["count"] for row in influxd.rows('SELECT count("n") FROM "thing"')]
    assert [START_NS // 1_000_000] == [row["time"] for row in influxd.rows('SELECT "n" FROM "thing" LIMIT 1')]


@pytest.mark.influxdb
def test_each_database_gets_its_own_lines(influxd: Node) -> None:
    """Detail and history are two databases."""
    writer_to(influxd.url).write([*numbers(2), Line(f"quarter,a=b n=1i {START_NS}", Database.HISTORY, None)])

    assert 2 == len(influxd.rows('SELECT "n" FROM "thing"'))
    assert 1 == len(influxd.rows('SELECT "n" FROM "quarter"', "sunshave_history"))


@pytest.mark.influxdb
@pytest.mark.parametrize("bad", [f"thing,a=b n=1.5 {START_NS}", "thing,a=b n=", f"thing,a= n=1i {START_NS}"])
def test_bad_line_costs_no_other(influxd: Node, bad: str) -> None:
    """A type conflict or a broken line is refused alone; all others of its batch are saved."""
    writer = writer_to(influxd.url)
    writer.write(numbers(1))
    outcome = writer.write([*numbers(300, first=1), *detail(bad), *numbers(699, first=301)])

    assert [bad] == [refused.line.text for refused in outcome.refused]
    assert outcome.refused[0].why
    assert 999 == outcome.saved
    assert [1000] == [row["count"] for row in influxd.rows('SELECT count("n") FROM "thing"')]


@pytest.mark.influxdb
def test_lines_older_than_the_retention_are_counted_not_refused(influxd: Node) -> None:
    """The replay of an old topic does not fill the dead letters."""
    influxd.query('ALTER RETENTION POLICY "autogen" ON "sunshave" DURATION 720h')
    old = detail(*(f"thing,a=b n={n}i {n}" for n in range(40)))
    now = detail("thing,a=b n=1i")

    assert Outcome(saved=1, expired=40) == writer_to(influxd.url).write([*old, *now])


@pytest.mark.influxdb
def test_missing_database_stops_with_its_name(influxd: Node) -> None:
    """There is nothing to wait for: the sentence names what is missing."""
    influxd.query('DROP DATABASE "sunshave"')

    with pytest.raises(Unusable, match="'sunshave'"):
        writer_to(influxd.url).write(numbers(1))


@pytest.mark.influxdb
def test_wrong_password_stops_and_a_right_one_writes() -> None:
    """A user with WRITE suffices; a refused one is a sentence without the password."""
    with running_influxd(auth=True) as node:
        admin = {"user": "root", "password": "secret"}
        node.query("CREATE USER root WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        for statement in (
            'CREATE DATABASE "sunshave"',
            "CREATE USER historian WITH PASSWORD 'abc'",
            'GRANT WRITE ON "sunshave" TO historian',
        ):
            node.query(statement, **admin)

        assert Outcome(saved=3) == writer_to(node.url, "historian:abc").write(numbers(3))
        with pytest.raises(Unusable) as refused:
            writer_to(node.url, "historian:wrong-one").write(numbers(3))
        assert "wrong-one" not in str(refused.value)


@pytest.mark.influxdb
def test_server_that_comes_back_has_everything_acknowledged() -> None:
    """Killed and started again on its data: Away meanwhile, then the same batch goes in, and nothing is missing."""
    with running_influxd() as node:
        node.query('CREATE DATABASE "sunshave"')
        writer = writer_to(node.url)
        writer.write(numbers(2000))
        node.stop(by=signal.SIGKILL)
        with pytest.raises(Away):
            writer.write(numbers(2000, first=2000))
        node.start()
        writer.write(numbers(2000, first=2000))

        assert [4000] == [row["count"] for row in node.rows('SELECT count("n") FROM "thing"')]


def test_nobody_at_the_address_means_away() -> None:
    """A server that is not there is waited for, and the sentence names it."""
    with pytest.raises(Away, match=r"127\.0\.0\.1"):
        writer_to(f"http://127.0.0.1:{free_port()}").write(numbers(1))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_busy_or_broken_server_means_away(status: int) -> None:
    """The same batch is written again, after the time that the server names."""
    with answering(lambda lines: (status, {"Retry-After": "7"})) as (url, _), pytest.raises(Away) as away:
        writer_to(url).write(numbers(1))

    assert 7.0 == away.value.retry_after_s


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refused_token_or_missing_bucket_stops(status: int) -> None:
    """Nothing will ever be taken, and nothing is dead-lettered."""
    with answering(lambda lines: (status, {})) as (url, _), pytest.raises(Unusable):
        writer_to(url).write(numbers(1))


@pytest.mark.parametrize("status", [400, 422])
def test_server_that_saves_nothing_of_a_bad_batch_gets_the_good_lines_alone(status: int) -> None:
    """2.x saves nothing on 400: halving brings every good line into a batch of its own."""
    saved: list[str] = []

    def answer(lines: list[str]) -> tuple[int, dict[str, str]]:
        if any("n=13i" in line for line in lines):
            return status, {}
        saved.extend(lines)
        return 204, {}

    with answering(answer) as (url, _):
        outcome = writer_to(url).write(numbers(100))

    assert 1 == len(outcome.refused)
    assert 99 == outcome.saved == len(set(saved))


def test_batch_that_is_too_large_is_halved() -> None:
    """413: the same lines in smaller requests, none refused."""
    with answering(lambda lines: (204 if len(lines) <= 10 else 413, {})) as (url, requests):
        outcome = writer_to(url).write(numbers(100))

    assert Outcome(saved=100) == outcome
    assert 100 == sum(len(lines) for lines in requests if len(lines) <= 10)


def test_answer_of_a_newer_server_to_old_lines_is_understood() -> None:
    """2.x says it in other words and with 422."""
    why = "failure writing points to database: partial write: dropped 2 points outside retention policy dropped=2"
    with answering(lambda lines: (422, {}), why=why) as (url, _):
        assert Outcome(saved=3, expired=2) == writer_to(url).write(numbers(5))


def test_file_has_every_line(tmp_path: Path) -> None:
    """The file is appended to, line by line."""

    path = tmp_path / "sunshave.lp"
    for first in (0, 3):
        sink = FileSink(path)
        assert Outcome(saved=3) == sink.write(numbers(3, first=first))
        sink.close()

    assert [line.text for line in numbers(6)] == path.read_text().splitlines()


def test_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A folder in the way is named."""

    with pytest.raises(Unusable, match="cannot be written"):
        FileSink(tmp_path)


@contextmanager
def answering(answer: object, why: str = "because") -> Iterator[tuple[str, list[list[str]]]]:
    """A server that unpacks the lines of a write and answers as it is told."""
    requests: list[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            lines = gzip.decompress(body).decode().split("\n")
            requests.append(lines)
            status, headers = answer(lines)  # type: ignore[operator]
            text = b"" if status == 204 else json.dumps({"message": why}).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
