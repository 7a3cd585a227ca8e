"""`metrics.jsonl`: the numbers a fit logs, one JSON object a line, and how a resumed fit goes on in the same file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loop.engine.files import write_atomically
from stylematte.jsonl import read_jsonl

METRICS = "metrics.jsonl"


class MetricsFile:
    """Appends {"step": …, name: value, …} lines to `path`; NaN and infinity become null, so every line is JSON.

    On the first write of a process, lines with that step or a later one are dropped: a fit that resumed from a
    checkpoint walks them again. A line cut in half by a crash is dropped too.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._opened = Path(path), False

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        if not self._opened:
            self._keep_before(step)
            self._opened = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: number(v) for k, v in metrics.items()}}) + "\n")

    def _keep_before(self, step: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        kept = [
            row
            for row in read_jsonl(self.path, growing=True)
            if isinstance(row.get("step"), (int, float)) and row["step"] < step
        ]
        write_atomically(self.path, "".join(json.dumps(row) + "\n" for row in kept))


def read_curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Name -> [(step, value), …] in step order, from a file that may still be growing; gaps (null) are left out."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in read_jsonl(Path(path), growing=True):
        step = row.pop("step", None)
        if not isinstance(step, (int, float)):
            continue
        for name, value in row.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                curves.setdefault(name, []).append((step, value))
    return {name: sorted(points) for name, points in curves.items()}


def number(value: Any) -> Any:
    """A JSON number where it can be one; null for NaN and infinity."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    plain = float(value)
    return plain if math.isfinite(plain) else None
