"""OCPP-J frames: JSON arrays of four kinds (OCPP-J 1.6 §4). Nothing that a charger sends can raise here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_ID_CHARS = 256
"""Longer message ids are refused: they are echoed. The standard allows 36."""


@dataclass(frozen=True, slots=True)
class Request:
    """A CALL. `payload` is whatever came as one; `null` counts as empty (facts #71)."""

    id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A CALLRESULT, or a CALLERROR with its code."""

    id: str
    payload: Any
    error: str | None = None


def read_frame(text: str | bytes) -> Request | Reply | None:
    """The message of a frame, None if it is none."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match frame:
        case [2, str(key), str(action), dict() | None as payload, *_] if len(key) <= MAX_ID_CHARS:
            return Request(key, action, payload or {})
        case [3, str(key), payload, *_]:
            return Reply(key, payload)
        case [4, str(key), *rest]:
            return Reply(key, None, " ".join(str(part) for part in rest[:2] if part)[:300] or "GenericError")
        case _:
            return None


def result(request: Request, payload: dict[str, Any]) -> str:
    """The CALLRESULT frame of a request."""
    return json.dumps([3, request.id, payload], separators=(",", ":"))


def error(request: Request, code: str, description: str) -> str:
    """The CALLERROR frame of a request."""
    return json.dumps([4, request.id, code, description[:255], {}], separators=(",", ":"))
