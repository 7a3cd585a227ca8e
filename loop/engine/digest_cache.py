"""SHA-256 digests of files and folders, kept by (path, size, time of change), so that a second look reads no bytes.

    .digests.json     of a run: {"rows": {path: [signature, digest]}, "digest": of the rows}

Paths below the run are relative to it, so it may be moved. A cache that was damaged is not believed, only filled again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from loop.engine.digest import digest_folder, files_below

CACHE = ".digests.json"
_writing = threading.Lock()

Rows = dict[str, list[str]]
"""Path -> [signature, digest]."""


class DigestCache:
    """run_dir: whose cache is used; None: one in memory. A folder that cannot be written is read anew each time."""

    def __init__(self, run_dir: Path | None) -> None:
        self.run_dir = run_dir
        self.memory: Rows = {}

    def of_file(self, path: Path, full: bool = False) -> str:
        """full: read it, whatever its size and time say. Raises OSError."""
        info = path.stat()
        signature = f"{info.st_size} {info.st_mtime_ns}"
        digest = None if full else self._known(path, signature)
        if digest is None:
            with open(path, "rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            self._keep(path, signature, digest)
        return digest

    def of_folder(self, folder: Path, full: bool = False) -> str:
        """As `digest_folder`. Raises UnusableFolder, OSError."""
        signature = _listing(folder)
        digest = None if full else self._known(folder, signature)
        if digest is None:
            digest = digest_folder(folder)
            self._keep(folder, signature, digest)
        return digest

    def remember(self, folder: Path, digest: str) -> None:
        """That `folder` was written or read in full just now. Raises UnusableFolder, OSError."""
        self._keep(folder, _listing(folder), digest)

    def _name(self, path: Path) -> str:
        path = path.resolve()
        run = None if self.run_dir is None else self.run_dir.resolve()
        return str(path.relative_to(run) if run is not None and path.is_relative_to(run) else path)

    def _known(self, path: Path, signature: str) -> str | None:
        row = self._rows().get(self._name(path))
        return row[1] if row is not None and row[0] == signature else None

    def _rows(self) -> Rows:
        if self.run_dir is None:
            return self.memory
        try:
            read = json.loads((self.run_dir / CACHE).read_text(encoding="utf-8"))
            rows: Rows = read["rows"]
            return rows if read["digest"] == _digest(rows) else {}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def _keep(self, path: Path, signature: str, digest: str) -> None:
        with _writing:
            rows, name = self._rows(), self._name(path)
            if rows.get(name) == [signature, digest]:
                return
            rows[name] = [signature, digest]
            if self.run_dir is None or not (self.run_dir / "rounds").is_dir():  # `plan` writes in no other folder
                return
            there = {old: row for old, row in rows.items() if (self.run_dir / old).exists()}
            partial = self.run_dir / f"{CACHE}.partial"  # two processes that write at once leave what is not believed
            with suppress(OSError):
                text = json.dumps({"rows": there, "digest": _digest(there)}, indent=1)
                partial.write_text(text, encoding="utf-8")
                os.replace(partial, self.run_dir / CACHE)


def _listing(folder: Path) -> str:
    """Digest of names, sizes and times of change."""
    total = hashlib.sha256()
    for name in sorted(files_below(folder)):
        info = os.stat(folder / name)
        total.update(f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _digest(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
