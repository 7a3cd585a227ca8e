"""Statistics of each alpha's band, the pixels between background and subject, and how far two sets of them are apart.

Distances are Wasserstein-1 of one statistic's values over the pictures, in units of the real set's standard deviation.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from torch import Tensor

from stylemattegan.metrics.alpha_statistics import HIGH, LOW

Bands = dict[str, NDArray[np.float64]]
"""Statistic -> (N,) values, one a picture."""
BANDS = ("area", "soft", "width", "strand", "holes")
VISIBLE, EDGE = 0.1, 0.5
THIN = 32
"""A strand is thinner than this part of the picture's side."""


def band_statistics(pictures: Tensor) -> Bands:
    """Of straight RGBA (N, 4, H, W), for each picture:

    area: mean alpha, in [0, 1]. soft: share of the subject (alpha above .02) that is between .02 and .98. width: of the
    transition in pixels (`alpha_statistics`). strand: mean length of the strands in shares of the picture's longer
    side, 0 without any. holes: share of the filled outline alpha = 1/2 that is no subject. All are 0 of an empty alpha.
    """
    rows = [_statistics(alpha) for alpha in pictures[:, 3].double().cpu().numpy()]
    return {name: np.array([row[index] for row in rows]) for index, name in enumerate(BANDS)}


def band_distances(made: Bands, real: Bands) -> dict[str, float]:
    """Wasserstein-1 distance of each statistic, in units of the real one's standard deviation (1 if it never varies).

    0 for equal sets; a shift of all values by one standard deviation is 1.
    """
    return {
        name: float(wasserstein_distance(made[name], real[name])) / (float(np.std(real[name])) or 1.0) for name in BANDS
    }


def joined_bands(parts: list[Bands]) -> Bands:
    """The statistics of several batches as those of one set."""
    return {name: np.concatenate([part[name] for part in parts]) for name in BANDS}


def _statistics(alpha: NDArray[np.float64]) -> tuple[float, ...]:
    between = (alpha >= LOW) & (alpha <= HIGH)
    inside = alpha > EDGE
    edge = math.pi / 4 * ((inside[1:] ^ inside[:-1]).sum() + (inside[:, 1:] ^ inside[:, :-1]).sum())
    soft = between.sum() / max((alpha >= LOW).sum(), 1)
    width = between.sum() / max(edge, 1.0) if inside.any() else 0.0
    return float(alpha.mean()), float(soft), float(width), strand_length(alpha), hole_share(alpha)


def strand_length(alpha: NDArray[np.float64]) -> float:
    """Mean longer side of the boxes around strands, as a share of the picture's longer side; 0 without strands.

    Strands are what an opening (Serra 1982) by a square takes off alpha > .1: parts thinner than a 32nd of the side (3
    pixels at least), if they are longer than the square.
    """
    visible = (alpha > VISIBLE).astype(np.uint8)
    side = max(alpha.shape)
    square = max(2 * (side // THIN // 2) + 1, 3)
    # A border of subject: what the picture's edge cuts off is not thin because of that.
    padded = cv2.copyMakeBorder(visible, square, square, square, square, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((square, square), np.uint8))
    thin = visible & ~opened[square:-square, square:-square]
    count, _, stats, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    longer = stats[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) if count > 1 else np.zeros(0)
    longer = longer[longer > square]
    return float(longer.mean() / side) if len(longer) else 0.0


def hole_share(alpha: NDArray[np.float64]) -> float:
    """Share of holes in the subject with its holes: background (alpha up to 1/2) that no way leads out of."""
    inside = (alpha > EDGE).astype(np.uint8)
    background = cv2.copyMakeBorder(1 - inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels = cv2.connectedComponents(background, connectivity=4)
    holes = int(((labels != labels[0, 0]) & (background == 1)).sum())
    return holes / max(holes + int(inside.sum()), 1)
