"""Reading of JSON-lines files: one object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_jsonl(path: Path, growing: bool = False) -> list[dict[str, Any]]:
    """The objects of `path` in their order; none when it is missing.

    growing: another process may be writing it, or was killed while it did: lines that are cut, or hold no object, are
    passed over. Otherwise such a line raises ValueError with its number.
    """
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip() and not growing:
            raise ValueError(f"{path}, line {number}: expected a JSON object, got {line[:60]!r}")
    return rows
