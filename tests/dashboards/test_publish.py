"""The publisher against a server that answers as Grafana does: paths, bodies, 404, 409, 412, and a second run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dashboards.boards import boards
from dashboards.common import DETAIL, HISTORY
from dashboards.publish import NotPublished, publish
from dashboards.sources import Influx, data_sources
from tests.parts import free_port

TOKEN = "glsa_not_a_real_one"
SOURCES = data_sources(Influx("http://influxdb:8086", token="influx-token"))
Answer = tuple[int, dict[str, Any]]


class Grafana:
    """The part of Grafana's API that we use, with its state. Changing a data source by its number is switched off."""

    def __init__(self) -> None:
        self.folders: dict[str, Any] = {}
        self.sources: dict[str, Any] = {}
        self.boards: dict[str, Any] = {}
        self.requests: list[tuple[str, str]] = []
        self.races: list[int] = []

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        self.requests.append((method, path))
        match method, path.strip("/").split("/"):
            case "GET", ["api", "folders", uid]:
                return _found(self.folders.get(uid))
            case "POST", ["api", "folders"]:
                return self._create(self.folders, body, 412)
            case "GET", ["api", "datasources", "uid", uid]:
                return _found(self.sources.get(uid))
            case "POST", ["api", "datasources"]:
                return self._create(self.sources, body, 409)
            case "PUT", ["api", "datasources", "uid", uid]:
                self.sources[uid] = body
                return 200, {"message": "Datasource updated"}
            case "GET", ["api", "dashboards", "uid", uid]:
                return _found(self.boards.get(uid))
            case "POST", ["api", "dashboards", "db"]:
                return self._save(body)
        return 404, {"message": "Not found"}

    def _create(self, kept: dict[str, Any], body: dict[str, Any], taken: int) -> Answer:
        if self.races and self.races.pop():
            kept[body["uid"]] = {"somebody": "else"}
        if body["uid"] in kept:
            return taken, {"message": "already exists"}
        kept[body["uid"]] = body
        return 200, body

    def _save(self, body: dict[str, Any]) -> Answer:
        uid = body["dashboard"]["uid"]
        there = self.boards.get(uid)
        if there and not body.get("overwrite"):
            return 412, {"message": "The dashboard has been changed by someone else"}
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        version = there["dashboard"]["version"] + 1 if there else 1
        saved = {**body["dashboard"], "id": 7, "version": version}
        self.boards[uid] = {"dashboard": saved, "meta": {"folderUid": body["folderUid"]}}
        return 200, {"uid": uid, "version": version, "status": "success"}


def _found(what: Any) -> Answer:
    return (404, {"message": "not found"}) if what is None else (200, what)


@pytest.fixture
def served() -> Iterator[tuple[str, Grafana]]:
    """The address of an empty Grafana below a path of its own, and its state."""
    grafana = Grafana()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") or {}
            status, answer = 401, {"message": "Invalid API key"}
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                status, answer = grafana.answer(self.command, self.path.removeprefix("/behind/a/proxy"), body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 -- the names that the library calls

        def log_message(self, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/behind/a/proxy/", grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_everything_is_created_in_an_empty_grafana(served: tuple[str, Grafana]) -> None:
    """Folder, then data sources, then dashboards into that folder."""
    url, grafana = served
    said = list(publish(url, TOKEN, SOURCES, boards()))

    assert ["sunshave"] == list(grafana.folders)
    assert [DETAIL, HISTORY] == list(grafana.sources)
    assert {board["uid"]: "sunshave" for board in boards()} == {
        uid: board["meta"]["folderUid"] for uid, board in grafana.boards.items()
    }
    assert all(line.endswith("created") for line in said)
    writes = [request for request in grafana.requests if request[0] != "GET"]
    assert [
        ("POST", "/api/folders"),
        ("POST", "/api/datasources"),
        ("POST", "/api/datasources"),
        *[("POST", "/api/dashboards/db")] * len(boards()),
    ] == writes


def test_publishing_again_changes_nothing(served: tuple[str, Grafana]) -> None:
    """No new version of a dashboard, the same data sources, no second folder."""
    url, grafana = served
    list(publish(url, TOKEN, SOURCES, boards()))
    before = json.dumps([grafana.folders, grafana.sources, grafana.boards], sort_keys=True)
    said = list(publish(url, TOKEN, SOURCES, boards()))

    assert before == json.dumps([grafana.folders, grafana.sources, grafana.boards], sort_keys=True)
    assert sum(line.endswith("unchanged") for line in said) == len(boards())


def test_dashboard_that_somebody_changed_is_set_back(served: tuple[str, Grafana]) -> None:
    """The code is what counts: the change is overwritten, as a new version that can be undone."""
    url, grafana = served
    list(publish(url, TOKEN, SOURCES, boards()))
    grafana.boards["sunshave-location"]["dashboard"]["title"] = "mine"
    said = list(publish(url, TOKEN, SOURCES, boards()))

    assert "dashboard sunshave-location: changed" in said
    assert "sunshave · Location" == grafana.boards["sunshave-location"]["dashboard"]["title"]


def test_somebody_else_creating_the_same_is_no_failure(served: tuple[str, Grafana]) -> None:
    """409 and 412 after our look mean that it is there."""
    url, grafana = served
    grafana.races = [1, 1, 1]
    list(publish(url, TOKEN, SOURCES, boards()))

    assert SOURCES == list(grafana.sources.values())


def test_data_source_carries_the_token_only_as_a_secret() -> None:
    """What Grafana shows to viewers has neither token nor password in it."""
    for token in ("influx-token", "reader:influx-password"):
        for source in data_sources(Influx("http://x:8086", token=token)):
            secret = source.pop("secureJsonData")
            assert token.rpartition(":")[2] in json.dumps(secret)
            assert token.rpartition(":")[2] not in json.dumps(source)


def test_wrong_token_is_a_sentence(served: tuple[str, Grafana]) -> None:
    """It says which setting to look at, and not the token."""
    with pytest.raises(NotPublished, match="SUNSHAVE_GRAFANA_TOKEN") as refused:
        list(publish(served[0], "wrong-token", SOURCES, boards()))

    assert "wrong-token" not in str(refused.value)


@pytest.mark.parametrize("url", ["grafana:3000", "ftp://grafana", ""])
def test_address_that_is_none_is_a_sentence(url: str) -> None:
    """It says how an address begins."""
    with pytest.raises(NotPublished, match="http://"):
        list(publish(url, TOKEN, [], []))


def test_command_publishes_and_says_what_it_did(served: tuple[str, Grafana]) -> None:
    """The installed command with its settings from the environment; without InfluxDB's address no data source."""
    url, grafana = served
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUNSHAVE_")}
    done = subprocess.run(
        [sys.executable, "-m", "sunshave", "dashboards", "publish"],
        env={**environment, "SUNSHAVE_GRAFANA_URL": url, "SUNSHAVE_GRAFANA_TOKEN": TOKEN},
        capture_output=True,
        text=True,
    )

    assert 0 == done.returncode, done.stderr
    assert 1 + len(boards()) == len(done.stdout.splitlines())
    assert {} == grafana.sources


def test_command_tells_that_nobody_answers() -> None:
    """Exit status 1 and a sentence with the address, no stack trace."""
    url = f"http://127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, "-m", "sunshave", "dashboards", "publish", "--grafana-url", url, "--grafana-token", "x"],
        capture_output=True,
        text=True,
    )

    assert 1 == done.returncode
    assert url in done.stderr
    assert "Traceback" not in done.stderr
