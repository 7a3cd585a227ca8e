"""What the user's data folder holds, as one digest: names, sizes and times, and the manifest's own text.

Contents are not read (a folder may hold a terabyte). A touched file makes `prepare` run again; if its output is the
same, everything after it sleeps on.
"""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path


def fingerprint(root: str | None) -> str:
    """Digest of the folder `root`; of nothing when pictures are drawn by code (None)."""
    if root is None:
        return "drawn"
    folder = Path(root).expanduser()
    if not folder.is_dir():
        return "gone"  # of a finished run whose data were moved away: its steps show as stale, nothing else happens
    digest = hashlib.sha256()
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        digest.update(manifest.read_bytes())
    for name, info in sorted(_files(folder)):
        digest.update(f"{name}\x1f{info.st_size}\x1f{info.st_mtime_ns}\x1e".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def file_fingerprint(path: str | None) -> str | None:
    """Size and time of one file (a weights file may be large); None for None."""
    if path is None:
        return None
    try:
        info = Path(path).expanduser().stat()
    except OSError:
        return "gone"
    return f"{info.st_size}:{info.st_mtime_ns}"


def content_digest(path: str) -> str:
    """SHA-256 of one file: a copied or touched one is the same."""
    try:
        with open(Path(path).expanduser(), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "gone"


def kinds_in(root: str | None) -> set[str]:
    """The kinds of pictures that the manifest of `root` lists; none if it cannot be read (`prepare` says why)."""
    if root is None:
        return {"alpha", "none"}
    try:
        with open(Path(root).expanduser() / "manifest.csv", newline="", encoding="utf-8-sig") as lines:
            return {(row.get("kind") or "").strip() for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()


def _files(folder: Path) -> list[tuple[str, os.stat_result]]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                found.append((os.path.relpath(path, folder), os.stat(path)))
            except OSError:
                continue  # a dangling link: `prepare` names it if the manifest asks for it
    return found
