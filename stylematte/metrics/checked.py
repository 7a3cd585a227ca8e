"""What every figure demands of its input, and the three regions of a trimap."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

_SLACK = 1e-6
_HALF = (127 / 255, 128 / 255)
"""Both bytes that people write for 1/2."""
_BYTES = np.arange(256) / 255


class Regions(NamedTuple):
    """Boolean (H, W) masks of a trimap: 1/2, 1 and 0. They are disjoint and cover the picture."""

    unknown: np.ndarray
    foreground: np.ndarray
    background: np.ndarray


def checked(pred: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (H, W) in [0, 1], or a ValueError that says which one is wrong and how to cure it."""
    pred, truth = np.asarray(pred), np.asarray(truth)
    for name, array in (("prediction", pred), ("truth", truth)):
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name} is {array.dtype}, expected floats in [0, 1]; divide 8-bit values by 255 first")
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}, expected (height, width); pass one matte at a time")
    if pred.shape != truth.shape:
        raise ValueError(
            f"prediction {pred.shape} and truth {truth.shape} differ in size; resize the prediction, never the truth"
        )
    for name, array in (("prediction", pred), ("truth", truth)):
        low, high = float(array.min()), float(array.max())
        if not (low >= -_SLACK and high <= 1 + _SLACK):  # written so that NaN fails as well
            raise ValueError(f"{name} has values from {low:g} to {high:g}, expected floats in [0, 1]")
    return pred, truth


def regions(trimap: np.ndarray, shape: tuple[int, ...]) -> Regions:
    """The masks of a float trimap with the values {0, 1/2, 1}. Raises ValueError, in one line.

    At least one pixel must be unknown: the figures of the unknown region are means over it.
    """
    trimap = np.asarray(trimap)
    if not np.issubdtype(trimap.dtype, np.floating):
        raise ValueError(f"trimap is {trimap.dtype}, expected floats 0, 0.5, 1; divide 8-bit values by 255 first")
    if trimap.shape != tuple(shape):
        raise ValueError(f"trimap {trimap.shape} and truth {tuple(shape)} differ in size; a trimap is never resized")
    unknown = (trimap >= _HALF[0] - _SLACK) & (trimap <= _HALF[1] + _SLACK)
    found = Regions(unknown, trimap == 1, trimap == 0)
    other = ~(found.unknown | found.foreground | found.background)
    if other.any():
        raise ValueError(
            f"trimap has {int(other.sum())} pixels of other values, such as {float(trimap[other][0]):.4g}; expected "
            "0 (background), 0.5 (unknown), 1 (foreground) only; resize trimaps by nearest neighbour, save them as PNG"
        )
    if not unknown.any():
        raise ValueError("trimap has no unknown pixel (128); the figures of the unknown region would be 0 / 0")
    return found


def as_read(array: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """float64; a float32 that stands for a byte becomes byte / 255 exactly, as evaluators that read bytes have it.

    0.2 = 51 / 255 lies on a threshold of Conn in float64, its float32 neighbour beside it.
    """
    wide = array.astype(np.float64)
    if array.dtype != np.float64:
        nearest = cv2.LUT(cv2.convertScaleAbs(array.astype(np.float32, copy=False), alpha=255), _BYTES)
        np.copyto(wide, nearest, where=cv2.absdiff(wide, nearest) < 1e-7)
    return wide
