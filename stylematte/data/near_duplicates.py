"""Finding one photo that is there twice: under another name, rescaled, recompressed, face-blurred or mirrored.

A difference hash (Krawetz 2013, "Kind of Like That") nominates: whether each of 8 x 8 cells is brighter than its
right and its lower neighbour, 128 bits that survive scaling and compression. A 32 x 32 grey thumbnail confirms by
correlation, because plain pictures (a head before a wall) share many bits by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from stylematte.imagefile import resize

BITS = 128
NEAR = 20
"""Differing bits up to which two pictures are compared; unrelated ones differ in 64 on average."""
ALIKE = 0.97
"""Correlation of the thumbnails from which two pictures are the same photo."""
FLAT = 0.02
"""A thumbnail with a smaller standard deviation shows nothing to recognise."""


class Print(NamedTuple):
    """What a picture is recognised by: bits (2, 128) bool, as it is and mirrored; thumbnail (32, 32) float32."""

    bits: np.ndarray
    thumbnail: np.ndarray


def fingerprint(image: Tensor) -> Print:
    """image (3, H, W) in [0, 1], any size."""
    grey = image.mean(0, keepdim=True)
    return Print(np.stack([_hash(grey), _hash(grey.flip(-1))]), resize(grey, (32, 32))[0].numpy())


def near_duplicates(prints: Sequence[Print], block: int = 1024) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, that show the same photo. Quadratic, but 20,000 pictures take seconds."""
    if not prints:
        return []
    signs = np.stack([each.bits for each in prints]).astype(np.float32) * 2 - 1  # (N, 2, 128)
    found = []
    for start in range(0, len(prints), block):
        plain = signs[start : start + block, 0]
        for mirrored in (0, 1):
            equal_minus_differing = plain @ signs[start:, mirrored].T
            rows, columns = np.nonzero(equal_minus_differing >= BITS - 2 * NEAR)
            pairs = zip((rows + start).tolist(), (columns + start).tolist(), strict=True)
            found += [(i, j) for i, j in pairs if i < j and _alike(prints[i], prints[j], bool(mirrored))]
    return sorted(set(found))


def _hash(grey: Tensor) -> np.ndarray:
    across, down = resize(grey, (8, 9))[0].numpy(), resize(grey, (9, 8))[0].numpy()
    return np.concatenate([(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()])


def _alike(one: Print, other: Print, mirrored: bool) -> bool:
    first, second = one.thumbnail, other.thumbnail[:, ::-1] if mirrored else other.thumbnail
    if min(first.std(), second.std()) < FLAT:
        return False
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) >= ALIKE
