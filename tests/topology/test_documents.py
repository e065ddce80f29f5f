"""Reading YAML: documents, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from topology.documents import DEEPEST, MOST_TOLD, NotYaml, read_documents


def test_every_document_of_a_file_is_read(tmp_path: Path) -> None:
    """Several of YAML, some of which look like JSON."""
    (tmp_path / "file").write_text('{"a": [1, 2.5]}\n---\nb: null\n')

    assert [{"a": [1, 2.5]}, {"b": None}] == read_documents(tmp_path / "file")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_is_read_as_json(mark: str, tmp_path: Path) -> None:
    """YAML has no tabs before a key, and no number without a point that has an exponent."""
    (tmp_path / "file").write_text(mark + '{\n\t"a": 4e1,\n\t"b": ["4e1", "\\t"]\n}', encoding="utf-8")

    assert [{"a": 40.0, "b": ["4e1", "\t"]}] == read_documents(tmp_path / "file")


def test_a_key_that_is_there_twice_is_told_with_its_line(tmp_path: Path) -> None:
    """In YAML and in JSON, however it is indented."""
    for text in ("a: 1\nb: 2\na: 3", '{\n\t"a": 1,\n\t"a": 3\n}'):
        (tmp_path / "file").write_text(text)
        with pytest.raises(NotYaml, match="the key a is there twice, at line 3"):
            read_documents(tmp_path / "file")


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
