"""How often a run was rolled back, and to which rounds: RUN/rollbacks.json, written by `loop.runs.rollback`.

A round that was rolled back is drawn anew when the run goes on: its seeds depend on how often that was.
"""

from __future__ import annotations

import json
from pathlib import Path

from loop.engine.files import write_json

FILE = "rollbacks.json"


def read_rollbacks(run_dir: Path | None) -> list[int]:
    """The rounds that were gone back to, in order; none where there is no such file or it is damaged."""
    try:
        read = json.loads((run_dir / FILE).read_text(encoding="utf-8")) if run_dir is not None else []
        return [int(round_) for round_ in read]
    except (OSError, ValueError, TypeError):
        return []


def write_rollback(run_dir: Path, round_: int) -> None:
    write_json(run_dir / FILE, [*read_rollbacks(run_dir), round_])
