"""Views of training pictures: squares as they were prepared; or, of pictures at their own resolution, crops at native
scale around the transition band of alpha, and views at low scale: of the whole, or of parts of any size.

A view is a function (path, reader) -> uint8 (S, S, C) that shows every file of one picture (photo, alpha, foreground,
trimap ...) through the same window. Which window is a function of the sample's seed alone.

At prediction a matter that learned from such views is shown photos as they are, whole or in tiles: the scale of the
crops. Whole views teach what the subject is, which a crop of hair does not show.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from torch import Tensor

from stylematte.imagefile import read_alpha, read_rgb, read_trimap, to_uint8
from stylematte.netpbm import ENDINGS, mapped
from stylematte.picturecache import KeptArrays, PictureCache
from stylematte.sampling import position_seed

_PathLike = str | os.PathLike[str]
Reader = Callable[[_PathLike], Tensor]
Row = Mapping[str, Any]

ANYWHERE = 0.2
"""Share of the crops that lie anywhere in the picture: that the inside of a subject is foreground is seen so, too."""
CELL = 16
"""Side of the squares in which the transition band is looked for, in pixels."""
LOW, HIGH = 5, 250
"""Of 255: a square in which alpha stays at or below the first, or at or above the second, has no transition."""
SURE = 255 * 0.999
"""A pixel of a reduced trimap stays known if at least this much of it was, as `rgba.trimap_of_shares` has it."""


class View(NamedTuple):
    """get: (path, reader) -> uint8 (S, S, C). is_crop: whether it shows a part at native scale. is_whole: whether it
    shows all of the picture."""

    get: Callable[[_PathLike, Reader], np.ndarray]
    is_crop: bool
    is_whole: bool = True


class Window(NamedTuple):
    """The top left corner of a square of side S; negative where the picture is smaller than S and reflected."""

    top: int
    left: int


class Views(Protocol):
    """How a picture is shown, square and uint8."""

    def of(self, row: Row, seed: int) -> View:
        """What a sample with this seed sees of the picture with this record."""
        ...

    def background(self, path: _PathLike, seed: int, is_crop: bool) -> np.ndarray:
        """(S, S, 3) of a photo that goes behind a cut-out."""
        ...

    def content(self, row: Row) -> np.ndarray:
        """The alpha (h, w) of a labelled record without padding."""
        ...


class SquareViews:
    """Pictures that were prepared as squares of side S are shown as they are."""

    def __init__(self, size: int, capacity: int) -> None:
        self.cache = PictureCache(size, capacity)

    def of(self, row: Row, seed: int) -> View:
        return View(self.cache.get, False)

    def background(self, path: _PathLike, seed: int, is_crop: bool) -> np.ndarray:
        return self.cache.get(path, read_rgb)

    def content(self, row: Row) -> np.ndarray:
        alpha = self.cache.get(row["alpha"], read_alpha)[..., 0]
        top, left, height, width = row.get("box", (0, 0, *alpha.shape))
        return alpha[top : top + height, left : left + width]


class NativeViews:
    """Pictures of any size: a share of the samples are crops of side S at native scale, the rest views at low scale.

    size: S. crop_share: probability of a crop. zoom: the other views show a square part of the picture, of its longest
    side over 1 to `zoom` (even in the logarithm), but no fewer than S pixels; at 1 all is shown. capacity: bytes of
    whole views, and of files that cannot be mapped, that are kept. A generated cut-out (`rgba`) has no native scale and
    is always shown whole.
    """

    def __init__(self, size: int, crop_share: float, capacity: int, zoom: float = 1.0) -> None:
        self.size, self.crop_share, self.zoom, self.arrays = size, crop_share, zoom, KeptArrays(capacity)
        self.bands: dict[str, np.ndarray] = {}

    def of(self, row: Row, seed: int) -> View:
        rng = np.random.default_rng(position_seed(seed, "view"))
        guide, read = _guide(row)
        is_crop = guide is not None and rng.random() < self.crop_share
        if guide is None or (not is_crop and self.zoom == 1):
            return View(self._whole, False)
        picture = self._pixels(guide, read)
        side = self.size if is_crop else part_side(picture.shape, self.size, self.zoom, rng)
        anchor = _anchor(self._band(guide, picture), picture.shape, rng)
        window = window_around(anchor, picture.shape, side, rng)

        def part(path: _PathLike, read: Reader) -> np.ndarray:
            seen = cut(self._pixels(path, read), window, side)
            return seen if side == self.size else _fit(read)(seen, self.size)

        return View(part, is_crop, False)

    def background(self, path: _PathLike, seed: int, is_crop: bool) -> np.ndarray:
        if is_crop:
            picture = self._pixels(path, read_rgb)
            if min(picture.shape[:2]) >= self.size:
                rng = np.random.default_rng(position_seed(seed, "behind"))
                top, left = (int(rng.integers(0, side - self.size + 1)) for side in picture.shape[:2])
                return cut(picture, Window(top, left), self.size)
        return self.arrays.get((str(path), "centre"), lambda: centre_square(self._pixels(path, read_rgb), self.size))

    def content(self, row: Row) -> np.ndarray:
        return self._pixels(row["alpha"], read_alpha)[..., 0]

    def _whole(self, path: _PathLike, read: Reader) -> np.ndarray:
        return self.arrays.get((str(path), read, "whole"), lambda: _fit(read)(self._pixels(path, read), self.size))

    def _pixels(self, path: _PathLike, read: Reader) -> np.ndarray:
        """(H, W, C) uint8 of a file at its own resolution."""
        if Path(path).suffix in ENDINGS:
            return mapped(path)
        return self.arrays.get((str(path), read), lambda: to_uint8(read(path)))

    def _band(self, path: _PathLike, picture: np.ndarray) -> np.ndarray:
        """Corners of the squares with a transition, looked for once."""
        if str(path) not in self.bands:
            self.bands[str(path)] = transition_cells(picture[..., 0])
        return self.bands[str(path)]


def transition_cells(alpha: np.ndarray) -> np.ndarray:
    """alpha (or trimap) (H, W) uint8 -> (K, 2) uint16: top left corners of the CELL x CELL squares that hold a
    transition, soft or hard; those that the lower and right sides cut off are counted, too."""
    tops, lefts = (np.arange(0, side, CELL) for side in alpha.shape)
    lowest = np.minimum.reduceat(np.minimum.reduceat(alpha, tops, 0), lefts, 1)
    highest = np.maximum.reduceat(np.maximum.reduceat(alpha, tops, 0), lefts, 1)
    return (np.argwhere((lowest < HIGH) & (highest > LOW)) * CELL).astype(np.uint16)


def window_around(anchor: tuple[int, int], shape: tuple[int, ...], size: int, rng: np.random.Generator) -> Window:
    """A square of side `size` that holds the anchor in its middle half, inside a picture (H, W, ...) if it fits."""
    starts = []
    for place, side in zip(anchor, shape[:2], strict=True):
        start = round(place - size / 2 + rng.uniform(-size / 4, size / 4))
        starts.append(-((size - side) // 2) if side < size else min(max(start, 0), side - size))
    return Window(*starts)


def part_side(shape: tuple[int, ...], size: int, zoom: float, rng: np.random.Generator) -> int:
    """The side of a square part of a picture (H, W, ...): its longest over 1 to `zoom`, but at least `size`."""
    longest = max(shape[:2])
    return max(round(longest * zoom ** -rng.random()), min(size, longest))


def cut(picture: np.ndarray, window: Window, size: int) -> np.ndarray:
    """(H, W, C) -> (size, size, C): what the window shows, at native scale, reflected beyond the picture."""
    top, left = window
    part = picture[max(top, 0) : top + size, max(left, 0) : left + size]
    if part.shape[:2] == (size, size):
        return np.ascontiguousarray(part)
    above, before = max(-top, 0), max(-left, 0)
    return _reflected(part, above, before, size)


def fit_square(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, C) -> (size, size, C): longest side scaled to `size`, the rest reflected: `folders.square` for uint8."""
    height, width = (max(2, round(side * size / max(picture.shape[:2]))) for side in picture.shape[:2])
    small = resized(picture, height, width)
    return _reflected(small, (size - height) // 2, (size - width) // 2, size)


def fit_trimap(trimap: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 1) of 0, 128 and 255 -> (size, size, 1), laid out as `fit_square` does; what mixes is unknown."""
    back, front = (fit_square(np.where(trimap == value, np.uint8(255), np.uint8(0)), size) for value in (0, 255))
    return np.where(front >= SURE, np.uint8(255), np.where(back >= SURE, np.uint8(0), np.uint8(128)))


def centre_square(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, C) -> (size, size, C): the central square, resized."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resized(picture[top : top + side, left : left + side], size, size)


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) -> (height, width, C), uint8: averaged over areas where it shrinks, bilinear where it grows."""
    how = cv2.INTER_AREA if height * width < picture.shape[0] * picture.shape[1] else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=how)
    return small if small.ndim == 3 else small[..., None]


def _fit(read: Reader) -> Callable[[np.ndarray, int], np.ndarray]:
    return fit_trimap if read is read_trimap else fit_square


def _guide(row: Row) -> tuple[str | None, Reader]:
    """The file in which a record's transitions are, and how it is read; None for a generated cut-out."""
    if row.get("rgba"):
        return None, read_alpha
    if row.get("alpha"):
        return str(row["alpha"]), read_alpha
    return str(row["trimap"]), read_trimap


def _anchor(band: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int]:
    if not len(band) or rng.random() < ANYWHERE:
        return int(rng.integers(shape[0])), int(rng.integers(shape[1]))
    top, left = band[rng.integers(len(band))]
    return int(top) + CELL // 2, int(left) + CELL // 2


def _reflected(part: np.ndarray, above: int, before: int, size: int) -> np.ndarray:
    below, after = size - above - part.shape[0], size - before - part.shape[1]
    grown = cv2.copyMakeBorder(np.ascontiguousarray(part), above, below, before, after, cv2.BORDER_REFLECT_101)
    return grown if grown.ndim == 3 else grown[..., None]
