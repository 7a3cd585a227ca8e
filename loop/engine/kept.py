"""What a run keeps beside its results: earlier results, and scratch of fits that never finished; and their removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from loop.engine.commit import StepFolders
from loop.engine.digest import RECORD, stage_key
from loop.engine.files import freed_by_removing
from loop.engine.freshness import fresh_inputs
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step

DISCARDED = ".discarded"


class Kept(NamedTuple):
    step: str
    key: str
    """Its first digits."""
    kind: Literal["result", "unfinished"]
    finished: str
    """UTC, ISO 8601; of something unfinished, when it was last worked on."""
    seconds: float | None
    """That it took; unknown of something unfinished."""
    bytes: int
    """That its removal frees."""
    path: Path


def kept(run_dir: Path, steps: Sequence[Step]) -> list[Kept]:
    """All earlier results, and the scratch of every key that the plan `steps` would not go on with."""
    wanted = {folders.scratch for folders in _resumable(run_dir, steps)}
    found = [*_results(run_dir), *(one for one in _unfinished(run_dir) if one.path not in wanted)]
    return sorted(found, key=lambda one: (one.step, one.finished))


def remove(run_dir: Path, found: Sequence[Kept]) -> None:
    """Remove them and empty folders that are left. Hold the run's lock. A kill amid it leaves no half of a result."""
    trash = run_dir / "kept" / DISCARDED
    trash.parent.mkdir(exist_ok=True)
    for one in found:
        shutil.rmtree(trash, ignore_errors=True)
        os.rename(one.path, trash)
    shutil.rmtree(trash, ignore_errors=True)
    for parent, _, _ in os.walk(run_dir / "kept", topdown=False):
        with suppress(OSError):  # not empty
            os.rmdir(parent)


def _resumable(run_dir: Path, steps: Sequence[Step]) -> Iterator[StepFolders]:
    for step, inputs in fresh_inputs(run_dir, steps):
        yield StepFolders(run_dir, step.id, stage_key(step.stage, step.version, step.config, inputs, step.seed))


def _results(run_dir: Path) -> Iterator[Kept]:
    for folder in _folders_with_record(run_dir / "kept"):
        step = folder.parent.relative_to(run_dir / "kept").as_posix()
        try:
            record = StageRecord.load(folder)
        except StageError:
            record = None
        when, seconds = (record.finished, record.seconds) if record else (_last_change(folder), None)
        yield Kept(step, folder.name, "result", when, seconds, freed_by_removing(folder), folder)


def _folders_with_record(root: Path) -> Iterator[Path]:
    """Also those without a record, put there by hand or moved aside: folders named as `StepFolders` names them."""
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != DISCARDED]
        if RECORD in files or Path(parent).name.startswith(("unrecorded-", "damaged-")):
            folders.clear()
            yield Path(parent)


def _unfinished(run_dir: Path) -> Iterator[Kept]:
    rounds = run_dir / "rounds"
    for parent, folders, _ in os.walk(rounds):
        hidden = [name for name in folders if name.startswith(".")]
        folders[:] = [name for name in folders if name not in hidden]
        for name in {name.split(".")[1] for name in hidden}:
            step = (Path(parent) / name).relative_to(rounds).as_posix()
            for scratch in StepFolders(run_dir, step).scratches():
                key = scratch.name.rpartition(".")[2]
                yield Kept(step, key, "unfinished", _last_change(scratch), None, freed_by_removing(scratch), scratch)


def _last_change(folder: Path) -> str:
    newest = max((path.lstat().st_mtime for path in [folder, *folder.rglob("*")]), default=0.0)
    return datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds")
