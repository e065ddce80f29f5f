"""Sockets whose other end does not read: what we write to them would pile up in memory.

A frame of ours has its own deadline (`session`). The pongs that the WebSocket library owes for somebody's pings have
none, so the write buffers are looked at from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from websockets.asyncio.server import ServerConnection

from connectors.ocpp.settings import Settings


class Unread:
    """Remembers since when each socket has had something in its write buffer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since_s: dict[ServerConnection, float] = {}

    def hopeless(self, sockets: Iterable[ServerConnection], now_s: float) -> Iterator[ServerConnection]:
        """Those that are to be cut off: too much waits, or it waits for too long."""
        waiting = {socket: socket.transport.get_write_buffer_size() for socket in sockets}
        self._since_s = {socket: self._since_s.get(socket, now_s) for socket, size in waiting.items() if size}
        for socket, since_s in self._since_s.items():
            if now_s - since_s >= self._settings.send_timeout_s or waiting[socket] > self._settings.max_unread_bytes:
                yield socket
