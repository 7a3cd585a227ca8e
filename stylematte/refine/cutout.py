"""Refines a straight RGBA cut-out: its alpha by the connectivity prior, and colour where there was none to be seen."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from stylematte.refine.alpha import Refined, refine_alpha
from stylematte.refine.rules import RefineRules

UNSEEN = 0.1
"""Below this alpha a straight colour is nobody's: it was never looked at."""


def refine_cutout(rgba: Tensor, rules: RefineRules | None = None) -> tuple[Tensor, Refined]:
    """rgba: (4, H, W) in [0, 1], straight. Returns it refined, and what was found.

    Where alpha was below 0.1 and is opaque now (a hole was filled) the colour is that of the nearest seen pixel.
    """
    given = rgba[3].numpy()
    refined = refine_alpha(given, rules)
    colour = rgba[:3]
    bare = (given < UNSEEN) & (refined.alpha > given)
    if bare.any() and not (given < UNSEEN).all():
        colour = torch.from_numpy(_from_nearest(colour.numpy(), given >= UNSEEN, bare))
    return torch.cat([colour, torch.from_numpy(refined.alpha)[None]]), refined


def _from_nearest(colour: np.ndarray, seen: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """colour (3, H, W), with the colour of the nearest seen pixel where it is bare."""
    unseen = (~seen).astype(np.uint8)
    _, names = cv2.distanceTransformWithLabels(unseen, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(names.max()) + 1, np.int64)
    owner[names[seen]] = np.flatnonzero(seen.ravel())
    filled = colour.copy()
    filled[:, bare] = colour.reshape(3, -1)[:, owner[names[bare]]]
    return filled
