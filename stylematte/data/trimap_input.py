"""The trimap that a network is given as an input in training, widened at random.

People draw wide bands and narrow ones, and never where alpha just begins: each of the two known regions gives up a band
of a random width of its own.
"""

from __future__ import annotations

import cv2
import numpy as np

from stylematte.data.augment import Chance, Layers

WIDEST = 1 / 16
"""Of the picture's side; 32 pixels at 512, as ViTMatte (arXiv 2305.15272) widens its trimaps by up to 30."""
LOW, HIGH = 0.02, 0.98
"""What alpha is known at, as in `rgba.trimap_from_alpha`."""


def exact_trimap(layers: Layers) -> np.ndarray:
    """(H, W, 1) with {0, 1/2, 1}: the sample's trimap; of a known alpha, what is exactly 0 or 1."""
    if layers.trimap is not None:
        return layers.trimap
    return np.where((layers.alpha > 0) & (layers.alpha < 1), np.float32(0.5), layers.alpha)


def widened_trimap(layers: Layers, chance: Chance) -> np.ndarray:
    """(H, W, 1) with {0, 1/2, 1}: the sample's trimap, its unknown region grown by 1 pixel to a 16th of the side."""
    known = layers.alpha if layers.trimap is None else layers.trimap
    inward, outward = chance.numpy.uniform(1, max(1.0, known.shape[0] * WIDEST), 2)
    front, back = _further_than(known > HIGH, inward), _further_than(known < LOW, outward)
    return np.where(front, np.float32(1), np.where(back, np.float32(0), np.float32(0.5)))[..., None]


def unknown_everywhere(layers: Layers) -> np.ndarray:
    """(H, W, 1) of 1/2: nothing is shown."""
    return np.full_like(layers.alpha, 0.5)


def _further_than(region: np.ndarray, distance: float) -> np.ndarray:
    """(H, W, 1) bool -> (H, W) bool: what of the region lies further than `distance` pixels from all that is not."""
    inside = np.ascontiguousarray(region[..., 0], dtype=np.uint8)
    return cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5) > distance
