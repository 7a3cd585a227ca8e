"""A cache of decoded training pictures, uint8, kept up to a number of bytes."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import BadPicture
from stylematte.imagefile import to_uint8

Path = str | os.PathLike[str]


class PictureCache:
    """Pictures of size x size by (path, reader): kept while they fit into `capacity` bytes, else read each time."""

    def __init__(self, size: int, capacity: int) -> None:
        self.size, self.room = size, capacity
        self.kept: dict[tuple[str, Callable[[Path], Tensor]], np.ndarray] = {}

    def get(self, path: Path, read: Callable[[Path], Tensor]) -> np.ndarray:
        """The picture at `path`, uint8 (size, size, C), by one of imagefile's readers. Raises BadPicture."""
        key = str(path), read
        if key in self.kept:
            return self.kept[key]
        picture = to_uint8(read(path))
        height, width = picture.shape[:2]
        if (height, width) != (self.size, self.size):
            raise BadPicture(
                path, f"is {width} x {height} pixels, expected {self.size} x {self.size}: prepare it again"
            )
        if picture.nbytes <= self.room:
            self.room -= picture.nbytes
            self.kept[key] = picture
        return picture

    def tensor(self, path: Path, read: Callable[[Path], Tensor]) -> Tensor:
        """The same as a uint8 tensor (C, size, size)."""
        return torch.from_numpy(self.get(path, read)).permute(2, 0, 1).contiguous()
