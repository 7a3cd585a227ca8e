"""What a door asks of a loop that runs, as files in its run folder: pause after this stage, or stop now.

    RUN/requests/pause    nothing new starts after the steps under way
    RUN/requests/stop     what runs saves its checkpoint and ends, as after a SIGTERM

The loop looks for them where it looks for signals, and carries them out. A request names the process it is meant for,
so that one which a killed loop never saw does not stop the next. Who asked, and what came of it, is in `audit.jsonl`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from loop.engine import audit, signals
from loop.engine.files import write_json
from loop.engine.lock import holder
from loop.engine.signals import Stopped

FOLDER = "requests"
Action = Literal["pause", "stop"]
ACTIONS: tuple[Action, ...] = get_args(Action)


class NothingRuns(ValueError):
    """No loop writes the run folder, so there is nobody to ask."""


class Paused(Stopped):
    """Ended before a step because a door asked for it; the same command goes on from there."""


def ask(run_dir: Path, action: Action, by: str) -> None:
    """Leave a request for the loop that writes `run_dir` now. Raises NothingRuns."""
    who = holder(run_dir)
    if who is None:
        raise NothingRuns(f"{run_dir.name}: nothing runs there, so there is nothing to {action}")
    (run_dir / FOLDER).mkdir(exist_ok=True)
    write_json(run_dir / FOLDER / action, {"by": by, "pid": who["pid"], "host": who["host"]})
    audit.record(run_dir, by, action)


def pending(run_dir: Path) -> Action | None:
    """What was asked of the loop and is not carried out yet; of both the stronger."""
    return next((action for action in reversed(ACTIONS) if (run_dir / FOLDER / action).is_file()), None)


def pause_point(run_dir: Path, step_id: str) -> None:
    """Raises Paused, before a step, if a pause was asked for."""
    if (run_dir / FOLDER / "pause").is_file():
        raise Paused(f"paused before {step_id}")


@contextmanager
def heard(run_dir: Path) -> Iterator[None]:
    """While a loop is at work: requests meant for it take effect, and are gone afterwards. Hold the run's lock."""
    for action in ACTIONS:
        if not _is_for_us(run_dir / FOLDER / action):
            (run_dir / FOLDER / action).unlink(missing_ok=True)
    signals.listen_to(run_dir / FOLDER / "stop")
    try:
        yield
    except Stopped as stop:
        _carried_out(run_dir, str(stop).partition(";")[0])
        raise
    finally:
        signals.listen_to(None)
        _carried_out(run_dir, "the loop had ended by then")


def _is_for_us(request: Path) -> bool:
    read = _read(request)
    return (read.get("pid"), read.get("host")) == (os.getpid(), socket.gethostname())


def _carried_out(run_dir: Path, outcome: str) -> None:
    for action in ACTIONS:
        request = run_dir / FOLDER / action
        if request.is_file():
            audit.record(run_dir, audit.LOOP, action, asked_by=_read(request).get("by"), outcome=outcome)
            request.unlink(missing_ok=True)


def _read(request: Path) -> dict[str, Any]:
    try:
        read = json.loads(request.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
