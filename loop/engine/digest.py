"""Hashes: of a folder's contents, and of everything a stage reads (its key)."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = "stage.json"


class UnusableFolder(ValueError):
    """A result holds something that does not survive a move or cannot be hashed."""


def digest_folder(path: Path) -> str:
    """SHA-256 (hex) over the sorted relative names and the contents of all files below `path`, without stage.json.

    Times, modes and empty folders do not count. Raises UnusableFolder for links and other things that are no files.
    """
    total = hashlib.sha256()
    for name in sorted(files_below(path)):
        with open(path / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        # A name cannot contain NUL, so no two different folders give the same text.
        total.update(name.encode("utf-8", "surrogateescape") + b"\0" + content.encode() + b"\n")
    return total.hexdigest()


def files_below(root: Path, inside: str = "") -> list[str]:
    """Relative names of the files of a result, in no order, without stage.json. Raises UnusableFolder."""
    found: list[str] = []
    with os.scandir(root / inside) as entries:
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                found += files_below(root, name)
            elif not entry.is_file(follow_symlinks=False):
                raise UnusableFolder(f"{root / name}: a result holds plain files only; copy or hard-link it instead")
            elif name != RECORD:
                found.append(name)
    return found


def stage_key(stage: str, version: int, config: Mapping[str, Any], inputs: Mapping[str, str], seed: int) -> str:
    """SHA-256 (hex) of all a stage reads. `inputs`: name -> output digest. Equal keys mean: nothing to do."""
    read = {"stage": stage, "version": version, "config": config, "inputs": dict(inputs), "seed": seed}
    return hashlib.sha256(json.dumps(read, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numbers of any library become Python's, NaN and infinity None, the rest text."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
