"""Netpbm pictures (binary PGM and PPM, 8 bit): written plain, and mapped into memory, so that a crop reads only itself.

A decoder has to unpack a whole PNG or JPEG for any part of it; a mapped file gives 512 x 512 of 2048 x 1365 in half a
millisecond, and the operating system shares what it keeps of it among all loading processes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from stylematte.errors import BadPicture

ENDINGS = (".pgm", ".ppm")
_HEADER = re.compile(rb"P([56])\s+(\d+)\s+(\d+)\s+255\s")

_PathLike = str | os.PathLike[str]


def to_netpbm(array: np.ndarray) -> bytes:
    """(H, W) -> PGM, (H, W, 3) -> PPM; uint8. Raises ValueError for anything else."""
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"{array.shape} of {array.dtype}: expected (H, W) or (H, W, 3) of uint8")
    kind = 5 if array.ndim == 2 else 6
    return b"P%d\n%d %d\n255\n" % (kind, array.shape[1], array.shape[0]) + np.ascontiguousarray(array).tobytes()


def mapped(path: _PathLike) -> np.ndarray:
    """A file of `to_netpbm` as (H, W, 1) or (H, W, 3), uint8, read-only; pixels are read when they are used.

    Raises BadPicture.
    """
    try:
        with open(path, "rb") as file:
            header = _HEADER.match(file.read(64))
        if header is None:
            raise BadPicture(path, "is no 8-bit binary PGM or PPM")
        width, height, channels = int(header[2]), int(header[3]), 1 if header[1] == b"5" else 3
        if Path(path).stat().st_size != header.end() + height * width * channels:
            raise BadPicture(path, f"is cut off: {width} x {height} pixels do not fit its size")
        return np.memmap(path, np.uint8, "r", header.end(), (height, width, channels))
    except FileNotFoundError:
        raise BadPicture(path, "no such file") from None
    except OSError as error:
        raise BadPicture(path, f"cannot be read ({error.strerror or error})") from None
