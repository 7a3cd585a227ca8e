"""How an attempt at a stage ended: with metrics, stopped, or with a problem; and the files that say so.

An exit code is not believed (torchrun maps all codes to 1): each rank of a stage writes result.RANK.json {metrics}
(rank 0 alone), stopped.RANK.json {reason} or error.RANK.json {message, type, retry, kinds} into scratch/launch.
"""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loop.engine.digest import plain
from loop.engine.files import write_json
from loop.engine.record import Metrics


@dataclass(frozen=True)
class Problem:
    """Why there is no result."""

    message: str
    """One line."""
    type: str = ""
    """The exception's class; empty when the stage said nothing before it ended."""
    retry: bool = True
    """Whether another attempt may help."""
    kinds: tuple[str, ...] = ()
    """Of the exception, see `kinds`."""
    hopeless: bool = False
    """The input is wrong or the disk is full: `message` says all that a user needs."""


@dataclass(frozen=True)
class Outcome:
    """Exactly one of metrics, stopped and problem is given."""

    metrics: Metrics | None = None
    stopped: str | None = None
    """The reason."""
    problem: Problem | None = None
    cause: BaseException | None = None
    """Of the problem, when it was raised in this process."""


def describe(error: BaseException) -> Problem:
    """A wrong input or a full disk stays wrong, so only other errors are worth another attempt."""
    hopeless = isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
    return Problem(
        message=(str(error).splitlines() or [""])[0],
        type=type(error).__name__,
        retry=bool(getattr(error, "retry", not hopeless)),
        kinds=kinds(error),
        hopeless=hopeless,
    )


def kinds(error: BaseException) -> tuple[str, ...]:
    """The full names of its class and of those it derives from, nearest first: text that survives a process."""
    return tuple(f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__)


def write_metrics(launch: Path, metrics: Metrics) -> None:
    write_json(launch / "result.0.json", {"metrics": plain(metrics)})


def write_stopped(launch: Path, rank: int, reason: str) -> None:
    write_json(launch / f"stopped.{rank}.json", {"reason": reason})


def write_problem(launch: Path, rank: int, problem: Problem) -> None:
    write_json(launch / f"error.{rank}.json", asdict(problem))


def read_outcome(launch: Path) -> Outcome | None:
    """What the ranks of an attempt that is over have written; None when they wrote nothing."""
    result = _first(launch, "result")
    if result is not None:
        return Outcome(metrics=result["metrics"])
    stopped = _first(launch, "stopped")
    if stopped is not None:
        return Outcome(stopped=stopped["reason"])
    error = _first(launch, "error")
    return None if error is None else Outcome(problem=Problem(**{**error, "kinds": tuple(error["kinds"])}))


def _first(launch: Path, kind: str) -> dict[str, Any] | None:
    """The first such file of any rank: later ones often say only that another rank went away."""
    files = sorted(launch.glob(f"{kind}.*.json"), key=lambda file: file.stat().st_mtime_ns)
    if not files:
        return None
    read: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
    return read
