"""Whether a finished result still has the bytes that its record names, and the cache that makes looking cheap.

In full, every byte is read: before a stage uses a result, before a kept one comes back, and for `stylematte verify`.
Else a look at sizes and times of change is enough while they are those of the last reading, so `plan` and `status`
stay fast. A result is called damaged only after it was read in full.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from loop.engine.digest import RECORD, UnusableFolder, digest_folder, files_below
from loop.engine.record import StageError, StageRecord

CACHE = ".digests.json"
_writing = threading.Lock()


class Damaged(StageError):
    """A result is not what it was when it was made; one line with the cure."""


def damage(run_dir: Path, folder: Path, record: StageRecord, full: bool = False) -> str:
    """What is wrong with the result in `folder`, as the end of a sentence about it; empty when nothing is.

    full: read all of it, whatever sizes and times say.
    """
    try:
        signature = _signature(folder)
        if not full and _known(run_dir).get(_name(run_dir, folder)) == [signature, record.outputs]:
            return ""
        found = digest_folder(folder)
    except UnusableFolder as error:
        return f"damaged ({error})"
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return f"damaged (the disk cannot read {error.filename or 'it'})"
    _keep(run_dir, folder, signature, found)
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
        _keep(run_dir, folder, _signature(folder), outputs)


def _signature(folder: Path) -> str:
    """Digest of names, sizes and times of change."""
    total = hashlib.sha256()
    for name in sorted(files_below(folder)):
        info = os.stat(folder / name)
        total.update(f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _name(run_dir: Path, folder: Path) -> str:
    return os.path.relpath(folder.resolve(), run_dir.resolve())


def _known(run_dir: Path) -> dict[str, list[str]]:
    """Folder -> [signature, digest]."""
    try:
        read = json.loads((run_dir / CACHE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _keep(run_dir: Path, folder: Path, signature: str, digest: str) -> None:
    """A run folder that cannot be written is only looked at the slow way."""
    with _writing:
        known, name = _known(run_dir), _name(run_dir, folder)
        if known.get(name) == [signature, digest]:
            return
        known = {old: row for old, row in known.items() if (run_dir / old).is_dir()} | {name: [signature, digest]}
        partial = run_dir / f"{CACHE}.partial"  # two processes that write at once leave at worst what is passed over
        with suppress(OSError):
            partial.write_text(json.dumps(known, indent=1), encoding="utf-8")
            os.replace(partial, run_dir / CACHE)
