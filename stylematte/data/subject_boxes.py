"""Placement of cut-outs as labelled subjects are placed: bounding boxes of alphas relative to their frames.

Cut-outs for a generator are framed alike, which is not how subjects sit in photos. So a pair or a pseudo-labelled
cut-out is given size and position of a real subject's box, with jitter. Plain NumPy on uint8 (H, W[, C]) arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from stylematte.data.placement import ANGLE, move_cutout, touched_sides

VISIBLE = 13
"""Of 255: alpha from which on a pixel belongs to the box; `stylemattegan.framing` has the same 0.05."""
SIZE_JITTER, PLACE_JITTER = 0.1, 0.05
"""Of the size (in logarithms), and of the frame's side."""
TRIES = 16
"""Boxes looked at for one whose subject is cut off by the same sides of the frame."""


class Box(NamedTuple):
    """Where a subject is in its frame: left, top, right, bottom in [0, 1], and which sides cut it off.

    touched: top, bottom, left, right, as `placement.touched_sides` says.
    """

    left: float
    top: float
    right: float
    bottom: float
    touched: tuple[bool, bool, bool, bool]

    @property
    def size(self) -> float:
        """The side of the square of its area."""
        return float(np.sqrt((self.right - self.left) * (self.bottom - self.top)))


def subject_box(alpha: np.ndarray) -> Box | None:
    """The box of alpha (H, W), uint8; None if nothing is visible."""
    seen = alpha >= VISIBLE
    rows, columns = seen.any(1).nonzero()[0], seen.any(0).nonzero()[0]
    if not len(rows):
        return None
    height, width = alpha.shape
    return Box(
        columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height, touched_sides(alpha)
    )


def place_in_box(
    colour: np.ndarray, alpha: np.ndarray, boxes: Iterator[Box], rng: np.random.Generator, mirror: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Straight colour (S, S, 3) and alpha (S, S) -> the same with the subject's box at one of `boxes`.

    boxes: of real subjects in random order; the first of TRIES whose subject is cut off by the same sides is taken,
    else the last. mirror: whether the result is mirrored. A cut-out of which nothing is visible stays as it is.
    """
    own = subject_box(alpha)
    if own is not None:
        colour, alpha = move_cutout(colour, alpha, box_placement(own, _alike(own, boxes), alpha.shape[0], rng))
    if mirror:
        colour, alpha = colour[:, ::-1], alpha[:, ::-1]
    return colour, alpha


def box_placement(own: Box, target: Box, side: int, rng: np.random.Generator, jitter: float = 1.0) -> np.ndarray:
    """A 2 x 3 matrix, source to frame, that gives the subject in `own` size and centre of `target`, with jitter.

    Its aspect stays. A side that cuts it off does so in the frame; over the others it does not reach, and a subject too
    large for that is made smaller (unless two opposite sides cut it off). Only one that no side cuts off is turned.
    jitter: a factor on all that is random.
    """
    scale = target.size / own.size * float(np.exp(jitter * rng.uniform(-SIZE_JITTER, SIZE_JITTER)))
    shift = jitter * rng.uniform(-PLACE_JITTER, PLACE_JITTER, 2)
    angle = 0.0 if any(own.touched) else jitter * rng.uniform(-ANGLE, ANGLE)
    top, bottom, left, right = own.touched
    axes = ((left, right, own.left, own.right), (top, bottom, own.top, own.bottom))
    scale = min(scale, *(1 / (end - start) for low, high, start, end in axes if not (low and high)), np.inf)
    if any(low and high for low, high, _, _ in axes):
        scale = max(scale, 1.0)
    middle = np.array([(own.left + own.right) / 2, (own.top + own.bottom) / 2])
    wanted = np.array([(target.left + target.right) / 2, (target.top + target.bottom) / 2]) + shift
    beyond = max(0.0, scale - 1) / (2 * side)  # else the last pixel mixes with what lies outside the picture
    centre = np.array(
        [
            _along(low, high, scale * (end - start) / 2, float(place), beyond)
            for (low, high, start, end), place in zip(axes, wanted, strict=True)
        ]
    )
    pivot = middle * side - 0.5  # in pixel centres
    matrix = cv2.getRotationMatrix2D((float(pivot[0]), float(pivot[1])), angle, float(scale))
    matrix[:, 2] += (centre - middle) * side
    return matrix


def _along(low: bool, high: bool, half: float, place: float, beyond: float) -> float:
    """The centre on one axis of a subject of this half length: at `place`, but cut off where it was and whole else."""
    if low and high:
        return min(max(place, 1 - half + beyond), half - beyond)
    if low:
        return half - beyond
    if high:
        return 1 - half + beyond
    return min(max(place, half), 1 - half)


def _alike(own: Box, boxes: Iterator[Box]) -> Box:
    box = own
    for _, box in zip(range(TRIES), boxes, strict=False):
        if box.touched == own.touched:
            break
    return box
