"""Telegrams for tests, with a CRC that we calculate ourselves and not with the parser under test."""

from __future__ import annotations

from tests.connectors.meters.reading_captures import CAPTURES

DUTCH = (CAPTURES / "dsmr5_nl_3phase.txt").read_bytes()
BELGIAN = (CAPTURES / "dsmr_fluvius_be_3phase.txt").read_bytes()


def crc16_arc(data: bytes) -> int:
    """CRC-16/ARC: polynomial 0xA001 reflected, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def telegram(*lines: str, crc: bool = True) -> bytes:
    """A whole telegram of these lines."""
    body = "\r\n".join(["/TST5\\test", "", *lines, "!"]).encode()
    return body + (f"{crc16_arc(body):04X}" if crc else "").encode() + b"\r\n"


def changed(whole: bytes, *replacements: tuple[str, str]) -> bytes:
    """A captured telegram with other lines ("" = without that line), and the CRC that fits."""
    text = whole.decode()
    for old, new in replacements:
        assert old in text
        text = text.replace(old + "\r\n", new + "\r\n" if new else "")
    body = text[: text.rindex("!") + 1].encode()
    return body + f"{crc16_arc(body):04X}\r\n".encode()
