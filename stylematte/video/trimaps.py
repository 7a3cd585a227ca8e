"""Trimaps of steadied masks: unknown near the mask's edge, wider where it moves, softer or has changed."""

from __future__ import annotations

import cv2
import numpy as np

LOW, HIGH = 0.1, 0.9
"""Between these a mask is not sure; unknown within `REACH` bands of its edge."""
REACH = 2.5
LEAST = 2.0
"""Pixels that the band has on each side, at least."""


def trimap_of(mask: np.ndarray, speed: np.ndarray | None, inward: float, outward: float, motion: float) -> np.ndarray:
    """mask (h, w) in [0, 1], speed (h, w) in pixels a frame -> float32 (h, w) in {0, 1/2, 1}.

    inward, outward: in units of the root of the subject's area. motion: share of the speed that is added on both sides
    (half of it is the blur of an open shutter).
    """
    front = mask > 0.5
    area = float(front.sum())
    if area == 0 or area == mask.size:
        return front.astype(np.float32)
    root = area**0.5
    added = 0.0 if speed is None else motion * _widest(speed, root * outward)
    inside, outside = _distance(front), _distance(~front)
    back_radius, front_radius = np.maximum(LEAST, outward * root) + added, np.maximum(LEAST, inward * root) + added
    unsure = (mask > LOW) & (mask < HIGH)
    known_front = front & (inside > np.where(unsure, REACH * front_radius, front_radius))
    known_back = ~front & (outside > np.where(unsure, REACH * back_radius, back_radius))
    return np.where(known_front, np.float32(1), np.where(known_back, np.float32(0), np.float32(0.5)))


def _distance(region: np.ndarray) -> np.ndarray:
    """To the nearest pixel outside `region`, in pixels; 0 outside it."""
    return cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _widest(speed: np.ndarray, radius: float) -> np.ndarray:
    """The largest speed within `radius` pixels."""
    size = 2 * max(1, round(radius)) + 1
    return cv2.dilate(speed.astype(np.float32), np.ones((size, size), np.uint8))


def enlarged(trimap: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """trimap (h, w) in {0, 1/2, 1} at `size` (height, width): a pixel is known if all it is made of was."""
    if trimap.shape == size:
        return trimap
    scaled = cv2.resize(trimap, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(scaled >= 0.999, np.float32(1), np.where(scaled <= 0.001, np.float32(0), np.float32(0.5)))
