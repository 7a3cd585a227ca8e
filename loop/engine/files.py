"""Files that survive a power cut: replaced in one step, and folders written through to the disk.

The engine has its own function for that because it imports neither package, and because it waits for the disk.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any, sort_keys: bool = True, durable: bool = True) -> None:
    """As `write_atomically`."""
    write_atomically(path, json.dumps(value, indent=2, sort_keys=sort_keys, allow_nan=False) + "\n", durable)


def write_atomically(path: Path, data: str | bytes, durable: bool = True) -> None:
    """Replace `path` at once; a reader sees the old content or the new one, also after a power cut if `durable`."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(partial, path)


def fsync_tree(folder: Path) -> None:
    """Every file and folder below `folder`, and itself."""
    for path in _below(folder):
        fsync(path)
    fsync(folder)


def fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def freed_by_removing(folder: Path) -> int:
    """Bytes of the files below `folder` that are not linked from elsewhere, too."""
    found = (path.lstat() for path in _below(folder) if not path.is_dir())
    return sum(info.st_size for info in found if info.st_nlink == 1)


def bytes_below(folder: Path) -> int:
    """Of the files below `folder`; links count for nothing, nor does what goes meanwhile, as beside a running stage."""
    total = 0
    for path in _below(folder):
        with suppress(FileNotFoundError):
            info = path.lstat()
            total += info.st_size if stat.S_ISREG(info.st_mode) else 0
    return total


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            yield Path(parent, name)
