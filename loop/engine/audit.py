"""Who asked what of a run and what the loop did about it: RUN/audit.jsonl, a line an action, never rewritten."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "audit.jsonl"
LOOP = "loop"
"""The name under which a loop writes what it has done."""


def record(run_dir: Path, by: str, action: str, **detail: Any) -> None:
    """Append a line {at, by, action, ...}. Written at once, so that lines of several processes stay whole."""
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "by": by, "action": action, **detail}
    descriptor = os.open(run_dir / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def read_audit(run_dir: Path, last: int = 200) -> list[dict[str, Any]]:
    """The last lines, the oldest first; none where there is no log."""
    try:
        lines = (run_dir / FILE).read_text(encoding="utf-8", errors="replace").splitlines()[-last:]
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # cut by a full disk
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
