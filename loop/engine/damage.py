"""Whether a finished result still has the bytes that its record names.

In full, every byte is read: before a stage uses a result, before a kept one comes back, and for `stylematte verify`.
Else a look at sizes and times of change is enough while they are those of the last reading, so `plan` and `status`
stay fast. A result is called damaged only after it was read in full.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from loop.engine.digest import RECORD, UnusableFolder
from loop.engine.digest_cache import DigestCache
from loop.engine.record import StageError, StageRecord


class Damaged(StageError):
    """A result is not what it was when it was made; one line with the cure."""


def damage(run_dir: Path, folder: Path, record: StageRecord, full: bool = False) -> str:
    """What is wrong with the result in `folder`, as the end of a sentence about it; empty when nothing is.

    full: read all of it, whatever sizes and times say.
    """
    digests = DigestCache(run_dir)
    try:
        found = digests.of_folder(folder, full)
        if found != record.outputs and not full:
            found = digests.of_folder(folder, full=True)
    except UnusableFolder as error:
        return f"damaged ({error})"
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return f"damaged (the disk cannot read {error.filename or 'it'})"
    return "" if found == record.outputs else "damaged: its files are not those that were made"


def problem(run_dir: Path, folder: Path, full: bool = False) -> str:
    """As `damage`, of whatever record lies in `folder`; empty where there is none."""
    try:
        record = StageRecord.load(folder)
    except StageError as error:
        return f"damaged: {RECORD}, {error.__cause__}"
    return "" if record is None else damage(run_dir, folder, record, full)


def check_input(run_dir: Path, name: str, folder: Path, record: StageRecord) -> None:
    """Reads the input `name` of a stage in full. Raises Damaged."""
    if wrong := damage(run_dir, folder, record, full=True):
        raise Damaged(
            f"input {name}: {folder} is {wrong}; the same command moves it aside and makes it again, or put back a copy"
        )


def remember(run_dir: Path, folder: Path, outputs: str) -> None:
    """That a result was written or read in full just now."""
    with suppress(UnusableFolder, OSError):
        DigestCache(run_dir).remember(folder, outputs)
