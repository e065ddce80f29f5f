"""Telegrams out of a stream of bytes: a P1 port sends them for ever, and we may come in at any point.

    /FLU5\\253769484_A ⏎ ⏎ lines… ⏎ !3BD5 ⏎

dsmr-parser has a buffer for this too, but one that grows without end while no `!` comes (a serial line at the wrong
speed sends nothing else), so the framing is ours and the parsing is theirs.
"""

from __future__ import annotations

import re

TELEGRAM_BYTES = 16_384
"""The longest telegram. Smaller: a Belgian one with 13 month peaks and four M-Bus meters (2 kB) might not fit. Larger:
more memory per port while garbage comes in."""

_END = re.compile(rb"![0-9A-Fa-f]{0,4}\x00?\r\n")


class Framer:
    """Feed it what arrives; it answers with the telegrams that are now whole. Nothing makes it raise."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.discarded_bytes = 0
        """Bytes that belong to no whole telegram: noise, and beginnings without an end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The telegrams that these bytes complete."""
        self._pending += data
        telegrams = []
        while (end := _END.search(self._pending)) is not None:
            telegram = bytes(self._pending[: end.end()])
            del self._pending[: end.end()]
            start = telegram.rfind(b"/")  # the last one: before it lies a telegram that was cut off
            good = telegram[start:] if start >= 0 else b""
            if 0 < len(good) <= TELEGRAM_BYTES:
                telegrams.append(good)
                self.discarded_bytes += start
            else:
                self.discarded_bytes += len(telegram)
        self._forget_noise()
        return telegrams

    def _forget_noise(self) -> None:
        """Drop what can no longer become a telegram."""
        start = self._pending.rfind(b"/")
        useless = len(self._pending) if start < 0 else start
        if len(self._pending) - useless > TELEGRAM_BYTES:
            useless = len(self._pending)
        self.discarded_bytes += useless
        del self._pending[:useless]
