"""Grad, fast: the length of a Gaussian derivative, by OpenCV on central differences.

A derivative kernel d is antisymmetric, so it is a symmetric kernel h, two taps shorter, applied to central differences:
d = h * [1, 0, -1]. Filtering differences with h in float32 keeps every digit that `scipy.ndimage` keeps in float64 (a
constant region has slope exactly 0), while d itself in float32 turns a white region into a slope of 3e-8 and biases
Grad by 1e-4 for good mattes. In a small picture few pixels carry the sum and float32's rounding (5e-7 of Grad) does not
average out; there, where time is no matter, all of it runs in float64.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

EXACT_BELOW = 2**19
"""Pictures with fewer pixels are filtered in float64."""
TILE = 96
"""Most of a matte is 0 or 1 far and wide: flat tiles of so many pixels squared are passed over."""


class Slope(NamedTuple):
    """A pair of separable kernels (odd length) and what lies beyond the picture's frame."""

    smooth: np.ndarray
    derive: np.ndarray
    border: int


def p3m_slope(sigma: float = 1.4) -> Slope:
    """`scipy.ndimage.gaussian_filter`'s kernels: cut at 4 sigma, the smooth one sums to 1, border mirrored."""
    x, bell = _bell(int(4 * sigma + 0.5), sigma)
    bell /= bell.sum()
    return Slope(bell, x / sigma**2 * bell, cv2.BORDER_REFLECT)


def adobe_slope(sigma: float = 1.4, floor: float = 1e-2) -> Slope:
    """Rhemann et al. 2009: cut where the bell falls below `floor`, the 2-D kernel has L2 norm 1, border repeated."""
    reach = math.sqrt(2 * math.pi) * sigma
    x, bell = _bell(math.ceil(sigma * math.sqrt(-2 * math.log(reach * floor))), sigma)
    derive = x * bell
    return Slope(bell / np.linalg.norm(bell), derive / np.linalg.norm(derive), cv2.BORDER_REPLICATE)


def _squared_error(
    pred: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    kernels: Slope,
    unknown: Bool[np.ndarray, "h w"] | None = None,
) -> float:
    """sum (|grad p| - |grad a|)^2, over the unknown pixels if given. In bands of rows, which stay in the cache."""
    reach = len(kernels.smooth) // 2
    framed = [
        cv2.copyMakeBorder(alpha.astype(_dtype(alpha), copy=False), *[reach] * 4, kernels.border)
        for alpha in (pred, truth)
    ]
    total = 0.0
    for top in range(0, pred.shape[0], TILE):
        mask = None if unknown is None else unknown[top : top + TILE].view(np.uint8)
        lengths = [_lengths(whole[top : top + TILE + 2 * reach], kernels, mask) for whole in framed]
        total += cv2.norm(*lengths, cv2.NORM_L2SQR, mask)
    return total * _gain(kernels, pred) ** 2


def _lengths(framed: np.ndarray, kernels: Slope, mask: np.ndarray | None) -> np.ndarray:
    """A band of rows with its frame (h + 2 reach, W + 2 reach) -> the lengths of its gradients (h, W).

    0 where a tile is flat (so they are) and where no pixel of the mask lies (nobody asks).
    """
    reach = len(kernels.smooth) // 2
    height, width = (side - 2 * reach for side in framed.shape)
    lengths = np.zeros((height, width), framed.dtype)

    def due(left: int) -> bool:
        if mask is not None and not cv2.hasNonZero(mask[:, left : left + TILE]):
            return False
        low, high, _, _ = cv2.minMaxLoc(framed[:, left : left + TILE + 2 * reach])
        return low < high

    for wanted, tiles in itertools.groupby(range(0, width, TILE), due):
        if wanted:
            lefts = list(tiles)
            columns = slice(lefts[0], min(width, lefts[-1] + TILE))
            lengths[:, columns] = _slope(framed[:, columns.start : columns.stop + 2 * reach], kernels)
    return lengths


def _slope(framed: np.ndarray, kernels: Slope) -> np.ndarray:
    """(h + 2 reach, w + 2 reach) -> (h, w): the length of its smoothed gradient, in its type."""
    reach = len(kernels.smooth) // 2
    height, width = (side - 2 * reach for side in framed.shape)
    rows, columns = slice(reach, reach + height), slice(reach, reach + width)
    smooth, integral = kernels.smooth, _integral(kernels.derive)
    rise, run = cv2.subtract(framed[2:], framed[:-2]), cv2.subtract(framed[:, 2:], framed[:, :-2])
    down = cv2.sepFilter2D(rise, -1, smooth, integral)[reach - 1 : reach - 1 + height, columns]
    across = cv2.sepFilter2D(run, -1, integral, smooth)[rows, reach - 1 : reach - 1 + width]
    length = np.square(down)  # cv2.magnitude rounds differently from one memory alignment to another
    length += np.square(across)
    return np.sqrt(length, out=length)


def grad(pred: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"], sigma: float = 1.4) -> float:
    """sum (|grad p| - |grad a|)^2 / 10 over the picture, by the P3M protocol. Of `checked` arrays."""
    return _squared_error(pred, truth, p3m_slope(sigma)) / 10


def grad_unknown(
    pred: Float[np.ndarray, "h w"],
    truth: Float[np.ndarray, "h w"],
    unknown: Bool[np.ndarray, "h w"],
    sigma: float = 1.4,
) -> float:
    """sum over the unknown pixels of (|grad p| - |grad a|)^2 / 1000, by the Composition-1k protocol."""
    return _squared_error(pred, truth, adobe_slope(sigma), unknown) / 1000


def _integral(derive: np.ndarray) -> np.ndarray:
    """h with derive = h * [1, 0, -1]: a running sum over every other tap.

    Made exactly symmetric, which rounding spoils: OpenCV filters with half the taps then.
    """
    running = -derive[:-2].copy()
    for tap in range(2, len(running)):
        running[tap] += running[tap - 2]
    return (running + running[::-1]) / 2


def _gain(kernels: Slope, alpha: np.ndarray) -> float:
    """By how much the slopes come out too small because OpenCV rounds the kernels to float32 (5e-8 everywhere)."""
    parts = (kernels.smooth, _integral(kernels.derive))
    return float(np.prod([part.sum() / part.astype(_dtype(alpha)).sum(dtype=np.float64) for part in parts]))


def _dtype(alpha: np.ndarray) -> type[np.floating]:
    return np.float64 if alpha.size < EXACT_BELOW else np.float32


def _bell(reach: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    return x, np.exp(-0.5 * np.square(x / sigma))
