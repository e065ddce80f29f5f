"""Reading YAML: documents, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from topology.documents import DEEPEST, MOST_TOLD, NotYaml, read_documents


def test_every_document_of_a_file_is_read(tmp_path: Path) -> None:
    """JSON is YAML too."""
    (tmp_path / "file").write_text('{"a": [1, 2.5]}\n---\nb: null\n')

    assert [{"a": [1, 2.5]}, {"b": None}] == read_documents(tmp_path / "file")


GARBAGE = [
    b"\xff",
    b"\x00",
    b"a: [",
    b"[" * 5000,
    b"2026-13-45",
    b"!!int x",
    b"!!float x",
    b"!!bool x",
    b"!!timestamp x",
    b"!!python/object:os.system x",
    b"9" * 5000,
    b"{[1]: 2}",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_one_sentence(garbage: bytes, tmp_path: Path) -> None:
    """Also where PyYAML's constructors raise what is none of its own errors."""
    (tmp_path / "file").write_bytes(garbage)

    with pytest.raises(NotYaml) as refusal:
        read_documents(tmp_path / "file")
    assert 0 < len(str(refusal.value)) <= MOST_TOLD
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 50_000, "- " * 50_000, "a: [1]\n---\n" + "[" * 50_000])
def test_what_is_nested_too_deeply_is_refused_where_it_becomes_so(text: str, tmp_path: Path) -> None:
    """The rest of the file is not even looked at."""
    (tmp_path / "file").write_text(text)

    with pytest.raises(NotYaml, match="nested deeper than 100 levels, at line"):
        read_documents(tmp_path / "file")


def test_what_is_nested_less_deeply_is_read(tmp_path: Path) -> None:
    """One after the other, and to the last level."""
    text = "[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1)
    (tmp_path / "file").write_text(f"{text}\n---\n{text}\n")

    assert 2 == len(read_documents(tmp_path / "file"))
