"""Framing: telegrams come in at any point of the stream, in any pieces, with anything between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.meters.p1_wire import TELEGRAM_BYTES, Framer
from tests.connectors.meters.telegrams import BELGIAN, DUTCH


@pytest.mark.parametrize("whole", [DUTCH, BELGIAN], ids=["dutch", "belgian"])
def test_telegram_split_at_any_byte_is_found(whole: bytes) -> None:
    """Wherever the network cuts it, a telegram comes out whole, and only once."""
    for cut in range(1, len(whole)):
        framer = Framer()

        assert [whole] == framer.feed(whole[:cut]) + framer.feed(whole[cut:])


def test_telegram_in_single_bytes_is_found() -> None:
    """Even byte by byte."""
    framer = Framer()

    assert [BELGIAN] == [found for byte in BELGIAN for found in framer.feed(bytes([byte]))]


def test_two_telegrams_in_one_piece_are_two() -> None:
    """What was held up on the way arrives at once."""
    assert [DUTCH, BELGIAN, DUTCH] == Framer().feed(DUTCH + BELGIAN + DUTCH)


def test_beginning_without_an_end_is_thrown_away() -> None:
    """A telegram that was cut off does not spoil the next one."""
    framer = Framer()

    assert [BELGIAN] == framer.feed(DUTCH[:400] + BELGIAN)
    assert framer.discarded_bytes == 400


@given(noise=st.binary(max_size=300).filter(lambda noise: b"/" not in noise and b"!" not in noise))
def test_garbage_between_telegrams_is_skipped(noise: bytes) -> None:
    """Noise on the line costs nothing but itself."""
    framer = Framer()

    assert [DUTCH, BELGIAN] == framer.feed(noise + DUTCH + noise + BELGIAN + noise)
    assert framer.discarded_bytes == 3 * len(noise)


@given(pieces=st.lists(st.binary(max_size=200) | st.sampled_from([DUTCH, b"/", b"!", b"!\r\n", b"/!"]), max_size=30))
def test_random_bytes_never_raise(pieces: list[bytes]) -> None:
    """Whatever arrives, each byte is in a telegram, thrown away, or waited on."""
    framer = Framer()
    found = [telegram for piece in pieces for telegram in framer.feed(piece)]

    assert all(telegram.startswith(b"/") and telegram.endswith(b"\r\n") for telegram in found)
    assert sum(map(len, pieces)) >= sum(map(len, found)) + framer.discarded_bytes


def test_noise_without_an_end_fills_no_memory() -> None:
    """A line at the wrong speed sends for ever without a telegram: what is kept stays below the longest one."""
    framer = Framer()
    for _ in range(200):
        assert [] == framer.feed(b"/" + b"\xff" * 1023)
    for _ in range(200):
        assert [] == framer.feed(b"\xff" * 1024)

    assert framer.discarded_bytes >= 400 * 1024 - TELEGRAM_BYTES - 1
    assert [DUTCH] == framer.feed(b"/" + DUTCH)


def test_telegram_that_is_too_long_is_thrown_away() -> None:
    """Also when its end comes in the same piece."""
    assert [] == Framer().feed(b"/" + b"x" * TELEGRAM_BYTES + b"!\r\n")
