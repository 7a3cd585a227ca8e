"""The heartbeat of a stage: a file in scratch whose time moves, and which says in numbers how far the work is.

What watches a launcher (`loop.engine.launchers.watch`) reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from loop.engine.signals import stop_point
from loop.engine.stage import Context
from loop.engine.step import launch_folder

INTERVAL = 0.5  # seconds; more frequent beats cost one clock read
T = TypeVar("T")


class Progress(NamedTuple):
    """How far a stage is, in its own unit: steps, pictures."""

    done: int
    total: int


class Beat(NamedTuple):
    at: int
    """The file's time in nanoseconds. Only that it changes counts: clocks of two machines differ."""
    progress: Progress | None


_last: dict[Path, float] = {}
_listeners: dict[Path, Callable[[Progress], None]] = {}


def beat(scratch: Path, progress: Progress | None = None) -> None:
    """Say that work goes on. Call it as often as you like; a stage that beats once must go on beating."""
    now = time.monotonic()
    if now - _last.get(scratch, -INTERVAL) < INTERVAL:
        return
    _last[scratch] = now
    file = heartbeat_file(scratch)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(progress._asdict() if progress else {}), encoding="utf-8")
    if progress is not None and scratch in _listeners:
        _listeners[scratch](progress)


def read_beat(scratch: Path) -> Beat | None:
    """The last beat; None before the first. One that is being written has no progress."""
    file = heartbeat_file(scratch)
    try:
        at, text = file.stat().st_mtime_ns, file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Beat(at, Progress(**json.loads(text)))
    except (ValueError, TypeError):
        return Beat(at, None)


@contextmanager
def listening(scratch: Path, listener: Callable[[Progress], None]) -> Iterator[None]:
    """Inside, `listener` hears the progress of a stage that works in this very process."""
    _listeners[scratch] = listener
    try:
        yield
    finally:
        del _listeners[scratch]


def beat_or_stop(ctx: Context, progress: Progress | None = None) -> None:
    """A beat, or Stopped if a stop was asked for: a stage without a checkpoint begins again next time."""
    beat(ctx.scratch, progress)
    stop_point(f"{ctx.step_id} stopped")


def tracked(ctx: Context, items: Sequence[T]) -> Iterator[T]:
    """`items`, with a beat and a look whether to stop before each."""
    for done, item in enumerate(items):
        beat_or_stop(ctx, Progress(done, len(items)))
        yield item


def heartbeat_file(scratch: Path) -> Path:
    return launch_folder(scratch) / "heartbeat"
