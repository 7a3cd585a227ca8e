"""Reading the published matting data sets where they were unpacked, plain folders and manifests as the same rows.

    p3m-10k         train/{blurred_image,mask}, validation/P3M-500-P/{blurred_image,mask,trimap},
                    validation/P3M-500-NP/{original_image,mask,trimap} (older copies: validation1, validation2)
    p3m-500         one of the last two by itself
    am-2k           {train,validation}/{original,mask[,trimap]}
    aim-500         {original,mask,trimap}
    ppm-100         {image,matte}, or {train,val}/{fg,alpha}
    aisegment       clip_img/ID/clip_NNNNNNNN/NAME.jpg, matting/ID/matting_NNNNNNNN/NAME.png (RGBA)
    rwp-636         image/NAME_input.jpg, alpha/NAME.png, detailmap
    composition-1k  {merged,alpha_copy,trimaps} once composed; Training_set, Test_set with {fg,alpha} as delivered
    bg-20k          {train,testval} of pictures without a subject
    folders         {image,alpha[,trimap]} (or images, photos; alphas, matte, mask; trimaps)
    manifest        manifest.csv, as `stylematte.data.manifest` describes; also reads the columns trimap and split

Files belong together by the name before the ending. Nothing is opened here but the manifest.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stylematte.data.manifest import read_manifest
from stylematte.errors import DataError
from stylematte.picture_endings import PICTURE_ENDINGS

ALL = "all"
"""The split of data that is not split."""
_ENDINGS = ("_input", "_image", "_alpha", "_matte", "_mask", "_trimap")


class Example(NamedTuple):
    """One picture of a data set. id: unique in it; kind: alpha, pseudo-alpha, mask, trimap, none, background,
    generated-rgba, or foreground (a cut-out object that was never photographed as a whole)."""

    id: str
    split: str
    subject: str
    kind: str
    image: Path
    alpha: Path | None = None
    trimap: Path | None = None


class Released(NamedTuple):
    """What lies below a root: its layout's name, its rows in order, and the alphas and trimaps no picture claims."""

    layout: str
    examples: list[Example]
    orphans: list[Path]


class Part(NamedTuple):
    """One split on disk: folder below the root, then the sub-folders; each may have several names."""

    split: str
    folders: tuple[str, ...]
    images: tuple[str, ...]
    alphas: tuple[str, ...] = ()
    trimaps: tuple[str, ...] = ()
    kind: str = "alpha"
    deep: bool = False
    """Whether files lie at any depth below the sub-folders."""


_HERE = (".",)
_COMPOSED = (("merged", "merged_cv"), ("alpha_copy",), ("trimaps", "trimap_copy", "trimap"))
_CUT = (("fg",), ("alpha",), (), "foreground")
_P3M = (("blurred_image",), ("mask",), ("trimap",))
_P3M_NP = (("original_image",), ("mask",), ("trimap",))
_AM = (("original",), ("mask",), ("trimap",))
_PPM = (("fg", "image"), ("alpha", "matte"))

LAYOUTS: dict[str, tuple[str, tuple[Part, ...]]] = {
    "p3m-10k": (
        "portrait",
        (
            Part("train", ("train",), ("blurred_image",), ("mask",)),
            Part("P3M-500-P", ("validation/P3M-500-P", "validation1"), *_P3M),
            Part("P3M-500-NP", ("validation/P3M-500-NP", "validation2"), *_P3M_NP),
        ),
    ),
    "p3m-500": ("portrait", (Part("P3M-500-NP", _HERE, *_P3M_NP), Part("P3M-500-P", _HERE, *_P3M))),
    "am-2k": ("animal", (Part("train", ("train",), *_AM), Part("validation", ("validation",), *_AM))),
    "aim-500": ("mixed", (Part(ALL, _HERE, *_AM),)),
    "ppm-100": (
        "portrait",
        (
            Part(ALL, _HERE, ("image",), ("matte",)),
            Part("train", ("train",), *_PPM),
            Part("val", ("val",), *_PPM),
        ),
    ),
    "aisegment": ("portrait", (Part(ALL, _HERE, ("clip_img",), ("matting",), deep=True),)),
    "rwp-636": ("portrait", (Part(ALL, _HERE, ("image",), ("alpha",)),)),
    "composition-1k": (
        "mixed",
        (
            Part("test", ("Test_set", "Combined_Dataset/Test_set", "Test_set/Adobe-licensed images", "."), *_COMPOSED),
            Part("train", ("Training_set/Adobe-licensed images",), *_CUT),
            Part("train", ("Combined_Dataset/Training_set/Adobe-licensed images",), *_CUT),
            Part("train", ("Training_set/Other", "Combined_Dataset/Training_set/Other"), *_CUT),
            Part("test", ("Test_set/Adobe-licensed images",), *_CUT),
            Part("test", ("Combined_Dataset/Test_set/Adobe-licensed images",), *_CUT),
        ),
    ),
    "bg-20k": (
        "background",
        (
            Part("train", ("train",), _HERE, kind="background"),
            Part("testval", ("testval",), _HERE, kind="background"),
        ),
    ),
    "folders": (
        "any",
        (
            Part(
                ALL,
                _HERE,
                ("image", "images", "photo", "photos"),
                ("alpha", "alphas", "matte", "mattes", "mask"),
                ("trimap", "trimaps"),
            ),
        ),
    ),
}
"""Layout -> (subject of its pictures, its parts), in the order in which they are tried."""
NAMES = ("manifest", *LAYOUTS)


def read_released(root: str | Path, layout: str = "auto") -> Released:
    """The rows of the data set unpacked at `root`; "auto" finds its layout. Raises DataError."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if layout == "auto":
        root, layout = _recognised(root)
    if layout == "manifest":
        return Released(layout, list(_manifest(root)), [])
    if layout not in LAYOUTS:
        raise DataError(f"no layout is called {layout}; expected auto, {', '.join(NAMES)}")
    subject, parts = LAYOUTS[layout]
    examples: list[Example] = []
    orphans: list[Path] = []
    for part in parts:
        for folder in _existing(root, part):
            found, unclaimed = _pictures(root, folder, part, subject)
            examples += found
            orphans += unclaimed
    if not examples:
        raise DataError(f"{root}: holds no pictures laid out as {layout}; expected {_expected(parts)}")
    return Released(layout, examples, orphans)


def _recognised(root: Path) -> tuple[Path, str]:
    """The layout by its folders, and the root: one folder deeper where an archive holds a folder of its own name."""
    inner = [child for child in sorted(root.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    for candidate in (root, *inner[: len(inner) == 1]):
        if (candidate / "manifest.csv").is_file():
            return candidate, "manifest"
        for layout in LAYOUTS:
            if _fits(candidate, layout):
                return candidate, layout
    raise DataError(
        f"{root}: no known layout; expected manifest.csv, image/ and alpha/, or the folders of one of "
        f"{', '.join(name for name in LAYOUTS if name != 'folders')} (name it with --layout)"
    )


def _fits(root: Path, layout: str) -> bool:
    _, parts = LAYOUTS[layout]
    if layout == "rwp-636":  # its folders are those of plain pairs; its names are not
        return (root / "detailmap").is_dir() or any(root.glob("image/*_input.*"))
    if layout == "bg-20k":
        return all((root / part.split).is_dir() and _by_name(root / part.split) for part in parts)
    return any(True for part in parts for _ in _existing(root, part))


def _existing(root: Path, part: Part) -> Iterator[Path]:
    """The folder of a part, if its pictures (and its alphas, where it has any) are there."""
    for name in part.folders:
        folder = root / name
        if _first(folder, part.images) and (not part.alphas or _first(folder, part.alphas)):
            yield folder
            return


def _pictures(root: Path, folder: Path, part: Part, subject: str) -> tuple[list[Example], list[Path]]:
    images = _by_name(_first(folder, part.images), part.deep)
    alphas, trimaps = (_by_name(_first(folder, names), part.deep) for names in (part.alphas, part.trimaps))
    examples = []
    for name, image in images.items():
        alpha, trimap = (_claimed(files, name) for files in (alphas, trimaps))
        id_ = image.relative_to(root).with_suffix("").as_posix()
        examples.append(Example(id_, part.split, subject, part.kind, image, alpha, trimap))
    claimed = {path for example in examples for path in (example.alpha, example.trimap)}
    return examples, [path for path in (*alphas.values(), *trimaps.values()) if path not in claimed]


def _claimed(files: dict[str, Path], name: str) -> Path | None:
    """The file of a picture's name: exactly, or up to an ending such as _input or _alpha on either side."""
    bare = _bare(name)
    for key in (name, bare, *(bare + ending for ending in _ENDINGS)):
        if key in files:
            return files[key]
    return None


def _bare(name: str) -> str:
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _by_name(folder: Path | None, deep: bool = False) -> dict[str, Path]:
    if folder is None:
        return {}
    files = sorted(
        path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if path.suffix.lower() in PICTURE_ENDINGS and path.name[0] != "."
    )
    return {path.stem: path for path in files}


def _expected(parts: Sequence[Part]) -> str:
    wanted = (
        " and ".join(f"{part.folders[0]}/{names[0]}" for names in (part.images, part.alphas) if names) for part in parts
    )
    return ", or ".join(name.replace("./", "") for name in wanted)


def _manifest(root: Path) -> Iterator[Example]:
    rows = read_manifest(root)
    with (root / "manifest.csv").open(newline="", encoding="utf-8-sig") as lines:
        notes = list(csv.DictReader(lines))
    for row, note in zip(rows, notes, strict=True):
        trimap, split = ((note.get(column) or "").strip() for column in ("trimap", "split"))
        paths = (root / name if name else None for name in (row.alpha, trimap))
        id_ = Path(row.file).with_suffix("").as_posix()
        yield Example(id_, split or ALL, row.subject, row.kind, root / row.file, *paths)
