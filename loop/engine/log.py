"""The log of a step: what its processes print, and a headline for each attempt."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

TAIL_LINES = 15


def headline(text: str) -> str:
    """A line that begins a part of the log, with the time in UTC."""
    return f"== {datetime.now(UTC).isoformat(timespec='seconds')} {text}\n"


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 20000))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""
