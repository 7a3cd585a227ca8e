"""A stage is a pure function over folders: its context, its record, and how its result comes to exist.

The key says what was read. Same key: nothing to do. Otherwise the stage writes into a temporary sibling, stage.json
last, and one rename is the commit; half a result cannot exist. See `loop.engine.commit` for the names on disk.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loop.engine.commit import Places
from loop.engine.digest import RECORD, digest_folder, plain, stage_key
from loop.engine.lock import wait_until_free
from loop.engine.signals import Stopped
from loop.engine.step import Step, launch_folder, step_folder

__all__ = [
    "Context",
    "Metrics",
    "StageError",
    "StageFailed",
    "StageRecord",
    "Stopped",
    "digest_folder",
    "kinds",
    "run_stage",
    "stage_key",
]

Metrics = dict[str, Any]


class StageError(ValueError):
    """A stage or its record is not as it must be; one line with the cure."""


class StageFailed(StageError):
    """A stage ended without a result. `kinds` are those of its cause: what the error was, told across processes."""

    def __init__(self, message: str, kinds: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kinds = tuple(kinds)


def kinds(error: BaseException) -> list[str]:
    """The full names of its class and of those it derives from, nearest first: text that survives a process."""
    return [f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__]


@dataclass(frozen=True)
class Context:
    """All a stage may read or write: no globals, no clock, no environment."""

    inputs: Mapping[str, Path]
    """Finished folders, by the stage's own names."""
    out: Path
    """Empty; becomes the result by rename. On ranks other than 0 a folder of their own that is thrown away."""
    scratch: Path
    """Survives a crash; belongs to this key only, and to all ranks together."""
    config: Any
    """Plain types (lists, not tuples), the same in every kind of launch."""
    seed: int
    step_id: str = ""
    runtime: Mapping[str, Any] = field(default_factory=dict)
    """How to run, not what to compute, so not in the key: accelerator, devices, precision, kind, run_dir, ..."""
    rank: int = 0
    world: int = 1

    @property
    def is_first_rank(self) -> bool:
        return self.rank == 0


@dataclass(frozen=True)
class StageRecord:
    """What stage.json holds."""

    key: str
    stage: str
    step: str
    version: int
    config: dict[str, Any]
    seed: int
    inputs: dict[str, str]
    """Name -> digest of that input's outputs."""
    outputs: str
    """Digest of this folder."""
    metrics: Metrics
    seconds: float
    """Of the attempt that finished; an interrupted part before it is not counted."""
    finished: str
    """UTC, ISO 8601."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, folder: Path) -> StageRecord | None:
        """The record in `folder`; None when there is none. Raises StageError when it cannot be read."""
        try:
            read = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            return cls(**{item.name: read[item.name] for item in fields(cls)})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StageError(
                f"{folder / RECORD} cannot be read ({error}): remove the folder {folder} to have it made again"
            ) from error


def run_stage(
    step: Step,
    inputs: Mapping[str, Path],
    run_dir: Path,
    fn: Callable[[Context], Metrics],
    runtime: Mapping[str, Any] | None = None,
) -> StageRecord:
    """The record of `step`: the one on disk if its key is the same, else the one of a new call of `fn`.

    `inputs` are finished folders. What `fn` raises passes through; scratch stays, so the same call resumes.
    """
    digests = {name: _input_digest(name, path) for name, path in inputs.items()}
    key = stage_key(step.stage, step.version, step.config, digests, step.seed)
    places = Places(step_folder(run_dir, step.id), key)
    places.recover()
    former = StageRecord.load(places.final)
    if former is not None and former.key == key:
        places.tidy()
        return former
    wait_until_free(launch_folder(places.scratch) / "lock", 30.0)  # a killed loop's fit may take a moment to die
    places.open()
    config = json.loads(json.dumps(step.config))
    context = Context(dict(inputs), places.out, places.scratch, config, step.seed, step.id, dict(runtime or {}))
    start = time.monotonic()
    try:
        metrics = plain(fn(context) or {})
        record = _record(step, key, config, digests, context, metrics, time.monotonic() - start)
        places.commit(record.to_json())
    except BaseException:
        shutil.rmtree(places.out, ignore_errors=True)
        places.recover()
        raise
    return record


def _record(
    step: Step, key: str, config: Any, digests: dict[str, str], context: Context, metrics: Metrics, seconds: float
) -> StageRecord:
    if (context.out / RECORD).exists():
        raise StageError(f"{step.id}: the stage wrote {RECORD} itself; that name is the loop's, choose another")
    return StageRecord(
        key=key,
        stage=step.stage,
        step=step.id,
        version=step.version,
        config=config,
        seed=step.seed,
        inputs=digests,
        outputs=digest_folder(context.out),
        metrics=metrics,
        seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _input_digest(name: str, path: Path) -> str:
    record = StageRecord.load(path)
    if record is not None:
        return record.outputs
    if not path.is_dir():
        raise StageError(f"input {name}: {path} is not there; run the step that makes it first")
    return digest_folder(path)
