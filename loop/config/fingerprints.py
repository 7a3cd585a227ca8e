"""What a run reads of the user's files, as digests: the data folder, weights files, initial generators.

Of the data folder names, sizes, times and the manifest's text count (it may hold a terabyte): a touched file makes
`prepare` run again, and if its output is the same, everything after it sleeps on. Of weights the contents count;
a digest is kept for each (path, size, time), so that `plan` and `status` need not read them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from loop.config.checks_init import INIT_FILES
from loop.config.schema import Config
from loop.engine.files import write_json
from stylemattegan.config import CompositeDiscriminatorKind

GONE = "gone"
"""Of a finished run whose files were moved away: its steps show as stale, nothing else happens."""
CACHE = ".fingerprints.json"


@dataclass(frozen=True)
class Fingerprints:
    """What `loop.plan` needs to know of files."""

    data: str = "drawn"
    backbone: str | None = None
    """Of matter.network.backbone.weights."""
    composite_backbone: str | None = None
    """Of generator.composite_discriminator.backbone.weights, if it is read."""
    initial: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of generator.init_from: domain -> file -> digest."""


def fingerprints(config: Config, run_dir: Path | None = None, keep: bool = False) -> Fingerprints:
    """Read what `config` names. run_dir: its kept digests are used, and with `keep` written."""
    digests = FileDigests(None if run_dir is None else run_dir / CACHE)
    composite = config.generator.composite_discriminator
    reads_backbone = composite.kind is CompositeDiscriminatorKind.projected
    found = Fingerprints(
        data=data_fingerprint([root.root for root in config.data.all_roots()]),
        backbone=digests.of(config.matter.network.backbone.weights),
        composite_backbone=digests.of(composite.backbone.weights) if reads_backbone else None,
        initial={
            domain: {name: digests.of(str(Path(folder) / name)) or GONE for name in INIT_FILES}
            for domain, folder in config.generator.init_from.items()
        },
    )
    if keep:
        digests.save()
    return found


def data_fingerprint(roots: Sequence[str]) -> str:
    """Of the data roots, in their order; GONE if one of them is."""
    if len(roots) < 2:
        return folder_fingerprint(roots[0] if roots else None)
    each = [folder_fingerprint(root) for root in roots]
    return GONE if GONE in each else hashlib.sha256("\x1f".join(each).encode()).hexdigest()


def folder_fingerprint(root: str | None) -> str:
    """Digest of the folder `root`; of nothing when pictures are drawn by code (None)."""
    if root is None:
        return "drawn"
    folder = Path(root).expanduser()
    if not folder.is_dir():
        return GONE
    digest = hashlib.sha256()
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        digest.update(manifest.read_bytes())
    for name, info in sorted(_files(folder)):
        digest.update(f"{name}\x1f{info.st_size}\x1f{info.st_mtime_ns}\x1e".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class FileDigests:
    """SHA-256 of files, each read once for every (path, size, time of change). path: where they are kept; or None."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, list[str | int]] = {}
        self.changed = False
        with suppress(OSError, ValueError, AttributeError):
            read = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
            self.known = {name: row for name, row in read.items() if isinstance(row, list) and len(row) == 3}

    def of(self, file: str | None) -> str | None:
        """The digest of `file`: GONE where it cannot be read, None for None."""
        if file is None:
            return None
        path = Path(file).expanduser().absolute()
        try:
            info = path.stat()
            row = self.known.get(str(path))
            if row is None or row[:2] != [info.st_size, info.st_mtime_ns]:
                with open(path, "rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
                row = self.known[str(path)] = [info.st_size, info.st_mtime_ns, digest]
                self.changed = True
        except OSError:
            return GONE
        return str(row[2])

    def save(self) -> None:
        if self.changed and self.path is not None and self.path.parent.is_dir():
            write_json(self.path, self.known)


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
