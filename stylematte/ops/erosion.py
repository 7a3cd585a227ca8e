"""Euclidean erosion of what is known of a picture, and the trimap of a mask that it makes.

A pixel stays known while everything within a radius of it is surely of its kind; the picture's frame erodes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

MIN_RADIUS = 1.0
"""Pixels; no edge of a mask is true to the pixel."""


def from_mask(
    mask: Tensor, relative_radius: float = 0.05, outward: float | None = None, min_radius: float = MIN_RADIUS
) -> Tensor:
    """Trimap of a binary mask (set above 1/2): unknown within a radius of its edge.

    relative_radius counts inward, `outward` (default: the same) outward, both in units of sqrt(area); neither falls
    below `min_radius` pixels. Hair reaches past a segmentation mask, so make `outward` the larger for shaggy subjects.
    A subject thinner than twice the radius has no known foreground, an empty mask is known background everywhere.
    """
    front = mask > 0.5
    sides = (relative_radius, relative_radius if outward is None else outward)
    return eroded(front, ~front, front, sides, min_radius)


def eroded(front: Tensor, back: Tensor, area_of: Tensor, relative: tuple[float, float], min_radius: float) -> Tensor:
    """The trimap of what stays known. front, back: bool, what is surely of each kind; area_of: its sum is the area.

    relative: radii of front and of back in units of sqrt(area); min_radius in pixels.
    """
    if front.ndim == 3:
        return eroded(front[None], back[None], area_of[None], relative, min_radius)[0]
    side = area_of.double().flatten(1).sum(1).sqrt().tolist()
    inward, outward = ([max(min_radius, r * length) for length in side] for r in relative)
    known_front, known_back = _each(front, inward), _each(back, outward)
    return torch.full(front.shape, 0.5, device=front.device).masked_fill(known_front, 1.0).masked_fill(known_back, 0.0)


def _each(region: Tensor, radii: list[float]) -> Tensor:
    planes = region.detach().cpu().numpy()
    kept = np.stack([_core(plane[0], radius)[None] for plane, radius in zip(planes, radii, strict=True)])
    return torch.from_numpy(kept).to(region.device)


def _core(region: np.ndarray, radius: float) -> np.ndarray:
    """Pixels of the region (H, W) farther than `radius` from every pixel outside it, distances between centres."""
    if region.all():
        return region
    distance: Callable[[np.ndarray], np.ndarray] = distance_transform_edt
    return distance(region) > radius
