"""What of a matte is body, real gap, false hole and outside: connected components, and a decision on each hole."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

BODY = 0.5
"""Alpha from which a pixel belongs to a body."""
SMALL_BODY = 0.05
"""Bodies smaller than this share of the largest are specks, or strands that the band reaches."""
GAP_AREA = 2e-4
"""A hole of this share of the picture may be a real gap, between arm and body ..."""
GAP_ALPHA = 0.35
"""... if its median alpha is no higher than this."""
LOOP_ALPHA = 0.45
"""A smaller hole is real, between curls or leaves, if its median alpha is no higher than this and it is linked to the
outside: no farther than r_in from it, from a gap, or from another such hole that is. A false one lies alone."""


class Body(NamedTuple):
    """inside, false (H, W) bool: the body with its false holes filled, and those holes; counts of bodies, gaps that
    stay, holes filled."""

    inside: np.ndarray
    false: np.ndarray
    bodies: int
    gaps: int
    filled: int


def find_body(alpha: np.ndarray, r_in: float) -> Body:
    """alpha (H, W) float32 in [0, 1]; r_in: how far a loop of hair may lie from what is outside, in pixels."""
    opaque = (alpha >= BODY).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opaque, connectivity=8)
    if count == 1:
        nothing = np.zeros(alpha.shape, bool)
        return Body(nothing, nothing, 0, 0, 0)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    large = areas >= SMALL_BODY * areas.max()
    body = large[labels]
    false = _false_holes(alpha, body, r_in)
    return Body(body | false.holes, false.holes, int(large.sum()), false.gaps, false.filled)


class _Holes(NamedTuple):
    holes: np.ndarray
    gaps: int
    filled: int


def _false_holes(alpha: np.ndarray, body: np.ndarray, r_in: float) -> _Holes:
    """Which pixels outside the body are holes that should not be, and how many holes there are of each kind."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~body).astype(np.uint8), connectivity=4)
    if count == 1:
        return _Holes(np.zeros_like(body), 0, 0)
    area = stats[:, cv2.CC_STAT_AREA]
    enclosed = ~_touches_frame(labels, count) | (area < GAP_AREA * alpha.size)
    enclosed[0] = False
    if not enclosed.any():
        return _Holes(np.zeros_like(body), 0, 0)
    holes = np.flatnonzero(enclosed[labels].ravel())
    names = labels.ravel()[holes]
    median = _medians(alpha.ravel()[holes], names, count)
    gap = enclosed & (area >= GAP_AREA * alpha.size) & (median <= GAP_ALPHA)
    loop = enclosed & ~gap & (median <= LOOP_ALPHA)
    real = gap | (loop & _linked(labels, ~enclosed | gap, loop, r_in))
    false = enclosed & ~real
    return _Holes(false[labels], int((enclosed & real).sum()), int(false.sum()))


def _linked(labels: np.ndarray, outer: np.ndarray, loop: np.ndarray, reach: float) -> np.ndarray:
    """(count,) bool: which loops are linked to what is outer, from one to the next no farther than `reach` pixels.

    labels: (H, W), 0 is the body; outer, loop: (count,) bool. Grown by reach / 2, what is linked is one component.
    """
    holes = labels > 0
    distance = cv2.distanceTransform((~(holes & (outer | loop)[labels])).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    _, groups = cv2.connectedComponents((distance <= reach / 2).astype(np.uint8), connectivity=8)
    anchored = np.zeros(int(groups.max()) + 1, bool)
    anchored[groups[holes & outer[labels]]] = True
    linked = np.zeros(len(loop), bool)
    linked[labels[anchored[groups] & loop[labels]]] = True
    return linked


def _touches_frame(labels: np.ndarray, count: int) -> np.ndarray:
    touching = np.zeros(count, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[edge] = True
    return touching


def _medians(values: np.ndarray, names: np.ndarray, count: int) -> np.ndarray:
    """(count,) the lower median, to 1/255, of the values of each name; 1 where there is none. values, names: (K,)."""
    levels = np.rint(values * 255).astype(np.int64)
    order = np.lexsort((levels, names))
    sizes = np.bincount(names, minlength=count)
    middle = np.cumsum(sizes) - sizes + np.maximum(sizes - 1, 0) // 2
    some = sizes > 0
    medians = np.ones(count)
    medians[some] = levels[order][middle[some]] / 255
    return medians
