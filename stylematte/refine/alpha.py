"""Refines one alpha by the connectivity prior: the band connected to the body's border is kept, the rest is 0 or 1.

The prior is that of arXiv 2501.16147 (a portrait's border is connected); the paper's algorithm is not published, this
one is our own:

    1. body: large components of alpha >= 1/2; false holes filled, real gaps kept (`regions`)
    2. slow haze outside and a ceiling below 1 inside are levelled (`levels`), then 1. again
    3. silhouette: 1.5 pixels around the border of the body and of its gaps
    4. band: what is connected to the silhouette through soft pixels, not deeper than r_in, not farther than r_out,
       without translucent patches that reach the core and are closed off from the border by nearly opaque pixels
    5. out: the band as it is; the rest of the body 1; everything else 0, specks too

Radii are relative to the shorter side. Applied to its own result it changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from stylematte.refine.figures import Figures, Stages, Verdict, figures_of, judge
from stylematte.refine.levels import level
from stylematte.refine.regions import find_body
from stylematte.refine.rules import RefineRules

R_OUT = 0.08
"""How far hair reaches beyond the body, over the shorter side."""
R_IN = 0.04
"""How deep the body is soft, over the shorter side."""
SILHOUETTE = 1.5
"""Pixels on either side of the border that are band whatever their alpha."""
SOFT = 0.02, 0.98
"""The band's alphas; nearer to 0 or 1 is background or core."""
RIM = 0.9
"""Nearly opaque. True softness comes in from the border, or lies shallow behind a lock of hair; what is less opaque
than this and reaches the core, but not the border, is a translucent patch of the core."""
RIM_WIDTH = 0.25
"""How wide the nearly opaque rim around such a patch is, over R_IN; it is core too."""


class Refined(NamedTuple):
    """alpha (H, W) float32 in [0, 1]; what was measured; accepted or refused, and why."""

    alpha: np.ndarray
    figures: Figures
    verdict: Verdict


def refine_alpha(alpha: np.ndarray, rules: RefineRules | None = None) -> Refined:
    """alpha: (H, W), any float dtype, in [0, 1]. rules: when it is accepted (None: the defaults).

    The alpha comes back refined even if it is refused. Raises ValueError on another shape, dtype, or NaN.
    """
    given = _checked(alpha)
    r_out, r_in = (radius * min(given.shape) for radius in (R_OUT, R_IN))
    first = find_body(given, r_in)
    levelled = level(given, *_distances(first.inside), r_out, r_in) if first.bodies else given
    body = find_body(levelled, r_in) if levelled is not given else first
    outside, inside = _distances(body.inside)
    band = _band(levelled, outside, inside, body.false)
    refined = np.where(band, levelled, body.inside.astype(np.float32))
    figures = figures_of(Stages(given, levelled, refined), body, band, outside > r_out, inside > r_in)
    return Refined(refined, figures, judge(figures, rules or RefineRules()))


def _checked(alpha: np.ndarray) -> np.ndarray:
    if alpha.ndim != 2 or not alpha.size or not np.issubdtype(alpha.dtype, np.floating):
        raise ValueError(f"expected an alpha (H, W) of floats in [0, 1], got shape {alpha.shape} of {alpha.dtype}")
    if not np.isfinite(alpha).all():
        raise ValueError("expected an alpha in [0, 1], got NaN or infinity")
    return np.clip(alpha, 0, 1).astype(np.float32)


def _distances(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel outside to the body, and of each inside to the outside; 0 where they are not. Pixels."""
    mask = inside.astype(np.uint8)
    if not mask.any() or mask.all():
        far = np.full(inside.shape, np.float32(sum(inside.shape)))
        return (np.zeros_like(far), far) if mask.any() else (far, np.zeros_like(far))
    outward, inward = (cv2.distanceTransform(each, cv2.DIST_L2, cv2.DIST_MASK_5) for each in (1 - mask, mask))
    return outward, inward


def _band(alpha: np.ndarray, outside: np.ndarray, inside: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """(H, W) bool: the silhouette and the soft pixels connected to it, without filled holes and patches of the core."""
    r_out, r_in = (radius * min(alpha.shape) for radius in (R_OUT, R_IN))
    low, high = SOFT
    body = inside > 0
    silhouette = (((outside > 0) & (outside <= SILHOUETTE)) | (body & (inside <= SILHOUETTE))) & ~filled
    beyond = (outside > 0) & (outside <= r_out) & (alpha > low) & ~filled
    soft = beyond | (body & (inside <= r_in) & (alpha < high) & ~filled) | silhouette
    seen_through = beyond | (body & (alpha < RIM) & ~filled) | silhouette
    parts = _components(seen_through)
    patch = (_reached(parts, inside > r_in) & ~_reached(parts, silhouette))[parts]
    parts = _components(soft & ~_with_rim(patch, silhouette | (alpha < RIM), RIM_WIDTH * r_in))
    return _reached(parts, silhouette)[parts]


def _with_rim(patch: np.ndarray, other: np.ndarray, width: float) -> np.ndarray:
    """(H, W) bool: the patch, and what is no farther than `width` pixels from it, but for `other`."""
    if not patch.any():
        return patch
    distance = cv2.distanceTransform((~patch).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return patch | ((distance <= width) & ~other)


def _components(mask: np.ndarray) -> np.ndarray:
    """(H, W) int: the number of each pixel's 8-connected component of the mask; 0 outside it."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]


def _reached(labels: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(count,) bool: the components in which there is a seed, (H, W) bool; never what is in none."""
    reached = np.zeros(int(labels.max()) + 1, bool)
    reached[labels[seeds]] = True
    reached[0] = False
    return reached
