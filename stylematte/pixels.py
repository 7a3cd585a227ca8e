"""A photo in the integers of its file, three bytes a pixel: as floats it is there a few rows at a time, or reduced.

Floats take twelve bytes a pixel. Fresh memory and the way to it cost more than the arithmetic, so whoever can works on
strips that stay in the processor's cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from stylematte.imagecode import Decoded
from stylematte.imagefile import on_white, read_decoded, resize

STRIP = 32
"""Rows that are floats at a time."""


class Pixels:
    """(3, H, W) in [0, 1], what is transparent on white: as `imagefile.read_rgb` gives it, but never all of it."""

    def __init__(self, decoded: Decoded) -> None:
        self.decoded = decoded
        self.shape = (3, *decoded.colour.shape[:2])
        self._resized: dict[tuple[int, int], Tensor] = {}

    @property
    def is_plain(self) -> bool:
        """8 bits, and nothing transparent."""
        return self.decoded.alpha is None and self.decoded.colour.dtype == np.uint8

    def planes(self, rows: slice) -> Sequence[np.ndarray]:
        """The integers of these rows: red, green and blue (n, W)."""
        return cv2.split(self.decoded.colour[rows])

    def whole(self) -> Tensor:
        """(3, H, W): 12 bytes a pixel."""
        return on_white(self.decoded)

    def rows(self, rows: slice) -> Tensor:
        """(3, n, W), bit for bit these rows of the whole."""
        colour, alpha = self.decoded
        return on_white(Decoded(colour[rows], None if alpha is None else alpha[rows]))

    def grey(self, rows: slice) -> Tensor:
        """(1, n, W): the mean of the three colours of these rows, to 1e-6."""
        if not self.is_plain:
            return self.rows(rows).mean(0, keepdim=True)
        red, green, blue = self.planes(rows)
        summed = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_32F)
        return torch.from_numpy(summed)[None].div_(3 * 255)

    def resized(self, size: tuple[int, int]) -> Tensor:
        """(3, height, width) = size: `imagefile.resize` of the whole to 1e-6. Kept for who asks next."""
        if size not in self._resized:
            smaller = size[0] <= self.shape[1] and size[1] <= self.shape[2] and size != self.shape[1:]
            quick = self.is_plain and smaller
            self._resized[size] = _reduced(self.decoded.colour, size) if quick else resize(self.whole(), size)
        return self._resized[size]


def read_pixels(path: str | os.PathLike[str]) -> Pixels:
    """Raises BadPicture."""
    return Pixels(read_decoded(path))


def whole(picture: Tensor | Pixels) -> Tensor:
    """As floats."""
    return picture.whole() if isinstance(picture, Pixels) else picture


def rows_of(picture: Tensor | Pixels, rows: slice) -> Tensor:
    """These rows as floats."""
    return picture.rows(rows) if isinstance(picture, Pixels) else picture[:, rows]


def resized(picture: Tensor | Pixels, size: tuple[int, int]) -> Tensor:
    """(3, height, width) = size by averaging."""
    return picture.resized(size) if isinstance(picture, Pixels) else resize(picture, size)


def strips_of(height: int) -> list[slice]:
    """STRIP rows each."""
    return [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]


def _reduced(colour: np.ndarray, size: tuple[int, int]) -> Tensor:
    """colour (H, W, 3) of uint8. Columns are averaged strip by strip, as a product with the filter's weights: a
    triangle over two of the result's rows (`interpolate`, bilinear with antialias). The rows follow by `resize`."""
    height, width = colour.shape[:2]
    scale = height / size[0]
    summed, weights = torch.from_numpy(np.zeros((size[0], width * 3), np.float32)), torch.zeros(size[0], 1)
    centres = (torch.arange(size[0])[:, None] + 0.5) * scale
    for rows in strips_of(height):
        first = max(0, int((rows.start + 0.5) / scale - 1.5))
        part = slice(first, min(size[0], int((rows.stop - 0.5) / scale + 0.5) + 1))
        lines = colour[rows].reshape(-1, width * 3).astype(np.float32)
        distances = (torch.arange(rows.start, rows.stop) + 0.5 - centres[part]).abs()
        weight = (1 - distances / scale).clamp(min=0)
        weights[part] += weight.sum(1, keepdim=True)
        summed[part].addmm_(weight, torch.from_numpy(lines))
    narrow = torch.from_numpy(np.empty((3, size[0], width), np.float32))
    torch.div(summed.view(size[0], width, 3).permute(2, 0, 1), 255 * weights, out=narrow)
    return resize(narrow, size)
