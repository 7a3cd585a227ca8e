"""Which pictures a run reads of its data roots: folders with a manifest, published data sets as they were unpacked, and
plain folders of pictures. Files are listed, none but manifests are opened.

Official splits are kept: what a data set calls train trains, any other part of it is held out. Pictures without a split
are held out by the hash of their names (`manifest.heldout`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stylematte.data.manifest import BACKGROUND, ManifestRow, read_manifest
from stylematte.data.released import ALL, LAYOUTS, read_released
from stylematte.errors import DataError
from stylematte.picture_endings import PICTURE_ENDINGS

FLAT = "pictures"
"""The layout of a folder that holds pictures and nothing else; below it, every picture at any depth."""
MANIFEST = "manifest.csv"


class DataRoot(NamedTuple):
    """A folder of pictures. domain: which they belong to (or an extra subject), None: as the rows or the layout say.

    kind: of all of them, None: as the rows or the layout say. layout: "auto", "pictures", or one of `released.NAMES`.
    share: relative weight of its labelled pictures among those of other roots; None: as many as there are.
    """

    path: Path
    domain: str | None = None
    kind: str | None = None
    layout: str = "auto"
    share: float | None = None


def root_rows(root: DataRoot, domains: Mapping[str, str]) -> list[ManifestRow]:
    """The rows of one root. domains: domain name -> subject. Raises DataError."""
    path = Path(root.path).expanduser()
    rows = _listed(path, root.layout)
    if root.kind is not None:
        rows = [row._replace(kind=root.kind) for row in rows]
    if root.kind == BACKGROUND:
        return [row._replace(subject=BACKGROUND, alpha=None, trimap=None) for row in rows]
    if root.domain is not None:
        subject = domains.get(root.domain, root.domain)
        rows = [row if row.kind == BACKGROUND else row._replace(subject=subject) for row in rows]
    return rows


def all_rows(roots: Sequence[DataRoot], domains: Mapping[str, str]) -> list[ManifestRow]:
    """The rows of all roots, in order, each with the number of its root. Raises DataError."""
    return [row._replace(root=number) for number, root in enumerate(roots) for row in root_rows(root, domains)]


def layout_of(path: Path) -> str:
    """How the pictures below a folder lie: manifest, a published layout, or pictures. Raises DataError."""
    path = path.expanduser()
    if (path / MANIFEST).is_file():
        return "manifest"
    try:
        return read_released(path).layout
    except DataError:
        if path.is_dir() and any(_pictures(path)):
            return FLAT
        raise


def manifest_rows(path: Path, layout: str = "auto") -> list[ManifestRow]:
    """The rows of a layout, for a manifest of it: paths relative to `path`. Raises DataError."""
    return _listed(path.expanduser(), layout)


def is_heldout(split: str) -> bool:
    """Whether a split that a data set names is one to measure on."""
    return split not in ("", ALL, "train")


def _listed(path: Path, layout: str) -> list[ManifestRow]:
    if not path.is_dir():
        raise DataError(f"data root {path} is not a folder: set data.root to a folder of pictures, or to null")
    if layout in ("auto", "manifest") and (layout == "manifest" or (path / MANIFEST).is_file()):
        return read_manifest(path)
    if layout == "auto":
        layout = layout_of(path)
    if layout == FLAT:
        return [ManifestRow(file.relative_to(path).as_posix(), None, "any", "none") for file in _pictures(path)]
    if layout not in ("manifest", *LAYOUTS):
        raise DataError(f"no layout is called {layout}; expected auto, {FLAT}, manifest, {', '.join(LAYOUTS)}")
    released = read_released(path) if layout == "manifest" else read_released(path, layout)
    return [
        ManifestRow(
            _relative(path, example.image),
            None if example.alpha is None else _relative(path, example.alpha),
            example.subject,
            example.kind if example.alpha is not None or example.kind == BACKGROUND else "none",
            None if example.trimap is None else _relative(path, example.trimap),
            "" if example.split == ALL else example.split,
        )
        for example in released.examples
    ]


def _pictures(path: Path) -> Iterable[Path]:
    return sorted(
        file for file in path.rglob("*") if file.suffix.lower() in PICTURE_ENDINGS and not file.name.startswith(".")
    )


def _relative(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
