"""Where a step's result, scratch and temporaries lie, and the rename that makes a result exist.

    rounds/01/label                    the result
    rounds/01/.label.9f3c21ab          scratch of the run with that key; survives a crash
    rounds/01/.label.9f3c21ab.out      a result being written
    rounds/01/.label.former            the result that is being replaced
    rounds/01/.label.discarded         being removed

A crash at any point leaves one of these; `recover` and `tidy` know what each means.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loop.engine.digest import RECORD


@dataclass(frozen=True)
class Places:
    """The paths of one step under one key."""

    final: Path
    key: str

    def _beside(self, ending: str) -> Path:
        return self.final.with_name(f".{self.final.name}.{ending}")

    @property
    def scratch(self) -> Path:
        return self._beside(self.key[:8])

    @property
    def out(self) -> Path:
        return self._beside(f"{self.key[:8]}.out")

    @property
    def former(self) -> Path:
        return self._beside("former")

    @property
    def discarded(self) -> Path:
        return self._beside("discarded")

    def recover(self) -> None:
        """Undo or finish a commit that a crash cut in two: a result that was moved aside comes back."""
        if self.former.exists() and not self.final.exists():
            os.rename(self.former, self.final)

    def open(self) -> None:
        """An empty `out`; `scratch` as the last attempt left it."""
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(exist_ok=True)
        self.empty_out()

    def empty_out(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def commit(self, record: dict[str, Any]) -> None:
        """Write stage.json last, make all of it durable, and let one rename make it the result."""
        write_json(self.out / RECORD, record)
        _fsync_tree(self.out)
        if self.final.exists():
            self._discard(self.former)
            os.rename(self.final, self.former)
        os.rename(self.out, self.final)
        _fsync(self.final.parent)
        _fsync(self.final.parent.parent)
        self.tidy()

    def tidy(self) -> None:
        """Remove everything beside a finished result: scratches of all keys, halves of results, the former one."""
        for path in self.leftovers():
            self._discard(path)

    def leftovers(self) -> list[Path]:
        pattern = re.compile(rf"\.{re.escape(self.final.name)}\.([0-9a-f]{{8}}(\.out)?|former|discarded)")
        if not self.final.parent.is_dir():
            return []
        return sorted(path for path in self.final.parent.iterdir() if pattern.fullmatch(path.name))

    def _discard(self, path: Path) -> None:
        # Renamed first: a crash amid the removal must not leave half a scratch that a later run would resume from.
        if self.discarded.exists():
            shutil.rmtree(self.discarded)
        if path.exists():
            os.rename(path, self.discarded)
            shutil.rmtree(self.discarded)


def write_json(path: Path, value: Any, sort_keys: bool = True) -> None:
    """Replace `path` at once; a reader sees the old text or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=sort_keys, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _fsync_tree(folder: Path) -> None:
    for path in _below(folder):
        _fsync(path)
    _fsync(folder)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            yield Path(parent, name)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
