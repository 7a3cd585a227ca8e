"""A photo in the integers of its file, three bytes a pixel: as floats it is there a few rows at a time, or reduced.

Floats take twelve bytes a pixel. Fresh memory and the way to it cost more than the arithmetic, so whoever can works on
strips that stay in the processor's cache.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from stylematte.imagecode import Decoded
from stylematte.imagefile import STRIP, on_white, read_decoded, resize


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


class Scratch:
    """A block of floats that one photo uses after another: fresh memory costs as much as what is written there."""

    def __init__(self) -> None:
        self.block = np.empty(0, np.float32)

    def floats(self, *shape: int) -> Tensor:
        """Of any values; what was here before is overwritten."""
        count = math.prod(shape)
        if self.block.size < count:
            self.block = np.empty(count, np.float32)
        return torch.from_numpy(self.block[:count].reshape(shape))


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


def strips_of(height: int, start: int = 0) -> list[slice]:
    """STRIP rows each, from `start` to `height`."""
    return [slice(top, min(top + STRIP, height)) for top in range(start, height, STRIP)]


def _reduced(colour: np.ndarray, size: tuple[int, int]) -> Tensor:
    """colour (H, W, 3) of uint8 -> (3, h, w), a few rows at a time.

    Columns are averaged as a product with the filter's weights, a triangle over two of the result's rows (as
    `interpolate` has it, bilinear with antialias). The rows follow by `resize`.
    """
    height, width = colour.shape[:2]
    scale = height / size[0]
    found = torch.empty(3, *size)
    for first in range(0, size[0], STRIP // 2):
        centres = (torch.arange(first, min(first + STRIP // 2, size[0]))[:, None] + 0.5) * scale
        summed, weights = torch.zeros(len(centres), width * 3), torch.zeros(len(centres), 1)
        for rows in strips_of(min(height, int(centres[-1] + scale) + 1), max(0, int(centres[0] - scale))):
            distances = (torch.arange(rows.start, rows.stop) + 0.5 - centres).abs()
            weight = (1 - distances / scale).clamp(min=0)
            weights += weight.sum(1, keepdim=True)
            summed.addmm_(weight, torch.from_numpy(colour[rows].reshape(-1, width * 3).astype(np.float32)))
        narrow = (summed / (255 * weights)).view(len(centres), width, 3).permute(2, 0, 1)
        found[:, first : first + len(centres)] = resize(narrow, (len(centres), size[1]))
    return found
