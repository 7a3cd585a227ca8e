"""A cache of decoded training pictures, uint8, kept up to a number of bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import BadPicture
from stylematte.imagefile import to_uint8

Path = str | os.PathLike[str]


class KeptArrays:
    """Arrays by key: kept while they fit into `capacity` bytes, else made each time."""

    def __init__(self, capacity: int) -> None:
        self.room = capacity
        self.kept: dict[Hashable, np.ndarray] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        if key in self.kept:
            return self.kept[key]
        array = make()
        if array.nbytes <= self.room:
            self.room -= array.nbytes
            self.kept[key] = array
        return array


class PictureCache:
    """Pictures of size x size by (path, reader): kept while they fit into `capacity` bytes, else read each time."""

    def __init__(self, size: int, capacity: int) -> None:
        self.size, self.arrays = size, KeptArrays(capacity)

    def get(self, path: Path, read: Callable[[Path], Tensor]) -> np.ndarray:
        """The picture at `path`, uint8 (size, size, C), by one of imagefile's readers. Raises BadPicture."""
        return self.arrays.get((str(path), read), lambda: self._read(path, read))

    def tensor(self, path: Path, read: Callable[[Path], Tensor]) -> Tensor:
        """The same as a uint8 tensor (C, size, size)."""
        return torch.from_numpy(self.get(path, read)).permute(2, 0, 1).contiguous()

    def _read(self, path: Path, read: Callable[[Path], Tensor]) -> np.ndarray:
        picture = to_uint8(read(path))
        height, width = picture.shape[:2]
        if (height, width) != (self.size, self.size):
            raise BadPicture(
                path, f"is {width} x {height} pixels, expected {self.size} x {self.size}: prepare it again"
            )
        return picture
