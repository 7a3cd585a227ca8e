"""What a run reads of the user's files, as digests: the data folder, weights files, initial generators.

Of the data folder names, sizes, times and the manifest's text count (it may hold a terabyte): a touched file makes
`prepare` run again, and if its output is the same, everything after it sleeps on. Of weights the contents count;
their digests are kept (`loop.engine.digest_cache`), so that `plan` and `status` need not read them again.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loop.config.checks_init import INIT_FILES
from loop.config.reviews import Reviews, read_reviews
from loop.config.rollbacks import read_rollbacks
from loop.config.schema import Config
from loop.engine.digest_cache import DigestCache
from stylematte.config import PUBLISHED, BackboneConfig
from stylematte.rounds import DESCRIPTION, HUB_DESCRIPTION, HUB_TENSORS, TENSORS, find_matter
from stylemattegan.config import CompositeDiscriminatorKind

GONE = "gone"
"""Of a finished run whose files were moved away: its steps show as stale, nothing else happens."""


@dataclass(frozen=True)
class Fingerprints:
    """What `loop.plan` needs to know of files."""

    data: str = "drawn"
    backbone: str | None = None
    """Of matter.network.backbone.weights."""
    matter: str | None = None
    """The folder that matter.init_from means: of a run its best matter."""
    matter_files: Mapping[str, str] = field(default_factory=dict)
    """Of that folder: file -> digest."""
    composite_backbone: str | None = None
    """Of generator.composite_discriminator.backbone.weights, if it is read."""
    initial: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of generator.init_from: domain -> file -> digest."""
    reviews: Reviews = field(default_factory=dict)
    """Of the run's pairs, by hand."""
    rollbacks: Sequence[int] = ()
    """The rounds that the run was rolled back to."""


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
    given = config.matter.init_from
    matter = None if given is None else find_matter(Path(given)) or Path(given)
    return Fingerprints(
        data=data_fingerprint([root.root for root in config.data.all_roots()]),
        backbone=of(_weights_file(config.matter.network.backbone)),
        matter=None if matter is None else str(matter),
        matter_files={} if matter is None else {what: digest(str(file)) for what, file in _matter_files(matter)},
        composite_backbone=of(_weights_file(composite.backbone)) if reads_backbone else None,
        initial={
            domain: {name: digest(str(Path(folder) / name)) for name in INIT_FILES}
            for domain, folder in config.generator.init_from.items()
        },
        reviews=read_reviews(run_dir),
        rollbacks=read_rollbacks(run_dir),
    )


def _weights_file(backbone: BackboneConfig) -> str | None:
    """The file of its weights, if it has some; a name that nothing has where timm's are not in the hub's cache."""
    if backbone.weights != PUBLISHED:
        return backbone.weights
    # Only timm knows where its files lie: it is imported where it is asked for, and by nobody else here.
    path = importlib.import_module("stylematte.networks.pretrained").cached(backbone.name)
    return os.devnull + "/none" if path is None else str(path)


def _matter_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Whichever names the files have there, the digest of equal ones is equal."""
    for what, own, hub in (("tensors", TENSORS, HUB_TENSORS), ("description", DESCRIPTION, HUB_DESCRIPTION)):
        yield what, next((folder / name for name in (own, hub) if (folder / name).is_file()), folder / own)


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
