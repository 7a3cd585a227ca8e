"""Levels a matte: subtracts slow haze outside the body and lifts a body that is translucent as a whole.

alpha <- (alpha - floor) / (ceiling - floor). The floor is a normalised convolution (Knutsson and Westin 1993) of what
is surely background, the ceiling one of the local maxima inside: both vary slowly, so they are made at a low resolution
and read off under the band, where neither can be seen.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 160
"""Shorter side of the low resolution, in pixels."""
SIGMA = 0.05
"""Of the Gaussians, over the shorter side."""
STRAY = 0.3
"""Alphas above it outside the body are no haze but specks."""
FLAT = 0.04
"""A pixel near the body is background if its alpha is within this of the floor that far pixels foretell."""
NEAR = 0.015
"""No nearer to the body than this, over the shorter side, is anything surely background."""


def level(alpha: np.ndarray, outside: np.ndarray, inside: np.ndarray, r_out: float, r_in: float) -> np.ndarray:
    """alpha (H, W) float32 in [0, 1] -> the same, levelled.

    outside, inside: distances to the body and to its outside in pixels, 0 where they are not. r_out, r_in: how far the
    band reaches, in pixels.
    """
    height, width = alpha.shape
    scale = min(1.0, SIDE / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sigma = SIGMA * min(size)
    floor = _floor(alpha, outside, r_out, size, sigma)
    ceiling = _ceiling(alpha, inside, r_in, size, sigma)
    if floor is None and ceiling is None:
        return alpha
    bottom = 0.0 if floor is None else cv2.resize(floor, (width, height), interpolation=cv2.INTER_LINEAR)
    top = 1.0 if ceiling is None else cv2.resize(ceiling, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip((alpha - bottom) / np.maximum(top - bottom, 0.25), 0, 1)


def _floor(
    alpha: np.ndarray, outside: np.ndarray, r_out: float, size: tuple[int, int], sigma: float
) -> np.ndarray | None:
    """The haze at low resolution; None where there is none."""
    calm = alpha < STRAY
    far = (outside > r_out) & calm
    if not far.any():
        return None
    first = _spread(alpha, far, size, sigma)
    if first.max() < 1 / 255:
        return None
    guess = cv2.resize(first, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    near = (outside > NEAR * min(alpha.shape)) & (np.abs(alpha - guess) < FLAT) & calm
    return _spread(alpha, far | near, size, sigma)


def _ceiling(
    alpha: np.ndarray, inside: np.ndarray, r_in: float, size: tuple[int, int], sigma: float
) -> np.ndarray | None:
    """How opaque the core gets near each place, at low resolution; None if it is opaque."""
    core = inside > r_in
    if not core.any():
        return None
    highest = _shrunk_maximum(np.where(core, alpha, 0), size)
    reach = max(1, round(2 * r_in * size[0] / alpha.shape[1]))
    highest = cv2.dilate(highest, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    known = highest >= 0.5
    if not known.any() or highest[known].min() > 1 - 2 / 255:
        return None
    return _spread(highest, known, size, sigma)


def _shrunk_maximum(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest value in each cell of the low resolution."""
    step = max(1, -(-plane.shape[0] // size[1]), -(-plane.shape[1] // size[0]))
    widest = cv2.dilate(plane, np.ones((step, step), np.uint8)) if step > 1 else plane
    return cv2.resize(widest, size, interpolation=cv2.INTER_NEAREST)


def _spread(plane: np.ndarray, known: np.ndarray, size: tuple[int, int], sigma: float) -> np.ndarray:
    """The known pixels' local mean everywhere, at low resolution; far from any, their mean."""
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    value = cv2.resize(np.where(known, plane, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean = float(value.sum() / weight.sum())
    blurred, norm = (cv2.GaussianBlur(each, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for each in (value, weight))
    return (blurred + 1e-3 * mean) / (norm + 1e-3)
