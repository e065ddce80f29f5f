"""Reading YAML: documents, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from topology.documents import MOST_TOLD, NotYaml, read_documents


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
