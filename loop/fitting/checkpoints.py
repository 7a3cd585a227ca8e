"""The checkpoints of a fit: the last one and the one before, with digests, so that a damaged one is never gone on from.

    last.ckpt, previous.ckpt      Lightning's checkpoints after the last tick and after the one before
    digests.txt                   a line "SHA-256  name" for each, and for what else the fit had written by then

The digests are written before the renames, and a checkpoint is known by its digest alone: whatever a kill leaves, the
newest checkpoint that is whole is found.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from loop.engine.digest_cache import DigestCache
from loop.engine.files import write_atomically
from loop.tracking.curves import METRICS

LAST, PREVIOUS, PARTIAL, DIGESTS = "last.ckpt", "previous.ckpt", "last.ckpt.partial", "digests.txt"
_WRITTEN = DigestCache(None)
"""Of snapshots, which are not written again: not read at every tick."""


class Start(NamedTuple):
    """Where a fit begins: at a checkpoint or, None, anew; and, if something is damaged, a line that says so."""

    checkpoint: Path | None
    warning: str = ""


def start(scratch: Path, snapshots: str | None = None) -> Start:
    """The newest sound checkpoint in `scratch`. Reads alone, so all ranks find the same.

    snapshots: a folder in scratch with networks that the fit wrote on its way; if one is damaged, the fit begins anew.
    """
    there = [scratch / name for name in (LAST, PREVIOUS) if os.path.lexists(scratch / name)]
    if not there:
        return Start(None)
    if bad := [name for name in _others(digests(scratch), snapshots) if not _is_sound(scratch, name)]:
        return Start(None, f"{scratch / bad[0]} is damaged: the fit begins anew")
    known = set(digests(scratch).values())
    sound = next((path for path in there if _is_checkpoint(path, known)), None)
    if sound != there[0]:
        cure = "the fit begins anew" if sound is None else "the fit goes on from the checkpoint before it"
        return Start(sound, f"{there[0]} is damaged: {cure}")
    if bad := [name for name in _curves(digests(scratch)) if not _is_sound(scratch, name)]:
        return Start(sound, f"{scratch / bad[0].partition(':')[0]} is damaged: the curve of this fit cannot be trusted")
    return Start(sound)


def damaged(scratch: Path) -> list[Path]:
    """All that `start` would not trust."""
    known = digests(scratch)
    checkpoints = [scratch / name for name in (LAST, PREVIOUS) if os.path.lexists(scratch / name)]
    others = [name for name in known if name not in (LAST, PREVIOUS) and not _is_sound(scratch, name)]
    found = [path for path in checkpoints if not _is_checkpoint(path, set(known.values()))]
    return found + [scratch / name.partition(":")[0] for name in others]


def keep(scratch: Path, before: Path | None, snapshots: str | None = None) -> None:
    """`last.ckpt.partial` becomes `last.ckpt`; `before`, the checkpoint that the fit had, becomes `previous.ckpt`.

    Call on one rank.
    """
    new, known = scratch / PARTIAL, {}
    with open(new, "rb") as opened:
        os.fsync(opened.fileno())  # a checkpoint that a power cut leaves empty would be a tick lost
    known[LAST] = sha256(new)
    if before is not None:
        known[PREVIOUS] = sha256(before)
    for file in sorted((scratch / snapshots).rglob("*.*")) if snapshots is not None else []:
        known[file.relative_to(scratch).as_posix()] = _WRITTEN.of_file(file)
    if (scratch / METRICS).is_file():
        size = (scratch / METRICS).stat().st_size
        known[f"{METRICS}:{size}"] = sha256(scratch / METRICS)
    write_atomically(scratch / DIGESTS, "".join(f"{digest}  {name}\n" for name, digest in known.items()))
    if before == scratch / LAST:
        os.replace(before, scratch / PREVIOUS)
    elif (scratch / LAST).is_dir():
        shutil.rmtree(scratch / LAST)
    os.replace(new, scratch / LAST)


def forget(scratch: Path, snapshots: str | None = None) -> None:
    """Remove what a fit that begins anew must not find, after `start` has said that it does."""
    for name in (PREVIOUS, LAST, DIGESTS, *([] if snapshots is None else [snapshots])):
        if (scratch / name).is_dir():
            shutil.rmtree(scratch / name)
        else:
            with suppress(FileNotFoundError):
                os.unlink(scratch / name)


def digests(scratch: Path) -> dict[str, str]:
    """Name -> digest; lines that cannot be read are left out."""
    try:
        lines = (scratch / DIGESTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, gap, name in (line.partition("  ") for line in lines) if gap}


def sha256(path: Path, size: int | None = None) -> str:
    """Of a file, or of its first `size` bytes."""
    with open(path, "rb") as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(file.read(size)).hexdigest()


def _others(known: Iterable[str], snapshots: str | None) -> list[str]:
    return [name for name in known if snapshots is not None and name.startswith(f"{snapshots}/")]


def _curves(known: Iterable[str]) -> list[str]:
    return [name for name in known if name.startswith(f"{METRICS}:")]


def _is_sound(scratch: Path, name: str) -> bool:
    """name: as in the digests, with ":SIZE" of a file that grows."""
    file, _, size = name.partition(":")
    path = scratch / file
    try:
        return path.is_file() and sha256(path, int(size) if size else None) == digests(scratch)[name]
    except ValueError:
        return False


def _is_checkpoint(path: Path, known: set[str]) -> bool:
    """known: digests. Without any, of a fit that was begun before there were some, the file's own checksums count."""
    if not path.is_file():
        return False
    if known:
        return sha256(path) in known
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError):
        return False
