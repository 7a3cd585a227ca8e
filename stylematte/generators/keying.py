"""Chroma keying: alpha and despilled foreground of a subject before a green or blue screen.

The colour-difference key (Vlahos, US patent 3,158,477 of 1964, expired): of the screen's channel s and the others o,
d = s - max(o) is large on the screen and at most 0 on a subject without its colour; alpha = 1 - d / d_screen. The
screen is not even: its colour B(x, y) is a smooth surface fitted to what surely is screen, so that d_screen follows the
light. Then F = (I - (1 - alpha) B) / alpha, and what still exceeds max(o) in the screen's channel is spill and is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

GREEN, BLUE = 1, 2
LEAST = 0.15
"""Colour difference below which there is no screen."""


class Keyed(NamedTuple):
    """rgba (H, W, 4) straight float32; screen: its channel, 1 green or 2 blue; even: 1 - how far its light varies."""

    rgba: np.ndarray
    screen: int
    even: float


def key(image: np.ndarray, screen: int | None = None, low: float = 0.08, high: float = 0.92) -> Keyed:
    """image (H, W, 3) float32 sRGB in [0, 1]. screen: found by the frame's border if None.

    low, high: levels of the raw key that become 0 and 1. Raises ValueError where no screen is seen.
    """
    if screen is None:
        screen = screen_channel(image)
    difference = colour_difference(image, screen)
    surface = screen_surface(image, difference, screen)
    full = np.maximum(colour_difference(surface, screen), LEAST / 2)
    raw = 1 - np.clip(difference / full, 0, 1)
    alpha = np.clip((raw - low) / (high - low), 0, 1).astype(np.float32)
    divided = (image - (1 - alpha[..., None]) * surface) / np.maximum(alpha, 1 / 64)[..., None]
    colour = np.where(alpha[..., None] > 0, np.clip(divided, 0, 1), image)
    colour = despill(colour, screen)
    lit = colour_difference(surface, screen)
    return Keyed(np.dstack([colour, alpha]).astype(np.float32), screen, float(1 - lit.std() / max(lit.mean(), 1e-6)))


def screen_channel(image: np.ndarray) -> int:
    """GREEN or BLUE, by the upper and side borders of the frame (a subject may be cut off below)."""
    height, width = image.shape[:2]
    rim = max(2, round(0.03 * min(height, width)))
    half = height // 2
    parts = (image[:rim], image[:half, :rim], image[:half, -rim:])
    border = np.concatenate([part.reshape(-1, 3) for part in parts])[None]
    scores = {channel: float(np.median(colour_difference(border, channel))) for channel in (GREEN, BLUE)}
    best = max(scores, key=lambda channel: scores[channel])
    if scores[best] < LEAST:
        raise ValueError("no green or blue screen at the frame's border")
    return best


def colour_difference(image: np.ndarray, screen: int) -> np.ndarray:
    """(..., 3) -> (...): the screen's channel less the larger of the others."""
    others = [channel for channel in range(3) if channel != screen]
    return image[..., screen] - np.maximum(image[..., others[0]], image[..., others[1]])


def screen_surface(image: np.ndarray, difference: np.ndarray, screen: int) -> np.ndarray:
    """(H, W, 3): the screen's colour everywhere, a quadratic surface through what surely is screen."""
    level = float(np.percentile(difference, 95))
    sure = difference > max(0.75 * level, LEAST)
    sure = cv2.erode(sure.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if sure.sum() < 64:
        raise ValueError("too little of a green or blue screen is seen")
    height, width = difference.shape
    rows, columns = np.nonzero(sure)
    step = max(1, len(rows) // 20000)
    terms = _terms(rows[::step] / height, columns[::step] / width)
    fitted, *_ = np.linalg.lstsq(terms, image[rows[::step], columns[::step]].astype(np.float64), rcond=None)
    y, x = np.mgrid[0:height, 0:width]
    surface = _terms(y.ravel() / height, x.ravel() / width) @ fitted
    return np.clip(surface.reshape(height, width, 3), 0, 1).astype(np.float32)


def despill(colour: np.ndarray, screen: int) -> np.ndarray:
    """Where the screen's channel is the largest it becomes the mean of the others; a part goes into brightness."""
    others = [channel for channel in range(3) if channel != screen]
    limit = (colour[..., others[0]] + colour[..., others[1]]) / 2
    largest = np.maximum(colour[..., others[0]], colour[..., others[1]])
    spill = np.where(colour[..., screen] > largest, colour[..., screen] - limit, 0)
    out = colour.copy()
    out[..., screen] -= spill
    return np.clip(out + spill[..., None] / 6, 0, 1)


def _terms(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(y), y, x, y * y, x * x, x * y], -1)
