"""One stage: the context it reads and writes, the key of what it read, and how its result comes to exist.

The key says what was read. Same key: nothing to do, or a kept result comes back. Otherwise the stage writes into a
temporary sibling, stage.json last, and one rename is the commit; half a result cannot exist. `loop.engine.commit` has
the names on disk.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from loop.engine import shared as shared_results
from loop.engine.commit import StepFolders
from loop.engine.damage import Damaged, check_input, damage, remember
from loop.engine.digest import RECORD, digest_folder, plain, stage_key
from loop.engine.lock import wait_until_free
from loop.engine.record import Metrics, StageError, StageRecord
from loop.engine.signals import Stopped
from loop.engine.step import Step, launch_folder

__all__ = [
    "Context",
    "Damaged",
    "Metrics",
    "StageError",
    "StageFailed",
    "StageRecord",
    "StageResult",
    "Stopped",
    "digest_folder",
    "run_stage",
    "stage_key",
]


class StageFailed(StageError):
    """A stage ended without a result.

    kinds: of its cause, what the error was, told across processes (`loop.engine.outcome.kinds`). hopeless: the cause
    is an input or the disk, which the message says in one line.
    """

    def __init__(self, message: str, kinds: Sequence[str] = (), hopeless: bool = False) -> None:
        super().__init__(message)
        self.kinds, self.hopeless = tuple(kinds), hopeless


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


class StageResult(NamedTuple):
    record: StageRecord
    how: Literal["fresh", "restored", "shared", "done"]
    """fresh: it was there; restored: a kept result came back; shared: another run's was taken over; done: made now."""


def run_stage(
    step: Step,
    inputs: Mapping[str, Path],
    run_dir: Path,
    fn: Callable[[Context], Metrics],
    runtime: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    shared: Path | None = None,
) -> StageResult:
    """The result of `step`: the one on disk or a kept one if its key is the same, else that of a new call of `fn`.

    shared: a folder of results (`loop.engine.shared`) where one with the same key is looked for before `fn` is called,
    and where what is there or was made is put.
    `inputs` are finished folders; before `fn` is called every byte of them is verified. A damaged result of the step
    itself is moved to the kept ones, and `tell` gets a line on it. What `fn` raises passes through; scratch stays, so
    the same call resumes. Raises Damaged for an input.
    """
    digests = {name: _input_digest(name, path) for name, path in inputs.items()}
    key = stage_key(step.stage, step.version, step.config, digests, step.seed)
    folders = StepFolders(run_dir, step.id, key)
    folders.mend(tell)
    folders.recover()
    previous = _sound(folders, folders.final, tell)
    if previous is not None and previous.key == key:
        folders.tidy()
        return _offered(shared, folders, tell, StageResult(previous, "fresh"))
    kept = _sound(folders, folders.kept, tell, full=True)
    if kept is not None and kept.key == key:
        folders.restore()
        remember(run_dir, folders.final, kept.outputs)
        return _offered(shared, folders, tell, StageResult(kept, "restored"))
    if shared is None:
        return StageResult(_made(step, key, folders, inputs, digests, fn, runtime), "done")
    with shared_results.one_maker(shared, key, tell):
        taken = shared_results.take(shared, folders)
        if taken is not None:
            remember(run_dir, folders.final, taken.outputs)
            return StageResult(taken, "shared")
        record = _made(step, key, folders, inputs, digests, fn, runtime)
        shared_results.give(shared, folders)
        return StageResult(record, "done")


def _offered(
    shared: Path | None, folders: StepFolders, tell: Callable[[str], None], result: StageResult
) -> StageResult:
    """`result`, which other runs may take over from now on: a kill may have come between its commit and that."""
    if shared is not None and not (shared / folders.key).exists():
        with shared_results.one_maker(shared, folders.key, tell):
            shared_results.give(shared, folders)
    return result


def _made(
    step: Step,
    key: str,
    folders: StepFolders,
    inputs: Mapping[str, Path],
    digests: dict[str, str],
    fn: Callable[[Context], Metrics],
    runtime: Mapping[str, Any] | None,
) -> StageRecord:
    """The record of a new result."""
    run_dir = folders.run_dir
    for name, path in inputs.items():
        record = StageRecord.load(path)
        if record is not None:
            check_input(run_dir, name, path, record)
    wait_until_free(launch_folder(folders.scratch) / "lock", 30.0)  # a killed loop's fit may take a moment to die
    folders.open()
    config = json.loads(json.dumps(step.config))
    context = Context(dict(inputs), folders.out, folders.scratch, config, step.seed, step.id, dict(runtime or {}))
    start = time.monotonic()
    try:
        metrics = plain(fn(context) or {})
        record = _record(step, key, config, digests, context, metrics, time.monotonic() - start)
        folders.commit(record.to_json())
        remember(run_dir, folders.final, record.outputs)
    except BaseException:
        with suppress(OSError):
            folders.recover()  # if the commit was cut in two: what is complete is worth keeping
        shutil.rmtree(folders.out, ignore_errors=True)
        raise
    return record


def _sound(folders: StepFolders, path: Path, tell: Callable[[str], None], full: bool = False) -> StageRecord | None:
    """The record of the result in `path`; None where there is none with this key that can be used, after saying so."""
    try:
        record = StageRecord.load(path)
        if record is None or record.key != folders.key:
            return record
        wrong = damage(folders.run_dir, path, record, full)
    except StageError as error:
        record, wrong = None, str(error)
    if not wrong:
        return record
    tell(f"{path} is {wrong.removeprefix(f'{path / RECORD} is ')}; moved to {folders.set_aside(path)}")
    return None


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
