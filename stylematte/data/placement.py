"""Random mirroring, scale, turn and shift of cut-outs in the frame, and random crops of backgrounds.

Plain NumPy and OpenCV on uint8 (H, W[, C]) arrays.
"""

from __future__ import annotations

import cv2
import numpy as np

SCALE = (0.6, 1.1)
SHIFT = 0.15
FAINT = 0.5 / 255
ANGLE = 10.0
"""Degrees."""
CROP = (0.6, 1.0)
"""Side of a background's crop; smaller crops would look softer than every foreground."""


def place_cutout(
    colour: np.ndarray, alpha: np.ndarray, rng: np.random.Generator, mirror: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, scale, turn and shift a cut-out in its frame; what comes into view around it is transparent.

    colour (S, S, 3), alpha (S, S). A subject that the frame cuts off (a portrait at the lower edge) stays cut off by
    the frame: its flat edge never comes into view. Colour is moved premultiplied: a generated cut-out is grey where it
    is transparent, and a moved edge must not take that grey in.
    """
    if mirror:
        colour, alpha = colour[:, ::-1], alpha[:, ::-1]
    return move_cutout(colour, alpha, placement(touched_sides(alpha), alpha.shape[0], rng))


def move_cutout(colour: np.ndarray, alpha: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A straight cut-out (S, S, 3), (S, S) moved by a 2 x 3 matrix, source to frame; transparent where it was not."""
    frame = alpha.shape[1], alpha.shape[0]
    weight = np.ascontiguousarray(alpha, dtype=np.float32)[..., None] / 255
    seen = cv2.warpAffine(colour * weight, matrix, frame, borderMode=cv2.BORDER_CONSTANT)
    weight = cv2.warpAffine(weight, matrix, frame, borderMode=cv2.BORDER_CONSTANT)[..., None]
    hidden = cv2.warpAffine(np.ascontiguousarray(colour), matrix, frame, borderMode=cv2.BORDER_REFLECT_101)
    straight = np.where(weight > FAINT, seen / np.maximum(weight, FAINT), hidden)
    return straight.round().clip(0, 255).astype(np.uint8), (weight[..., 0] * 255).round().astype(np.uint8)


def touched_sides(alpha: np.ndarray) -> tuple[bool, bool, bool, bool]:
    """Whether the subject (alpha > 1/2) reaches the top, bottom, left and right side on over 5 % of its length."""
    top, bottom, left, right = ((side > 127).mean() > 0.05 for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    return bool(top), bool(bottom), bool(left), bool(right)


def placement(touched: tuple[bool, bool, bool, bool], side: int, rng: np.random.Generator) -> np.ndarray:
    """A random 2 x 3 matrix, source to frame, that keeps every touched side of the source at or beyond the frame's."""
    top, bottom, left, right = touched
    angle, scale = rng.uniform(-ANGLE, ANGLE), rng.uniform(*SCALE)
    centre = (0.5 + rng.uniform(-SHIFT, SHIFT, 2)) * (side - 1)
    if any(touched):
        angle = 0.0  # a turned edge would come into view at one corner
    if (top and bottom) or (left and right):
        scale = max(scale, 1.0)
    reach = scale * (side - 1) / 2
    for axis, (low, high) in enumerate(((left, right), (top, bottom))):
        if low:
            centre[axis] = min(centre[axis], reach)
        if high:
            centre[axis] = max(centre[axis], side - 1 - reach)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, scale)
    matrix[:, 2] += centre - (side - 1) / 2
    return matrix


def hard_background(colour: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(S, S, 3) uint8 in the mean colour of a visible part of a cut-out (S, S, 3), (S, S).

    The part is what a window of an 8th to a third of the side, around a pixel with alpha above 1/2, shows of the
    subject (`mean_colour`). One in two is flat; the others have a slope (about 24 levels from end to end) and noise (up
    to a deviation of 8). A cut-out of which nothing is visible gets a plain background.
    """
    side = alpha.shape[0]
    seen = np.argwhere(alpha > 127)
    if not len(seen):
        return plain_background(side, rng)
    row, column = seen[rng.integers(len(seen))]
    reach = max(1, round(side * rng.uniform(1 / 16, 1 / 6)))
    part = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
    mean = mean_colour(colour[part], alpha[part])
    flat = np.broadcast_to(mean, (side, side, 3))
    if rng.random() < 0.5:
        return flat.round().astype(np.uint8)
    sloped = flat + slope(side, rng)[..., None] * rng.uniform(-24, 24, 3)
    return (sloped + rng.normal(0, rng.uniform(0, 8), flat.shape)).round().clip(0, 255).astype(np.uint8)


def mean_colour(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(3,) in 0 to 255: the mean of a straight colour (H, W, 3), each pixel weighted by its alpha (H, W)."""
    weight = alpha.astype(np.float64)[..., None]
    return (colour * weight).sum((0, 1)) / weight.sum()


def slope(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side) in [-1/2, 1/2], rising evenly in a random direction."""
    angle, axis = rng.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, side)
    return (np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]) / np.sqrt(2)


def crop_background(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square crop of (S, S, 3), mirrored or not, enlarged to (S, S, 3)."""
    side = picture.shape[0]
    window = max(2, round(side * rng.uniform(*CROP)))
    top, left = rng.integers(0, side - window + 1, 2)
    crop = picture[top : top + window, left : left + window]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=cv2.INTER_LINEAR)


def plain_background(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3) uint8: one random colour, or a straight gradient between two."""
    first, second = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.5:
        second = first
    along = slope(side, rng) + 0.5
    return (first + (second - first) * along[..., None]).round().astype(np.uint8)
