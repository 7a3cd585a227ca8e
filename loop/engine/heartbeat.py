"""The heartbeat of a stage: a file in scratch whose time moves, and which says in numbers how far the work is.

What watches a launcher (`loop.engine.launchers.watch`) reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from loop.engine.memory import Memory, memory_used
from loop.engine.signals import stop_point
from loop.engine.stage import Context
from loop.engine.step import launch_folder

INTERVAL = 0.5  # seconds; more frequent beats cost one clock read
T = TypeVar("T")


class Progress(NamedTuple):
    """How far a stage is, in its own unit: steps, pictures."""

    done: int
    total: int
    phase: str = ""
    """What of the stage it is, where it goes through several things one after the other: a domain, a candidate."""


class Listener(Protocol):
    """Hears a stage that works in this very process."""

    def __call__(self, progress: Progress | None = None, warning: str = "", memory: Memory | None = None) -> None: ...


class Beat(NamedTuple):
    at: int
    """The file's time in nanoseconds. Only that it changes counts: clocks of two machines differ."""
    progress: Progress | None
    memory: Memory | None = None


_last: dict[Path, float] = {}
_listeners: dict[Path, Listener] = {}


def beat(scratch: Path, progress: Progress | None = None) -> None:
    """Say that work goes on. Call it as often as you like; a stage that beats once must go on beating."""
    now = time.monotonic()
    if now - _last.get(scratch, -INTERVAL) < INTERVAL:
        return
    _last[scratch] = now
    file = heartbeat_file(scratch)
    file.parent.mkdir(parents=True, exist_ok=True)
    memory = memory_used()
    shown = {"progress": progress._asdict() if progress else None, "memory": memory._asdict()}
    file.write_text(json.dumps(shown), encoding="utf-8")
    if progress is not None and scratch in _listeners:
        _listeners[scratch](progress, memory=memory)


def warn(scratch: Path, line: str) -> None:
    """Tell the user something that does not end the stage."""
    if scratch in _listeners:
        _listeners[scratch](warning=line)
        return
    file = warning_file(scratch)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.write(line + "\n")


def read_warnings(scratch: Path) -> list[str]:
    """The lines of `warn` by a stage in another process since the last look."""
    file = warning_file(scratch)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return lines


def read_beat(scratch: Path) -> Beat | None:
    """The last beat; None before the first. One that is being written has no progress."""
    file = heartbeat_file(scratch)
    try:
        at, text = file.stat().st_mtime_ns, file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        read = json.loads(text)
        progress = Progress(**read["progress"]) if read["progress"] else None
        return Beat(at, progress, Memory(**read["memory"]))
    except (ValueError, TypeError, KeyError):
        return Beat(at, None)


@contextmanager
def listening(scratch: Path, listener: Listener) -> Iterator[None]:
    """Inside, `listener` hears the progress and the warnings of a stage that works in this very process."""
    _listeners[scratch] = listener
    try:
        yield
    finally:
        del _listeners[scratch]


def beat_or_stop(ctx: Context, progress: Progress | None = None) -> None:
    """A beat, or Stopped if a stop was asked for: a stage without a checkpoint begins again next time."""
    beat(ctx.scratch, progress)
    stop_point(f"{ctx.step_id} stopped")


def tracked(ctx: Context, items: Sequence[T], phase: str = "") -> Iterator[T]:
    """`items`, with a beat and a look whether to stop before each."""
    for done, item in enumerate(items):
        beat_or_stop(ctx, Progress(done, len(items), phase))
        yield item
    beat(ctx.scratch, Progress(len(items), len(items), phase))


def heartbeat_file(scratch: Path) -> Path:
    return launch_folder(scratch) / "heartbeat"


def warning_file(scratch: Path) -> Path:
    return launch_folder(scratch) / "warnings"
