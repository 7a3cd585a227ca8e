"""The cut-outs and backgrounds that clips are made of: drawn ones, RGBA pictures, the pairs of a data root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from stylematte.data.drawn.dataset import SUBJECTS, draw, draw_background
from stylematte.data.manifest import BACKGROUND, FOREGROUND, ManifestRow, read_manifest
from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_rgb, read_rgba
from stylematte.inference.photos import pictures_in
from stylematte.ops.foreground import estimate_foreground
from stylematte.sampling import position_seed
from stylematte.sheets import thumbnail

RGBA = "generated-rgba"
LARGEST_DRAWN = 1024
"""Pixels; a drawing is made four times finer, in memory."""
EMPTY = 0.5
"""A cut-out that is nowhere more opaque than this shows no subject."""


class Cutout(NamedTuple):
    """A subject to animate: its name, what it is, where it is from, and how to get it at no more than so many
    pixels of its longest side, as premultiplied colour and alpha (h, w, 4) in [0, 1]."""

    name: str
    subject: str
    source: str
    read: Callable[[int], np.ndarray]


class Backdrop(NamedTuple):
    """A background picture: where it is from, and how to get it, (h, w, 3) in [0, 1]."""

    source: str
    read: Callable[[int], np.ndarray]


def cutouts_of(word: str, count: int, seed: int, kinds: Sequence[str] = ("alpha",)) -> list[Cutout]:
    """`word`: a subject to draw (`count` of them), or a folder: a data root (its manifest's rows of these kinds) or
    RGBA pictures. Raises DataError."""
    if word in SUBJECTS:
        return [_drawn(word, position_seed(seed, "clip", word, number), number) for number in range(count)]
    folder = Path(word)
    if not folder.is_dir():
        raise DataError(f"{word}: no such folder; expected one, or a subject to draw ({', '.join(SUBJECTS)})")
    if (folder / "manifest.csv").is_file():
        rows = [row for row in read_manifest(folder) if row.kind in kinds and (row.alpha or row.kind == RGBA)]
        if not rows:
            raise DataError(f"{folder}/manifest.csv has no row of kind {' or '.join(kinds)} with an alpha: set --kinds")
        return [_of_row(folder, row) for row in rows]
    files = pictures_in(folder)
    if not files:
        raise DataError(f"{folder}: neither a manifest.csv nor RGBA pictures in it")
    return [Cutout(file.stem, folder.name, str(file), lambda side, file=file: _of_rgba(file, side)) for file in files]


def backdrops_of(folder: str | None) -> list[Backdrop]:
    """The pictures of a folder (of a data root: its backgrounds); none for None. Raises DataError."""
    if folder is None:
        return []
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{folder}: no such folder of backgrounds")
    if (root / "manifest.csv").is_file():
        files = [root / row.file for row in read_manifest(root) if row.kind == BACKGROUND]
    else:
        files = pictures_in(root)
    if not files:
        raise DataError(f"{folder}: holds no backgrounds")
    return [Backdrop(str(file), lambda side, file=file: _rows(thumbnail(read_rgb(file), side))) for file in files]


def drawn_backdrop(seed: int) -> Backdrop:
    """A drawn scene of this seed."""
    return Backdrop(f"drawn background {seed}", lambda side: _rows(draw_background(seed, side)))


def _drawn(subject: str, seed: int, number: int) -> Cutout:
    def read(side: int) -> np.ndarray:
        drawn = draw(subject, seed, min(side, LARGEST_DRAWN))  # type: ignore[arg-type]
        return _premultiplied(drawn.foreground, drawn.alpha)

    return Cutout(f"{number:04d}", subject, f"drawn {subject} {seed}", read)


def _of_row(root: Path, row: ManifestRow) -> Cutout:
    def read(side: int) -> np.ndarray:
        if row.alpha is None:
            return _of_rgba(root / row.file, side)
        image, alpha = thumbnail(read_rgb(root / row.file), side), thumbnail(read_alpha(root / row.alpha), side)
        if image.shape[1:] != alpha.shape[1:]:
            raise DataError(f"{root / row.file}: its alpha {row.alpha} is of another size")
        return _premultiplied(image if row.kind == FOREGROUND else estimate_foreground(image, alpha), alpha)

    return Cutout(Path(row.file).stem, row.subject, str(root / row.file), read)


def _of_rgba(file: Path, side: int) -> np.ndarray:
    rgba = read_rgba(file)
    if bool((rgba[3] == 1).all()):
        raise DataError(f"{file}: is opaque throughout; expected a cut-out with an alpha channel")
    cutout = rgba.clone()
    cutout[:3] *= rgba[3:]
    return _rows(thumbnail(cutout, side))


def _premultiplied(foreground: Tensor, alpha: Tensor) -> np.ndarray:
    if float(alpha.max()) <= EMPTY:
        raise DataError("a cut-out without a subject: its alpha is nowhere above 0.5")
    return np.concatenate([_rows(foreground * alpha), _rows(alpha)], 2)


def _rows(picture: Tensor) -> np.ndarray:
    """(C, H, W) -> (H, W, C)"""
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy(), np.float32)
