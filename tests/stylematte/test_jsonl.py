"""JSON lines: whole files are read strictly, growing ones as far as they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from stylematte.jsonl import read_jsonl


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert read_jsonl(path) == []
    path.write_text('{"a": 1}\n\n{"a": "\u00e4"}\n', encoding="utf-8")
    assert read_jsonl(path) == [{"a": 1}, {"a": "ä"}]
    path.write_text('{"a": 1}\n[2]\n{"a": 3')
    assert read_jsonl(path, growing=True) == [{"a": 1}]
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2: expected a JSON object, got '\[2\]'"):
        read_jsonl(path)
