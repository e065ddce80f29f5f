"""Folder → data sources → dashboards, into a Grafana that somebody else runs (compose provisions them instead).

The only file that knows grafana-api. Its calls for creating are still served by every Grafana; changing a data source
by number is not any more (13 switched it off), so that goes by uid through its raw call. It has no retries, gives up
after 5 s, and lets `requests` raise when nobody answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from grafana_api.grafana_api import GrafanaClientError, GrafanaException  # type: ignore[import-untyped]
from grafana_api.grafana_face import GrafanaFace  # type: ignore[import-untyped]

from dashboards.common import Json

FOLDER_UID = "sunshave"
FOLDER_TITLE = "sunshave"
TIMEOUT_S = 30.0
"""For one request. Less gives up while a Grafana starts, more makes a wrong address slow to tell."""
THERE_ALREADY = (409, 412)
"""What Grafana answers when somebody created it between our look and our try."""


class NotPublished(Exception):  # noqa: N818 -- a state of the outside world
    """Grafana did not take it: a sentence for the user."""


def publish(url: str, token: str, sources: Iterable[Json], boards: Iterable[Json]) -> Iterator[str]:
    """Publish; says what it did, one line each. Publishing the same again changes nothing. Raises NotPublished."""
    grafana = _Grafana(url, token)
    try:
        yield f"folder {FOLDER_TITLE}: {grafana.put_folder()}"
        for source in sources:
            yield f"data source {source['uid']}: {grafana.put_source(source)}"
        for board in boards:
            yield f"dashboard {board['uid']}: {grafana.put_board(board)}"
    except GrafanaException as problem:
        hint = "; check SUNSHAVE_GRAFANA_TOKEN" if problem.status_code in (401, 403) else ""
        raise NotPublished(f"Grafana at {url} refuses ({problem.status_code}): {problem.message}{hint}") from None
    except (requests.RequestException, ValueError) as problem:
        raise NotPublished(f"Grafana at {url} does not answer: {type(problem).__name__}") from None


class _Grafana:
    """Get-or-create by uid."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise NotPublished(f"{url!r} is no address: it begins with http:// or https://")
        prefix = parts.path.strip("/")
        face = GrafanaFace(
            auth=token,
            host=parts.netloc,
            protocol=parts.scheme,
            url_path_prefix=f"{prefix}/" if prefix else "",
            timeout=TIMEOUT_S,
        )
        self._api = face.api

    def put_folder(self) -> str:
        """The folder; its title is left to whoever renamed it."""
        if self._get(f"/folders/{FOLDER_UID}") is not None:
            return "there"
        self._create("/folders", {"uid": FOLDER_UID, "title": FOLDER_TITLE})
        return "created"

    def put_source(self, body: Json) -> str:
        """A data source. Written each time: Grafana does not tell the secret, so nobody knows if it changed."""
        if self._get(f"/datasources/uid/{body['uid']}") is None and self._create("/datasources", body):
            return "created"
        self._api.PUT(f"/datasources/uid/{body['uid']}", json=body)
        return "written"

    def put_board(self, board: Json) -> str:
        """A dashboard, unless it is there already with the same content (each save would add a version)."""
        there = self._get(f"/dashboards/uid/{board['uid']}")
        if there is not None and _same(there, board):
            return "unchanged"
        self._api.POST(
            "/dashboards/db",
            json={"dashboard": {**board, "id": None}, "folderUid": FOLDER_UID, "overwrite": True},
        )
        return "created" if there is None else "changed"

    def _get(self, path: str) -> Any:
        """What is there, or None."""
        try:
            return self._api.GET(path)
        except GrafanaClientError as problem:
            if problem.status_code == 404:
                return None
            raise

    def _create(self, path: str, body: Json) -> bool:
        """Create it. False when somebody else just did."""
        try:
            self._api.POST(path, json=body)
        except GrafanaClientError as problem:
            if problem.status_code not in THERE_ALREADY:
                raise
            return False
        return True


def _same(there: Json, board: Json) -> bool:
    """Grafana adds an id and counts versions; all else is ours."""
    ours = {name: value for name, value in board.items() if name != "id"}
    theirs = {name: value for name, value in there["dashboard"].items() if name not in ("id", "version")}
    return ours == theirs and there.get("meta", {}).get("folderUid") == FOLDER_UID
