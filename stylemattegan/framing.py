"""Framing of a cut-out: the square around its subject, as the generator sees it."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from stylematte.imagefile import resize
from stylematte.rgba import premultiply_about_grey, unpremultiply_about_grey

VISIBLE = 0.05
MARGIN = 0.08


def subject_window(alpha: Tensor) -> tuple[int, int, int]:
    """(left, top, side) of the square around the subject of alpha (1, H, W), in pixels; may leave the picture.

    Centred on the bounding box of alpha > 0.05 with a margin of 8 % of its size. A subject cut off by the bottom edge
    (a bust) stays on the bottom edge. Raises ValueError if nothing is visible.
    """
    seen = alpha[0] > VISIBLE
    if not seen.any():
        raise ValueError(f"no subject: alpha is nowhere above {VISIBLE}")
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    grounded = bottom == alpha.shape[-2]
    tall = (bottom - top) * (1 + (1 if grounded else 2) * MARGIN)
    side = math.ceil(max(tall, (right - left) * (1 + 2 * MARGIN)))
    window_top = bottom - side if grounded else (top + bottom - side) // 2
    return (left + right - side) // 2, window_top, side


def frame_cutout(rgba: Tensor, size: int) -> Tensor:
    """Straight RGBA (4, H, W) -> (4, size, size) with the subject at a normal position and scale (`subject_window`).

    Outside the picture is transparent. Resized premultiplied, so colour under alpha 0 never shows.
    """
    left, top, side = subject_window(rgba[3:])
    height, width = rgba.shape[1:]
    encoded = premultiply_about_grey(rgba)
    encoded[3] += 1  # count alpha from 0: zeros are transparent
    # A negative pad crops.
    encoded = F.pad(encoded, (-left, left + side - width, -top, top + side - height))
    encoded = resize(encoded, (size, size)).clone()
    encoded[3] -= 1
    return unpremultiply_about_grey(encoded)
