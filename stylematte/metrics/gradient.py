"""Grad, fast: the length of a Gaussian derivative, by OpenCV on central differences.

A derivative kernel d is antisymmetric, so it is a symmetric kernel h, two taps shorter, applied to central differences:
d = h * [1, 0, -1]. Filtering differences with h in float32 keeps every digit that `scipy.ndimage` keeps in float64 (a
constant region has slope exactly 0), while d itself in float32 turns a white region into a slope of 3e-8 and biases
Grad by 1e-4 for good mattes. In a small picture few pixels carry the sum and float32's rounding (5e-7 of Grad) does not
average out; there, where time is no matter, all of it runs in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

EXACT_BELOW = 2**19
"""Pictures with fewer pixels are filtered in float64."""


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


def slope(alpha: np.ndarray, kernels: Slope) -> np.ndarray:
    """alpha (H, W) float -> the length of its smoothed gradient, (H, W) float32, or float64 if it is small."""
    alpha = alpha.astype(_dtype(alpha), copy=False)
    box = _uneven(alpha, len(kernels.smooth) // 2)
    if alpha[box].shape == alpha.shape:
        return _slope(alpha, kernels)
    whole = np.zeros_like(alpha)
    whole[box] = _slope(np.ascontiguousarray(alpha[box]), kernels)
    return whole


def _uneven(alpha: np.ndarray, reach: int) -> tuple[slice, slice]:
    """The box outside which all pixels equal the corner, grown by the kernel's reach: slopes beyond it are 0."""
    left, top, width, height = cv2.boundingRect((alpha != alpha[0, 0]).view(np.uint8))
    rows = slice(max(0, top - reach), min(alpha.shape[0], top + max(height, 1) + reach))
    return rows, slice(max(0, left - reach), min(alpha.shape[1], left + max(width, 1) + reach))


def _slope(alpha: np.ndarray, kernels: Slope) -> np.ndarray:
    height, width = alpha.shape
    reach = len(kernels.smooth) // 2
    rows, columns = slice(reach, reach + height), slice(reach, reach + width)
    framed = cv2.copyMakeBorder(alpha, *[reach] * 4, kernels.border)
    smooth, integral = kernels.smooth, _integral(kernels.derive)
    rise, run = framed[2:] - framed[:-2], framed[:, 2:] - framed[:, :-2]
    down = cv2.sepFilter2D(rise, -1, smooth, integral)[reach - 1 : reach - 1 + height, columns]
    across = cv2.sepFilter2D(run, -1, integral, smooth)[rows, reach - 1 : reach - 1 + width]
    length = np.square(down)  # cv2.magnitude rounds differently from one memory alignment to another
    length += np.square(across)
    return np.sqrt(length, out=length)


def grad(pred: np.ndarray, truth: np.ndarray, sigma: float = 1.4) -> float:
    """sum (|grad p| - |grad a|)^2 / 10 over the picture, by the P3M protocol. pred, truth: (H, W) floats, checked."""
    kernels = p3m_slope(sigma)
    error = cv2.norm(slope(pred, kernels), slope(truth, kernels), cv2.NORM_L2SQR)
    return float(error * _gain(kernels, pred) ** 2 / 10)


def grad_unknown(pred: np.ndarray, truth: np.ndarray, unknown: np.ndarray, sigma: float = 1.4) -> float:
    """sum over the unknown pixels of (|grad p| - |grad a|)^2 / 1000, by the Composition-1k protocol."""
    kernels = adobe_slope(sigma)
    error = slope(pred, kernels)[unknown] - slope(truth, kernels)[unknown]
    return float(np.square(error, dtype=np.float64).sum() * _gain(kernels, pred) ** 2 / 1000)


def _integral(derive: np.ndarray) -> np.ndarray:
    """h with derive = h * [1, 0, -1]: a running sum over every other tap."""
    running = -derive[:-2].copy()
    for tap in range(2, len(running)):
        running[tap] += running[tap - 2]
    return running


def _gain(kernels: Slope, alpha: np.ndarray) -> float:
    """By how much the slopes come out too small because OpenCV rounds the kernels to float32 (5e-8 everywhere)."""
    parts = (kernels.smooth, _integral(kernels.derive))
    return float(np.prod([part.sum() / part.astype(_dtype(alpha)).sum(dtype=np.float64) for part in parts]))


def _dtype(alpha: np.ndarray) -> type[np.floating]:
    return np.float64 if alpha.size < EXACT_BELOW else np.float32


def _bell(reach: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    return x, np.exp(-0.5 * np.square(x / sigma))
