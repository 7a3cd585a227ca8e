"""What a run reads of the user's files, as digests: the data folder, weights files, initial generators.

Of the data folder names, sizes, times and the manifest's text count (it may hold a terabyte): a touched file makes
`prepare` run again, and if its output is the same, everything after it sleeps on. Of weights the contents count;
their digests are kept (`loop.engine.digest_cache`), so that `plan` and `status` need not read them again.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loop.config.checks_init import INIT_FILES
from loop.config.schema import Config
from loop.engine.digest_cache import DigestCache
from stylemattegan.config import CompositeDiscriminatorKind

GONE = "gone"
"""Of a finished run whose files were moved away: its steps show as stale, nothing else happens."""


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


def fingerprints(config: Config, run_dir: Path | None = None, full: bool = False) -> Fingerprints:
    """Read what `config` names. run_dir: its digests of files are used and kept. full: read weights all the same."""
    digests = DigestCache(run_dir)

    def digest(file: str) -> str:
        try:
            return digests.of_file(Path(file).expanduser().absolute(), full)
        except OSError:
            return GONE

    def of(weights: str | None) -> str | None:
        return None if weights is None else digest(weights)

    composite = config.generator.composite_discriminator
    reads_backbone = composite.kind is CompositeDiscriminatorKind.projected
    return Fingerprints(
        data=folder_fingerprint(config.data.root),
        backbone=of(config.matter.network.backbone.weights),
        composite_backbone=of(composite.backbone.weights) if reads_backbone else None,
        initial={
            domain: {name: digest(str(Path(folder) / name)) for name in INIT_FILES}
            for domain, folder in config.generator.init_from.items()
        },
    )


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
