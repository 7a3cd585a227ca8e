"""The sign of life of a stage: a file in scratch whose time moves, and which may say how far the work is.

The watchdog in `loop.engine.launchers.process` looks at it.
"""

from __future__ import annotations

import time
from pathlib import Path

from loop.engine.step import launch_folder

INTERVAL = 0.5  # seconds; more frequent beats cost one clock read

_last: dict[Path, float] = {}


def beat(scratch: Path, progress: str = "") -> None:
    """Say that work goes on. Call it as often as you like; a stage that beats once must go on beating.

    progress: how far it is, such as "120 of 480".
    """
    now = time.monotonic()
    if now - _last.get(scratch, -INTERVAL) < INTERVAL:
        return
    _last[scratch] = now
    file = heartbeat_file(scratch)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(progress, encoding="utf-8")


def progress(scratch: Path) -> str:
    """What the last beat said; empty when it said nothing."""
    try:
        return heartbeat_file(scratch).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def heartbeat_file(scratch: Path) -> Path:
    return launch_folder(scratch) / "heartbeat"
