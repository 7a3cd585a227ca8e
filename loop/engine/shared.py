"""Finished results that several runs share, by key: what one run has made, another with the same key takes over.

    shared/1f0c...                a finished result, its files hard links to those of the run that made it
    shared/.1f0c....partial       one being put there
    shared/locks/1f0c...          held by the run that makes it now; another with the same key waits

A key names all that a stage reads, so equal keys are equal results, in whichever run. A result is read in full before
it is taken over; a damaged one is removed and made again. Files are linked, or copied where the disk has no links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loop.engine import signals
from loop.engine.commit import StepFolders
from loop.engine.digest import RECORD, UnusableFolder, digest_folder, files_below
from loop.engine.lock import FileLock
from loop.engine.record import StageError, StageRecord

PATIENCE = 1.0  # seconds between looks for a stop signal while another run is at work


@contextmanager
def one_maker(shared: Path, key: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a result; waits for as long as another process makes it. Raises Stopped."""
    locks = shared / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / key, {"pid": os.getpid()})
    if not lock.acquire(0):
        tell("waits for another run that makes the same")
        while not lock.acquire(PATIENCE):
            signals.stop_point("stopped while another run made the same")
    try:
        yield
    finally:
        lock.release()


def take(shared: Path, folders: StepFolders) -> StageRecord | None:
    """Make the shared result with this key the step's own; None where there is none. Hold `one_maker`."""
    theirs = shared / folders.key
    if not theirs.is_dir():
        return None
    record = _sound(theirs, folders)
    if record is None:
        shutil.rmtree(theirs)
        return None
    folders.out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folders.out, ignore_errors=True)
    _link(theirs, folders.out)
    folders.recover()
    folders.restore()
    return record


def give(shared: Path, folders: StepFolders) -> None:
    """Let other runs take over the step's finished result. Hold `one_maker`."""
    theirs, partial = shared / folders.key, shared / f".{folders.key}.partial"
    if theirs.exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    _link(folders.final, partial)
    os.rename(partial, theirs)


def _sound(theirs: Path, folders: StepFolders) -> StageRecord | None:
    """The record of a shared result, if it is the step's and its files are those that were made."""
    try:
        record = StageRecord.load(theirs)
        if record is None or (record.key, record.step) != (folders.key, folders.step_id):
            return None
        return record if digest_folder(theirs) == record.outputs else None
    except (StageError, UnusableFolder, OSError):
        return None


def _link(source: Path, target: Path) -> None:
    """The files of a result under another name, its record last."""
    for name in [*sorted(files_below(source)), RECORD]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:  # another file system, or one without links
            shutil.copy2(source / name, target / name)
