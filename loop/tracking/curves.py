"""`metrics.jsonl`: the numbers a fit logs, one JSON object a line, and how a resumed fit goes on in the same file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class MetricsFile:
    """Appends {"step": …, name: value, …} lines to `path`; NaN and infinity become null, so every line is JSON.

    On the first write of a process, lines with that step or a later one are dropped: a fit that resumed from a
    checkpoint walks them again. A line cut in half by a crash is dropped too.
    """

    def __init__(self, path: Path, from_step: int | None = None) -> None:
        self.path, self._from_step, self._opened = Path(path), from_step, False

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        if not self._opened:
            self._keep_before(step if self._from_step is None else min(step, self._from_step))
            self._opened = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: number(v) for k, v in metrics.items()}}) + "\n")

    def _keep_before(self, step: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        kept = [row for row in read_rows(self.path) if isinstance(row.get("step"), (int, float)) and row["step"] < step]
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(fresh, self.path)


def read_curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Name -> [(step, value), …] in step order, from a file that may still be growing; gaps (null) are left out."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in read_rows(path):
        step = row.pop("step", None)
        if not isinstance(step, (int, float)):
            continue
        for name, value in row.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                curves.setdefault(name, []).append((step, value))
    return {name: sorted(points) for name, points in curves.items()}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; none when it is missing, without any line that is cut or not an object."""
    if not Path(path).is_file():
        return []
    rows = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def number(value: Any) -> Any:
    """A JSON number where it can be one; null for NaN and infinity."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    plain = float(value)
    return plain if math.isfinite(plain) else None
